"""Images that LXD holds, and how people write their names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
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
    release: str
    architecture: str
    variant: str
    description: str
    size_bytes: int
    status: ImageStatus
    imported_at: datetime | None
