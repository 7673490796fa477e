"""Suspend and unsuspend: what follows in LXD from what the container's row says.

The row says that a container is suspended from the request's own transaction on. These operations wait until another
that has the container in hand has ended, and then stop it, or start it if it ran.
"""

from __future__ import annotations

from openlxd_core.coordination.change_log import announce
from openlxd_core.domain.actor import SYSTEM
from openlxd_core.domain.container import State
from openlxd_core.domain.errors import NotFound, OpenLXDError
from openlxd_core.domain.operation import ENDED, Kind, OperationStatus
from openlxd_core.i18n import N_
from openlxd_core.lxd.gateway import LxdGateway
from openlxd_core.services.network_forwards.rules import ForwardRules
from openlxd_core.services.operations.handler import ContainerHandler, Job
from openlxd_core.services.operations.kinds.instances import find_instance
from openlxd_core.services.operations.kinds.power import start, stop
from openlxd_core.services.operations.store import Operations
from openlxd_core.services.records import to_container, to_operation
from openlxd_core.storage import models
from openlxd_core.storage.transaction import transaction

UP = (State.RUNNING.value, State.FROZEN.value)


class SuspensionHandler(ContainerHandler):
    """Stops a container that is suspended, and starts one that is not any more."""

    kinds = (Kind.SUSPEND, Kind.UNSUSPEND)
    clears_error = False

    def __init__(self, lxd: LxdGateway, operations: Operations, rules: ForwardRules) -> None:
        super().__init__(lxd, operations)
        self._rules = rules

    async def take(self, job: Job) -> bool:
        """Wait until the container is free and take it in hand, unless the operation was overtaken meanwhile."""
        while (other := await self._take(job)) is not None:
            if other == job.operation.id:
                return True
            await self._operations.wait(SYSTEM, other)
        return False

    @transaction
    async def _take(self, job: Job) -> str | None:
        """The operation that has the container in hand, this one or another; None where nothing is left to do."""
        operation = await models.Operation.filter(id=job.operation.id).first()
        if operation is None or OperationStatus(operation.status) in ENDED:
            return None
        row = await models.Container.filter(id=operation.args["container"]).select_related("user").first()
        if row is None:
            await self._operations.end(operation.id, NotFound(N_("The container no longer exists.")))
            return None
        suspending = operation.kind == Kind.SUSPEND.value
        if bool(row.suspended_by) is not suspending:  # overtaken: whoever changed it began an operation of their own
            if row.operation_id == operation.id:
                row.operation_id = ""
                await row.save()
            await self._operations.end(operation.id, None)
            await announce("container", "updated", row.name, row.user_id)
            return None
        if row.operation_id and row.operation_id != operation.id and await self._lives(row.operation_id):
            return row.operation_id
        if suspending:
            # kept until an unsuspension has started it again, whatever is stopped a second time meanwhile
            row.suspended_power = row.suspended_power or ("running" if row.status in UP else "stopped")
        else:
            operation.args = {**operation.args, "start": row.suspended_power == "running"}
            await operation.save()
        row.operation_id = operation.id
        await row.save()
        await announce("container", "updated", row.name, row.user_id)
        job.operation, job.subject = to_operation(operation), to_container(row)
        return operation.id

    async def _lives(self, operation_id: str) -> bool:
        found = await models.Operation.filter(id=operation_id).first()
        return found is not None and OperationStatus(found.status) not in ENDED

    async def run(self, job: Job) -> None:
        """Stop it, or start it if it ran when it was suspended; what LXD does not hold needs neither.

        Its port forwards are taken out of LXD before, and put back.
        """
        await self._rules.apply(job.container.id)
        if await find_instance(self._lxd, *job.place) is None:
            return
        if job.operation.kind is Kind.SUSPEND:
            await stop(self._lxd, job)
        elif job.operation.args.get("start"):
            await start(self._lxd, job)

    async def settle_row(self, job: Job, row: models.Container, error: OpenLXDError | None) -> None:
        """Forget that it ran once it does again."""
        if error is None and job.operation.kind is Kind.UNSUSPEND and not row.suspended_by:
            row.suspended_power = ""
