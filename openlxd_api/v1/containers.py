"""Containers, seen by their owners; admins see everybody's."""

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


@endpoints.get("/containers", summary="The containers that you may see")
async def list_containers(core: Core, actor: Actor, query: ContainerQuery) -> Paged[list[ContainerView]]:
    """A page of them, by name where no other order is asked for. Tenants get their own, admins all."""
    return await paged(await core.containers.page(actor, query.wanted, query.part), ContainerView.of)


@endpoints.post("/containers", status=201, raises=(404,), summary="Make and start a container")
async def create_container(
    core: Core, actor: Actor, waiter: Waiter, query: Waiting, body: NewContainer
) -> Answer[ContainerView] | Pending:
    """The name and the quota are reserved at once; the answer waits until it runs, or is 202."""
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


@endpoints.get("/containers/{name}", summary="One container")
async def show_container(core: Core, actor: Actor, name: str) -> ContainerView:
    """Somebody else's answers as a missing one does."""
    return ContainerView.of(await core.containers.get(actor, name))


@endpoints.patch("/containers/{name}", summary="Change its limits; what is left out stays")
async def resize_container(
    core: Core, actor: Actor, waiter: Waiter, name: str, query: Waiting, body: Resize
) -> Answer[ContainerView] | Pending:
    """While it runs, where LXD can. A disk can grow only."""
    operation = await core.containers.resize(actor, name, cpu=body.cpu, memory=body.memory_mb, disk=body.disk_mb)
    return await _after(core, actor, waiter, operation, query)


@endpoints.delete("/containers/{name}", summary="Remove it for good, running or not")
async def delete_container(
    core: Core, actor: Actor, waiter: Waiter, name: str, query: Waiting
) -> Answer[Deleted] | Pending:
    """Its snapshots go, too."""
    operation = await core.containers.delete(actor, name)
    if not await waiter.over(operation, query.wait):
        return Pending.of(operation)
    return outcome(operation, Deleted(name=operation.target))


@endpoints.post("/containers/{name}/start", summary="Start it; one that runs is a success")
async def start_container(
    core: Core, actor: Actor, waiter: Waiter, name: str, query: Waiting
) -> Answer[ContainerView] | Pending:
    """The answer waits for its address."""
    return await _after(core, actor, waiter, await core.containers.start(actor, name), query)


@endpoints.post("/containers/{name}/stop", summary="Stop it; one that is stopped is a success")
async def stop_container(
    core: Core, actor: Actor, waiter: Waiter, name: str, query: Waiting, body: Stop
) -> Answer[ContainerView] | Pending:
    """Gracefully, and by force after 30 seconds or where that is asked for."""
    return await _after(core, actor, waiter, await core.containers.stop(actor, name, force=body.force), query)


@endpoints.post("/containers/{name}/restart", summary="Stop and start it")
async def restart_container(
    core: Core, actor: Actor, waiter: Waiter, name: str, query: Waiting
) -> Answer[ContainerView] | Pending:
    """One that is stopped is started."""
    return await _after(core, actor, waiter, await core.containers.restart(actor, name), query)


@endpoints.post("/containers/{name}/pause", summary="Freeze its processes where they are")
async def pause_container(
    core: Core, actor: Actor, waiter: Waiter, name: str, query: Waiting
) -> Answer[ContainerView] | Pending:
    """It keeps its memory."""
    return await _after(core, actor, waiter, await core.containers.pause(actor, name), query)


@endpoints.post("/containers/{name}/resume", summary="Let a frozen one go on")
async def resume_container(
    core: Core, actor: Actor, waiter: Waiter, name: str, query: Waiting
) -> Answer[ContainerView] | Pending:
    """One that runs is a success."""
    return await _after(core, actor, waiter, await core.containers.resume(actor, name), query)


@endpoints.post("/containers/{name}/suspend", access=Access.ADMIN, summary="Suspend a container")
async def suspend_container(
    core: Core, actor: Actor, waiter: Waiter, name: str, query: Waiting, body: ContainerSuspension
) -> Answer[ContainerView] | Pending:
    """It is stopped, its shells end, and its owner can only look at it until it is unsuspended.

    Succeeds in every state. Its owner's account and other containers stay as they are.
    """
    return await _after(core, actor, waiter, await core.containers.suspend(actor, name, body.reason), query)


@endpoints.post("/containers/{name}/unsuspend", access=Access.ADMIN, summary="End a container's suspension")
async def unsuspend_container(
    core: Core, actor: Actor, waiter: Waiter, name: str, query: Waiting
) -> Answer[ContainerView] | Pending:
    """It is started if it ran when it was suspended. One that is not suspended is a success."""
    return await _after(core, actor, waiter, await core.containers.unsuspend(actor, name), query)


@endpoints.post("/containers/{name}/reinstall", summary="Make it anew from its image or another")
async def reinstall_container(
    core: Core, actor: Actor, waiter: Waiter, name: str, query: Waiting, body: Reinstall
) -> Answer[ContainerView] | Pending:
    """It keeps its name, limits and address; everything in it and its snapshots are lost."""
    return await _after(core, actor, waiter, await core.containers.reinstall(actor, name, body.image), query)


@endpoints.post(
    "/containers/{name}/password",
    secret=True,
    summary="Change the password of root inside it",
    message=N_("The password of root in {name} was changed."),
)
async def set_root_password(core: Core, actor: Actor, name: str, body: RootPassword) -> None:
    """It has to run. The password is kept nowhere."""
    await core.consoles.set_root_password(actor, name, body.password)


@endpoints.get("/containers/{name}/metrics", summary="What it uses now, and used over the last 24 hours")
async def show_usage(core: Core, actor: Actor, name: str) -> UsageOverTime:
    """The history thins with age."""
    history = await core.usage.history(actor, name)
    now = await core.usage.now(actor, name)
    return UsageOverTime(
        now=UsageView.of(now) if now is not None else None,
        history=[SampleView(at=sample.at, usage=UsageView.of(sample.usage)) for sample in history],
    )
