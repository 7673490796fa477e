"""Operations: progress and cancelling."""

from __future__ import annotations

from collections.abc import AsyncIterator

from openlxd_api.framework.endpoint import Endpoints
from openlxd_api.framework.responses import Event, Paged, Stream, paged
from openlxd_api.v1.schemas.lists import OperationQuery
from openlxd_api.v1.schemas.system import OperationView
from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import Actor
from openlxd_core.i18n import N_

endpoints = Endpoints()


@endpoints.get("/operations", summary="What was asked for, the newest first")
async def list_operations(core: Core, actor: Actor, query: OperationQuery) -> Paged[list[OperationView]]:
    """One page, newest first by default. Tenants get their own operations, admins all."""
    return await paged(await core.operations.page(actor, query.wanted, query.part), OperationView.of)


@endpoints.get("/operations/{id}", summary="One operation")
async def show_operation(core: Core, actor: Actor, id: str) -> OperationView:  # noqa: A002
    """Another tenant's operation answers 404, as a missing one does."""
    return OperationView.of(await core.operations.get(actor, id))


@endpoints.delete(
    "/operations/{id}",
    summary="Ask for an operation to be given up",
    message=N_("Cancelling operation {id} was requested."),
)
async def cancel_operation(core: Core, actor: Actor, id: str) -> OperationView:  # noqa: A002
    """Imports can be cancelled; other kinds are a conflict once started. An ended operation is not changed."""
    return OperationView.of(await core.operations.cancel(actor, id))


@endpoints.get("/operations/{id}/events", summary="Follow an operation to its end")
async def follow_operation(core: Core, actor: Actor, id: str) -> Stream:  # noqa: A002
    """Events named ``operation`` with the operation as data: its current state, each change, and the end."""
    operation = await core.operations.get(actor, id)

    async def events() -> AsyncIterator[Event]:
        async with core.feed.subscribe(actor) as changes:
            shown = OperationView.of(await core.operations.get(actor, operation.id))
            yield Event("operation", shown)
            if shown.status in ("done", "failed", "cancelled"):
                return
            async for change in changes:
                if change.topic == "resync" or (change.topic == "operation" and change.key == operation.id):
                    found = await core.operations.get(actor, operation.id)
                    yield Event("operation", OperationView.of(found))
                    if found.ended:
                        return

    return Stream(events())
