"""Reinstall."""

from __future__ import annotations

from dataclasses import replace

from openlxd_core.domain.container import State
from openlxd_core.domain.errors import OpenLXDError
from openlxd_core.domain.operation import Kind, Operation
from openlxd_core.domain.quota import NOTHING
from openlxd_core.lxd.gateway import MARK_OPERATION, MARK_READY, LxdGateway
from openlxd_core.services.operations.handler import ContainerHandler, Job
from openlxd_core.services.operations.kinds.instances import (
    find_instance,
    image_of,
    keep_address,
    make_instance,
    remove_own_instance,
    start_and_wait,
)
from openlxd_core.services.operations.store import Operations
from openlxd_core.services.quotas import Quotas
from openlxd_core.storage import models


class ReinstallHandler(ContainerHandler):
    """Renames the old instance aside, makes the new one in its place with its address, then deletes the old.

    LXD's own rebuild refuses a container with snapshots, and leaves nothing to go back to.
    """

    kinds = (Kind.REINSTALL,)

    def __init__(self, lxd: LxdGateway, operations: Operations, quotas: Quotas) -> None:
        super().__init__(lxd, operations)
        self._quotas = quotas

    async def run(self, job: Job) -> None:
        """Do it; the image is there before anything is put aside."""
        lxd, project, old_name = self._lxd, job.container.project, aside(job.operation)
        fingerprint = await image_of(job, self._operations)
        await job.report("project", 2)
        await self._room_for_two(job)
        old = await find_instance(lxd, project, old_name)
        here = await find_instance(lxd, *job.place)
        if old is None and here is not None and here.marks.get(MARK_OPERATION) != job.operation.id:
            await job.report("stop", 4)
            await lxd.stop(*job.place, force=True)
            await lxd.connect_nic(*job.place, connected=False)
            await lxd.rename_instance(*job.place, old_name)
            old = await find_instance(lxd, project, old_name)
        await job.report("create", 5)
        await make_instance(lxd, job, fingerprint, old.hwaddr if old else "")
        await start_and_wait(lxd, job)
        await lxd.set_marks(*job.place, {MARK_READY: "1"})
        await lxd.delete_instance(project, old_name)
        await self._room_for_one(job)

    async def undo(self, job: Job) -> None:
        """Put the old one back where it was, running if it ran."""
        lxd, project, old_name = self._lxd, job.container.project, aside(job.operation)
        if await find_instance(lxd, project, old_name) is not None:
            await remove_own_instance(lxd, job)
            await lxd.rename_instance(project, old_name, job.container.name)
            await lxd.connect_nic(*job.place, connected=True)
            await keep_address(lxd, job)
            if job.operation.args.get("status") == State.RUNNING:
                await lxd.start(*job.place)
        await self._room_for_one(job)

    async def settle_row(self, job: Job, row: models.Container, error: OpenLXDError | None) -> None:
        """The new one has another image and no snapshots."""
        if error is None:
            row.image = str(job.operation.args["image"])
            await models.Snapshot.filter(container_id=row.id).delete()

    async def _room_for_one(self, job: Job) -> None:
        if job.container.user_id is not None:
            await self._quotas.ensure_project(job.container.user_id)

    async def _room_for_two(self, job: Job) -> None:
        c = job.container
        if c.user_id is not None:
            more = replace(NOTHING, containers=1, cpu=c.cpu, memory_mib=c.memory_mib, disk_mib=c.disk_mib)
            await self._quotas.ensure_project(c.user_id, more)


def aside(operation: Operation) -> str:
    """The old container's name while the new one is made."""
    return f"reinstall-{operation.id[:8]}"
