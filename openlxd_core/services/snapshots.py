"""Snapshots: taking, restoring and dropping them, within the tenant's count.

LXD holds them; a row of ours stands for each, written before LXD is asked, so that two askers at once cannot
pass the quota together. The reconciler brings the rows in line with what LXD holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from openlxd_core.domain.actor import Actor
from openlxd_core.domain.container import IN_LXD, State
from openlxd_core.domain.errors import AlreadyExists, Conflict, NotFound, QuotaExceeded
from openlxd_core.domain.listing import Page, Part
from openlxd_core.domain.operation import Kind, Operation
from openlxd_core.domain.policy import Action, require
from openlxd_core.domain.snapshot import Snapshot, check_snapshot_name
from openlxd_core.i18n import N_
from openlxd_core.services.idempotency import repeatable
from openlxd_core.services.lookup import find_container
from openlxd_core.services.lxd_status import LxdStatus
from openlxd_core.services.operations.runner import Runner
from openlxd_core.services.operations.store import Begun, Operations
from openlxd_core.services.paging import Order, read_page
from openlxd_core.services.quotas import quota_of
from openlxd_core.services.records import to_container
from openlxd_core.services.suspension import refuse_suspended
from openlxd_core.settings import Settings
from openlxd_core.storage import models
from openlxd_core.storage.transaction import transaction

ORDER = Order("snapshots", {"name": str, "created_at": datetime}, default="created_at")


class Snapshots:
    """The snapshots of containers."""

    def __init__(self, settings: Settings, lxd_status: LxdStatus, operations: Operations, runner: Runner) -> None:
        self._settings = settings
        self._lxd_status = lxd_status
        self._operations = operations
        self._runner = runner

    async def list(self, actor: Actor, name: str) -> Sequence[Snapshot]:
        """A container's snapshots, oldest first. Costs LXD nothing."""
        container = await find_container(actor, name)
        require(actor, Action.CONTAINER_VIEW, to_container(container))
        rows = await models.Snapshot.filter(container_id=container.id).order_by("created_at", "id")
        return [Snapshot(row.name, container.name, container.user_id, row.ready, row.created_at) for row in rows]

    async def page(self, actor: Actor, name: str, part: Part) -> Page[Snapshot]:
        """One page of :meth:`list`. Raises NotFound, ValidationFailed."""
        container = await find_container(actor, name)
        require(actor, Action.CONTAINER_VIEW, to_container(container))
        found = await read_page(models.Snapshot.filter(container_id=container.id), ORDER, part)
        shown = [
            Snapshot(row.name, container.name, container.user_id, row.ready, row.created_at) for row in found.items
        ]
        return Page(shown, found.next)

    @repeatable(Kind.SNAPSHOT)
    async def create(self, actor: Actor, name: str, snapshot: str | None = None) -> Operation:
        """Take one, named after the moment where no name is given.

        Raises AlreadyExists, QuotaExceeded (the count is over all of the owner's containers), Busy, Conflict.
        """
        wanted = check_snapshot_name(snapshot or f"{datetime.now(UTC):%Y%m%d-%H%M%S}")
        require(actor, Action.SNAPSHOT, to_container(await find_container(actor, name)))
        self._lxd_status.require_reachable()
        return self._go(await self._reserve(actor, name, wanted))

    @transaction
    async def _reserve(self, actor: Actor, name: str, snapshot: str) -> Begun:
        container = await self._usable(actor, name)
        if await models.Snapshot.filter(container_id=container.id, name=snapshot).exists():
            raise AlreadyExists(N_("{name} already has a snapshot named {snapshot}."), name=name, snapshot=snapshot)
        limit = (await quota_of(container.user_id, self._settings)).snapshots
        if await models.Snapshot.filter(container__user_id=container.user_id).count() >= limit:
            raise QuotaExceeded(N_("Your quota allows {limit} snapshots, and all are in use."), limit=limit)
        await models.Snapshot.create(container_id=container.id, name=snapshot)
        return await self._operations.begin(actor, Kind.SNAPSHOT, container, {"snapshot": snapshot})

    @repeatable(Kind.RESTORE)
    async def restore(self, actor: Actor, name: str, snapshot: str) -> Operation:
        """Put the container back to how it was; what came since is lost. A running one is started again."""
        require(actor, Action.SNAPSHOT, to_container(await find_container(actor, name)))
        self._lxd_status.require_reachable()
        return self._go(await self._begin(actor, name, snapshot, Kind.RESTORE))

    async def delete(self, actor: Actor, name: str, snapshot: str) -> Operation:
        """Drop one."""
        require(actor, Action.SNAPSHOT, to_container(await find_container(actor, name)))
        self._lxd_status.require_reachable()
        return self._go(await self._begin(actor, name, snapshot, Kind.SNAPSHOT_DELETE))

    @transaction
    async def _begin(self, actor: Actor, name: str, snapshot: str, kind: Kind) -> Begun:
        container = await self._usable(actor, name)
        row = await models.Snapshot.filter(container_id=container.id, name=snapshot).first()
        if row is None or (kind is Kind.RESTORE and not row.ready):
            raise NotFound(N_("{name} has no snapshot named {snapshot}."), name=name, snapshot=snapshot[:40])
        args = {"snapshot": row.name, "running": container.status == State.RUNNING}
        return await self._operations.begin(actor, kind, container, args)

    async def _usable(self, actor: Actor, name: str) -> models.Container:
        container = await find_container(actor, name)
        refuse_suspended(actor, container)
        if not container.operation_id and container.status not in IN_LXD:
            raise Conflict(N_("{name} holds nothing to take a snapshot of."), name=container.name)
        return container

    def _go(self, begun: Begun) -> Operation:
        self._runner.start(begun)
        return begun.operation
