"""The audit log: a tenant's own entries, all of them for admins."""

from __future__ import annotations

from openlxd_api.framework.endpoint import Endpoints
from openlxd_api.framework.responses import Paged, paged
from openlxd_api.v1.schemas.lists import AuditQuery
from openlxd_api.v1.schemas.system import AuditView
from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import Actor

endpoints = Endpoints()


@endpoints.get("/audit", summary="Who did what to whom, from where, and how it ended")
async def list_audit(core: Core, actor: Actor, query: AuditQuery) -> Paged[list[AuditView]]:
    """One page, newest first by default. Tenants get their own entries, admins all."""
    return await paged(await core.audit.page(actor, query.wanted, query.part), AuditView.of)
