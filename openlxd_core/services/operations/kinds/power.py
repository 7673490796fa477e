"""Start, stop, restart, pause and resume."""

from __future__ import annotations

from openlxd_core.domain.errors import Busy, LxdRefused
from openlxd_core.domain.operation import Kind
from openlxd_core.lxd.gateway import LxdGateway
from openlxd_core.services.operations.handler import ContainerHandler, Job
from openlxd_core.services.operations.kinds.instances import wait_for_address

STOP_SECONDS = 30.0
"""How long a container may take to shut down before it is stopped by force."""


async def start(lxd: LxdGateway, job: Job) -> None:
    """Start the container, or thaw it, and wait for its address."""
    await job.report("start", 20)
    state = await lxd.state(*job.place)
    if state.status == "frozen":
        await lxd.unfreeze(*job.place)
    elif state.status != "running":
        await lxd.start(*job.place)
    await job.report("network", 70)
    await wait_for_address(lxd, *job.place, wanted=job.container.wanted_ipv4 != "none")


async def stop(lxd: LxdGateway, job: Job) -> None:
    """Shut the container down; by force where it does not end in time, or where the operation says so."""
    await job.report("stop", 20)
    state = await lxd.state(*job.place)
    if state.status == "stopped":
        return
    force = bool(job.operation.args.get("force"))
    if state.status == "frozen":
        if force:
            await lxd.stop(*job.place, force=True)
            return
        await lxd.unfreeze(*job.place)
    if not force:
        try:
            await lxd.stop(*job.place, timeout=STOP_SECONDS)
            return
        except (LxdRefused, Busy):
            await job.report("stop", 60)
    await lxd.stop(*job.place, force=True)


class PowerHandler(ContainerHandler):
    """Changes a container's power state."""

    kinds = (Kind.START, Kind.STOP, Kind.RESTART, Kind.PAUSE, Kind.RESUME)

    async def run(self, job: Job) -> None:
        """What the kind says."""
        match job.operation.kind:
            case Kind.START:
                await start(self._lxd, job)
            case Kind.STOP:
                await stop(self._lxd, job)
            case Kind.RESTART:
                await stop(self._lxd, job)
                await start(self._lxd, job)
            case Kind.PAUSE:
                await job.report("work", 50)
                await self._lxd.freeze(*job.place)
            case _:
                await job.report("work", 50)
                await self._lxd.unfreeze(*job.place)
