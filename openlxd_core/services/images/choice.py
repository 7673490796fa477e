"""What a container is made from: an image that LXD holds, or an offer that is imported first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from openlxd_core.domain.actor import Actor
from openlxd_core.domain.errors import ValidationFailed
from openlxd_core.domain.image import Offer, lxd_architecture
from openlxd_core.i18n import N_
from openlxd_core.services.images.catalogue import ImageCatalogue
from openlxd_core.services.images.imports import Imports
from openlxd_core.services.images.local import LocalImages
from openlxd_core.services.operations.store import Begun


@dataclass(frozen=True)
class Choice:
    """The image that a name means."""

    alias: str
    architecture: str
    fingerprint: str
    """Empty where LXD does not hold it yet."""
    offer: Offer | None


class ImageChoice:
    """Finds what a name means, for creates and reinstalls."""

    def __init__(self, local: LocalImages, catalogue: ImageCatalogue, imports: Imports) -> None:
        self._local = local
        self._catalogue = catalogue
        self._imports = imports

    async def choose(self, actor: Actor, name: str) -> Choice:
        """An image that is here, at once, whatever the image servers do; else what they offer.

        Raises ValidationFailed with close names, LxdUnavailable, ImageSourceUnavailable.
        """
        await self._catalogue.load()
        held = await self._local.find(actor, name)
        offer: Offer | None = None
        if held is None:
            await self._catalogue.ready()
            self._catalogue.require_any(name)
            offer = self._catalogue.find(actor, name)
            held = await self._local.find(actor, offer.alias)
        if held is not None:
            return Choice(held.alias, held.image.architecture, held.image.fingerprint, None)
        assert offer is not None
        return Choice(offer.alias, lxd_architecture(offer.architecture), "", require_published(offer))

    async def arguments(self, actor: Actor, choice: Choice) -> tuple[dict[str, Any], Begun | None]:
        """What the operation that makes the container keeps of it, and the import that it needs; inside the
        transaction that writes that operation."""
        if choice.offer is None:
            return {"fingerprint": choice.fingerprint}, None
        begun = await self._imports.begin(actor, choice.offer)
        return {"import": begun.operation.id}, begun


def require_published(offer: Offer) -> Offer:
    """Raise ValidationFailed where no server publishes it any more."""
    if not offer.published:
        raise ValidationFailed.of("image", N_("{alias} is no longer published by any image server."), alias=offer.alias)
    return offer
