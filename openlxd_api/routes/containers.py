"""Containers, seen by their owners; admins see everybody's."""

from __future__ import annotations

from openlxd_api.rails import Endpoints
from openlxd_api.schemas import ContainerView
from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import Actor

endpoints = Endpoints()


@endpoints.get("/containers", summary="The containers that you may see")
async def list_containers(core: Core, actor: Actor) -> list[ContainerView]:
    """Tenants get their own, admins all."""
    return [ContainerView.of(found) for found in await core.containers.list(actor)]


@endpoints.get("/containers/{name}", summary="One container")
async def show_container(core: Core, actor: Actor, name: str) -> ContainerView:
    """Somebody else's answers as a missing one does."""
    return ContainerView.of(await core.containers.get(actor, name))
