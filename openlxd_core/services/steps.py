"""What each kind of operation does to LXD, step by step.

Every function here can be run again from its beginning after a crash at any point, and ends in the same place:
it looks before it acts, and takes what is done already as done.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from openlxd_core.domain.container import Container, State
from openlxd_core.domain.errors import AlreadyExists, Busy, Conflict, LxdRefused, NotFound, OpenLXDError
from openlxd_core.domain.operation import Kind, Operation
from openlxd_core.domain.quota import NOTHING
from openlxd_core.i18n import N_
from openlxd_core.lxd.gateway import (
    MARK_OPERATION,
    MARK_OWNER,
    MARK_READY,
    Instance,
    InstanceSpec,
    InstanceState,
    LxdGateway,
)
from openlxd_core.services.quotas import Quotas

ADDRESS_SECONDS = 20.0
STOP_SECONDS = 30.0
_BUSY_TRIES = 30


Report = Callable[[str, int], Coroutine[Any, Any, None]]


@dataclass
class Job:
    """One operation at work."""

    operation: Operation
    container: Container
    lxd: LxdGateway
    quotas: Quotas
    report: Report
    """Say the stage and the percent."""
    attempts: int = 0
    """How often it was cut short already."""

    fetch: Callable[[str, Report], Awaitable[str]] | None = None
    """Wait for an import by its operation's id; the image's fingerprint."""
    fingerprint: str = ""
    """Of the image to make it from, once :func:`have_image` has seen to it."""

    @property
    def place(self) -> tuple[str, str]:
        """The container's project and name."""
        return self.container.project, self.container.name


async def look(lxd: LxdGateway, project: str, name: str) -> Instance | None:
    """The instance, or None."""
    try:
        return await lxd.instance(project, name)
    except NotFound:
        return None


async def have_image(job: Job) -> None:
    """See that LXD holds the image: it did when the operation began, or an import that began with it brings it."""
    args = job.operation.args
    if "import" in args and job.fetch is not None:
        job.fingerprint = await job.fetch(str(args["import"]), job.report)
    else:
        job.fingerprint = str(args["fingerprint"])


async def create(job: Job) -> None:
    """Project, image, instance, mark, start, address."""
    c, op = job.container, job.operation
    await job.report("project", 2)
    if c.user_id is not None:
        await job.quotas.ensure_project(c.user_id)
    await have_image(job)
    await job.report("create", 5)
    await _make(job)
    await job.report("start", 85)
    await job.lxd.start(*job.place)
    await job.report("network", 90)
    await wait_for_address(job.lxd, *job.place, wanted=job.container.wanted_ipv4 != "none")
    # only now is it usable; before this mark it is half made, whatever LXD says
    await job.lxd.set_marks(*job.place, {MARK_READY: "1", MARK_OPERATION: op.id})


