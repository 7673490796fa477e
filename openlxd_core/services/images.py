"""The images that LXD holds."""

from __future__ import annotations

import time
from collections.abc import Sequence

from openlxd_core.domain.actor import Actor
from openlxd_core.domain.errors import ValidationFailed
from openlxd_core.domain.image import Image, ImageStatus
from openlxd_core.domain.policy import Action, require
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_
from openlxd_core.lxd.gateway import LxdEvent, LxdGateway, LxdImage

_CACHE_SECONDS = 30.0


class Images:
    """The local image list."""

    def __init__(self, lxd: LxdGateway) -> None:
        self._lxd = lxd
        self._cached: Sequence[LxdImage] = ()
        self._cached_until = 0.0

    def forget(self, event: LxdEvent) -> None:
        """Drop what is cached when LXD says that images changed, or when it was away."""
        if event.kind == "connected" or event.action.startswith("image"):
            self._cached_until = 0.0

    async def _held(self) -> Sequence[LxdImage]:
        if time.monotonic() >= self._cached_until:
            self._cached = await self._lxd.images()
            self._cached_until = time.monotonic() + _CACHE_SECONDS
        return self._cached

    async def list(self, actor: Actor) -> Sequence[Image]:
        """Every alias that a container can be created from, by name. Raises LxdUnavailable."""
        require(actor, Action.IMAGE_VIEW)
        found = [_to_image(alias, image) for image in await self._held() for alias in image.aliases]
        return sorted(found, key=lambda image: image.alias)

    async def resolve(self, alias: str) -> LxdImage:
        """The image of this alias. Raises ValidationFailed if LXD holds none."""
        for image in await self._held():
            if alias in image.aliases:
                return image
        raise ValidationFailed.of("image", N_("There is no image {alias} on this host."), alias=clean(alias, 100))


def _to_image(alias: str, image: LxdImage) -> Image:
    known = image.properties
    return Image(
        alias=clean(alias, 100),
        fingerprint=image.fingerprint,
        distribution=clean(known.get("os", ""), 50),
        release=clean(known.get("release", ""), 50),
        architecture=clean(image.architecture, 20),
        variant=clean(known.get("variant", "default"), 50),
        description=clean(image.description, 200),
        size_bytes=image.size_bytes,
        status=ImageStatus.IMPORTED,
        imported_at=image.uploaded_at,
    )
