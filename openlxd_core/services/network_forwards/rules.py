"""What LXD's network forwards should hold, and the one place that makes them hold it.

A row is written before LXD is told, and goes after LXD has let the rule go. So :meth:`ForwardRules.apply` can be run
again after a crash at any point: it derives everything from the rows, and each of its steps is a success where it is
done already. A container that any forward leads to keeps its address, or the rule would lead to whoever gets it next.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from tortoise.expressions import Q

from openlxd_core.coordination.change_log import announce
from openlxd_core.coordination.locks import FileLock
from openlxd_core.domain.container import State
from openlxd_core.domain.errors import AlreadyExists, Conflict
from openlxd_core.domain.forward import ForwardState, Protocol
from openlxd_core.i18n import N_
from openlxd_core.lxd.gateway import ForwardRule, LxdGateway
from openlxd_core.services.network_forwards.addresses import free_address, given_address
from openlxd_core.storage import models
from openlxd_core.storage.transaction import transaction

log = structlog.get_logger(__name__)

TURN_SECONDS = 0.02
"""How often a process looks whether the other one has let go of the lock."""
_KEPT = (ForwardState.PENDING.value, ForwardState.ACTIVE.value, ForwardState.INACTIVE.value)
_GONE = (State.ERROR.value, State.MISSING.value, State.DELETING.value)


class ForwardRules:
    """Brings LXD in line with the rows, one change at a time for both processes: LXD checks none against another."""

    def __init__(self, lxd: LxdGateway, lock: Path, network: str) -> None:
        """``lock`` is a file that both processes lock; ``network`` is the bridge, empty for the first one."""
        self._lxd = lxd
        self._network = network
        self._lock = FileLock(lock)
        self._here = asyncio.Lock()

    async def apply(self, container_id: int, *, withdraw: bool = False) -> None:
        """Let LXD hold the container's forwards, or none of them where it is suspended, failed or being deleted.

        ``withdraw`` takes them all out, whatever the container's state. Raises AlreadyExists where something else in
        LXD listens on a port of a new forward; one that was there before becomes ``missing`` then.
        """
        if not await models.PortForward.filter(container_id=container_id).exists():
            return
        async with self._turn():
            container = await models.Container.filter(id=container_id).first()
            rows = await models.PortForward.filter(container_id=container_id)
            if container is None or not rows:
                return
            wanted = [row for row in rows if not withdraw and is_wanted(row, container)]
            if wanted:
                await self._pin(container)
            for address in sorted({row.address for row in rows}):
                await self._change(
                    container,
                    address,
                    [row for row in wanted if row.address == address],
                    [row for row in rows if row.address == address and row not in wanted],
                )

    async def _change(
        self,
        container: models.Container,
        address: str,
        wanted: Sequence[models.PortForward],
        unwanted: Sequence[models.PortForward],
    ) -> None:
        pinned = container.pinned_ipv4
        leaving: list[ForwardRule] = []
        for row in (*wanted, *unwanted):
            # of an unwanted one the pinned address, too: a crash may have come between LXD's change and the row
            targets = {row.target_address} - {pinned} if row in wanted else {row.target_address, pinned}
            leaving += [rule for target in sorted(targets) for rule in rules_of(row, container.name, target)]
        coming = {row.id: rules_of(row, container.name, pinned) for row in wanted}
        failed: AlreadyExists | None = None
        try:
            await self._lxd.change_forward(address, add=[r for rules in coming.values() for r in rules], remove=leaving)
        except AlreadyExists:
            # one of them meets a rule of somebody else's: the others must not suffer
            await self._lxd.change_forward(address, remove=leaving)
            for row in wanted:
                try:
                    await self._lxd.change_forward(address, add=coming.pop(row.id))
                except AlreadyExists as error:
                    log.warning("forward_port_taken", container=container.name, address=address, port=row.listen_first)
                    if row.state == ForwardState.PENDING:
                        failed = error
                    else:
                        await self._store(container, [row], ForwardState.MISSING, "")
                else:
                    await self._store(container, [row], ForwardState.ACTIVE, pinned)
        else:
            await self._store(container, wanted, ForwardState.ACTIVE, pinned)
        put_aside = [row for row in unwanted if row.state in _KEPT]
        await self._store(container, put_aside, ForwardState.INACTIVE, "")
        if failed is not None:
            raise failed

    @transaction
    async def _store(
        self, container: models.Container, rows: Sequence[models.PortForward], state: ForwardState, target: str
    ) -> None:
        differing = [row for row in rows if (row.state, row.target_address) != (state.value, target)]
        for row in differing:  # one that somebody deletes meanwhile stays as they left it
            found = models.PortForward.filter(id=row.id, state=row.state)
            await found.update(state=state.value, target_address=target)
        if differing:
            await announce("forward", "updated", container.name, container.user_id)

    async def _pin(self, container: models.Container) -> None:
        """Let the container keep the address that it has, or give it one where it is stopped."""
        if not container.pinned_ipv4:
            await self._store_pinned(container, await self._address_of(container))
        await self._lxd.pin_address(container.project, container.name, container.pinned_ipv4)

    async def _address_of(self, container: models.Container) -> str:
        if container.wanted_ipv4 == "none":
            raise Conflict(N_("{name} has no IPv4 address."), name=container.name)
        if container.wanted_ipv4 != "auto":
            return container.wanted_ipv4
        given = await given_address(self._lxd, container.project, container.name)
        if given:
            return given
        if (await self._lxd.state(container.project, container.name)).status != "stopped":
            raise Conflict(N_("{name} has no IPv4 address yet."), name=container.name)
        return await free_address(self._lxd, self._network)

    @transaction
    async def _store_pinned(self, container: models.Container, address: str) -> None:
        # not the addresses that the others show: a guest can claim any, and would keep this container from its own
        held = Q(pinned_ipv4=address) | Q(wanted_ipv4=address)
        if await models.Container.filter(held).exclude(id=container.id).exists():
            raise AlreadyExists(N_("The address {address} is in use."), address=address)
        container.pinned_ipv4 = address
        await models.Container.filter(id=container.id).update(pinned_ipv4=address)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        async with self._here:
            while not self._lock.acquire():  # noqa: ASYNC110 - another process holds it
                await asyncio.sleep(TURN_SECONDS)
            try:
                yield
            finally:
                self._lock.release()


def is_wanted(row: models.PortForward, container: models.Container) -> bool:
    """Whether LXD should hold it now."""
    return row.state in _KEPT and not container.suspended_by and container.status not in _GONE


def rules_of(row: models.PortForward, name: str, target: str) -> list[ForwardRule]:
    """LXD's rules for a row that leads to ``target``; none without a target."""
    if not target:
        return []
    return [
        ForwardRule(
            protocol=protocol,
            first=row.listen_first,
            last=row.listen_last,
            target=target,
            target_first=row.target_first,
            target_last=row.target_first + row.listen_last - row.listen_first,
            description=f"{name}: {row.description}" if row.description else name,
        )
        for protocol in Protocol(row.protocol).each
    ]
