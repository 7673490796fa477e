"""Snapshots of containers."""

from __future__ import annotations

from openlxd_api.framework.endpoint import Endpoints
from openlxd_api.framework.pending import Waiter
from openlxd_api.framework.responses import Answer, Paged, outcome, paged
from openlxd_api.v1.schemas.base import Deleted, Pending, Waiting
from openlxd_api.v1.schemas.container import ContainerView, NewSnapshot, SnapshotView
from openlxd_api.v1.schemas.lists import SnapshotQuery
from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import Actor

endpoints = Endpoints()


@endpoints.get("/containers/{name}/snapshots", summary="A container's snapshots")
async def list_snapshots(core: Core, actor: Actor, name: str, query: SnapshotQuery) -> Paged[list[SnapshotView]]:
    """One page, oldest first by default."""
    return await paged(await core.snapshots.page(actor, name, query.part), SnapshotView.of)


@endpoints.post("/containers/{name}/snapshots", status=201, summary="Take a snapshot")
async def create_snapshot(
    core: Core, actor: Actor, waiter: Waiter, name: str, query: Waiting, body: NewSnapshot
) -> Answer[SnapshotView] | Pending:
    """The quota counts the snapshots of all containers of the owner."""
    operation = await core.snapshots.create(actor, name, body.name)
    if not await waiter.over(operation, query.wait):
        return Pending.of(operation)
    taken = str(operation.args["snapshot"])
    return outcome(
        operation, next(SnapshotView.of(one) for one in await core.snapshots.list(actor, name) if one.name == taken)
    )


@endpoints.post("/containers/{name}/snapshots/{snapshot}/restore", summary="Put the container back to a snapshot")
async def restore_snapshot(
    core: Core, actor: Actor, waiter: Waiter, name: str, snapshot: str, query: Waiting
) -> Answer[ContainerView] | Pending:
    """Changes since the snapshot are lost. A running container is restarted."""
    operation = await core.snapshots.restore(actor, name, snapshot)
    if not await waiter.over(operation, query.wait):
        return Pending.of(operation)
    return outcome(operation, ContainerView.of(await core.containers.get(actor, name)))


@endpoints.delete("/containers/{name}/snapshots/{snapshot}", summary="Drop a snapshot")
async def delete_snapshot(
    core: Core, actor: Actor, waiter: Waiter, name: str, snapshot: str, query: Waiting
) -> Answer[Deleted] | Pending:
    """The container is not affected."""
    operation = await core.snapshots.delete(actor, name, snapshot)
    if not await waiter.over(operation, query.wait):
        return Pending.of(operation)
    return outcome(operation, Deleted(name=snapshot))
