"""Port forwards of containers."""

from __future__ import annotations

from openlxd_api.framework.endpoint import Endpoints
from openlxd_api.framework.pending import Waiter
from openlxd_api.framework.responses import Answer, Paged, outcome, paged
from openlxd_api.v1.schemas.base import Deleted, Pending, Waiting
from openlxd_api.v1.schemas.forward import ForwardQuery, ForwardView, NewForward
from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.operation import Operation

endpoints = Endpoints()


async def _after(
    core: Core, actor: Actor, waiter: Waiter, operation: Operation, query: Waiting
) -> Answer[ForwardView] | Pending:
    if not await waiter.over(operation, query.wait):
        return Pending.of(operation)
    made = await core.forwards.get(actor, operation.target, int(operation.args["forward"]))
    return outcome(operation, ForwardView.of(made))


@endpoints.get("/forwards", summary="The port forwards that you may see", from_database=True)
async def list_forwards(core: Core, actor: Actor, query: ForwardQuery) -> Paged[list[ForwardView]]:
    """One page, sorted by the host's port by default. Tenants get their own containers' forwards, admins all."""
    return await paged(await core.forwards.page(actor, query.part), ForwardView.of)


@endpoints.get("/containers/{name}/forwards", summary="A container's port forwards", from_database=True)
async def list_container_forwards(core: Core, actor: Actor, name: str, query: ForwardQuery) -> Paged[list[ForwardView]]:
    """One page, sorted by the host's port by default."""
    return await paged(await core.forwards.page(actor, query.part, name), ForwardView.of)


@endpoints.post("/containers/{name}/forwards", status=201, summary="Forward ports of the host to the container")
async def create_forward(
    core: Core, actor: Actor, waiter: Waiter, name: str, query: Waiting, body: NewForward
) -> Answer[ForwardView] | Pending:
    """The container keeps its IPv4 address from then on. A forward counts once in the quota, whatever its range."""
    operation = await core.forwards.create(
        actor, name, body.target, protocol=body.protocol, listen=body.listen, description=body.description
    )
    return await _after(core, actor, waiter, operation, query)


@endpoints.post("/containers/{name}/forwards/{id}/restore", summary="Restore a port forward that was removed in LXD")
async def restore_forward(
    core: Core,
    actor: Actor,
    waiter: Waiter,
    name: str,
    id: int,  # noqa: A002
    query: Waiting,
) -> Answer[ForwardView] | Pending:
    """Only a forward with the status `missing` can be restored."""
    return await _after(core, actor, waiter, await core.forwards.restore(actor, name, id), query)


@endpoints.delete("/containers/{name}/forwards/{id}", summary="Delete a port forward")
async def delete_forward(
    core: Core,
    actor: Actor,
    waiter: Waiter,
    name: str,
    id: int,  # noqa: A002
    query: Waiting,
) -> Answer[Deleted] | Pending:
    """The container is not affected, and keeps its address."""
    operation = await core.forwards.delete(actor, name, id)
    if not await waiter.over(operation, query.wait):
        return Pending.of(operation)
    return outcome(operation, Deleted(name=str(id)))
