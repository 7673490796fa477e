"""The operations' rows: what was asked for, how far it got and how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tortoise.expressions import Q

from openlxd_core.coordination.change_log import Feed, announce
from openlxd_core.coordination.liveness import Workers
from openlxd_core.domain.actor import SYSTEM, Actor
from openlxd_core.domain.container import Container
from openlxd_core.domain.errors import Busy, Conflict, NotFound, OpenLXDError
from openlxd_core.domain.listing import OperationFilter, Page, Part
from openlxd_core.domain.operation import CANCELLABLE, ENDED, Kind, Operation, OperationStatus
from openlxd_core.domain.policy import Action, may, require
from openlxd_core.i18n import N_
from openlxd_core.services import audit
from openlxd_core.services.idempotency import note
from openlxd_core.services.lookup import ids_of
from openlxd_core.services.paging import Order, read_page
from openlxd_core.services.records import pack_message, to_container, to_operation
from openlxd_core.storage import models
from openlxd_core.storage.transaction import transaction

_ACTIVE = [status.value for status in OperationStatus if status not in ENDED]

ORDER = Order("operations", {"created_at": datetime}, default="-created_at", id=str)


class CancelRequested(Exception):
    """Somebody asked for the operation to be cancelled."""


@dataclass(frozen=True)
class Begun:
    """An operation whose row was just written, with all that the runner needs: nothing is read twice."""

    operation: Operation
    container: Container | None = None
    """The container that it has in hand."""
    needs: Begun | None = None
    """Another that it waits for."""
    mine: bool = True
    """Whether this process is to carry it out; one that was joined runs where it began."""


class Operations:
    """Reading and waiting for operations; and, for the services, writing them."""

    def __init__(self, workers: Workers, feed: Feed) -> None:
        self._workers = workers
        self._feed = feed

    async def list(self, actor: Actor, *, active: bool = False, limit: int = 100) -> Sequence[Operation]:
        """The newest first: a tenant's own, an admin's all; only those under way if ``active``."""
        require(actor, Action.OPERATION_VIEW)
        found = models.Operation.all() if actor.is_admin else models.Operation.filter(user_id=actor.user_id)
        if active:
            found = found.filter(status__in=_ACTIVE)
        rows = await found.order_by("-created_at").limit(max(1, min(limit, 1000)))
        found_here = [to_operation(row) for row in rows]
        if actor.is_admin:
            return found_here
        shared = await models.Operation.filter(kind=Kind.IMPORT.value, status__in=_ACTIVE)
        joined = [_as_joined(to_operation(row)) for row in shared if _joined(actor, row)]
        return sorted([*joined, *found_here], key=lambda operation: operation.created_at, reverse=True)

    async def page(self, actor: Actor, wanted: OperationFilter, part: Part) -> Page[Operation]:
        """One page of :meth:`list`, of those that ``wanted`` takes. Raises ValidationFailed."""
        require(actor, Action.OPERATION_VIEW)
        rows, joined = models.Operation.all(), set[str]()
        if not actor.is_admin:
            shared = await models.Operation.filter(kind=Kind.IMPORT.value, status__in=_ACTIVE)
            joined = {row.id for row in shared if _joined(actor, row)}
            own = Q(user_id=actor.user_id)
            rows = rows.filter(own | Q(id__in=joined) if joined else own)
        if wanted.active:
            rows = rows.filter(status__in=_ACTIVE)
        if wanted.status is not None:
            rows = rows.filter(status=wanted.status.value)
        if wanted.kind is not None:
            rows = rows.filter(kind=wanted.kind.value)
        if wanted.target is not None:
            rows = rows.filter(target=wanted.target)
        if wanted.owner is not None:
            rows = rows.filter(user_id__in=await ids_of(wanted.owner))
        found = await read_page(rows, ORDER, part)
        return Page(
            [_as_joined(to_operation(row)) if row.id in joined else to_operation(row) for row in found.items],
            found.next,
        )

    async def get(self, actor: Actor, operation_id: str) -> Operation:
        """One operation. Raises NotFound, alike for another's and none."""
        row = await models.Operation.filter(id=str(operation_id)[:36]).first()
        operation = to_operation(row) if row else None
        if row is not None and operation is not None and _joined(actor, row):
            return _as_joined(operation)
        if operation is None or not may(actor, Action.OPERATION_VIEW, operation):
            raise NotFound(N_("There is no such operation."))
        return operation

    async def wait(self, actor: Actor, operation_id: str, timeout: float | None = None) -> Operation:
        """The operation once it has ended, or as it stands after ``timeout`` seconds. It goes on regardless."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout), self._feed.subscribe(SYSTEM) as changes:
                operation = await self.get(actor, operation_id)
                if operation.ended:
                    return operation
                async for change in changes:
                    if change.topic == "resync" or (change.topic == "operation" and change.key == operation_id):
                        operation = await self.get(actor, operation_id)
                        if operation.ended:
                            return operation
        return await self.get(actor, operation_id)

    async def begin(
        self,
        actor: Actor,
        kind: Kind,
        container: models.Container,
        args: Mapping[str, Any],
        *,
        needs: Begun | None = None,
    ) -> Begun:
        """Write the intent and take the container, whose ``user`` was fetched with it, in hand; inside a transaction.

        Raises Busy.
        """
        if container.operation_id:
            raise Busy(N_("Another operation on {name} is in progress. Wait until it is done."), name=container.name)
        begun = await self.begin_on(actor, kind, container.name, container.user_id, args)
        container.operation_id = begun.operation.id
        container.error = None
        await container.save()
        await announce("container", "updated", container.name, container.user_id)
        return Begun(begun.operation, to_container(container), needs)

    async def begin_on(
        self,
        actor: Actor,
        kind: Kind,
        target: str,
        user_id: int | None,
        args: Mapping[str, Any],
        *,
        detail: str = "",
    ) -> Begun:
        """Write the intent of work that takes no container in hand yet; inside a transaction. ``detail`` is audited."""
        row = await models.Operation.create(
            id=str(uuid.uuid4()),
            kind=kind.value,
            user_id=user_id,
            actor=actor.username,
            origin=actor.origin,
            address=actor.address[:64],
            target=target,
            status=OperationStatus.QUEUED.value,
            stage="queued",
            args=dict(args),
            worker=self._workers.id,
        )
        await note(kind.value, row.id)
        await audit.record(actor, audit_name(kind), target, user_id=user_id, detail=detail)
        await _tell(row)
        return Begun(to_operation(row))

    def joined(self, row: models.Operation) -> Begun:
        """An operation that somebody else has begun, in this process or another."""
        return Begun(to_operation(row), mine=row.worker == self._workers.id)

    async def cancel(self, actor: Actor, operation_id: str) -> Operation:
        """Ask for it to be given up, wherever it is done. One that has ended stays as it is.

        Of several who asked for one image each gives up for themselves, an admin for all. Raises NotFound, Conflict
        where it cannot be given up, or not any more.
        """
        operation = await self.get(actor, operation_id)
        require(actor, Action.OPERATION_CANCEL)
        if not operation.ended:
            await self._cancel(actor, operation.id)
        try:
            return await self.get(actor, operation_id)
        except NotFound:  # they joined somebody's, and have left it
            return replace(operation, status=OperationStatus.CANCELLED)

    @transaction
    async def _cancel(self, actor: Actor, operation_id: str) -> None:
        row = await models.Operation.get(id=operation_id)
        if row.status not in _ACTIVE or row.cancelled_by:
            return
        if Kind(row.kind) not in CANCELLABLE:
            raise Conflict(N_("This cannot be cancelled once it has begun."))
        if row.stage == "import":
            raise Conflict(N_("It is too late to cancel: LXD is already importing the image."))
        askers = [asker for asker in row.args.get("askers", []) if asker != actor.user_id]
        if not actor.is_admin and askers:
            row.args = {**row.args, "askers": askers}
            await row.save()
            return
        row.cancelled_by = actor.username[:100] or "?"
        await row.save()
        await audit.record(actor, "operation.cancel", row.target, user_id=row.user_id)
        await _tell(row)

    async def cancel_requested(self, operation_id: str) -> None:
        """Return once somebody asks for this operation to be cancelled."""
        async with self._feed.subscribe(SYSTEM) as changes:
            if await models.Operation.filter(id=operation_id).exclude(cancelled_by="").exists():
                return
            async for change in changes:
                if change.topic not in ("resync", "operation") or (change.key and change.key != operation_id):
                    continue
                if await models.Operation.filter(id=operation_id).exclude(cancelled_by="").exists():
                    return

    @transaction
    async def progress(
        self,
        operation_id: str,
        stage: str,
        percent: int,
        detail: Mapping[str, Any] | None = None,
        told: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Write how far it is, and call ``told`` in the same transaction. Raises CancelRequested."""
        row = await models.Operation.filter(id=operation_id).first()
        if row is None or row.status not in _ACTIVE:
            return
        if row.cancelled_by:
            raise CancelRequested
        row.status = OperationStatus.RUNNING.value
        row.stage, row.progress = stage, max(0, min(99, percent))
        row.detail = dict(detail) if detail is not None else None
        await row.save()
        await _tell(row)
        if told is not None:
            await told()

    @transaction
    async def attempt(self, operation_id: str) -> int:
        """Count one more try; how many there were."""
        row = await models.Operation.get(id=operation_id)
        row.attempts += 1
        await row.save()
        return row.attempts

    async def end(self, operation_id: str, error: OpenLXDError | None, *, cancelled: bool = False) -> Operation:
        """Write the result, once, and return it; inside a transaction.

        One that is ``cancelled`` has that as its ``error``, too.
        """
        row = await models.Operation.get(id=operation_id)
        failed = OperationStatus.CANCELLED if cancelled else OperationStatus.FAILED
        row.status = (failed if error else OperationStatus.DONE).value
        row.detail = None
        row.stage = row.stage if error else "done"
        row.progress = row.progress if error else 100
        row.error_code = error.code if error else ""
        row.error = pack_message(error.message) if error else None
        await row.save()
        if error is not None:
            actor = Actor(SYSTEM.role, None, row.actor, row.origin, row.address)
            await audit.record(
                actor,
                audit_name(Kind(row.kind)),
                row.target,
                user_id=row.user_id,
                outcome=error.code,
                detail=str(error),
            )
        await _tell(row)
        return to_operation(row)

    @transaction
    async def adopt_orphans(self) -> Sequence[str]:
        """Take over the unfinished operations of processes that are gone; their ids."""
        taken = []
        for row in await models.Operation.filter(status__in=_ACTIVE).exclude(worker=self._workers.id):
            if not self._workers.alive(row.worker):
                row.worker = self._workers.id
                row.attempts += 1
                await row.save()
                taken.append(row.id)
        return taken


def audit_name(kind: Kind) -> str:
    """What the audit calls an operation of this kind."""
    return kind.value if "." in kind.value else f"container.{kind.value}"


async def _tell(row: models.Operation) -> None:
    await announce(
        "operation",
        "updated",
        row.id,
        row.user_id,
        kind=row.kind,
        target=row.target,
        status=row.status,
        stage=row.stage,
        progress=row.progress,
        **({"detail": row.detail} if row.detail else {}),
    )


def _joined(actor: Actor, row: models.Operation) -> bool:
    """Whether the actor is one of several who asked for the same image, and not the one whose row it is."""
    mine = actor.user_id is not None and not actor.is_admin and row.user_id != actor.user_id
    return mine and row.kind == Kind.IMPORT.value and actor.user_id in (row.args or {}).get("askers", [])


def _as_joined(operation: Operation) -> Operation:
    """What one of several askers sees: the work, and nobody else's name."""
    return replace(operation, actor="", user_id=None, args={})
