"""What several kinds do with an instance: find it, make it whole, wait for its address."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from openlxd_core.backoff import Backoff
from openlxd_core.domain.actor import SYSTEM
from openlxd_core.domain.errors import (
    AlreadyExists,
    Busy,
    Conflict,
    Forbidden,
    ImageSourceUnavailable,
    Message,
    NotFound,
    OpenLXDError,
    QuotaExceeded,
)
from openlxd_core.domain.operation import OperationStatus
from openlxd_core.i18n import N_
from openlxd_core.lxd.gateway import (
    MARK_OPERATION,
    MARK_OWNER,
    MARK_READY,
    Instance,
    InstanceSpec,
    InstanceState,
    LxdGateway,
    Progress,
)
from openlxd_core.services.operations.handler import Job
from openlxd_core.services.operations.store import Operations

ADDRESS_SECONDS = 20.0
"""How long an address is waited for: some networks give none."""
IPV6_SECONDS = 10.0
"""How long a create waits for an IPv6 address, which comes by router advertisement; a guest may take none."""
_BUSY_TRIES = 30


async def find_instance(lxd: LxdGateway, project: str, name: str) -> Instance | None:
    """The instance, or None."""
    try:
        return await lxd.instance(project, name)
    except NotFound:
        return None


async def image_of(job: Job, operations: Operations) -> str:
    """The fingerprint to make the container from: LXD held it when the operation began, or an import that began with
    it brings it, and is waited for. Raises what that import failed with."""
    args = job.operation.args
    if "import" not in args:
        return str(args["fingerprint"])
    shown = -1
    while True:
        found = await operations.wait(SYSTEM, str(args["import"]), 1.0)
        if found.status is OperationStatus.DONE:
            return str(found.args["fingerprint"])
        if found.ended:
            raise _as_error(found.error_code, found.error or Message(N_("The import was cancelled.")))
        if found.progress > shown:
            shown = found.progress
            await job.report("image", 3 + shown // 50)


def _as_error(code: str, message: Message) -> OpenLXDError:
    """An operation's stored error as one that can be raised. LXD's absence then is no reason to wait now."""
    kind = {k.code: k for k in (ImageSourceUnavailable, QuotaExceeded, Forbidden)}.get(code, Conflict)
    return kind(message.template, **dict(message.params))


async def make_instance(lxd: LxdGateway, job: Job, fingerprint: str, hwaddr: str = "") -> None:
    """Create the container's instance, stopped; one that this operation has made whole already is left alone.

    Raises AlreadyExists where LXD holds another's under the name.
    """
    op, spec = job.operation, job.container
    for attempt in range(_BUSY_TRIES):
        found = await find_instance(lxd, *job.place)
        if found is not None:
            mark, ready = found.marks.get(MARK_OPERATION), found.marks.get(MARK_READY) == "1"
            if mark != op.id and (ready or mark not in op.args.get("replaces", ())):
                raise AlreadyExists(
                    N_("LXD already has an instance named {name} that OpenLXD does not manage."), name=spec.name
                )
            if ready:
                return
        wanted = InstanceSpec(
            project=spec.project,
            name=spec.name,
            fingerprint=fingerprint,
            cpu=spec.cpu,
            memory_mib=spec.memory_mib,
            disk_mib=spec.disk_mib,
            marks={MARK_OPERATION: op.id, MARK_OWNER: str(spec.user_id or "")},
            hwaddr=hwaddr,
            ipv4=spec.fixed_ipv4,
            ipv6=spec.wanted_ipv6,
        )
        try:
            if found is not None:
                # made by a try that was cut short, or by an earlier create that failed: existing is no proof of being
                # whole. LXD may still be unpacking it, and is busy then
                await lxd.delete_instance(*job.place)
            async with _reported(job) as progress:
                await lxd.create_instance(wanted, progress)
        except (AlreadyExists, Busy):
            # the try that was cut short reached LXD after we looked
            if attempt == _BUSY_TRIES - 1:
                raise
            await asyncio.sleep(1)
        else:
            return


@asynccontextmanager
async def _reported(job: Job) -> AsyncIterator[Progress]:
    """Report LXD's percents as they come, the newest where several came meanwhile."""
    newest, news = 0, asyncio.Event()

    def progress(percent: int) -> None:
        nonlocal newest
        newest = percent
        news.set()

    async def pump() -> None:
        while True:
            await news.wait()
            news.clear()
            await job.report("create", 5 + newest * 4 // 5)

    pumping = asyncio.create_task(pump())
    try:
        yield progress
    finally:
        pumping.cancel()
        await asyncio.gather(pumping, return_exceptions=True)


async def keep_address(lxd: LxdGateway, job: Job) -> None:
    """Give the container its fixed address again, which a change of its devices may have taken."""
    if job.container.fixed_ipv4 not in ("auto", "none"):
        await lxd.pin_address(*job.place, job.container.fixed_ipv4)


async def remove_own_instance(lxd: LxdGateway, job: Job) -> None:
    """Remove the instance of the container's name if this operation made it, and no other."""
    found = await find_instance(lxd, *job.place)
    if found is not None and found.marks.get(MARK_OPERATION) == job.operation.id:
        await lxd.delete_instance(*job.place)


async def start_and_wait(lxd: LxdGateway, job: Job, percent: int = 85, *, ipv6: bool = False) -> None:
    """Start the instance and wait for its address, reporting from ``percent`` on; ``ipv6`` as below."""
    await job.report("start", percent)
    await lxd.start(*job.place)
    await job.report("network", min(95, percent + 5))
    await wait_for_address(lxd, *job.place, wanted=job.container.wanted_ipv4 != "none", ipv6=ipv6)


async def wait_for_address(
    lxd: LxdGateway, project: str, name: str, *, wanted: bool = True, ipv6: bool = False
) -> InstanceState:
    """The state once there is an IPv4 address, or as it is after ADDRESS_SECONDS.

    Returns at once where none is ``wanted``. With ``ipv6`` it waits for that address, too, for IPV6_SECONDS at most.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    backoff = Backoff(0.1, 1.0, factor=1.5)
    while True:
        state, waited = await lxd.state(project, name), loop.time() - began
        lacks_ipv4 = wanted and not state.ipv4 and waited < ADDRESS_SECONDS
        lacks_ipv6 = ipv6 and not state.ipv6 and waited < IPV6_SECONDS
        if state.status != "running" or not (lacks_ipv4 or lacks_ipv6):
            return state
        await backoff.pause()
