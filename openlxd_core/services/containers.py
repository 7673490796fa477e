"""Containers: what a tenant can ask for. Each change is an operation; the call returns as soon as it is on record."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from typing import Any

from tortoise.expressions import Q
from tortoise.queryset import QuerySet

from openlxd_core.coordination.change_log import announce
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.container import (
    IN_LXD,
    Container,
    ContainerSpec,
    State,
    check_address,
    check_image_alias,
    check_in_network,
    check_limits,
    check_name,
    check_spec,
    name_stem,
)
from openlxd_core.domain.errors import (
    AlreadyExists,
    Busy,
    Conflict,
    NotFound,
    Suspended,
    ValidationFailed,
)
from openlxd_core.domain.listing import ContainerFilter, Page, Part
from openlxd_core.domain.operation import Kind, Operation
from openlxd_core.domain.policy import Action, require
from openlxd_core.domain.quota import NOTHING, check_fits
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_
from openlxd_core.lxd.gateway import Instance, LxdGateway
from openlxd_core.services import audit
from openlxd_core.services.idempotency import repeatable
from openlxd_core.services.images.choice import Choice, ImageChoice
from openlxd_core.services.lookup import find_container, find_container_by_id, find_user, ids_of
from openlxd_core.services.lxd_status import LxdStatus
from openlxd_core.services.operations.failed_creates import FailedCreate, find_failed_create, still_failed
from openlxd_core.services.operations.runner import Runner
from openlxd_core.services.operations.store import Begun, Operations
from openlxd_core.services.paging import Order, having, in_turns, read_all, read_page
from openlxd_core.services.quotas import project_name, quota_of, used_by
from openlxd_core.services.records import to_container, to_state, to_user
from openlxd_core.services.suspension import Suspensions, refuse_suspended
from openlxd_core.settings import Settings
from openlxd_core.storage import models
from openlxd_core.storage.transaction import transaction

ORDER = Order(
    "containers",
    {
        "name": str, "status": str, "image": str, "owner": str, "cpu": int, "memory_mb": int, "disk_mb": int,
        "created_at": datetime,
    },
    default="name",
    columns={"owner": "user__username"},
)  # fmt: skip


@dataclass(frozen=True)
class UnmanagedInstance:
    """An instance of LXD that no row of ours knows: it stays untouched until an admin adopts it."""

    project: str
    name: str
    status: State
    image: str
    owner_hint: str
    """The user id that its own mark names, or an empty string."""


class Containers:
    """The containers."""

    def __init__(
        self,
        settings: Settings,
        lxd: LxdGateway,
        lxd_status: LxdStatus,
        images: ImageChoice,
        operations: Operations,
        runner: Runner,
        suspensions: Suspensions,
    ) -> None:
        self._settings = settings
        self._lxd = lxd
        self._lxd_status = lxd_status
        self._images = images
        self._operations = operations
        self._runner = runner
        self._suspensions = suspensions

    async def list(self, actor: Actor) -> Sequence[Container]:
        """A tenant's own, an admin's all, by name. Costs LXD nothing."""
        return await in_turns(_with_owner(actor, await read_all(_visible(actor), ORDER)), to_container)

    async def page(self, actor: Actor, wanted: ContainerFilter, part: Part) -> Page[Container]:
        """One page of :meth:`list`, of those that ``wanted`` takes. Raises ValidationFailed."""
        rows = _visible(actor)
        if wanted.status is not None:
            rows = rows.filter(status=wanted.status.value)
        if wanted.image is not None:
            rows = rows.filter(image=wanted.image)
        if wanted.owner is not None:
            rows = rows.filter(user_id__in=await ids_of(wanted.owner))
        if wanted.search is not None:
            rows = rows.filter(having(wanted.search, "name", "image", "ipv4", "ipv6", "user__username"))
        if part.sort.removeprefix("-") == "owner":
            rows = rows.select_related("user")  # a cursor is made of what the list is sorted by
        found = await read_page(rows, ORDER, part)
        return Page(await in_turns(_with_owner(actor, found.items), to_container), found.next)

    async def get(self, actor: Actor, name: str) -> Container:
        """One container. Raises NotFound, alike for another's and none."""
        return to_container(await find_container(actor, name))

    async def by_id(self, actor: Actor, container_id: int) -> Container:
        """The container with this id, as billing systems keep it. Raises NotFound, alike for another's and none."""
        return to_container(await find_container_by_id(actor, container_id))

    async def example_name(self, actor: Actor) -> str:
        """A name that is free on the whole host, to show where one is asked for; nothing is reserved.

        It is built from the actor's own name, so that it tells nobody how others call their containers.
        """
        require(actor, Action.CONTAINER_CREATE)
        stem = name_stem(actor.username)
        taken = await models.Container.filter(name__startswith=f"{stem}-").limit(10_000).values_list("name", flat=True)
        held = {str(name) for name in taken}
        return next(name for number in count(1) if (name := f"{stem}-{number}") not in held)

    @repeatable(Kind.CREATE)
    async def create(
        self,
        actor: Actor,
        name: str,
        image: str,
        cpu: int | str,
        memory: int | str,
        disk: int | str,
        *,
        owner: int | str | None = None,
        ipv4: str = "auto",
        ipv6: str = "auto",
    ) -> Operation:
        """Reserve the name, the quota and the addresses, then make and start the container.

        ``ipv4`` and ``ipv6`` are ``auto``, ``none`` or a free address of the host's bridge. Sizes as
        :func:`openlxd_core.domain.units.parse_size_mib` reads them. A name whose create failed may be asked for
        again by the same owner, with whatever image and limits: its row is used anew. Raises ValidationFailed,
        AlreadyExists, QuotaExceeded, LxdUnavailable; nothing is made then.
        """
        require(actor, Action.CONTAINER_CREATE)
        spec = check_spec(name, image, cpu, memory, disk)
        if owner is None and actor.user_id is None:
            raise ValidationFailed.of("owner", N_("Name the account that will own the container."))
        user = await find_user(actor, owner)  # a stranger's name ends here
        wanted = check_address(ipv4, 4, "ipv4"), check_address(ipv6, 6, "ipv6")
        self._lxd_status.require_reachable()
        if {*wanted} - {"auto", "none"}:
            bridge = await self._lxd.bridge_addresses(self._settings.network)
            check_in_network(wanted[0], bridge[0], "ipv4")
            check_in_network(wanted[1], bridge[1], "ipv6")
        choice = await self._images.choose(actor, spec.image)
        failed = await find_failed_create(self._lxd, spec.name, user.id)
        return self._go(await self._reserve(actor, spec, choice, owner, wanted, failed))

    @transaction
    async def _reserve(
        self,
        actor: Actor,
        spec: ContainerSpec,
        choice: Choice,
        owner: int | str | None,
        wanted: tuple[str, str],
        failed: FailedCreate | None,
    ) -> Begun:
        user = await find_user(actor, owner)
        require(actor, Action.CONTAINER_CREATE, to_user(user))
        if user.status != "active":
            raise Suspended(N_("The account {name} is suspended."), name=user.username)
        row = await models.Container.filter(name=spec.name).first()
        if row is not None:
            if row.user_id != user.id or not await still_failed(row, failed):
                raise AlreadyExists(N_("The name {name} is taken."), name=spec.name)
            refuse_suspended(actor, row, admins_too=True)
        await _refuse_taken_addresses(*wanted, but=spec.name)
        await self._require_room(user.id, 1, spec.cpu, spec.memory_mib, spec.disk_mib)
        values: dict[str, Any] = {
            "wanted_ipv4": wanted[0],
            "wanted_ipv6": wanted[1],
            "created_by": actor.username,
            "image": choice.alias,
            "architecture": choice.architecture,
            "status": State.CREATING.value,
            "cpu": spec.cpu,
            "memory_mb": spec.memory_mib,
            "disk_mb": spec.disk_mib,
        }
        if row is None:
            row = await models.Container.create(
                name=spec.name, project=project_name(user.id), user_id=user.id, **values
            )
            await announce("container", "created", row.name, user.id)
        else:
            row.update_from_dict(values)  # saved with the operation
        row.user = user
        return await self._begin_create(actor, row, choice, failed)

    async def _begin_create(
        self, actor: Actor, row: models.Container, choice: Choice, failed: FailedCreate | None
    ) -> Begun:
        args, needs = await self._images.arguments(actor, choice)
        if failed is not None:
            args["replaces"] = list(failed.operations)
        return await self._operations.begin(actor, Kind.CREATE, row, args, needs=needs)

    async def _require_room(self, user_id: int, containers: int, cpu: int, memory_mib: int, disk_mib: int) -> None:
        asked = replace(NOTHING, containers=containers, cpu=cpu, memory_mib=memory_mib, disk_mib=disk_mib)
        check_fits(await quota_of(user_id, self._settings), await used_by(user_id), asked)

    async def retry(self, actor: Actor, name: str) -> Operation:
        """Try a failed create once more."""
        row = await find_container(actor, name)
        require(actor, Action.CONTAINER_CREATE, to_container(row))
        self._lxd_status.require_reachable()
        choice = await self._images.choose(actor, row.image)
        failed = await find_failed_create(self._lxd, row.name, row.user_id)
        return self._go(await self._reserve_again(actor, name, choice, failed))

    @transaction
    async def _reserve_again(self, actor: Actor, name: str, choice: Choice, failed: FailedCreate | None) -> Begun:
        row = await find_container(actor, name)
        refuse_suspended(actor, row, admins_too=True)
        if not await still_failed(row, failed):
            raise Conflict(N_("Only a container that could not be created can be retried."))
        await self._require_room(row.user_id, 1, row.cpu, row.memory_mb, row.disk_mb)
        row.status = State.CREATING.value
        return await self._begin_create(actor, row, choice, failed)

    @repeatable(Kind.START)
    async def start(self, actor: Actor, name: str) -> Operation:
        """Start it. One that runs is a success."""
        return await self._power(actor, name, Kind.START, IN_LXD)

    @repeatable(Kind.STOP)
    async def stop(self, actor: Actor, name: str, *, force: bool = False) -> Operation:
        """Stop it gracefully, and by force if it does not obey or ``force`` is set. A stopped one is a success."""
        return await self._power(actor, name, Kind.STOP, IN_LXD, force=force)

    @repeatable(Kind.RESTART)
    async def restart(self, actor: Actor, name: str) -> Operation:
        """Stop and start it."""
        return await self._power(actor, name, Kind.RESTART, IN_LXD)

    @repeatable(Kind.PAUSE)
    async def pause(self, actor: Actor, name: str) -> Operation:
        """Freeze its processes where they are."""
        return await self._power(actor, name, Kind.PAUSE, {State.RUNNING, State.FROZEN})

    @repeatable(Kind.RESUME)
    async def resume(self, actor: Actor, name: str) -> Operation:
        """Let a frozen one go on."""
        return await self._power(actor, name, Kind.RESUME, {State.RUNNING, State.FROZEN})

    async def _power(self, actor: Actor, name: str, kind: Kind, allowed: Set[State], **args: Any) -> Operation:
        return self._go(await self._begin_power(actor, name, kind, allowed, args))

    @transaction
    async def _begin_power(
        self, actor: Actor, name: str, kind: Kind, allowed: Set[State], args: dict[str, Any]
    ) -> Begun:
        row = await find_container(actor, name)
        require(actor, Action.CONTAINER_POWER, to_container(row))
        self._lxd_status.require_reachable()
        refuse_suspended(actor, row, admins_too=kind is not Kind.STOP)
        if row.operation_id:
            raise _busy(row)
        if State(row.status) not in allowed:
            raise _wrong_state(row)
        if not row.suspended_by:
            row.suspended_power = ""  # what an unsuspension failed to start is the tenant's own affair from now on
        return await self._operations.begin(actor, kind, row, args)

    @repeatable(Kind.REINSTALL)
    async def reinstall(self, actor: Actor, name: str, image: str | None = None) -> Operation:
        """Make it anew from ``image`` (its own where none is named), with its name, limits and address.

        Everything in it and its snapshots are lost. If the new one cannot be made, the old one stays.
        """
        row = await find_container(actor, name)
        require(actor, Action.CONTAINER_REINSTALL, to_container(row))
        self._lxd_status.require_reachable()
        choice = await self._images.choose(actor, check_image_alias(row.image if image is None else image))
        return self._go(await self._begin_reinstall(actor, name, choice))

    @transaction
    async def _begin_reinstall(self, actor: Actor, name: str, choice: Choice) -> Begun:
        row = await find_container(actor, name)
        refuse_suspended(actor, row, admins_too=True)
        if row.operation_id:
            raise _busy(row)
        if State(row.status) not in IN_LXD:
            raise _wrong_state(row)
        if row.project != project_name(row.user_id):
            raise Conflict(N_("{name} was created outside OpenLXD and cannot be reinstalled."), name=row.name)
        source, needs = await self._images.arguments(actor, choice)
        args = {**source, "image": choice.alias, "status": row.status}
        return await self._operations.begin(actor, Kind.REINSTALL, row, args, needs=needs)

    @repeatable(Kind.RESIZE)
    async def resize(
        self,
        actor: Actor,
        name: str,
        *,
        cpu: int | str | None = None,
        memory: int | str | None = None,
        disk: int | str | None = None,
    ) -> Operation:
        """Change its limits; what is left out stays. A disk can grow only."""
        row = await find_container(actor, name)
        require(actor, Action.CONTAINER_RESIZE, to_container(row))
        limits = check_limits(
            row.cpu if cpu is None else cpu,
            row.memory_mb if memory is None else memory,
            row.disk_mb if disk is None else disk,
        )
        self._lxd_status.require_reachable()
        return self._go(await self._begin_resize(actor, name, *limits))

    @transaction
    async def _begin_resize(self, actor: Actor, name: str, cpu: int, memory_mib: int, disk_mib: int) -> Begun:
        row = await find_container(actor, name)
        refuse_suspended(actor, row)
        if row.operation_id:
            raise _busy(row)
        if State(row.status) not in IN_LXD:
            raise _wrong_state(row)
        if disk_mib < row.disk_mb:
            raise ValidationFailed.of("disk", N_("A disk can grow but not shrink."))
        await self._require_room(row.user_id, 0, cpu - row.cpu, memory_mib - row.memory_mb, disk_mib - row.disk_mb)
        before = {"cpu": row.cpu, "memory_mib": row.memory_mb, "disk_mib": row.disk_mb}
        row.cpu, row.memory_mb, row.disk_mb = cpu, memory_mib, disk_mib
        return await self._operations.begin(actor, Kind.RESIZE, row, {"before": before})

    @repeatable(Kind.DELETE)
    async def delete(self, actor: Actor, name: str) -> Operation:
        """Remove it for good, running or not."""
        row = await find_container(actor, name)
        require(actor, Action.CONTAINER_DELETE, to_container(row))
        self._lxd_status.require_reachable()
        return self._go(await self._begin_delete(actor, name))

    @transaction
    async def _begin_delete(self, actor: Actor, name: str) -> Begun:
        row = await find_container(actor, name)
        refuse_suspended(actor, row)
        if row.operation_id:
            raise _busy(row)
        before, row.status = row.status, State.DELETING.value
        return await self._operations.begin(actor, Kind.DELETE, row, {"status": before})

    async def suspend(self, actor: Actor, name: str, reason: str = "") -> Operation:
        """Lock the tenant out and stop it; see :meth:`Suspensions.suspend`."""
        return await self._suspensions.suspend(actor, name, reason)

    async def unsuspend(self, actor: Actor, name: str) -> Operation:
        """Let the tenant in and start it if it ran; see :meth:`Suspensions.unsuspend`."""
        return await self._suspensions.unsuspend(actor, name)

    async def remove_all(self, actor: Actor, user_id: int) -> None:
        """Delete every container of a user and wait for it."""
        rows = await models.Container.filter(user_id=user_id)
        begun = [await self.delete(actor, row.name) for row in rows if not row.operation_id]
        await asyncio.gather(*(self._operations.wait(actor, operation.id, 120) for operation in begun))

    def _go(self, begun: Begun) -> Operation:
        self._runner.start(begun)
        return begun.operation

    async def unmanaged(self, actor: Actor) -> Sequence[UnmanagedInstance]:
        """The instances of LXD that no row knows."""
        require(actor, Action.CONTAINER_ADOPT)
        known = {(row.project, row.name) for row in await models.Container.all()}
        return [
            UnmanagedInstance(
                instance.project,
                instance.name,
                to_state(instance.status),
                clean(instance.image, 100),
                clean(instance.marks.get("user.openlxd.user", ""), 20),
            )
            for instance in await self._lxd.instances()
            if (instance.project, instance.name) not in known
        ]

    async def adopt(self, actor: Actor, project: str, name: str, user: int | str) -> Container:
        """Give an instance that no row knows to a user, where it is. It counts against their quota from now on."""
        require(actor, Action.CONTAINER_ADOPT)
        owner = await find_user(actor, user)
        check_name(name)
        instance = next((i for i in await self._lxd.instances() if (i.project, i.name) == (project, name)), None)
        if instance is None:
            raise NotFound(N_("There is no container named {name}."), name=clean(name, 100))
        return await self._store_adopted(actor, instance, owner.id)

    @transaction
    async def _store_adopted(self, actor: Actor, instance: Instance, user_id: int) -> Container:
        await find_user(actor, user_id)  # may have been deleted since
        if await models.Container.filter(name=instance.name).exists():
            raise AlreadyExists(N_("The name {name} is taken."), name=instance.name)
        row = await models.Container.create(
            name=instance.name,
            project=instance.project,
            user_id=user_id,
            created_by=actor.username,
            image=clean(instance.image, 255),
            architecture=instance.architecture,
            status=to_state(instance.status).value,
            cpu=instance.cpu or 1,
            memory_mb=instance.memory_mib or 0,
            disk_mb=instance.disk_mib or 0,
        )
        await audit.record(actor, "container.adopt", row.name, user_id=user_id, detail=instance.project)
        await announce("container", "created", row.name, user_id)
        return to_container(await models.Container.get(id=row.id).select_related("user"))


