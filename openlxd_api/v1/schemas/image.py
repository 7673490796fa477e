"""Images, those that are here and those that are offered, going in and out."""

from __future__ import annotations

from datetime import date, datetime
from typing import Self

from pydantic import Field, StrictStr

from openlxd_api.framework.models import Body, View
from openlxd_api.v1.schemas.base import ContainerName, Flag, ImageAlias
from openlxd_core import shapes
from openlxd_core.domain import image


class ImageView(View):
    """One image that is here."""

    id: int | None
    """Null for one that LXD holds and that has not been recorded yet."""
    alias: str
    fingerprint: str
    distribution: str
    """In lower case: ``ubuntu``."""
    release: str
    """The number: ``22.04``; its name where it has none (``edge``)."""
    codename: str
    """The release's other name: ``jammy``; an empty string where it has none."""
    architecture: str
    """``amd64``, ``arm64`` …"""
    variant: str
    description: str
    size: int
    """Bytes."""
    status: image.ImageStatus
    imported_at: datetime | None
    created_at: datetime | None
    updated_at: datetime | None
    end_of_life: date | None
    """The day its makers stop mending it, where that is known."""
    used_by: list[str]
    """The containers made from it that you may see."""
    private: bool
    """Published from a container: its owner's and the admins' alone."""
    newer: bool
    """Whether a newer build is offered."""
    pinned: bool
    operation_id: str
    """The import under way, or an empty string."""

    @classmethod
    def of(cls, found: image.Image) -> Self:
        """The view of a record."""
        return cls(**shapes.image(found))


class OfferView(View):
    """One image that an image server offers."""

    id: int | None
    """The id that it has among the images that are here; null for one that is only offered."""
    alias: str
    aliases: list[str]
    fingerprint: str
    distribution: str
    release: str
    """The number: ``22.04``; its name where it has none (``edge``)."""
    codename: str
    """The release's other name: ``jammy``; an empty string where it has none."""
    architecture: str
    """``amd64``, ``arm64`` …"""
    variant: str
    description: str
    size: int
    """Bytes; 0 where it is no longer published."""
    status: image.ImageStatus
    """``available`` for one that is only offered."""
    imported_at: datetime | None
    created_at: datetime | None
    """When it was built, for one that is only offered."""
    updated_at: datetime | None
    built_at: datetime | None
    server: str
    end_of_life: date | None
    ended: bool
    """Whether its makers have stopped mending it."""
    supported: bool
    """Whether it is one that OpenLXD promises to support."""
    published: bool
    """False for one that is promised, and that nobody builds any more."""
    held: bool
    """Whether it is here, in this build or an older one."""
    current: bool
    """Whether this very build is here."""
    hidden: bool
    pinned: bool
    progress: int
    """The percent of an import under way, or -1."""
    operation_id: str

    @classmethod
    def of(cls, found: image.Offer) -> Self:
        """The view of a record."""
        return cls(**shapes.offer(found))


class RemoteImages(View):
    """A page of what is offered, and how fresh the catalogue is."""

    fetched_at: datetime | None
    """When every server last answered."""
    stale: bool
    """Whether the last try failed, so that an old copy (or none) is shown."""
    reason: str
    """Why, in the reader's language."""
    total: int
    """How many fit, of which ``images`` is a page."""
    images: list[OfferView]


class ImportImage(Body):
    """What to import: any name that it has, or that people give it."""

    alias: ImageAlias
    architecture: StrictStr = Field("", max_length=20)
    """The host's own where it is left out."""
    variant: StrictStr = Field("", max_length=50)


class PublishImage(Body):
    """What to make an image of."""

    container: ContainerName
    alias: ImageAlias
    """A short name of your own; the image becomes ``private/<you>/<name>``."""
    snapshot: StrictStr = Field("", max_length=100)
    """A snapshot of it; where it is left out the container must be stopped."""


class ImageFlags(Body):
    """The operator's say about one image; what is left out stays."""

    hidden: Flag | None = None
    """Shown to admins only."""
    pinned: Flag | None = None
    """Shown first; the build that is here is neither updated nor removed."""


class ImageInfoView(View):
    """One image: the columns of what is here, or else of what is offered, and all that is known of both."""

    id: int | None
    alias: str
    fingerprint: str
    distribution: str
    release: str
    codename: str
    architecture: str
    variant: str
    description: str
    size: int
    """Bytes."""
    status: image.ImageStatus
    """``available`` for one that is only offered."""
    imported_at: datetime | None
    created_at: datetime | None
    updated_at: datetime | None
    local: ImageView | None
    """What is here, or null."""
    remote: OfferView | None
    """What is offered, or null."""

    @classmethod
    def of(cls, local: image.Image | None, remote: image.Offer | None) -> Self:
        """The view of both records, of which one may be missing."""
        return cls(**shapes.image_info(local, remote))
