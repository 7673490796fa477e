"""Take, restore and delete snapshots."""

from __future__ import annotations

import contextlib

from openlxd_core.coordination.change_log import announce
from openlxd_core.domain.errors import AlreadyExists, OpenLXDError
from openlxd_core.domain.operation import Kind
from openlxd_core.services.operations.handler import ContainerHandler, Job
from openlxd_core.services.operations.kinds.instances import keep_address, start_and_wait
from openlxd_core.storage import models


class SnapshotHandler(ContainerHandler):
    """Snapshots of a container; the row of one that is taken reserved its name and its place in the quota."""

    kinds = (Kind.SNAPSHOT, Kind.RESTORE, Kind.SNAPSHOT_DELETE)

    async def run(self, job: Job) -> None:
        """What the kind says."""
        snapshot = str(job.operation.args["snapshot"])
        match job.operation.kind:
            case Kind.SNAPSHOT:
                await job.report("work", 30)
                with contextlib.suppress(AlreadyExists):  # taken by a try that was cut short
                    await self._lxd.create_snapshot(*job.place, snapshot)
            case Kind.RESTORE:
                await job.report("work", 30)
                if job.container.pinned_ipv4:
                    # LXD brings back the devices of then, too: it must not start with another address
                    await self._lxd.stop(*job.place, force=True)
                await self._lxd.restore_snapshot(*job.place, snapshot)
                await keep_address(self._lxd, job)
                if job.operation.args.get("running"):
                    await start_and_wait(self._lxd, job, 70)
            case _:
                await job.report("delete", 30)
                await self._lxd.delete_snapshot(*job.place, snapshot)

    async def settle_row(self, job: Job, row: models.Container, error: OpenLXDError | None) -> None:
        """The row of one that was not taken goes, and of one that was deleted."""
        kind = job.operation.kind
        if kind is Kind.RESTORE:
            return
        name = str(job.operation.args["snapshot"])
        found = models.Snapshot.filter(container_id=row.id, name=name)
        if kind is Kind.SNAPSHOT and error is None:
            await found.update(ready=True)
        elif (kind is Kind.SNAPSHOT) != (error is None):
            await found.delete()
        await announce("snapshot", "updated", f"{row.name}/{name}", row.user_id)
