"""Containers for billing systems: the design paper's paths, bodies and answers."""

from __future__ import annotations

from openlxd_api.framework.endpoint import Access, Endpoints
from openlxd_api.framework.pending import Waiter
from openlxd_api.framework.responses import Answer, outcome
from openlxd_api.v1.schemas.base import Waiting
from openlxd_api.v1.schemas.container import (
    WhmcsConfig,
    WhmcsContainer,
    WhmcsCreate,
    WhmcsDetails,
    WhmcsInfo,
    WhmcsNamed,
    WhmcsPending,
    WhmcsSuspend,
)
from openlxd_api.v1.schemas.states import WhmcsStatus
from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.container import Container
from openlxd_core.domain.operation import Operation

endpoints = Endpoints()


async def _which(core: Core, actor: Actor, which: str | int) -> Container:
    if isinstance(which, int):
        return await core.containers.by_id(actor, which)
    return await core.containers.get(actor, which)


async def _after(
    core: Core, actor: Actor, waiter: Waiter, operation: Operation, query: Waiting
) -> Answer[WhmcsContainer] | WhmcsPending:
    over = await waiter.over(operation, query.wait)
    found = await core.containers.get(actor, operation.target)
    return outcome(operation, WhmcsContainer.of(found)) if over else WhmcsPending.during(found, operation)


@endpoints.post(
    "/whmcs/container/create", lenient=True, status=201, raises=(404,), summary="Make and start a container"
)
async def whmcs_create(
    core: Core, actor: Actor, waiter: Waiter, query: Waiting, body: WhmcsCreate
) -> Answer[WhmcsContainer] | WhmcsPending:
    """Answers when the container runs, or with 202 and ``creating``. An existing name is a conflict."""
    operation = await core.containers.create(
        actor,
        body.name,
        body.image,
        body.cpu,
        body.memory,
        body.disk,
        owner=body.owner,
        ipv4=body.ipv4,
        ipv6=body.ipv6,
    )
    return await _after(core, actor, waiter, operation, query)


@endpoints.post("/whmcs/container/start", lenient=True, raises=(404,), summary="Start it; one that runs is a success")
async def whmcs_start(
    core: Core, actor: Actor, waiter: Waiter, query: Waiting, body: WhmcsNamed
) -> Answer[WhmcsContainer] | WhmcsPending:
    """The answer waits for the container's IP address."""
    found = await _which(core, actor, body.which)
    return await _after(core, actor, waiter, await core.containers.start(actor, found.name), query)


@endpoints.post(
    "/whmcs/container/stop", lenient=True, raises=(404,), summary="Stop it; one that is stopped is a success"
)
async def whmcs_stop(
    core: Core, actor: Actor, waiter: Waiter, query: Waiting, body: WhmcsNamed
) -> Answer[WhmcsContainer] | WhmcsPending:
    """Shuts the container down, or stops it by force if it does not shut down in time."""
    found = await _which(core, actor, body.which)
    return await _after(core, actor, waiter, await core.containers.stop(actor, found.name), query)


@endpoints.post("/whmcs/container/restart", lenient=True, raises=(404,), summary="Stop and start it")
async def whmcs_restart(
    core: Core, actor: Actor, waiter: Waiter, query: Waiting, body: WhmcsNamed
) -> Answer[WhmcsContainer] | WhmcsPending:
    """A stopped container is started."""
    found = await _which(core, actor, body.which)
    return await _after(core, actor, waiter, await core.containers.restart(actor, found.name), query)


@endpoints.post(
    "/whmcs/container/suspend", lenient=True, access=Access.ADMIN, raises=(404,), summary="Suspend a container"
)
async def whmcs_suspend(
    core: Core, actor: Actor, waiter: Waiter, query: Waiting, body: WhmcsSuspend
) -> Answer[WhmcsContainer] | WhmcsPending:
    """Stops the container and refuses its owner's changes. Succeeds in every state."""
    found = await _which(core, actor, body.which)
    return await _after(core, actor, waiter, await core.containers.suspend(actor, found.name, body.reason), query)


@endpoints.post(
    "/whmcs/container/unsuspend", lenient=True, access=Access.ADMIN, raises=(404,), summary="End its suspension"
)
async def whmcs_unsuspend(
    core: Core, actor: Actor, waiter: Waiter, query: Waiting, body: WhmcsNamed
) -> Answer[WhmcsContainer] | WhmcsPending:
    """Starts the container if it was running when it was suspended. Succeeds if it is not suspended."""
    found = await _which(core, actor, body.which)
    return await _after(core, actor, waiter, await core.containers.unsuspend(actor, found.name), query)


@endpoints.post("/whmcs/container/delete", lenient=True, raises=(404,), summary="Remove it for good, running or not")
async def whmcs_delete(
    core: Core, actor: Actor, waiter: Waiter, query: Waiting, body: WhmcsNamed
) -> Answer[WhmcsContainer] | WhmcsPending:
    """Returns the container as it was, with the status ``deleted``."""
    found = await _which(core, actor, body.which)
    operation = await core.containers.delete(actor, found.name)
    if not await waiter.over(operation, query.wait):
        return WhmcsPending.during(found, operation)
    return outcome(operation, WhmcsContainer.of(found, WhmcsStatus.DELETED))


@endpoints.post(
    "/whmcs/container/config", lenient=True, raises=(404,), summary="Change its limits; what is left out stays"
)
async def whmcs_config(
    core: Core, actor: Actor, waiter: Waiter, query: Waiting, body: WhmcsConfig
) -> Answer[WhmcsContainer] | WhmcsPending:
    """Limits change while the container runs, where LXD supports that. A disk can only grow."""
    found = await _which(core, actor, body.which)
    operation = await core.containers.resize(actor, found.name, cpu=body.cpu, memory=body.memory, disk=body.disk)
    return await _after(core, actor, waiter, operation, query)


@endpoints.get(
    "/whmcs/container/info", lenient=True, raises=(404,), summary="One container, as the billing system knows it"
)
async def whmcs_info(core: Core, actor: Actor, query: WhmcsInfo) -> WhmcsDetails:
    """Names the container by ``name`` or ``container_id``."""
    return WhmcsDetails.of(await _which(core, actor, query.which))
