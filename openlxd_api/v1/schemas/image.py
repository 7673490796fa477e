"""Local images and images of the image servers."""

from __future__ import annotations

from datetime import date, datetime
from typing import Self

from pydantic import Field, StrictStr

from openlxd_api.framework.models import Body, View
from openlxd_api.v1.schemas.base import ContainerName, Flag, ImageAlias
from openlxd_core import shapes
from openlxd_core.domain import image


class ImageView(View):
    """A local image."""

    id: int | None
    """Null for an image in LXD that is not recorded yet."""
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
    """The end-of-life date, if known."""
    used_by: list[str]
    """The containers created from it that you can see."""
    private: bool
    """Published from a container; visible to its owner and admins only."""
    newer: bool
    """Whether an image server has a newer build."""
    pinned: bool
    operation_id: str
    """The id of the running import, or an empty string."""

    @classmethod
    def of(cls, found: image.Image) -> Self:
        """The view of a record."""
        return cls(**shapes.image(found))


class OfferView(View):
    """One image that an image server offers."""

    id: int | None
    """The id of the local image; null if it is not imported."""
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
    """``available`` if it is not imported."""
    imported_at: datetime | None
    created_at: datetime | None
    """The build time, if it is not imported."""
    updated_at: datetime | None
    built_at: datetime | None
    server: str
    end_of_life: date | None
    ended: bool
    """Whether the release is past its end of life."""
    supported: bool
    """Whether OpenLXD supports this release."""
    published: bool
    """False for a supported release that no server publishes any more."""
    held: bool
    """Whether it is imported, in this build or an older one."""
    current: bool
    """Whether this build is imported."""
    hidden: bool
    pinned: bool
    progress: int
    """The percentage of a running import, or -1."""
    operation_id: str

    @classmethod
    def of(cls, found: image.Offer) -> Self:
        """The view of a record."""
        return cls(**shapes.offer(found))


class RemoteImages(View):
    """One page of the catalogue, and how recent it is."""

    fetched_at: datetime | None
    """The last time that every server answered."""
    stale: bool
    """Whether the last refresh failed, so that an older copy is shown."""
    reason: str
    """The reason, in the reader's language."""
    total: int
    """The number of matching images over all pages."""
    images: list[OfferView]


class ImportImage(Body):
    """The image to import, by any of its names."""

    alias: ImageAlias
    architecture: StrictStr = Field("", max_length=20)
    """The host's architecture if omitted."""
    variant: StrictStr = Field("", max_length=50)


class PublishImage(Body):
    """The image to publish."""

    container: ContainerName
    alias: ImageAlias
    """A short name of your own; the image becomes ``private/<you>/<name>``."""
    snapshot: StrictStr = Field("", max_length=100)
    """A snapshot of the container; without one the container must be stopped."""


class ImageFlags(Body):
    """An image's flags; omitted fields stay unchanged."""

    hidden: Flag | None = None
    """Shown to admins only."""
    pinned: Flag | None = None
    """Listed first; the imported build is neither updated nor removed."""


class ImageInfoView(View):
    """One image: the columns of the local image, or else of the catalogue's, and both records."""

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
    """``available`` if it is not imported."""
    imported_at: datetime | None
    created_at: datetime | None
    updated_at: datetime | None
    local: ImageView | None
    """The local image, or null."""
    remote: OfferView | None
    """The catalogue's image, or null."""

    @classmethod
    def of(cls, local: image.Image | None, remote: image.Offer | None) -> Self:
        """The view of both records, of which one may be missing."""
        return cls(**shapes.image_info(local, remote))
