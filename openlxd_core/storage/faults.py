"""What SQLite's errors mean for a person, decided once; and whether the database takes writes at the moment.

Every statement passes here on its way up (:mod:`openlxd_core.storage.client`, :mod:`openlxd_core.storage.transaction`),
so that nothing above this package sees an error of SQLite's. An error that is not translated is a bug of ours.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import structlog

from openlxd_core.domain.errors import DatabaseBusy, StorageUnavailable, storage_full
from openlxd_core.i18n import N_

log = structlog.get_logger(__name__)

ROOM_LEAST = 64 * 1024
"""Bytes that a disk must take, or it counts as full: a change needs its journal and new pages."""
ROOM_AMPLE = 16 * 1024 * 1024
"""Bytes left with which nobody has to try."""

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_BROKEN = frozenset(
    {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    }
)
_PRIMARY = 0xFF  # the low byte of an extended code


def translate(error: BaseException, file: str | Path) -> StorageUnavailable | None:
    """Our error for one of SQLite's about the database ``file`` (Tortoise may be around it); None for a bug of ours."""
    cause = _sqlite_error(error)
    extended = getattr(cause, "sqlite_errorcode", None)
    if cause is None or extended is None:
        return None
    code = extended & _PRIMARY
    if code in _BUSY:
        return DatabaseBusy(N_("The database is busy at the moment. Nothing was changed; try again soon."))
    # A full disk is SQLITE_FULL where a page is written, but an I/O error where a file grows by ftruncate or is
    # synchronised, and "cannot open" where the journal finds no inode.
    if code == sqlite3.SQLITE_FULL or (code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and is_full(file)):
        return storage_full()
    if extended == sqlite3.SQLITE_READONLY_DBMOVED:
        # "attempt to write a readonly database" misleads: the file that this process has open is no more the one at the
        # path (moved aside, deleted, replaced by a copy), and SQLite refuses to write where nobody would look.
        return StorageUnavailable(
            N_("The database file was moved or replaced while OpenLXD was running. Restart OpenLXD.")
        )
    if code in _BROKEN:
        return StorageUnavailable(N_("The database cannot be used at the moment. Try again soon."))
    return None


def _sqlite_error(error: BaseException) -> sqlite3.Error | None:
    around = (error, *error.args, error.__cause__, error.__context__)  # Tortoise keeps the original as an argument
    return next((found for found in around if isinstance(found, sqlite3.Error)), None)


def is_full(path: str | Path) -> bool:
    """Whether the file system under ``path`` (or under its nearest parent that exists) takes no more data.

    Near the end only a try tells: ext4 counts blocks as free that it gives to nobody, others to root alone.
    """
    place = Path(path)
    while not place.is_dir() and place != place.parent:
        place = place.parent
    try:
        found = os.statvfs(place)
    except OSError:
        return False
    if found.f_bavail * found.f_frsize >= ROOM_AMPLE and (found.f_favail > 0 or found.f_files == 0):
        return False
    try:
        scratch = os.open(place, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)  # has no name, leaves nothing
        try:
            os.posix_fallocate(scratch, 0, ROOM_LEAST)
        finally:
            os.close(scratch)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        return found.f_bavail * found.f_frsize < ROOM_LEAST  # nothing can be tried here
    return False


class WriteWatch:
    """Whether this process's last write to the database could be made, and what stood in its way."""

    def __init__(self) -> None:
        self.trouble: StorageUnavailable | None = None
        self.since: datetime | None = None
        self._troubled = asyncio.Event()

    def failed(self, fault: StorageUnavailable, cause: BaseException) -> None:
        """Note a failure; the first of a row is logged, with SQLite's own words for the operator."""
        if isinstance(fault, DatabaseBusy):
            return  # it passes by itself, and whoever was refused is told
        if self.trouble is None or self.trouble.code != fault.code:
            reason = str(_sqlite_error(cause) or cause)
            log.warning("storage_trouble", code=fault.code, reason=reason, message=str(fault))
            self.since = datetime.now(UTC)
        self.trouble = fault
        self._troubled.set()

    def succeeded(self) -> None:
        """Note that something was written."""
        if self.trouble is not None:
            log.info("storage_works_again", code=self.trouble.code)
        self.reset()

    def reset(self) -> None:
        """Begin afresh, as a process that has written nothing yet."""
        self.trouble = self.since = None
        self._troubled.clear()

    async def until_trouble(self) -> None:
        """Return once a write has failed and none has succeeded since."""
        await self._troubled.wait()


watch = WriteWatch()
"""Of this process: it has one database."""