def _visible(actor: Actor) -> QuerySet[models.Container]:
    """The rows that the actor may see, an admin's with their owners."""
    require(actor, Action.CONTAINER_VIEW)
    if actor.is_admin:
        return models.Container.all().select_related("user")
    return models.Container.filter(user_id=actor.user_id)


def _with_owner(actor: Actor, rows: Sequence[models.Container]) -> Sequence[models.Container]:
    """A tenant's rows with the tenant as the owner of each, so that none is read with it."""
    if not actor.is_admin:
        owner = models.User(id=actor.user_id, username=actor.username)
        for row in rows:
            row.user = owner
    return rows


async def _refuse_taken_addresses(ipv4: str, ipv6: str, *, but: str) -> None:
    """Another's address is refused here: LXD would hand it out a second time. ``but`` is the container that asks."""
    for column, address in (("ipv4", ipv4), ("ipv6", ipv6)):
        if address in ("auto", "none"):
            continue
        held = Q(**{column: address}) | Q(**{f"wanted_{column}": address})
        if column == "ipv4":
            held |= Q(pinned_ipv4=address)
        if await models.Container.filter(held).exclude(name=but).exists():
            raise AlreadyExists(N_("The address {address} is in use."), address=address)


def _busy(row: models.Container) -> Busy:
    return Busy(N_("Another operation on {name} is in progress. Wait until it is done."), name=row.name)


def _wrong_state(row: models.Container) -> Conflict:
    match State(row.status):
        case State.ERROR:
            return Conflict(N_("{name} could not be created. Try again or delete it."), name=row.name)
        case State.MISSING:
            return Conflict(N_("{name} no longer exists in LXD. Delete it to free its name."), name=row.name)
        case State.RUNNING:
            return Conflict(N_("{name} is running."), name=row.name)
        case State.STOPPED:
            return Conflict(N_("{name} is stopped."), name=row.name)
        case State.FROZEN:
            return Conflict(N_("{name} is paused."), name=row.name)
        case _:
            return _busy(row)
