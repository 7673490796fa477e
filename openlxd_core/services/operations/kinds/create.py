"""Create, resize and delete."""

from __future__ import annotations

from openlxd_core.coordination.change_log import announce
from openlxd_core.domain.container import State
from openlxd_core.domain.errors import LxdRefused, NotFound, OpenLXDError
from openlxd_core.domain.operation import Kind
from openlxd_core.lxd.gateway import MARK_OPERATION, MARK_READY, LxdGateway
from openlxd_core.services.network_forwards.rules import ForwardRules
from openlxd_core.services.operations.handler import ContainerHandler, Job
from openlxd_core.services.operations.kinds.instances import (
    find_instance,
    image_of,
    make_instance,
    remove_own_instance,
    start_and_wait,
)
from openlxd_core.services.operations.store import Operations
from openlxd_core.services.quotas import Quotas
from openlxd_core.settings import Settings
from openlxd_core.storage import models


class CreateHandler(ContainerHandler):
    """Project, image, instance, start, address, and last the mark that says that it is whole."""

    kinds = (Kind.CREATE,)

    def __init__(
        self, settings: Settings, lxd: LxdGateway, operations: Operations, quotas: Quotas, rules: ForwardRules
    ) -> None:
        super().__init__(lxd, operations)
        self._network = settings.network
        self._quotas = quotas
        self._rules = rules

    async def run(self, job: Job) -> None:
        """Make it and start it."""
        await job.report("project", 2)
        if job.container.user_id is not None:
            await self._quotas.ensure_project(job.container.user_id)
        fingerprint = await image_of(job, self._operations)
        await job.report("create", 5)
        await make_instance(self._lxd, job, fingerprint)
        await start_and_wait(self._lxd, job, ipv6=await self._gets_ipv6(job))
        await self._rules.apply(job.container.id)
        # only now is it usable; before this mark it is half made, whatever LXD says
        await self._lxd.set_marks(*job.place, {MARK_READY: "1", MARK_OPERATION: job.operation.id})

    async def _gets_ipv6(self, job: Job) -> bool:
        """Whether the container is to have an IPv6 address and its network gives one."""
        if job.container.wanted_ipv6 == "none":
            return False
        try:
            return bool((await self._lxd.bridge_addresses(self._network))[1])
        except (NotFound, LxdRefused):
            return False

    async def undo(self, job: Job) -> None:
        """Remove what a failed create left, and nothing that it did not make. Its forwards wait for another try."""
        await self._rules.apply(job.container.id, withdraw=True)
        await remove_own_instance(self._lxd, job)

    async def before_end(self, job: Job, error: OpenLXDError | None) -> None:
        """Of one that failed nothing is left to look at."""
        if error is None:
            await super().before_end(job, error)

    async def settle_row(self, job: Job, row: models.Container, error: OpenLXDError | None) -> None:
        """One that failed keeps its row, for another try."""
        if error is not None:
            row.status = State.ERROR.value


class ResizeHandler(ContainerHandler):
    """Changes limits, live where LXD can; the row has the new ones from the start, so that the quota counts them."""

    kinds = (Kind.RESIZE,)

    def __init__(self, lxd: LxdGateway, operations: Operations, quotas: Quotas) -> None:
        super().__init__(lxd, operations)
        self._quotas = quotas

    async def run(self, job: Job) -> None:
        """Make room in the project, then set the limits."""
        await job.report("work", 30)
        wanted = job.container
        if wanted.user_id is not None and wanted.project != "default":
            await self._quotas.ensure_project(wanted.user_id)
        await self._lxd.set_limits(*job.place, wanted.cpu, wanted.memory_mib, wanted.disk_mib)

    async def settle_row(self, job: Job, row: models.Container, error: OpenLXDError | None) -> None:
        """One that failed leaves the limits of before."""
        if error is not None:
            before = job.operation.args["before"]
            row.cpu, row.memory_mb, row.disk_mb = before["cpu"], before["memory_mib"], before["disk_mib"]


class DeleteHandler(ContainerHandler):
    """Removes a container from LXD, and then its row."""

    kinds = (Kind.DELETE,)

    def __init__(self, lxd: LxdGateway, operations: Operations, rules: ForwardRules) -> None:
        super().__init__(lxd, operations)
        self._rules = rules

    async def run(self, job: Job) -> None:
        """Remove the instance; its port forwards before, as its address is anybody's afterwards."""
        await job.report("delete", 20)
        await self._rules.apply(job.container.id, withdraw=True)
        if job.operation.args.get("status") == State.ERROR:
            # it was never made; what stands under its name now may be somebody else's
            found = await find_instance(self._lxd, *job.place)
            if found is not None and not found.marks.get(MARK_OPERATION):
                return
        await self._lxd.delete_instance(*job.place)

    async def before_end(self, job: Job, error: OpenLXDError | None) -> None:
        """Of one that succeeded nothing is left to look at."""
        if error is not None:
            await super().before_end(job, error)

    async def settle(self, job: Job, error: OpenLXDError | None) -> None:
        """The row goes with the instance."""
        if error is not None:
            await super().settle(job, error)
            return
        row = await models.Container.filter(id=job.container.id, operation_id=job.operation.id).first()
        if row is not None:
            await row.delete()
            await announce("container", "deleted", row.name, row.user_id)
