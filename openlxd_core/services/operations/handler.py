"""What carries out one kind of operation, and the job that it is handed.

A handler's steps can be run again from the beginning after a crash at any point, and end in the same place: each
looks before it acts, and takes what is done already as done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from openlxd_core.coordination.change_log import announce
from openlxd_core.domain.container import Container, State
from openlxd_core.domain.errors import Conflict, LxdRefused, NotFound, OpenLXDError
from openlxd_core.domain.operation import Kind, Operation
from openlxd_core.i18n import N_
from openlxd_core.lxd.gateway import InstanceState, LxdGateway
from openlxd_core.services.operations.store import Operations
from openlxd_core.services.records import pack_message, to_container, to_state
from openlxd_core.storage import models
from openlxd_core.storage.transaction import transaction


class Report(Protocol):
    """Tells how far an operation is."""

    async def __call__(self, stage: str, percent: int, detail: Mapping[str, Any] | None = None) -> None:
        """``stage`` is a key of :data:`openlxd_core.domain.operation.STAGES`; ``percent`` is 0 to 99. Raises
        CancelRequested."""


@dataclass
class Job:
    """One operation at work."""

    operation: Operation
    report: Report
    attempts: int = 0
    """How often it was cut short already."""
    subject: Container | None = None
    """The container that it is about, once :meth:`Handler.take` has it."""
    state: InstanceState | None = None
    """What LXD says of that container after the last step; None where it does not answer, or holds none."""
    result: Any = None
    """What :meth:`Handler.run` returned."""
    cancelled: bool = False
    committed: bool = False
    """Whether it is too late to cancel: the stage of the last report stays, also while LXD is waited for."""

    @property
    def container(self) -> Container:
        """The container that it is about."""
        if self.subject is None:
            raise AssertionError(f"{self.operation.kind} is about no container")
        return self.subject

    @property
    def place(self) -> tuple[str, str]:
        """The container's project and name in LXD."""
        return self.container.project, self.container.name


class Handler:
    """Carries out the operations of :attr:`kinds`."""

    kinds: ClassVar[tuple[Kind, ...]] = ()
    cancellable: ClassVar[bool] = False

    async def take(self, job: Job) -> bool:
        """Get hold of what the operation is about; whether there is anything left to do."""
        return True

    async def run(self, job: Job) -> Any:
        """Do it. Called again from the beginning each time LXD was lost in the middle."""
        raise NotImplementedError

    async def undo(self, job: Job) -> None:
        """Put back what a failure left half done; called again as :meth:`run` is."""

    async def before_end(self, job: Job, error: OpenLXDError | None) -> None:
        """Look and clean up before anybody is told of the end."""

    async def settle(self, job: Job, error: OpenLXDError | None) -> None:
        """Write what the end means for the rows, in the transaction that writes the end."""

    async def after_end(self, job: Job) -> None:
        """What may be done once the end is written; a failure is logged."""

    async def told(self, operation: Operation, stage: str, percent: int, detail: Mapping[str, Any]) -> None:
        """Announce progress in another way, too, in the transaction that writes it."""


class ContainerHandler(Handler):
    """For operations that have a container in hand: its row names the operation until the end."""

    clears_error: ClassVar[bool] = True
    """Whether success takes away the error of an earlier operation on the container."""

    def __init__(self, lxd: LxdGateway, operations: Operations) -> None:
        self._lxd = lxd
        self._operations = operations

    async def take(self, job: Job) -> bool:
        """Load the container; an operation whose container is gone ends."""
        if job.subject is not None:
            return True
        row = await models.Container.filter(operation_id=job.operation.id).select_related("user").first()
        if row is None:  # it went with a finished delete, or never came
            await self._close(job.operation.id)
            return False
        job.subject = to_container(row)
        return True

    @transaction
    async def _close(self, operation_id: str) -> None:
        await self._operations.end(operation_id, NotFound(N_("The container no longer exists.")))

    async def before_end(self, job: Job, error: OpenLXDError | None) -> None:
        """Ask LXD how the container is now."""
        try:
            job.state = await self._lxd.state(*job.place)
        except OpenLXDError:
            job.state = None  # the reconciler finds out

    async def settle(self, job: Job, error: OpenLXDError | None) -> None:
        """Let go of the container, in the state that LXD told."""
        row = await models.Container.filter(id=job.container.id, operation_id=job.operation.id).first()
        if row is None:
            return
        row.operation_id = ""
        if error is not None or self.clears_error:
            row.error = pack_message(error.message) if error else None
        if job.state is not None:
            row.status = to_state(job.state.status).value
            up = job.state.status != "stopped"
            row.ipv4, row.ipv6 = (job.state.ipv4, job.state.ipv6) if up else ("", "")
        elif row.status in (State.CREATING, State.DELETING):
            row.status = str(job.operation.args.get("status") or State.STOPPED.value)
        await self.settle_row(job, row, error)
        await row.save()
        await announce("container", "updated", row.name, row.user_id)

    async def settle_row(self, job: Job, row: models.Container, error: OpenLXDError | None) -> None:
        """Change what else the end means for the container's row, before it is saved."""


def too_often(error: OpenLXDError | None = None) -> Conflict:
    """The error of an operation that was cut short again and again."""
    reason = error or LxdRefused(N_("it did not finish"))
    return Conflict(
        N_("The connection to LXD was lost several times during this operation: {reason}"), reason=str(reason)
    )
