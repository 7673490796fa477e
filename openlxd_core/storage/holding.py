"""Who has the database open: an advisory lock beside it, which the kernel drops when a process ends, however it ends.

Every process of ours that opens the database shares the lock for as long as it has it open; whoever puts another file
in its place takes it alone.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from openlxd_core import file_lock
from openlxd_core.domain.errors import Conflict, unusable
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_

REPLACING_SECONDS = 20.0
"""How long a start waits while a restore puts another database in place."""
_NAMES_MOST = 5


def lock_file(file: Path) -> Path:
    """The lock of the database ``file``. It stays when the database is replaced."""
    return file.with_name(file.name + ".lock")


@asynccontextmanager
async def shared(file: Path) -> AsyncIterator[None]:
    """Have the database open, beside others. Raises Conflict where a restore takes too long."""
    descriptor = _open(lock_file(file))
    try:
        deadline = time.monotonic() + REPLACING_SECONDS
        while not file_lock.take(descriptor, shared=True):
            if time.monotonic() >= deadline:
                raise Conflict(
                    N_("The database {path} is being restored by {holders}. Try again when that is done."),
                    path=str(file),
                    holders=holders(file) or "?",
                )
            await asyncio.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """Have the database to oneself. Raises Conflict, which names who has it open."""
    descriptor = _open(lock_file(file))
    try:
        if not file_lock.take(descriptor):
            who = holders(file)
            if who:
                raise Conflict(
                    N_("The database {path} is in use by {holders}. Stop that first; nothing was changed."),
                    path=str(file),
                    holders=who,
                )
            raise Conflict(
                N_("The database {path} is in use by another process. Stop the servers first; nothing was changed."),
                path=str(file),
            )
        yield
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        return file_lock.open_lock(path)
    except OSError as error:
        raise unusable(path, error) from None


def holders(file: Path) -> str:
    """The processes that have the lock, for people: ``process 4711 (python -m openlxd_api)``; empty where unknown.

    From /proc/locks. Its device numbers differ from stat's on btrfs and overlayfs, so an inode that two file systems
    share is told apart by the files that the process has open, where we may look.
    """
    try:
        wanted = lock_file(file).stat()
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return ""
    found: list[int] = []
    for line in lines:
        parts = line.split()
        if len(parts) < 6 or "FLOCK" not in parts or "->" in parts:  # "->" waits for it
            continue
        pid, inode = parts[-4], parts[-3].rpartition(":")[2]
        if inode == str(wanted.st_ino) and pid.isdigit() and int(pid) not in (0, os.getpid(), *found):
            found.append(int(pid))
    named = [f"process {pid} ({what})" for pid in found if (what := _what(pid, wanted))]
    return ", ".join(named[:_NAMES_MOST]) + (" …" if len(named) > _NAMES_MOST else "")


def _what(pid: int, wanted: os.stat_result) -> str:
    """The command line of a process; empty where it turns out not to have the file open."""
    try:
        opened = [(found.st_ino, found.st_dev) for found in map(_stat, Path(f"/proc/{pid}/fd").iterdir()) if found]
        if (wanted.st_ino, wanted.st_dev) not in opened:
            return ""
    except OSError:
        pass  # another account's process: taken at the kernel's word
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "?"
    words[0] = words[0].rpartition("/")[2]
    return clean(" ".join(words).strip(), 100) or "?"


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
