"""Containers: a tenant's own, all of them for admins."""

from __future__ import annotations

from openlxd_api.framework.endpoint import Access, Endpoints
from openlxd_api.framework.pending import Waiter
from openlxd_api.framework.responses import Answer, Paged, outcome, paged
from openlxd_api.v1.schemas.base import Deleted, Pending, Waiting
from openlxd_api.v1.schemas.container import (
    ContainerSuspension,
    ContainerView,
    NewContainer,
    Reinstall,
    Resize,
    RootPassword,
    SampleView,
    Stop,
    UsageOverTime,
    UsageView,
)
from openlxd_api.v1.schemas.lists import ContainerQuery
from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.operation import Operation
from openlxd_core.i18n import N_

endpoints = Endpoints()


async def _after(
    core: Core, actor: Actor, waiter: Waiter, operation: Operation, query: Waiting
) -> Answer[ContainerView] | Pending:
    if not await waiter.over(operation, query.wait):
        return Pending.of(operation)
    return outcome(operation, ContainerView.of(await core.containers.get(actor, operation.target)))


@endpoints.get("/containers", summary="The containers that you may see", from_database=True)
async def list_containers(core: Core, actor: Actor, query: ContainerQuery) -> Paged[list[ContainerView]]:
    """One page, sorted by name by default. Tenants get their own containers, admins all."""
    return await paged(await core.containers.page(actor, query.wanted, query.part), ContainerView.of)


@endpoints.post("/containers", status=201, raises=(404,), summary="Make and start a container")
async def create_container(
    core: Core, actor: Actor, waiter: Waiter, query: Waiting, body: NewContainer
) -> Answer[ContainerView] | Pending:
    """Reserves the name and the quota immediately; answers when the container runs, or with 202."""
    operation = await core.containers.create(
        actor,
        body.name,
        body.image,
        body.cpu,
        body.memory_mb,
        body.disk_mb,
        owner=body.owner,
        ipv4=body.ipv4,
        ipv6=body.ipv6,
    )
    return await _after(core, actor, waiter, operation, query)


@endpoints.get("/containers/{name}", summary="One container", from_database=True)
async def show_container(core: Core, actor: Actor, name: str) -> ContainerView:
    """Another tenant's container answers 404, as a missing one does."""
    return ContainerView.of(await core.containers.get(actor, name))


@endpoints.patch("/containers/{name}", summary="Change its limits; what is left out stays")
async def resize_container(
    core: Core, actor: Actor, waiter: Waiter, name: str, query: Waiting, body: Resize
) -> Answer[ContainerView] | Pending:
    """Limits change while the container runs, where LXD supports that. A disk can only grow."""
    operation = await core.containers.resize(actor, name, cpu=body.cpu, memory=body.memory_mb, disk=body.disk_mb)
    return await _after(core, actor, waiter, operation, query)


@endpoints.delete("/containers/{name}", summary="Remove it for good, running or not")
async def delete_container(
    core: Core, actor: Actor, waiter: Waiter, name: str, query: Waiting
) -> Answer[Deleted] | Pending:
    """Deletes the container's snapshots, too."""
    operation = await core.containers.delete(actor, name)
    if not await waiter.over(operation, query.wait):
        return Pending.of(operation)
    return outcome(operation, Deleted(name=operation.target))


@endpoints.post("/containers/{name}/start", summary="Start it; one that runs is a success")
async def start_container(
    core: Core, actor: Actor, waiter: Waiter, name: str, query: Waiting
) -> Answer[ContainerView] | Pending:
    """The answer waits for the container's IP address."""
    return await _after(core, actor, waiter, await core.containers.start(actor, name), query)


@endpoints.post("/containers/{name}/stop", summary="Stop it; one that is stopped is a success")
async def stop_container(
    core: Core, actor: Actor, waiter: Waiter, name: str, query: Waiting, body: Stop
) -> Answer[ContainerView] | Pending:
    """Shuts down cleanly; stops by force after 30 seconds, or immediately with ``force``."""
    return await _after(core, actor, waiter, await core.containers.stop(actor, name, force=body.force), query)


@endpoints.post("/containers/{name}/restart", summary="Stop and start it")
async def restart_container(
    core: Core, actor: Actor, waiter: Waiter, name: str, query: Waiting
) -> Answer[ContainerView] | Pending:
    """A stopped container is started."""
    return await _after(core, actor, waiter, await core.containers.restart(actor, name), query)


@endpoints.post("/containers/{name}/pause", summary="Freeze its processes where they are")
async def pause_container(
    core: Core, actor: Actor, waiter: Waiter, name: str, query: Waiting
) -> Answer[ContainerView] | Pending:
    """Freezes the container's processes; memory stays in use."""
    return await _after(core, actor, waiter, await core.containers.pause(actor, name), query)


@endpoints.post("/containers/{name}/resume", summary="Let a frozen one go on")
async def resume_container(
    core: Core, actor: Actor, waiter: Waiter, name: str, query: Waiting
) -> Answer[ContainerView] | Pending:
    """Succeeds if the container is already running."""
    return await _after(core, actor, waiter, await core.containers.resume(actor, name), query)


@endpoints.post("/containers/{name}/suspend", access=Access.ADMIN, summary="Suspend a container")
async def suspend_container(
    core: Core, actor: Actor, waiter: Waiter, name: str, query: Waiting, body: ContainerSuspension
) -> Answer[ContainerView] | Pending:
    """Stops the container and ends its shells; its owner can only view it until it is unsuspended.

    Succeeds in every state. The owner's account and other containers are not affected.
    """
    return await _after(core, actor, waiter, await core.containers.suspend(actor, name, body.reason), query)


@endpoints.post("/containers/{name}/unsuspend", access=Access.ADMIN, summary="End a container's suspension")
async def unsuspend_container(
    core: Core, actor: Actor, waiter: Waiter, name: str, query: Waiting
) -> Answer[ContainerView] | Pending:
    """Starts the container if it was running when it was suspended. Succeeds if it is not suspended."""
    return await _after(core, actor, waiter, await core.containers.unsuspend(actor, name), query)


@endpoints.post("/containers/{name}/reinstall", summary="Make it anew from its image or another")
async def reinstall_container(
    core: Core, actor: Actor, waiter: Waiter, name: str, query: Waiting, body: Reinstall
) -> Answer[ContainerView] | Pending:
    """Keeps the name, limits and address; deletes everything in the container and its snapshots."""
    return await _after(core, actor, waiter, await core.containers.reinstall(actor, name, body.image), query)


@endpoints.post(
    "/containers/{name}/password",
    secret=True,
    summary="Change the password of root inside it",
    message=N_("The password of root in {name} was changed."),
)
async def set_root_password(core: Core, actor: Actor, name: str, body: RootPassword) -> None:
    """The container must be running. The password is not stored."""
    await core.consoles.set_root_password(actor, name, body.password)


@endpoints.get("/containers/{name}/metrics", summary="What it uses now, and used over the last 24 hours")
async def show_usage(core: Core, actor: Actor, name: str) -> UsageOverTime:
    """Current usage and the last 24 hours: per minute for two hours, per ten minutes before."""
    history = await core.usage.history(actor, name)
    now = await core.usage.now(actor, name)
    return UsageOverTime(
        now=UsageView.of(now) if now is not None else None,
        history=[SampleView(at=sample.at, usage=UsageView.of(sample.usage)) for sample in history],
    )
