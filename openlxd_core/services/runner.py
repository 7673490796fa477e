"""The runner: does operations, survives LXD's absence, and writes how each ended."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable

import structlog

from openlxd_core.domain.container import State
from openlxd_core.domain.errors import (
    LxdRefused,
    LxdUnavailable,
    NotFound,
    OpenLXDError,
    OutcomeUnknown,
    StorageUnavailable,
)
from openlxd_core.domain.operation import Kind
from openlxd_core.i18n import N_
from openlxd_core.lxd.gateway import InstanceState, LxdGateway
from openlxd_core.services import steps
from openlxd_core.services.feed import announce
from openlxd_core.services.live import Live
from openlxd_core.services.operations import Operations
from openlxd_core.services.quotas import Quotas
from openlxd_core.services.records import pack_message, to_container, to_operation
from openlxd_core.storage import models
from openlxd_core.storage.transaction import best_effort, surely, transaction

log = structlog.get_logger(__name__)

ATTEMPTS_MOST = 5
"""How often an operation may be cut short (by a crash of ours or of LXD) before it is given up."""

PAUSE_SECONDS = 0.5
"""Before LXD is asked again after it was lost; doubled each time, to ten seconds."""

BROKEN_SECONDS_MOST = 60.0
"""The longest pause after a failure of ours to write how an operation stands."""

STORAGE_SECONDS_MOST = 4.0
"""The longest pause while the disk or the database lets nothing be written."""

STATES = {"running": State.RUNNING, "stopped": State.STOPPED, "frozen": State.FROZEN}


def to_state(lxd_status: str) -> State:
    """LXD's status as ours."""
    return STATES.get(lxd_status, State.ERROR)


