"""Make and delete port forwards."""

from __future__ import annotations

from openlxd_core.coordination.change_log import announce
from openlxd_core.domain.errors import OpenLXDError
from openlxd_core.domain.forward import ForwardState
from openlxd_core.domain.operation import Kind
from openlxd_core.lxd.gateway import LxdGateway
from openlxd_core.services.network_forwards.rules import ForwardRules
from openlxd_core.services.operations.handler import ContainerHandler, Job
from openlxd_core.services.operations.kinds.instances import wait_for_address
from openlxd_core.services.operations.store import Operations
from openlxd_core.storage import models


class ForwardHandler(ContainerHandler):
    """A forward of a container; its row reserved the ports and its place in the quota."""

    kinds = (Kind.FORWARD, Kind.FORWARD_DELETE)
    clears_error = False

    def __init__(self, lxd: LxdGateway, operations: Operations, rules: ForwardRules) -> None:
        super().__init__(lxd, operations)
        self._rules = rules

    async def run(self, job: Job) -> None:
        """Let LXD hold what the rows say: the new one's row is there, and a deleted one's row says so."""
        if job.operation.kind is Kind.FORWARD and not job.container.pinned_ipv4:
            await job.report("network", 10)
            await wait_for_address(self._lxd, *job.place)
        await job.report("work", 50)
        await self._rules.apply(job.container.id)

    async def undo(self, job: Job) -> None:
        """Take a new one that failed out of LXD again, if it got there."""
        if job.operation.kind is Kind.FORWARD and not job.operation.args.get("again"):
            await models.PortForward.filter(id=int(job.operation.args["forward"])).update(
                state=ForwardState.REMOVING.value
            )
            await self._rules.apply(job.container.id)

    async def settle_row(self, job: Job, row: models.Container, error: OpenLXDError | None) -> None:
        """The row of one that was not made goes, and of one that was deleted.

        One that LXD would not let go stays ``removing``, and the reconciler tries again.
        """
        found = models.PortForward.filter(id=int(job.operation.args["forward"]))
        if job.operation.kind is Kind.FORWARD_DELETE:
            if error is None:
                await found.delete()
        elif error is not None and job.operation.args.get("again"):
            await found.update(state=ForwardState.MISSING.value)
        elif error is not None:
            await found.delete()
        await announce("forward", "updated", row.name, row.user_id)
