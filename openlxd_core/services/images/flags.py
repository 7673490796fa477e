"""What the operator has decided about images: hidden from tenants, or pinned."""

from __future__ import annotations

from openlxd_core.coordination.change_log import announce
from openlxd_core.domain.actor import Actor
from openlxd_core.services import audit
from openlxd_core.storage import models
from openlxd_core.storage.transaction import transaction

HIDDEN, PINNED = "market.hidden", "market.pinned"
"""The settings that hold the aliases."""


class Flags:
    """The flags, in memory; :meth:`load` brings them in line with the database."""

    def __init__(self) -> None:
        self.hidden: frozenset[str] = frozenset()
        """Aliases that tenants do not see."""
        self.pinned: frozenset[str] = frozenset()
        """Aliases that are listed first, and whose build is not updated."""

    async def load(self) -> None:
        """Read them."""
        found = {row.key: row.value for row in await models.Setting.filter(key__in=[HIDDEN, PINNED])}
        self.hidden = frozenset(found.get(HIDDEN) or ())
        self.pinned = frozenset(found.get(PINNED) or ())

    @transaction
    async def store(self, actor: Actor, key: str, action: str, alias: str, flag: bool) -> None:
        """Set or clear one; the caller has checked the permission."""
        row, _new = await models.Setting.get_or_create(key=key, defaults={"value": []})
        row.value = sorted({*row.value, alias} if flag else {a for a in row.value if a != alias})
        await row.save()
        await audit.record(actor, action, alias)
        await announce("image", "flagged", alias, None)