class Runner:
    """Runs operations in tasks that no session owns."""

    def __init__(self, lxd: LxdGateway, live: Live, operations: Operations, quotas: Quotas) -> None:
        self._lxd = lxd
        self._live = live
        self._operations = operations
        self._quotas = quotas
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.others: dict[Kind, Callable[[str], Awaitable[None]]] = {}
        """Who does the kinds that are more than steps on a container, by the operation's id; they see to their end."""
        self.fetch_image: Callable[[str, steps.Report], Awaitable[str]] | None = None
        """Who waits for the image of a container that is made from one which LXD does not hold yet."""
        # an operation must not inherit a session's language, nor a transaction's connection
        self._context = contextvars.copy_context()

    def start(self, operation_id: str) -> None:
        """Begin, or go on with, an operation whose row exists."""
        if operation_id not in self._tasks:
            task = asyncio.get_running_loop().create_task(self._run(operation_id), context=self._context.copy())
            self._tasks[operation_id] = task
            task.add_done_callback(lambda _: self._tasks.pop(operation_id, None))

    async def close(self) -> None:
        """Stop; what is unfinished is taken over by the next process."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, operation_id: str) -> None:
        """See it through, whatever breaks on our side (a full disk under the database): every step can be repeated."""
        pause = PAUSE_SECONDS
        while True:
            try:
                await self._run_once(operation_id)
                return
            except StorageUnavailable as error:
                log.warning("operation_waits_for_storage", operation=operation_id, code=error.code)
                pause = min(pause, STORAGE_SECONDS_MOST)
            except Exception:
                log.exception("operation_broken", operation=operation_id)
            await asyncio.sleep(pause)
            pause = min(pause * 2, BROKEN_SECONDS_MOST)

    async def _run_once(self, operation_id: str) -> None:
        row = await models.Operation.filter(id=operation_id).first()
        if row is not None and (other := self.others.get(Kind(row.kind))):
            await other(operation_id)
        elif row is not None:
            await self.run_on_container(operation_id)

    async def run_on_container(self, operation_id: str) -> None:
        """Do an operation that has its container in hand, and write how it ended."""
        job = await self._load(operation_id)
        if job is None:
            return
        error: OpenLXDError | None = None
        try:
            if job.attempts >= ATTEMPTS_MOST:
                raise steps.too_often(LxdRefused(N_("it never finished")))
            await self._to_the_end(job, steps.STEPS[job.operation.kind])
        except StorageUnavailable:
            raise  # no end to write down: it waits, and goes on
        except OpenLXDError as failure:
            error = failure
        except Exception:
            log.exception("operation_failed", operation=operation_id, kind=job.operation.kind)
            error = OpenLXDError(N_("Something went wrong inside OpenLXD; the operator's log says what."))
        state: InstanceState | None = None
        undo = steps.UNDO.get(job.operation.kind)
        if error is not None and undo is not None:
            try:
                await self._to_the_end(job, undo)
            except StorageUnavailable:
                raise
            except OpenLXDError as failure:  # the reconciler goes on from what LXD holds
                log.warning("undo_failed", operation=operation_id, reason=str(failure))
        if error is not None and job.operation.kind is Kind.CREATE:
            pass  # nothing is left to look at
        elif job.operation.kind is not Kind.DELETE or error is not None:
            state = await self._state_now(job)
        # In place: beginning again would restart or restore once more what is done.
        await surely(lambda: self._finish(job, error, state), operation=operation_id)
        log.info(
            "operation_ended",
            operation=operation_id,
            kind=job.operation.kind.value,
            target=job.operation.target,
            outcome=error.code if error else "ok",
        )

    async def _to_the_end(self, job: steps.Job, work: Callable[[steps.Job], Awaitable[None]]) -> None:
        """Do ``work``, again from its beginning each time LXD was lost in the middle."""
        pause = PAUSE_SECONDS
        while True:
            try:
                await work(job)
                return
            except LxdUnavailable as error:
                log.warning("operation_waits_for_lxd", operation=job.operation.id, reason=str(error))
                unknown = isinstance(error, OutcomeUnknown)
                if unknown and await self._operations.attempt(job.operation.id) >= ATTEMPTS_MOST:
                    raise steps.too_often(error) from error
                await job.report("lxd", 5)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 10)
                await self._live.until_reachable()

    async def _load(self, operation_id: str) -> steps.Job | None:
        row = await models.Operation.filter(id=operation_id).first()
        if row is None or to_operation(row).ended:
            return None
        container = await models.Container.filter(operation_id=operation_id).select_related("user").first()
        if container is None:  # the row went with a finished delete, or never came
            await self._close_orphan(operation_id)
            return None
        operation = to_operation(row)

        async def report(stage: str, percent: int) -> None:
            await best_effort(self._operations.progress, "progress_not_recorded", operation_id, stage, percent)

        return steps.Job(
            operation, to_container(container), self._lxd, self._quotas, report, row.attempts, self.fetch_image
        )

    @transaction
    async def _close_orphan(self, operation_id: str) -> None:
        await self._operations.end(operation_id, NotFound(N_("The container is gone.")))

    async def _state_now(self, job: steps.Job) -> InstanceState | None:
        try:
            return await self._lxd.state(*job.place)
        except OpenLXDError:
            return None  # the reconciler finds out

    @transaction
    async def _finish(self, job: steps.Job, error: OpenLXDError | None, state: InstanceState | None) -> None:
        operation, kind = job.operation, job.operation.kind
        await self._operations.end(operation.id, error)
        row = await models.Container.filter(id=job.container.id, operation_id=operation.id).first()
        if row is None:
            return
        if kind is Kind.DELETE and error is None:
            await row.delete()
            await announce("container", "deleted", row.name, row.user_id)
            return
        row.operation_id = ""
        if error is not None or kind not in (Kind.SUSPEND, Kind.UNSUSPEND):  # these mend nothing that failed before
            row.error = pack_message(error.message) if error else None
        if kind is Kind.UNSUSPEND and error is None and not row.suspended_by:
            row.suspended_power = ""
        if kind is Kind.CREATE and error is not None:
            row.status = State.ERROR.value
        elif state is not None:
            row.status = to_state(state.status).value
            row.ipv4, row.ipv6 = (state.ipv4, state.ipv6) if state.status != "stopped" else ("", "")
        elif row.status in (State.CREATING, State.DELETING):
            row.status = str(operation.args.get("status") or State.STOPPED.value)
        if kind is Kind.RESIZE and error is not None:
            before = operation.args["before"]
            row.cpu, row.memory_mb, row.disk_mb = before["cpu"], before["memory_mib"], before["disk_mib"]
        if kind in (Kind.SNAPSHOT, Kind.SNAPSHOT_DELETE):
            await _settle_snapshot(row, kind, str(operation.args["snapshot"]), error)
        if kind is Kind.REINSTALL and error is None:
            row.image = str(operation.args["image"])
            await models.Snapshot.filter(container_id=row.id).delete()
        await row.save()
        await announce("container", "updated", row.name, row.user_id)


async def _settle_snapshot(container: models.Container, kind: Kind, name: str, error: OpenLXDError | None) -> None:
    found = models.Snapshot.filter(container_id=container.id, name=name)
    if kind is Kind.SNAPSHOT and error is None:
        await found.update(ready=True)
    elif (kind is Kind.SNAPSHOT) != (error is None):  # one that was not taken, or one that was dropped
        await found.delete()
    await announce("snapshot", "updated", f"{container.name}/{name}", container.user_id)
