"""Images: those that LXD holds, and those that image servers offer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum


class ImageStatus(StrEnum):
    """The design paper's four."""

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
    """The number people say: ``22.04``; its name where it has none."""
    architecture: str
    """Debian's name for it, as image servers use it: ``amd64``."""
    variant: str
    description: str
    size_bytes: int
    status: ImageStatus
    imported_at: datetime | None
    users: Sequence[str] = ()
    """The containers made from it that the reader may see."""
    private: bool = False
    """Published from a container: its owner's and the admins' alone."""
    user_id: int | None = None
    """Who imported or published it; None for the house's."""
    end_of_life: date | None = None
    """When its makers stop mending it, where that is known."""
    newer: bool = False
    """Whether an image server offers a newer build."""
    pinned: bool = False
    operation_id: str = ""
    """The import under way, or an empty string."""
    codename: str = ""
    """The release's other name: ``jammy``; an empty string where it has none."""
    id: int | None = None
    """Of its row; None for one that LXD holds and that has not been recorded yet."""
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
    """The name it gets here: ``ubuntu/24.04``, ``ubuntu/24.04/cloud``, ``ubuntu/24.04/arm64`` off the host's own."""
    aliases: Sequence[str]
    """Every name that the server gives it."""
    distribution: str
    release: str
    """The code name where it has one: ``noble``."""
    version: str
    """The number people say: ``24.04``."""
    architecture: str
    """Debian's name for it: ``amd64``."""
    variant: str
    size_bytes: int
    """Of the two files together; 0 where it is no longer published."""
    built_at: datetime | None
    serial: str
    """The build's own name, as ``20260814_05:24``."""
    fingerprint: str
    """What LXD will call it."""
    server: str
    """The address of its server; an empty string where it is no longer published."""
    product: str
    """The server's own key for it."""
    end_of_life: date | None
    listed: bool
    """Whether it is one that OpenLXD promises to support."""
    published: bool = True
    """False for one that is promised, and that no server builds any more."""
    held: bool = False
    """Whether LXD holds it, in this build or an older one."""
    current: bool = False
    """Whether LXD holds this very build."""
    hidden: bool = False
    """Shown to admins only."""
    pinned: bool = False
    """Shown first; the build that is held is neither updated nor removed."""
    importing: int = -1
    """The percent of an import under way, or -1."""
    operation_id: str = ""
    """That import, or an empty string."""
    native: bool = True
    """Whether it is built for this host's architecture."""

    @property
    def available(self) -> bool:
        """Whether a container can be made from it here: some server publishes it, and this host can run it."""
        return self.published and self.native

    record: ImageRecord | None = None
    """Its row, where it is here, is being imported or could not be."""

    @property
    def codename(self) -> str:
        """The release's other name: ``noble``; an empty string where it has none."""
        return self.release if self.release != self.version else ""

    @property
    def status(self) -> ImageStatus:
        """``available`` for what is only offered."""
        if self.importing >= 0:
            return ImageStatus.DOWNLOADING
        if self.record is not None:
            return self.record.status
        return ImageStatus.IMPORTED if self.held else ImageStatus.AVAILABLE

    def ended(self, today: date) -> bool:
        """Whether its makers have stopped mending it."""
        return self.end_of_life is not None and self.end_of_life < today


@dataclass(frozen=True)
class CatalogueState:
    """How fresh the catalogue is."""

    fetched_at: datetime | None
    """When every server last answered; None before the first time."""
    stale: bool
    """Whether the last try failed, so that an old copy (or none) is shown."""
    reason: str
    """Why, for people; an empty string while all is well."""
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
