"""Whether changes can be saved in the state directory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StorageState:
    """The state of the database and its disk."""

    writable: bool
    """Whether changes can be saved. Reading and signing in work regardless."""
    code: str = ""
    """The error code of changes at the moment (``storage_full`` …), or an empty string."""
