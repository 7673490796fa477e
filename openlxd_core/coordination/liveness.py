"""Which processes of ours are alive, told by locks that the kernel drops when one dies."""

from __future__ import annotations

import uuid
from pathlib import Path

from openlxd_core.coordination.locks import FileLock


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
