"""Port forwards: listing, making, restoring and deleting them, within the tenant's count and the operator's ports."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tortoise.queryset import QuerySet

from openlxd_core.coordination.change_log import announce
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.container import IN_LXD
from openlxd_core.domain.errors import Conflict, NotFound, QuotaExceeded, ValidationFailed
from openlxd_core.domain.forward import (
    Forward,
    ForwardState,
    PortRange,
    Protocol,
    check_description,
    parse_ports,
    parse_protocol,
)
from openlxd_core.domain.listing import Page, Part
from openlxd_core.domain.operation import Kind, Operation
from openlxd_core.domain.policy import Action, require
from openlxd_core.i18n import N_
from openlxd_core.lxd.gateway import LxdGateway
from openlxd_core.services.forwards.ports import check_listen, check_untaken, choose_ports
from openlxd_core.services.idempotency import repeatable
from openlxd_core.services.lookup import find_container
from openlxd_core.services.lxd_status import LxdStatus
from openlxd_core.services.network_forwards.addresses import listen_address
from openlxd_core.services.operations.runner import Runner
from openlxd_core.services.operations.store import Begun, Operations
from openlxd_core.services.paging import Order, read_all, read_page
from openlxd_core.services.quotas import quota_of
from openlxd_core.services.records import to_container, to_forward
from openlxd_core.services.suspension import refuse_suspended
from openlxd_core.settings import Settings
from openlxd_core.storage import models
from openlxd_core.storage.transaction import transaction

XTABLES = "xtables"
"""LXD's firewall driver with iptables. With iptables' nft variant, Debian's default, the rules of a deleted forward
stay in the kernel and lead to whoever gets the address next (seen on 5.0.2; lxc/incus#305)."""

ORDER = Order(
    "forwards",
    {"listen": int, "container": str, "created_at": datetime},
    default="listen",
    columns={"listen": "listen_first", "container": "container__name"},
)


class Forwards:
    """The port forwards of containers."""

    def __init__(
        self, settings: Settings, lxd: LxdGateway, lxd_status: LxdStatus, operations: Operations, runner: Runner
    ) -> None:
        self._settings = settings
        self._lxd = lxd
        self._lxd_status = lxd_status
        self._operations = operations
        self._runner = runner

    async def list(self, actor: Actor, name: str | None = None) -> Sequence[Forward]:
        """A container's forwards by port, or all that the actor may see. Costs LXD nothing. Raises NotFound."""
        return [to_forward(row) for row in await read_all(await self._visible(actor, name), ORDER)]

    async def page(self, actor: Actor, part: Part, name: str | None = None) -> Page[Forward]:
        """One page of :meth:`list`. Raises NotFound, ValidationFailed."""
        found = await read_page(await self._visible(actor, name), ORDER, part)
        return Page([to_forward(row) for row in found.items], found.next)

    async def _visible(self, actor: Actor, name: str | None) -> QuerySet[models.PortForward]:
        rows = models.PortForward.all().select_related("container", "container__user")
        if name is not None:
            container = await find_container(actor, name)
            require(actor, Action.CONTAINER_VIEW, to_container(container))
            return rows.filter(container_id=container.id)
        require(actor, Action.CONTAINER_VIEW)
        return rows if actor.is_admin else rows.filter(container__user_id=actor.user_id)

    async def get(self, actor: Actor, name: str, forward_id: int) -> Forward:
        """One forward of a container. Raises NotFound."""
        return to_forward(await self._find(actor, name, forward_id))

    async def _find(self, actor: Actor, name: str, forward_id: int) -> models.PortForward:
        container = await find_container(actor, name)
        require(actor, Action.CONTAINER_VIEW, to_container(container))
        rows = models.PortForward.filter(container_id=container.id, id=forward_id)
        row = await rows.select_related("container", "container__user").first()
        if row is None:
            raise NotFound(N_("{name} has no such port forward."), name=container.name)
        return row

    @repeatable(Kind.FORWARD)
    async def create(
        self,
        actor: Actor,
        name: str,
        target: Any,
        *,
        protocol: Any = Protocol.TCP,
        listen: Any = None,
        description: str = "",
    ) -> Operation:
        """Forward ports of the host to ``target`` of the container: a port or a range such as ``8000-8010``.

        ``listen`` are the host's ports, as many; a random free place in the operator's range where it is None. The
        operation's arguments name the forward's id, address and ports. Raises ValidationFailed, AlreadyExists where a
        port is in use, QuotaExceeded (the count is over all of the owner's containers), Busy, Conflict, Forbidden.
        """
        wanted = parse_protocol(protocol), parse_ports(target, "target"), check_description(description)
        ports = parse_ports(listen, "listen") if listen is not None else None
        if ports is not None and len(ports) != len(wanted[1]):
            raise ValidationFailed.of("listen", N_("The host and the container need equally many ports."))
        require(actor, Action.FORWARD, to_container(await find_container(actor, name)))
        if ports is not None:
            check_listen(actor, ports, self._settings)
        self._lxd_status.require_reachable()
        if (await self._lxd.server()).firewall == XTABLES:
            raise Conflict(
                N_(
                    "LXD on this host uses iptables, which would keep the rules of deleted port forwards. Install the"
                    " nftables package and restart LXD."
                )
            )
        address = listen_address(self._settings)
        held = [
            (rule.protocol, PortRange(rule.first, rule.last))
            for forward in await self._lxd.forwards()
            if forward.listen_address == address
            for rule in forward.rules
        ]
        return self._go(await self._reserve(actor, name, address, *wanted, ports, held))

    @transaction
    async def _reserve(
        self,
        actor: Actor,
        name: str,
        address: str,
        protocol: Protocol,
        target: PortRange,
        description: str,
        ports: PortRange | None,
        held: Sequence[tuple[str, PortRange]],
    ) -> Begun:
        container = await self._usable(actor, name)
        await self._require_room(container)
        taken = [*held, *await taken_ports(address)]
        if ports is None:
            ports = choose_ports(actor, protocol, len(target), taken, self._settings)
        else:
            check_untaken(protocol, ports, taken)
        row = await models.PortForward.create(
            container_id=container.id,
            protocol=protocol.value,
            address=address,
            listen_first=ports.first,
            listen_last=ports.last,
            target_first=target.first,
            description=description,
            state=ForwardState.PENDING.value,
            created_by=actor.username,
        )
        await announce("forward", "created", container.name, container.user_id)
        args = {"forward": row.id, "address": address, "listen": str(ports), "target": str(target)}
        return await self._operations.begin(actor, Kind.FORWARD, container, args)

    async def _require_room(self, container: models.Container) -> None:
        limit = (await quota_of(container.user_id, self._settings)).forwards
        if await models.PortForward.filter(container__user_id=container.user_id).count() >= limit:
            raise QuotaExceeded(N_("Your quota allows {limit} port forwards, and all are in use."), limit=limit)
        if container.forward_limit is None:
            return
        if await models.PortForward.filter(container_id=container.id).count() >= container.forward_limit:
            raise QuotaExceeded(
                N_("{name} may have {limit} port forwards, and all are in use."),
                name=container.name,
                limit=container.forward_limit,
            )

    async def restore(self, actor: Actor, name: str, forward_id: int) -> Operation:
        """Put one that is missing in LXD back. Raises NotFound, Busy, Conflict where it is not missing."""
        require(actor, Action.FORWARD, to_container(await find_container(actor, name)))
        self._lxd_status.require_reachable()
        return self._go(await self._begin_restore(actor, name, forward_id))

    @transaction
    async def _begin_restore(self, actor: Actor, name: str, forward_id: int) -> Begun:
        container = await self._usable(actor, name)
        row = await self._find(actor, name, forward_id)
        if row.state != ForwardState.MISSING:
            raise Conflict(N_("The port forward is not missing."))
        row.state = ForwardState.PENDING.value
        await row.save()
        return await self._operations.begin(actor, Kind.FORWARD, container, {**_args(row), "again": True})

    async def delete(self, actor: Actor, name: str, forward_id: int) -> Operation:
        """Remove one. Raises NotFound, Busy."""
        require(actor, Action.FORWARD, to_container(await find_container(actor, name)))
        self._lxd_status.require_reachable()
        return self._go(await self._begin_delete(actor, name, forward_id))

    @transaction
    async def _begin_delete(self, actor: Actor, name: str, forward_id: int) -> Begun:
        container = await find_container(actor, name)
        refuse_suspended(actor, container)
        row = await self._find(actor, name, forward_id)
        begun = await self._operations.begin(actor, Kind.FORWARD_DELETE, container, _args(row))
        row.state = ForwardState.REMOVING.value
        await row.save()
        await announce("forward", "updated", container.name, container.user_id)
        return begun

    async def _usable(self, actor: Actor, name: str) -> models.Container:
        container = await find_container(actor, name)
        refuse_suspended(actor, container, admins_too=True)
        if container.wanted_ipv4 == "none":
            raise Conflict(N_("{name} has no IPv4 address."), name=container.name)
        if not container.operation_id and container.status not in IN_LXD:
            raise Conflict(N_("{name} does not exist in LXD."), name=container.name)
        return container

    def _go(self, begun: Begun) -> Operation:
        self._runner.start(begun)
        return begun.operation


async def taken_ports(address: str) -> list[tuple[str, PortRange]]:
    """The ports of a listen address that rows have reserved, whatever their state."""
    rows = await models.PortForward.filter(address=address)
    return [
        (protocol, PortRange(row.listen_first, row.listen_last))
        for row in rows
        for protocol in Protocol(row.protocol).each
    ]


def _args(row: models.PortForward) -> dict[str, Any]:
    record = PortRange(row.listen_first, row.listen_last)
    return {"forward": row.id, "address": row.address, "listen": str(record)}
