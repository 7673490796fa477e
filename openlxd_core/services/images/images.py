"""The images, as the front ends ask for them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from openlxd_core.domain.actor import SYSTEM, Actor
from openlxd_core.domain.errors import NotFound, OpenLXDError, ValidationFailed
from openlxd_core.domain.image import CatalogueState, Image, Offer, offered_architecture
from openlxd_core.domain.listing import ImageFilter, OfferFilter, Page, Part
from openlxd_core.domain.operation import Kind, Operation
from openlxd_core.domain.policy import Action, require
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_
from openlxd_core.services.idempotency import repeatable
from openlxd_core.services.images.catalogue import ImageCatalogue
from openlxd_core.services.images.choice import require_published
from openlxd_core.services.images.flags import HIDDEN, PINNED, Flags
from openlxd_core.services.images.imports import Imports
from openlxd_core.services.images.local import PRIVATE, HeldImage, LocalImages
from openlxd_core.services.images.pages import image_page
from openlxd_core.services.images.publish import Publishing
from openlxd_core.services.lxd_status import LxdStatus
from openlxd_core.services.operations.runner import Runner
from openlxd_core.services.operations.store import Operations
from openlxd_core.settings import Settings
from openlxd_core.storage import models


@dataclass(frozen=True)
class ImageInfo:
    """All that is known of one image: what is offered under its name, and what is here."""

    offer: Offer | None
    image: Image | None


class Images:
    """Offers, local images, imports, and what the operator decides about them."""

    def __init__(
        self,
        settings: Settings,
        lxd_status: LxdStatus,
        local: LocalImages,
        catalogue: ImageCatalogue,
        flags: Flags,
        imports: Imports,
        publishing: Publishing,
        operations: Operations,
        runner: Runner,
    ) -> None:
        self._settings = settings
        self._lxd_status = lxd_status
        self._local = local
        self._catalogue = catalogue
        self._flags = flags
        self._imports = imports
        self._publishing = publishing
        self._operations = operations
        self._runner = runner

    # -- what is offered -------------------------------------------------------------------------------------------

    async def ready(self) -> None:
        """See that the catalogue is in memory. Never fails: :meth:`catalogue_state` tells what is the matter."""
        await self._catalogue.ready()

    def offers(self, actor: Actor, text: str = "", **filters: str) -> Sequence[Offer]:
        """What is offered; see :meth:`ImageCatalogue.offers`."""
        return self._catalogue.offers(actor, text, **filters)

    def offer_page(self, actor: Actor, wanted: OfferFilter, part: Part, offset: int = 0) -> tuple[Page[Offer], int]:
        """One page of :meth:`offers`, and how many offers fit in all. Raises ValidationFailed."""
        return self._catalogue.page(actor, wanted, part, offset)

    def filters(self, actor: Actor) -> dict[str, Sequence[str]]:
        """The values that each filter of :meth:`offers` can take."""
        return self._catalogue.filters(actor)

    def catalogue_state(self) -> CatalogueState:
        """How fresh the catalogue is; the reason in the reader's language."""
        return self._catalogue.state()

    async def refresh(self, actor: Actor) -> CatalogueState:
        """Ask the servers now; see :meth:`ImageCatalogue.refresh`."""
        return await self._catalogue.refresh(actor)

    async def info(self, actor: Actor, alias: str) -> ImageInfo:
        """What is known of one image, by any of its names. Raises NotFound."""
        require(actor, Action.IMAGE_VIEW)
        name = alias[:200]
        await self._catalogue.load()
        image = await self._local.get(actor, name)
        if image is None:  # what is here is told without waiting for a server
            await self._catalogue.ready()
        offer: Offer | None = None
        with contextlib.suppress(ValidationFailed):
            offer = self._catalogue.find(actor, image.alias if image else name)
        if image is None:
            image = await self._local.get(actor, offer.alias if offer else name)
        if image is None and offer is None:
            raise NotFound(N_("There is no image {alias}."), alias=clean(name, 100))
        return ImageInfo(offer, self._compared(image) if image else None)

    # -- what is here ----------------------------------------------------------------------------------------------

    async def list(self, actor: Actor) -> Sequence[Image]:
        """Every local image that the actor can make a container from, by name. Raises LxdUnavailable."""
        return await self._local.list(actor)

    async def overview(self, actor: Actor) -> Sequence[Image]:
        """The local images, with the containers made from each that the actor may see; imports under way and failed
        ones, too."""
        return [self._compared(image) for image in await self._local.overview(actor)]

    async def page(self, actor: Actor, wanted: ImageFilter, part: Part) -> Page[Image]:
        """One page of :meth:`overview`. Raises ValidationFailed."""
        return image_page(await self.overview(actor), wanted, part)

    def _compared(self, image: Image) -> Image:
        """An image with what the catalogue and the operator say of it."""
        newer = not image.private and self._catalogue.newer(image.alias, image.fingerprint) is not None
        return replace(image, newer=newer, pinned=image.alias in self._flags.pinned)

    async def delete(self, actor: Actor, alias: str) -> Image:
        """Delete a local image; what it was, with the containers that came from it (they keep working)."""
        return await self._local.delete(actor, alias)

    async def publish(self, actor: Actor, container: str, alias: str, snapshot: str | None = None) -> Operation:
        """Make a private image of a stopped container, or of one of its snapshots."""
        return await self._publishing.publish(actor, container, alias, snapshot)

    # -- importing -------------------------------------------------------------------------------------------------

    @repeatable(Kind.IMPORT)
    async def import_image(
        self, actor: Actor, alias: str, architecture: str | None = None, variant: str | None = None
    ) -> Operation:
        """Import an image by any of its names. Who asks for one that is being imported joins.

        While the image servers cannot be asked, one that LXD holds counts as imported. Raises ValidationFailed (with
        close names), Forbidden, QuotaExceeded, Busy, LxdUnavailable, ImageSourceUnavailable.
        """
        require(actor, Action.IMAGE_IMPORT)
        catalogue, wanted = self._catalogue, (architecture or "", variant or "")
        await catalogue.load()
        if not catalogue.is_current and (held := await self._already_held(actor, alias, *wanted)) is not None:
            return (await self._imports.already_here(actor, held.alias, held.image.fingerprint)).operation
        await catalogue.ready()
        catalogue.require_any(alias)
        offer = require_published(catalogue.find(actor, alias, *wanted))
        self._lxd_status.require_reachable()
        begun = await self._imports.begin(actor, offer)
        self._runner.start(begun)
        return begun.operation

    async def _already_held(self, actor: Actor, name: str, architecture: str, variant: str) -> HeldImage | None:
        """A public image that LXD holds by this name, for this architecture and variant where they are asked for."""
        held = await self._local.find(actor, name)
        if held is None or held.alias.startswith(PRIVATE):
            return None
        row = await models.Image.filter(alias=held.alias).first()
        its_variant = held.image.properties.get("variant") or (row.variant if row else "") or "default"
        its_architecture = offered_architecture(held.image.architecture)
        fits = (not architecture or offered_architecture(architecture) == its_architecture) and (
            not variant or variant == its_variant
        )
        return held if fits else None

    async def update_imported(self) -> None:
        """Import newer builds of what is here, where the operator wants that."""
        if self._settings.images_update != "on" or not self._lxd_status.state.reachable:
            return
        await self._flags.load()  # pinned by the other process since, or while ours were being read
        for row in await models.Image.filter(private=False, status="imported").exclude(product=""):
            if row.alias in self._flags.pinned:
                continue
            with contextlib.suppress(OpenLXDError):
                if offer := self._catalogue.newer(row.alias, row.fingerprint):
                    self._runner.start(await self._imports.begin(SYSTEM, offer))

    # -- the operator's decisions ----------------------------------------------------------------------------------

    async def hide(self, actor: Actor, alias: str, flag: bool) -> None:
        """Hide an offer from tenants, or show it again."""
        await self._set_flag(actor, HIDDEN, "image.hide" if flag else "image.show", alias, flag)

    async def pin(self, actor: Actor, alias: str, flag: bool) -> None:
        """List an image first and keep the build that is held; or stop doing so."""
        await self._set_flag(actor, PINNED, "image.pin" if flag else "image.unpin", alias, flag)

    async def _set_flag(self, actor: Actor, key: str, action: str, alias: str, flag: bool) -> None:
        require(actor, Action.IMAGE_MANAGE)
        await self._catalogue.load()
        name = alias
        if await self._local.get(actor, alias) is None:
            await self._catalogue.ready()
            name = self._catalogue.find(actor, alias).alias
        await self._flags.store(actor, key, action, name, flag)
        await self._catalogue.load_rows()
