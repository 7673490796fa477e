"""The runner: the one executor of operations. It survives LXD's absence, a full disk and its own end."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

import structlog

from openlxd_core.backoff import Backoff
from openlxd_core.domain.errors import Conflict, LxdUnavailable, OpenLXDError, OutcomeUnknown, StorageUnavailable
from openlxd_core.domain.operation import Kind, Operation
from openlxd_core.i18n import N_
from openlxd_core.services.lxd_status import LxdStatus
from openlxd_core.services.operations.handler import Handler, Job, Report, too_often
from openlxd_core.services.operations.store import Begun, CancelRequested, Operations
from openlxd_core.services.records import to_operation
from openlxd_core.storage import models
from openlxd_core.storage.transaction import best_effort, surely, transaction

T = TypeVar("T")
log = structlog.get_logger(__name__)

ATTEMPTS_MOST = 5
"""How often an operation may be cut short (by a crash of ours or of LXD) before it is given up."""

PAUSE_SECONDS = 0.5
"""The first pause before LXD is asked again after it was lost, and before an operation that broke is tried again."""

LXD_SECONDS_MOST = 10.0
"""The longest pause while LXD is lost."""

BROKEN_SECONDS_MOST = 60.0
"""The longest pause after a failure of ours to write how an operation stands."""

STORAGE_SECONDS_MOST = 4.0
"""The longest pause while the disk or the database lets nothing be written."""

REPORT_SECONDS = 0.9
"""How often progress within one stage is written at most: each is a transaction, and wakes every viewer."""

CANCELLED = N_("The import was cancelled.")


class Runner:
    """Runs operations in tasks that no session owns."""

    def __init__(self, lxd_status: LxdStatus, operations: Operations, handlers: Iterable[Handler]) -> None:
        self._lxd_status = lxd_status
        self._operations = operations
        self._handlers = {kind: handler for handler in handlers for kind in handler.kinds}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        # an operation must not inherit a session's language, nor a transaction's connection
        self._context = contextvars.copy_context()

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds that have a handler."""
        return frozenset(self._handlers)

    def start(self, begun: Begun) -> None:
        """Carry out an operation that this process has begun, and the one that it needs."""
        if begun.needs is not None:
            self.start(begun.needs)
        if begun.mine:
            self._start(begun.operation.id, begun)

    def resume(self, operation_id: str) -> None:
        """Go on with an operation that another process left unfinished."""
        self._start(operation_id, None)

    def _start(self, operation_id: str, begun: Begun | None) -> None:
        if operation_id not in self._tasks:
            task = asyncio.get_running_loop().create_task(self._run(operation_id, begun), context=self._context.copy())
            self._tasks[operation_id] = task
            task.add_done_callback(lambda _: self._tasks.pop(operation_id, None))

    async def close(self) -> None:
        """Stop; what is unfinished is taken over by the next process."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, operation_id: str, begun: Begun | None) -> None:
        """See it through, whatever breaks on our side (a full disk under the database): every step can be repeated."""
        backoff = Backoff(PAUSE_SECONDS, BROKEN_SECONDS_MOST)
        while True:
            most = BROKEN_SECONDS_MOST
            try:
                job = self._job(begun.operation, 0) if begun else await self._load(operation_id)
                if job is not None:
                    job.subject = begun.container if begun else None
                    await self._carry_out(job, self._handlers[job.operation.kind])
                return
            except StorageUnavailable as error:
                log.warning("operation_waits_for_storage", operation=operation_id, code=error.code)
                most = STORAGE_SECONDS_MOST
            except Exception:
                log.exception("operation_broken", operation=operation_id)
            begun = None  # what the rows say now counts
            await backoff.pause(most)

    async def _load(self, operation_id: str) -> Job | None:
        row = await models.Operation.filter(id=operation_id).first()
        operation = to_operation(row) if row is not None else None
        return self._job(operation, row.attempts) if row and operation and not operation.ended else None

    def _job(self, operation: Operation, attempts: int) -> Job:
        return Job(operation, self._reporter(operation, self._handlers[operation.kind]), attempts)

    def _reporter(self, operation: Operation, handler: Handler) -> Report:
        last_stage, last_at = "", 0.0

        async def report(stage: str, percent: int, detail: Mapping[str, Any] | None = None) -> None:
            nonlocal last_stage, last_at
            now = time.monotonic()
            if stage == last_stage and now - last_at < REPORT_SECONDS:
                return
            last_stage, last_at = stage, now
            await best_effort(
                self._operations.progress, "progress_not_recorded", operation.id, stage, percent, detail,
                lambda: handler.told(operation, stage, percent, detail or {}),
            )  # fmt: skip

        return report

    async def _carry_out(self, job: Job, handler: Handler) -> None:
        if not await handler.take(job):
            return
        error: OpenLXDError | None = None
        try:
            if job.attempts >= ATTEMPTS_MOST:
                raise too_often()
            job.result = await self._unless_cancelled(job, handler)
        except StorageUnavailable:
            raise  # no end to write down: it waits, and goes on
        except CancelRequested:
            error, job.cancelled = Conflict(CANCELLED), True
        except OpenLXDError as failure:
            error = failure
        except Exception:
            log.exception("operation_failed", operation=job.operation.id, kind=job.operation.kind)
            error = OpenLXDError(N_("Internal error in OpenLXD. The operator's log has the details."))
        if error is not None:
            try:
                await self._until_lxd(job, handler.undo)
            except StorageUnavailable:
                raise
            except OpenLXDError as failure:  # the reconciler goes on from what LXD holds
                log.warning("undo_failed", operation=job.operation.id, reason=str(failure))
        await handler.before_end(job, error)
        # In place: beginning again would restart or restore once more what is done.
        await surely(lambda: self._end(job, handler, error), operation=job.operation.id)
        log.info(
            "operation_ended",
            operation=job.operation.id,
            kind=job.operation.kind.value,
            target=job.operation.target,
            outcome=error.code if error else "ok",
        )
        try:
            await handler.after_end(job)
        except OpenLXDError as failure:
            log.info("after_end_failed", operation=job.operation.id, reason=str(failure))

    async def _unless_cancelled(self, job: Job, handler: Handler) -> Any:
        """Run it; where it can be cancelled, until somebody asks for that."""
        if not handler.cancellable:
            return await self._until_lxd(job, handler.run)
        work = asyncio.ensure_future(self._until_lxd(job, handler.run))
        asked = asyncio.ensure_future(self._operations.cancel_requested(job.operation.id))
        try:
            await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
        finally:  # also where this process stops: the next one goes on
            for task in (work, asked):
                task.cancel()
            await asyncio.gather(work, asked, return_exceptions=True)
        if not work.cancelled():
            return work.result()  # it was faster
        raise CancelRequested

    async def _until_lxd(self, job: Job, work: Callable[[Job], Awaitable[T]]) -> T:
        """Do ``work``, again from its beginning each time LXD was lost in the middle."""
        backoff = Backoff(PAUSE_SECONDS, LXD_SECONDS_MOST)
        while True:
            try:
                return await work(job)
            except LxdUnavailable as error:
                log.warning("operation_waits_for_lxd", operation=job.operation.id, reason=str(error))
                unknown = isinstance(error, OutcomeUnknown)
                if unknown and await self._operations.attempt(job.operation.id) >= ATTEMPTS_MOST:
                    raise too_often(error) from error
                if not job.committed:
                    await job.report("lxd", 5)
                await backoff.pause()
                await self._lxd_status.until_reachable()

    @transaction
    async def _end(self, job: Job, handler: Handler, error: OpenLXDError | None) -> None:
        await self._operations.end(job.operation.id, error, cancelled=job.cancelled)
        await handler.settle(job, error)
