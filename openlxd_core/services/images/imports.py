"""Asking for imports: who may, how many at once, and joining one that is under way.

What an import then does is :class:`openlxd_core.services.operations.kinds.images.ImportHandler`'s.
"""

from __future__ import annotations

from dataclasses import asdict

from openlxd_core.coordination.change_log import announce
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.errors import AlreadyExists, Busy, Forbidden, QuotaExceeded
from openlxd_core.domain.image import ImageStatus, Offer
from openlxd_core.domain.operation import ENDED, Kind, OperationStatus
from openlxd_core.domain.policy import Action, require
from openlxd_core.domain.units import format_bytes
from openlxd_core.i18n import N_
from openlxd_core.services.operations.kinds.images import image_columns
from openlxd_core.services.operations.store import Begun, Operations
from openlxd_core.services.quotas import tenant_image_room
from openlxd_core.settings import Settings
from openlxd_core.storage import models
from openlxd_core.storage.transaction import transaction

TENANT_AT_ONCE = 2
"""How many imports one tenant may have under way."""
_ACTIVE = [status.value for status in OperationStatus if status not in ENDED]


class Imports:
    """Begins imports."""

    def __init__(self, settings: Settings, operations: Operations) -> None:
        self._settings = settings
        self._operations = operations

    @transaction
    async def begin(self, actor: Actor, offer: Offer) -> Begun:
        """The operation that imports ``offer``: a new one, or the one under way that the actor joins.

        Raises Forbidden, QuotaExceeded, Busy.
        """
        self._require_allowed(actor)
        active = await models.Operation.filter(
            kind=Kind.IMPORT.value, target=offer.alias, status__in=_ACTIVE
        ).first()  # fmt: skip
        if active is not None:
            if active.cancelled_by:
                raise Busy(N_("The import of {alias} is being cancelled. Try again in a moment."), alias=offer.alias)
            await self._join(actor, active)
            return self._operations.joined(active)
        if not actor.is_admin:
            await self._require_tenant_room(actor, offer)
        await self._mark_downloading(actor, offer)
        args = {
            "server": offer.server,
            "product": offer.product,
            "distribution": offer.distribution,
            "release": offer.release,
            "version": offer.version,
            "architecture": offer.architecture,
            "variant": offer.variant,
            "askers": [actor.user_id] if actor.user_id is not None else [],
        }
        return await self._operations.begin_on(actor, Kind.IMPORT, offer.alias, actor.user_id, args)

    @transaction
    async def already_here(self, actor: Actor, alias: str, fingerprint: str) -> Begun:
        """The operation of an import that has nothing to do, since LXD holds the image; it has ended.

        Raises Forbidden.
        """
        self._require_allowed(actor)
        args = {"fingerprint": fingerprint, "askers": [actor.user_id] if actor.user_id is not None else []}
        begun = await self._operations.begin_on(actor, Kind.IMPORT, alias, actor.user_id, args)
        return Begun(await self._operations.end(begun.operation.id, None), mine=False)

    def _require_allowed(self, actor: Actor) -> None:
        require(actor, Action.IMAGE_IMPORT)
        if not actor.is_admin and self._settings.tenant_import == "off":
            raise Forbidden(N_("Only admins can import images here. Ask an admin for it."))

    async def _join(self, actor: Actor, active: models.Operation) -> None:
        askers = active.args.get("askers", [])
        if actor.user_id is not None and actor.user_id not in askers:
            active.args = {**active.args, "askers": [*askers, actor.user_id]}
            await active.save()

    async def _require_tenant_room(self, actor: Actor, offer: Offer) -> None:
        assert actor.user_id is not None
        mine = models.Operation.filter(kind=Kind.IMPORT.value, user_id=actor.user_id, status__in=_ACTIVE)
        if await mine.count() >= TENANT_AT_ONCE:
            raise Busy(
                N_("You already have {count} imports in progress. Wait until one is done."), count=TENANT_AT_ONCE
            )
        already = await models.Image.filter(alias=offer.alias).first()
        if already is not None and already.fingerprint:
            if not already.product:
                raise AlreadyExists(N_("Image {alias} already exists."), alias=offer.alias)
            return  # it is here for everybody: a newer build takes nobody's room
        left = await tenant_image_room(actor.user_id, self._settings)
        if offer.size_bytes > left:
            raise QuotaExceeded(
                N_("This image needs {asked}; {left} of the {limit} for your images is left."),
                asked=format_bytes(offer.size_bytes), left=format_bytes(max(0, left)),
                limit=self._settings.tenant_images,
            )  # fmt: skip

    async def _mark_downloading(self, actor: Actor, offer: Offer) -> None:
        row = await models.Image.filter(alias=offer.alias).first() or models.Image(alias=offer.alias)
        if not row.fingerprint:
            row.update_from_dict({
                "user_id": None if actor.is_admin else actor.user_id, "private": False, "imported_at": None,
                "description": "", "serial": "", "size": offer.size_bytes, **image_columns(asdict(offer)),
            })  # fmt: skip
        row.status = ImageStatus.DOWNLOADING.value
        await row.save()
        await announce("image", "updated", offer.alias, None)
