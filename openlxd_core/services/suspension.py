"""Suspending one container, apart from its power state and from its owner's account.

The row says that it is suspended from the first transaction on, and everything of the tenant's is refused from then on.
Stopping it is an operation, which waits while another has the container in hand. What LXD, the host or a person starts
again meanwhile is stopped again (:meth:`Suspensions.enforce`), so that no crash and no autostart undoes a suspension.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from openlxd_core.coordination.change_log import announce
from openlxd_core.domain.actor import SYSTEM, Actor
from openlxd_core.domain.errors import Suspended
from openlxd_core.domain.operation import ENDED, Kind, Operation, OperationStatus
from openlxd_core.domain.policy import Action, require
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_
from openlxd_core.services.lookup import find_container
from openlxd_core.services.operations.kinds.suspension import UP
from openlxd_core.services.operations.runner import Runner
from openlxd_core.services.operations.store import Begun, Operations
from openlxd_core.services.records import to_container
from openlxd_core.storage import models
from openlxd_core.storage.transaction import transaction

REASON_MAX = 500
RETRY_AFTER = timedelta(minutes=1)
"""Before a container that LXD would not stop is stopped again without being asked."""


class Suspensions:
    """Suspending and unsuspending, and keeping what is suspended stopped."""

    def __init__(self, operations: Operations, runner: Runner) -> None:
        self._operations = operations
        self._runner = runner

    async def suspend(self, actor: Actor, name: str, reason: str = "") -> Operation:
        """Lock the tenant out at once and stop the container; ``reason`` is shown to its owner.

        Succeeds in every state, also where it is suspended, stopped, in error or missing, and while LXD is away or
        another operation is under way: the returned operation then waits. Raises NotFound, Forbidden.
        """
        return self._go(await self._begin_suspend(actor, name, clean(reason, REASON_MAX).strip()))

    @transaction
    async def _begin_suspend(self, actor: Actor, name: str, reason: str) -> Begun:
        row = await find_container(actor, name)
        require(actor, Action.CONTAINER_SUSPEND, to_container(row))
        if not row.suspended_by:
            row.suspended_by = actor.username[:100] or "?"
            row.suspended_reason = reason
            row.suspended_at = datetime.now(UTC)
        elif reason:
            row.suspended_reason = reason
        await row.save()
        await announce("container", "suspended", row.name, row.user_id, reason=row.suspended_reason)
        return await self._begin(actor, Kind.SUSPEND, row, reason)

    async def unsuspend(self, actor: Actor, name: str) -> Operation:
        """Let the tenant in again, and start the container if it ran (or was paused) when it was suspended.

        One that is not suspended is a success. The account's own suspension stays as it is. Raises NotFound, Forbidden.
        """
        return self._go(await self._begin_unsuspend(actor, name))

    @transaction
    async def _begin_unsuspend(self, actor: Actor, name: str) -> Begun:
        row = await find_container(actor, name)
        require(actor, Action.CONTAINER_SUSPEND, to_container(row))
        if row.suspended_by:
            row.suspended_by = row.suspended_reason = ""
            row.suspended_at = None
            await row.save()
            await announce("container", "unsuspended", row.name, row.user_id)
        return await self._begin(actor, Kind.UNSUSPEND, row, "")

    async def _begin(self, actor: Actor, kind: Kind, row: models.Container, detail: str) -> Begun:
        args = {"container": row.id}  # the name may be another container's by the time that it is its turn
        return await self._operations.begin_on(actor, kind, row.name, row.user_id, args, detail=detail)

    def _go(self, begun: Begun) -> Operation:
        self._runner.start(begun)
        return begun.operation

    async def enforce(self, container_id: int) -> None:
        """Stop a suspended container that runs, unless that is under way."""
        begun = await self._begin_enforcing(container_id)
        if begun is not None:
            self._runner.start(begun)

    @transaction
    async def _begin_enforcing(self, container_id: int) -> Begun | None:
        row = await models.Container.filter(id=container_id).first()
        if row is None or not row.suspended_by or row.operation_id or row.status not in UP:
            return None
        last = await models.Operation.filter(kind=Kind.SUSPEND.value, target=row.name).order_by("-created_at").first()
        if last is not None and OperationStatus(last.status) not in ENDED:
            return None
        failed = last is not None and last.status == OperationStatus.FAILED
        if failed and datetime.now(UTC) - last.updated_at < RETRY_AFTER:  # type: ignore[union-attr]
            return None  # the reconciler comes by again
        return await self._begin(SYSTEM, Kind.SUSPEND, row, "")


def refuse_suspended(actor: Actor, row: models.Container, *, admins_too: bool = False) -> None:
    """Raise Suspended where the container is suspended and ``actor`` may do nothing with it.

    ``admins_too`` is for what would start it: an admin unsuspends it first, or a billing system's start button, which
    acts with an admin's key, would undo the suspension.
    """
    if not row.suspended_by or (actor.is_admin and not admins_too):
        return
    if actor.is_admin:
        raise Suspended(N_("{name} is suspended. Unsuspend it first."), name=row.name)
    if row.suspended_reason:
        raise Suspended(N_("{name} is suspended: {reason}"), name=row.name, reason=row.suspended_reason)
    raise Suspended(N_("{name} is suspended."), name=row.name)
