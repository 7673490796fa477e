"""Comparing port forwards with LXD: what a crash left is finished, what somebody did with lxc is noticed."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from openlxd_core.coordination.change_log import announce
from openlxd_core.domain.actor import SYSTEM
from openlxd_core.domain.errors import LxdUnavailable, NotFound, OpenLXDError
from openlxd_core.domain.forward import ForwardState
from openlxd_core.lxd.gateway import ForwardRule, LxdGateway
from openlxd_core.services import audit
from openlxd_core.services.network_forwards.addresses import given_address
from openlxd_core.services.network_forwards.rules import ForwardRules, is_wanted, rules_of
from openlxd_core.storage import models
from openlxd_core.storage.transaction import transaction

log = structlog.get_logger(__name__)

CLAIMS_MOST = 5
"""Containers that are asked about when several show the same address."""
Held = frozenset[tuple[str, ForwardRule]]
"""LXD's rules, each with its listen address."""


class ForwardReconciler:
    """Brings rows and LXD's network forwards together; one process does it, the one that reconciles containers."""

    def __init__(self, lxd: LxdGateway, rules: ForwardRules) -> None:
        self._lxd = lxd
        self._rules = rules

    async def reconcile(self, *, everything: bool) -> None:
        """Compare the rows with LXD: one call and one query where nothing differs. Raises LxdUnavailable.

        With ``everything`` another call tells whether each container's NIC is still set to keep its address. Without
        it LXD is not asked where there are no rows. Containers that an operation has in hand are left to it. The rows
        are read before LXD, so that a rule without a row is one that OpenLXD did not make.
        """
        rows = await models.PortForward.all().select_related("container")
        if not rows and not everything:
            return
        held: Held = frozenset(
            (forward.listen_address, rule) for forward in await self._lxd.forwards() for rule in forward.rules
        )
        moved = await self._moved() if rows and everything else frozenset()
        due: set[int] = set()
        for row in rows:
            if not row.container.operation_id and (
                await self._differs(row, held)
                or (is_wanted(row, row.container) and (row.container.project, row.container.name) in moved)
            ):
                due.add(row.container_id)
        for container_id in sorted(due):
            await self._apply(container_id)
        known = {(row.address, rule) for row in rows for rule in _rules_of(row)}
        strange = [(address, rule) for address, rule in held if (address, rule) not in known]
        if strange:
            await self._adopt(strange)

    async def _differs(self, row: models.PortForward, held: Held) -> bool:
        """Whether LXD has to be told something about this row; what LXD says about it is noted here."""
        rules = _rules_of(row)
        here = bool(rules) and all((row.address, rule) in held for rule in rules)
        wanted = is_wanted(row, row.container)
        match ForwardState(row.state):
            case ForwardState.ACTIVE if wanted and not here:
                await self._note(row, ForwardState.MISSING, "forward.missing")
                return False
            case ForwardState.MISSING:
                if here:
                    await self._note(row, ForwardState.ACTIVE, "forward.found")
                return False
            case ForwardState.ACTIVE:
                return not wanted
            case ForwardState.INACTIVE:
                return wanted or here
            case _:
                return True

    async def _apply(self, container_id: int) -> None:
        """Let LXD hold what the rows say, or none of it where that fails: a rule must not lead to an address that
        somebody has taken from the container with lxc."""
        try:
            try:
                await self._rules.apply(container_id)
            except LxdUnavailable:
                raise
            except OpenLXDError as error:
                log.warning("forwards_withdrawn", container=container_id, reason=str(error))
                await self._rules.apply(container_id, withdraw=True)
            await self._drop_removed(container_id)
        except LxdUnavailable:
            raise
        except OpenLXDError as error:
            log.warning("forwards_not_reconciled", container=container_id, reason=str(error))

    async def _moved(self) -> frozenset[tuple[str, str]]:
        """The containers whose NIC is not set to keep the address that their forwards lead to, by project and name."""
        pinned = await models.Container.exclude(pinned_ipv4="").values_list("project", "name", "pinned_ipv4")
        fixed = {(found.project, found.name): found.fixed_ipv4 for found in await self._lxd.instances()}
        places = ((str(project), str(name), address) for project, name, address in pinned)
        return frozenset((project, name) for project, name, address in places
                         if fixed.get((project, name), address) != address)  # fmt: skip

    @transaction
    async def _drop_removed(self, container_id: int) -> None:
        """Delete the rows of forwards that LXD has let go, unless an operation is at it."""
        container = await models.Container.filter(id=container_id, operation_id="").first()
        if container is None:
            return
        removed = models.PortForward.filter(container_id=container_id, state=ForwardState.REMOVING.value)
        if await removed.delete():
            await announce("forward", "deleted", container.name, container.user_id)

    @transaction
    async def _note(self, seen: models.PortForward, state: ForwardState, action: str) -> None:
        row = await models.PortForward.filter(id=seen.id, state=seen.state).select_related("container").first()
        if row is None or row.container.operation_id:
            return
        row.state = state.value
        await row.save()
        container = row.container
        detail = f"{row.address}:{rules_of(row, container.name, '0.0.0.0')[0].listen_text}"  # noqa: S104 - no listener
        await audit.record(SYSTEM, action, container.name, user_id=container.user_id, detail=detail)
        await announce("forward", "updated", container.name, container.user_id)

    async def _adopt(self, strange: Sequence[tuple[str, ForwardRule]]) -> None:
        """Show rules that somebody made with lxc for a container of ours; all others are LXD's own affair."""
        for address, rule in sorted(strange, key=lambda found: (found[0], found[1].protocol, found[1].first)):
            equally_many = rule.last - rule.first == rule.target_last - rule.target_first
            if rule.target and equally_many and rule.protocol in ("tcp", "udp"):
                container = await self._owner_of(rule.target)
                if container is not None:
                    await self._store(container, address, rule)

    async def _owner_of(self, address: str) -> models.Container | None:
        """The container that has an address. What a container shows as its own has to be LXD's word, too: a guest can
        claim any address, and would get the rules of somebody else's."""
        owner = await models.Container.filter(pinned_ipv4=address).first()
        if owner is not None:
            return owner
        for candidate in await models.Container.filter(pinned_ipv4="", ipv4=address).limit(CLAIMS_MOST):
            try:
                if await given_address(self._lxd, candidate.project, candidate.name) == address:
                    return candidate
            except NotFound:
                continue
        return None

    @transaction
    async def _store(self, seen: models.Container, address: str, rule: ForwardRule) -> None:
        container = await models.Container.filter(id=seen.id, operation_id="").first()
        taken = models.PortForward.filter(address=address, listen_first__lte=rule.last, listen_last__gte=rule.first)
        if container is None or await taken.filter(protocol__in=(rule.protocol, "both")).exists():
            return
        await models.PortForward.create(
            container_id=container.id,
            protocol=rule.protocol,
            address=address,
            listen_first=rule.first,
            listen_last=rule.last,
            target_first=rule.target_first,
            target_address=rule.target,
            description=rule.description[:100],
            state=ForwardState.ACTIVE.value,
            created_by="lxd",
        )
        detail = f"{address}:{rule.listen_text}"
        await audit.record(SYSTEM, "forward.adopt", container.name, user_id=container.user_id, detail=detail)
        await announce("forward", "created", container.name, container.user_id)


def _rules_of(row: models.PortForward) -> Sequence[ForwardRule]:
    return rules_of(row, row.container.name, row.target_address or row.container.pinned_ipv4)
