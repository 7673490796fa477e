"""Whether the state directory takes what has to be written."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StorageState:
    """How the database and the disk under it are."""

    writable: bool
    """Whether changes can be saved. Reading and signing in go on without it."""
    code: str = ""
    """The error that a change gets now (``storage_full`` …), or an empty string."""
