"""Images: local ones and those of the image servers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum


class ImageStatus(StrEnum):
    """The four statuses of the design paper."""

    AVAILABLE = "available"
    DOWNLOADING = "downloading"
    IMPORTED = "imported"
    FAILED = "failed"


@dataclass(frozen=True)
class Image:
    """One image of the local list."""

    alias: str
    fingerprint: str
    distribution: str
    """In lower case, as in aliases."""
    release: str
    """The version number: ``22.04``; the release's name if it has none."""
    architecture: str
    """Debian's name for it, as image servers use it: ``amd64``."""
    variant: str
    description: str
    size_bytes: int
    status: ImageStatus
    imported_at: datetime | None
    users: Sequence[str] = ()
    """The containers created from it that the reader can see."""
    private: bool = False
    """Published from a container; visible to its owner and admins only."""
    user_id: int | None = None
    """Who imported or published it; None for the installation's own."""
    end_of_life: date | None = None
    """The end-of-life date, if known."""
    newer: bool = False
    """Whether an image server has a newer build."""
    pinned: bool = False
    operation_id: str = ""
    """The id of the running import, or an empty string."""
    codename: str = ""
    """The release's other name: ``jammy``; or an empty string."""
    id: int | None = None
    """The row's id; None for an image in LXD that is not recorded yet."""
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """What the table of images holds of one that is offered as well."""

    id: int
    status: ImageStatus
    imported_at: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Offer:
    """One image of an image server: one distribution, release, architecture and variant, in its newest whole build."""

    alias: str
    """The alias after an import: ``ubuntu/24.04``, ``ubuntu/24.04/cloud``, ``ubuntu/24.04/arm64`` off the host's
    own."""
    aliases: Sequence[str]
    """Every name that the server gives it."""
    distribution: str
    release: str
    """The code name where it has one: ``noble``."""
    version: str
    """The version number: ``24.04``."""
    architecture: str
    """Debian's name for it: ``amd64``."""
    variant: str
    size_bytes: int
    """Bytes of both files together; 0 if no longer published."""
    built_at: datetime | None
    serial: str
    """The build's own name, as ``20260814_05:24``."""
    fingerprint: str
    """The fingerprint that LXD will compute."""
    server: str
    """The address of its server; an empty string where it is no longer published."""
    product: str
    """The server's own key for it."""
    end_of_life: date | None
    listed: bool
    """Whether OpenLXD supports this release."""
    published: bool = True
    """False for a supported release that no server publishes any more."""
    held: bool = False
    """Whether it is imported, in this build or an older one."""
    current: bool = False
    """Whether this build is imported."""
    hidden: bool = False
    """Shown to admins only."""
    pinned: bool = False
    """Listed first; the imported build is neither updated nor removed."""
    importing: int = -1
    """The percentage of a running import, or -1."""
    operation_id: str = ""
    """The id of that import, or an empty string."""
    native: bool = True
    """Whether it is built for this host's architecture."""

    @property
    def available(self) -> bool:
        """Whether a container can be made from it here: some server publishes it, and this host can run it."""
        return self.published and self.native

    record: ImageRecord | None = None
    """Its row, if it is imported, being imported or failed."""

    @property
    def codename(self) -> str:
        """The release's other name: ``noble``; or an empty string."""
        return self.release if self.release != self.version else ""

    @property
    def status(self) -> ImageStatus:
        """``available`` if it is not imported."""
        if self.importing >= 0:
            return ImageStatus.DOWNLOADING
        if self.record is not None:
            return self.record.status
        return ImageStatus.IMPORTED if self.held else ImageStatus.AVAILABLE

    def ended(self, today: date) -> bool:
        """Whether the release is past its end of life."""
        return self.end_of_life is not None and self.end_of_life < today


@dataclass(frozen=True)
class CatalogueState:
    """How recent the catalogue is."""

    fetched_at: datetime | None
    """The last time that every server answered; None before."""
    stale: bool
    """Whether the last refresh failed, so that an older copy (or none) is shown."""
    reason: str
    """The reason, translated; an empty string without a failure."""
    offers: int
    refreshing: bool = False


LXD_ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "i686": "i386",
    "armv7l": "armhf",
    "armv6l": "armel",
    "ppc64le": "ppc64el",
    "s390x": "s390x",
    "riscv64": "riscv64",
    "mips64": "mips64el",
    "loongarch64": "loongarch64",
}
"""LXD's name of an architecture, and Debian's, which the image servers use."""


def offered_architecture(name: str) -> str:
    """Debian's name for ``name``, whichever of the two it is."""
    return LXD_ARCHITECTURES.get(name, name)


def lxd_architecture(name: str) -> str:
    """LXD's name for ``name``, whichever of the two it is."""
    return next((lxd for lxd, debian in LXD_ARCHITECTURES.items() if debian == name), name)
