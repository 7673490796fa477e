"""The audit: one's own, and everybody's for admins."""

from __future__ import annotations

from openlxd_api.rails import Endpoints
from openlxd_api.schemas.system import AuditQuery, AuditView
from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import Actor

endpoints = Endpoints()


@endpoints.get("/audit", summary="Who did what to whom, from where, and how it ended")
async def list_audit(core: Core, actor: Actor, query: AuditQuery) -> list[AuditView]:
    """The newest first."""
    found = await core.audit.list(actor, limit=query.limit, before=query.before)
    return [AuditView.of(entry) for entry in found]
