"""The audit: who did what to whom, from where, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence

from openlxd_core.domain.actor import Actor
from openlxd_core.domain.feed import AuditEntry
from openlxd_core.domain.listing import AuditFilter, Page, Part
from openlxd_core.domain.policy import Action, require
from openlxd_core.domain.text import clean
from openlxd_core.services.paging import Order, read_page
from openlxd_core.services.records import to_audit_entry
from openlxd_core.storage import models

ORDER = Order("audit", {"id": int}, default="-id")


async def record(
    actor: Actor, action: str, target: object, *, user_id: int | None = None, outcome: str = "ok", detail: str = ""
) -> None:
    """Write one entry; call it inside the transaction that it tells of. ``user_id`` is whose affair it is."""
    await models.AuditEntry.create(
        actor=clean(actor.username or actor.role.value, 100),
        user_id=user_id if user_id is not None else actor.user_id,
        origin=actor.origin,
        address=actor.address[:64],
        action=action,
        target=clean(str(target), 100),
        outcome=outcome,
        detail=clean(detail, 500),
    )


class Audit:
    """Reading it."""

    async def list(self, actor: Actor, *, limit: int = 100, before: int | None = None) -> Sequence[AuditEntry]:
        """The newest entries first: a tenant's own, an admin's all. ``before`` is an id, for the next page."""
        require(actor, Action.AUDIT_VIEW)
        found = models.AuditEntry.all() if actor.is_admin else models.AuditEntry.filter(user_id=actor.user_id)
        if before is not None:
            found = found.filter(id__lt=before)
        return [to_audit_entry(row) for row in await found.order_by("-id").limit(max(1, min(limit, 1000)))]

    async def page(self, actor: Actor, wanted: AuditFilter, part: Part) -> Page[AuditEntry]:
        """One page of :meth:`list`, of those that ``wanted`` takes. Raises ValidationFailed."""
        require(actor, Action.AUDIT_VIEW)
        rows = models.AuditEntry.all() if actor.is_admin else models.AuditEntry.filter(user_id=actor.user_id)
        equal = {
            "actor": wanted.actor,
            "action": wanted.action,
            "target": wanted.target,
            "outcome": wanted.outcome,
            "origin": wanted.origin,
            "at__gte": wanted.since,
            "at__lt": wanted.until,
            "id__lt": wanted.before,
        }
        rows = rows.filter(**{name: value for name, value in equal.items() if value is not None})
        found = await read_page(rows, ORDER, part)
        return Page([to_audit_entry(row) for row in found.items], found.next)