async def _make(job: Job, hwaddr: str = "") -> None:
    op, spec = job.operation, job.container
    loop = asyncio.get_running_loop()
    shown = 5

    def progress(percent: int) -> None:
        nonlocal shown
        if percent >= shown + 10:  # each is a write and wakes every viewer
            shown = percent
            reports.append(loop.create_task(job.report("create", 5 + percent * 4 // 5)))

    reports: list[asyncio.Task[None]] = []
    for attempt in range(_BUSY_TRIES):
        found = await look(job.lxd, *job.place)
        if found is not None:
            mark, ready = found.marks.get(MARK_OPERATION), found.marks.get(MARK_READY) == "1"
            if mark != op.id and (ready or mark not in op.args.get("replaces", ())):
                raise AlreadyExists(N_("LXD already has an instance named {name} that is not ours."), name=spec.name)
            if ready:
                return
        try:
            if found is not None:
                # made by a try that was cut short, or by an earlier create that failed: existing is no proof of being
                # whole. LXD may still be unpacking it, and is busy then
                await job.lxd.delete_instance(*job.place)
            await job.lxd.create_instance(
                InstanceSpec(
                    project=spec.project,
                    name=spec.name,
                    fingerprint=job.fingerprint,
                    cpu=spec.cpu,
                    memory_mib=spec.memory_mib,
                    disk_mib=spec.disk_mib,
                    marks={MARK_OPERATION: op.id, MARK_OWNER: str(spec.user_id or "")},
                    hwaddr=hwaddr,
                    ipv4=spec.wanted_ipv4,
                    ipv6=spec.wanted_ipv6,
                ),
                progress,
            )
        except (AlreadyExists, Busy):
            # the try that was cut short reached LXD after we looked
            if attempt == _BUSY_TRIES - 1:
                raise
            await asyncio.sleep(1)
            continue
        finally:
            await asyncio.gather(*reports, return_exceptions=True)
        return


async def undo_create(job: Job) -> None:
    """Remove what a failed create left, and nothing that it did not make."""
    found = await look(job.lxd, *job.place)
    if found is not None and found.marks.get(MARK_OPERATION) == job.operation.id:
        await job.lxd.delete_instance(*job.place)


async def wait_for_address(lxd: LxdGateway, project: str, name: str, *, wanted: bool = True) -> InstanceState:
    """The state once there is an IPv4 address, or as it is after ADDRESS_SECONDS (some networks give none).

    Returns at once where none is ``wanted``.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + ADDRESS_SECONDS
    pause = 0.1
    while True:
        state = await lxd.state(project, name)
        if state.ipv4 or not wanted or state.status != "running" or loop.time() >= deadline:
            return state
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 1.0)


async def start(job: Job) -> None:
    """Start, and wait for the address."""
    await job.report("start", 20)
    state = await job.lxd.state(*job.place)
    if state.status == "frozen":
        await job.lxd.unfreeze(*job.place)
    elif state.status != "running":
        await job.lxd.start(*job.place)
    await job.report("network", 70)
    await wait_for_address(job.lxd, *job.place, wanted=job.container.wanted_ipv4 != "none")


async def stop(job: Job) -> None:
    """Ask nicely, then pull the plug."""
    await job.report("stop", 20)
    state = await job.lxd.state(*job.place)
    if state.status == "stopped":
        return
    force = bool(job.operation.args.get("force"))
    if state.status == "frozen":
        if force:
            await job.lxd.stop(*job.place, force=True)
            return
        await job.lxd.unfreeze(*job.place)
    if not force:
        try:
            await job.lxd.stop(*job.place, timeout=STOP_SECONDS)
            return
        except (LxdRefused, Busy):
            await job.report("stop", 60)
    await job.lxd.stop(*job.place, force=True)


async def restart(job: Job) -> None:
    """Stop, then start."""
    await stop(job)
    await start(job)


async def pause(job: Job) -> None:
    """Freeze."""
    await job.report("work", 50)
    await job.lxd.freeze(*job.place)


async def resume(job: Job) -> None:
    """Unfreeze."""
    await job.report("work", 50)
    await job.lxd.unfreeze(*job.place)


async def suspend(job: Job) -> None:
    """Stop it; what LXD does not hold needs no stopping."""
    if await look(job.lxd, *job.place) is not None:
        await stop(job)


async def unsuspend(job: Job) -> None:
    """Start it if it ran when it was suspended and LXD still holds it."""
    if job.operation.args.get("start") and await look(job.lxd, *job.place) is not None:
        await start(job)


async def delete(job: Job) -> None:
    """Remove the instance from LXD."""
    await job.report("delete", 20)
    if job.operation.args.get("status") == State.ERROR:
        # it was never made; what stands under its name now may be somebody else's
        found = await look(job.lxd, *job.place)
        if found is not None and not found.marks.get(MARK_OPERATION):
            return
    await job.lxd.delete_instance(*job.place)


async def resize(job: Job) -> None:
    """Change the limits, live where LXD can."""
    await job.report("work", 30)
    c = job.container
    if c.user_id is not None and c.project != "default":
        await job.quotas.ensure_project(c.user_id)
    await job.lxd.set_limits(*job.place, c.cpu, c.memory_mib, c.disk_mib)


async def reinstall(job: Job) -> None:
    """Put the old one aside, make the new one in its place with its address, then drop the old.

    LXD's own rebuild refuses a container with snapshots, and leaves nothing to go back to.
    """
    c, op = job.container, job.operation
    await have_image(job)  # before anything is put aside
    await job.report("project", 2)
    await _room_for_two(job)
    old = await look(job.lxd, c.project, aside(op))
    here = await look(job.lxd, *job.place)
    if old is None and here is not None and here.marks.get(MARK_OPERATION) != op.id:
        await job.report("stop", 4)
        await job.lxd.stop(*job.place, force=True)
        await job.lxd.connect_nic(*job.place, connected=False)
        await job.lxd.rename_instance(*job.place, aside(op))
        old = await look(job.lxd, c.project, aside(op))
    await job.report("create", 5)
    await _make(job, old.hwaddr if old else "")
    await job.report("start", 85)
    await job.lxd.start(*job.place)
    await job.report("network", 90)
    await wait_for_address(job.lxd, *job.place, wanted=job.container.wanted_ipv4 != "none")
    await job.lxd.set_marks(*job.place, {MARK_READY: "1"})
    await job.lxd.delete_instance(c.project, aside(op))
    if c.user_id is not None:
        await job.quotas.ensure_project(c.user_id)


async def undo_reinstall(job: Job) -> None:
    """Put the old one back where it was, running if it ran."""
    c, op = job.container, job.operation
    if await look(job.lxd, c.project, aside(op)) is not None:
        await undo_create(job)
        await job.lxd.rename_instance(c.project, aside(op), c.name)
        await job.lxd.connect_nic(*job.place, connected=True)
        if op.args.get("status") == State.RUNNING:
            await job.lxd.start(*job.place)
    if c.user_id is not None:
        await job.quotas.ensure_project(c.user_id)


def aside(operation: Operation) -> str:
    """The old container's name while the new one is made."""
    return f"reinstall-{operation.id[:8]}"


async def _room_for_two(job: Job) -> None:
    c = job.container
    if c.user_id is not None:
        await job.quotas.ensure_project(
            c.user_id, replace(NOTHING, containers=1, cpu=c.cpu, memory_mib=c.memory_mib, disk_mib=c.disk_mib)
        )


async def snapshot(job: Job) -> None:
    """Take it; one that is there was taken by a try that was cut short (the row reserved its name)."""
    await job.report("work", 30)
    with contextlib.suppress(AlreadyExists):
        await job.lxd.create_snapshot(*job.place, str(job.operation.args["snapshot"]))


async def restore(job: Job) -> None:
    """Put the container back to it, and start it again if it ran."""
    await job.report("work", 30)
    await job.lxd.restore_snapshot(*job.place, str(job.operation.args["snapshot"]))
    if job.operation.args.get("running"):
        await job.report("start", 70)
        await job.lxd.start(*job.place)
        await wait_for_address(job.lxd, *job.place, wanted=job.container.wanted_ipv4 != "none")


async def delete_snapshot(job: Job) -> None:
    """Drop it."""
    await job.report("delete", 30)
    await job.lxd.delete_snapshot(*job.place, str(job.operation.args["snapshot"]))


STEPS: dict[Kind, Callable[[Job], Awaitable[None]]] = {
    Kind.CREATE: create,
    Kind.START: start,
    Kind.STOP: stop,
    Kind.RESTART: restart,
    Kind.PAUSE: pause,
    Kind.RESUME: resume,
    Kind.SUSPEND: suspend,
    Kind.UNSUSPEND: unsuspend,
    Kind.DELETE: delete,
    Kind.RESIZE: resize,
    Kind.REINSTALL: reinstall,
    Kind.SNAPSHOT: snapshot,
    Kind.RESTORE: restore,
    Kind.SNAPSHOT_DELETE: delete_snapshot,
}
UNDO: dict[Kind, Callable[[Job], Awaitable[None]]] = {Kind.CREATE: undo_create, Kind.REINSTALL: undo_reinstall}
"""What puts things back where a failure leaves them half done."""


def too_often(error: OpenLXDError) -> Conflict:
    """The error of an operation that was cut short again and again."""
    return Conflict(N_("LXD was lost several times in the middle of this: {reason}"), reason=str(error))
