"""Locks between processes: here on files of one host. Another host needs another class with these methods."""

from __future__ import annotations

import os
from pathlib import Path

from openlxd_core import file_lock


class FileLock:
    """An advisory lock on a file, held until released or until the process is gone, however it went."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this process holds it."""
        return self._descriptor is not None

    def acquire(self) -> bool:
        """Take the lock without waiting; whether it is held now."""
        if self._descriptor is not None:
            return True
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = file_lock.open_lock(self._path)
        if not file_lock.take(descriptor):
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let it go. Safe to call twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
