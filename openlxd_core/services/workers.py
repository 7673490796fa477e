"""Which processes of ours are alive, told by locks that the kernel drops when one dies."""

from __future__ import annotations

import fcntl
import os
import uuid
from pathlib import Path


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
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let it go. Safe to call twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class Workers:
    """This process's own mark of life, and the others'."""

    def __init__(self, state_dir: Path) -> None:
        self._directory = state_dir / "workers"
        self.id = str(uuid.uuid4())
        self._own = FileLock(self._directory / self.id)
        self.leader = FileLock(state_dir / "reconciler.lock")
        """Held by the one process that reconciles."""

    def start(self) -> None:
        """Say that this process is alive."""
        if not self._own.acquire():
            raise AssertionError("a new worker's lock cannot be taken")

    def stop(self) -> None:
        """Say that it is not any more."""
        self.leader.release()
        self._own.release()
        (self._directory / self.id).unlink(missing_ok=True)

    def alive(self, worker: str) -> bool:
        """Whether the process with this mark still lives."""
        if worker == self.id:
            return True
        path = self._directory / worker
        if not worker or not path.exists():
            return False
        lock = FileLock(path)
        if not lock.acquire():
            return True
        path.unlink(missing_ok=True)
        lock.release()
        return False
