"""Copies of the database: taken while it is in use, and put back while nobody has it open."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from openlxd_core.domain.errors import AlreadyExists, ConfigurationError, StorageUnavailable, storage_full
from openlxd_core.i18n import N_
from openlxd_core.storage import faults, holding
from openlxd_core.storage.client import PATIENCE_SECONDS
from openlxd_core.storage.files import (
    SIDE_FILES,
    applied,
    existing,
    file_of,
    integrity,
    make_place,
    require_known,
    side_file,
)

log = structlog.get_logger(__name__)


async def backup(url: str, target: Path, *, replace: bool = False) -> None:
    """Write a consistent copy to ``target`` (0600) while the database is in use: all of it or nothing.

    Raises AlreadyExists where ``target`` is there, unless ``replace``; ConfigurationError, StorageUnavailable.
    """
    source = file_of(url)
    if not source.exists():
        raise ConfigurationError(N_("The database {path} does not exist yet."), path=str(source))
    async with holding.shared(source):
        await asyncio.to_thread(_copy, source, target, replace)


def _copy(source: Path, target: Path, replace: bool) -> None:
    if target.is_dir():
        raise ConfigurationError(N_("{path} is a directory. Specify a file."), path=str(target))
    if target.exists() and not target.is_file():  # /dev/null with --force: the copy would take the device's place
        raise ConfigurationError(N_("{path} is not a regular file. Specify another one."), path=str(target))
    if target.exists() and target.samefile(source):
        raise ConfigurationError(N_("{path} is the database itself. Specify another file."), path=str(target))
    if os.path.lexists(target) and not replace:
        raise _taken(target)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    try:
        with _said(N_("The database cannot be backed up to {path}: {reason}."), target, source):
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            with contextlib.closing(existing(source)) as old, contextlib.closing(sqlite3.connect(partial)) as new:
                old.backup(new, progress=_no_longer_than(PATIENCE_SECONDS))
                new.execute("PRAGMA journal_mode=DELETE")  # one file, whatever the database itself uses
            wrong = integrity(partial)
            if wrong:
                raise ConfigurationError(N_("The backup is damaged: {reason}."), reason=wrong[0])
            _sync(partial)
            if replace:
                partial.replace(target)
            else:
                _put(partial, target)
            _sync(target.parent)
    finally:
        _drop(partial)


def _no_longer_than(seconds: float) -> Callable[[int, int, int], None]:
    """Python's backup waits for a locked database without end; this ends it."""
    deadline = time.monotonic() + seconds

    def progress(status: int, _remaining: int, _total: int) -> None:
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > deadline:
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = status
            raise error

    return progress


def _put(partial: Path, target: Path) -> None:
    """Give ``partial`` its name unless that has been taken meanwhile."""
    try:
        os.link(partial, target)
    except FileExistsError:
        raise _taken(target) from None
    except OSError as error:  # FAT and some network file systems have no hard links
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS):
            raise
        if os.path.lexists(target):
            raise _taken(target) from None
        partial.replace(target)


def _taken(target: Path) -> AlreadyExists:
    return AlreadyExists(
        N_("{path} already exists and was not changed. Choose another name, or use --force."), path=str(target)
    )


async def restore(url: str, source: Path) -> Path | None:
    """Put the copy ``source`` in the database's place; returns where the old one is kept.

    Raises Conflict while any process has the database open, and ConfigurationError if ``source`` is no sound database
    of this version or an earlier one; then nothing was changed. A crash leaves the old database or the new one.
    """
    file = file_of(url)
    return await asyncio.to_thread(_restore, file, source)


def _restore(file: Path, source: Path) -> Path | None:
    staged = file.with_name(file.name + ".restoring")
    with _said(N_("The database cannot be restored to {path}: {reason}."), file, file):
        make_place(file)
        with holding.alone(file):
            try:
                _stage(source, staged)
                drop_twins(file)
                aside = _settle(file) or (_keep(file) if file.exists() else None)
                staged.replace(file)
                _sync(file.parent)
            finally:
                _drop(staged)
    log.info("database_restored", source=str(source), kept=str(aside or ""))
    return aside


def _stage(source: Path, staged: Path) -> None:
    """A checked copy of ``source``, as one file, on the disk where the database is."""
    if not source.is_file():
        raise ConfigurationError(N_("There is no file {path}."), path=str(source))
    _drop(staged)
    os.close(os.open(staged, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    shutil.copyfile(source, staged)
    for ending in ("-wal", "-journal"):  # a copy by cp of a database in use has its last changes there
        if side_file(source, ending).exists():
            shutil.copyfile(side_file(source, ending), side_file(staged, ending))
    reason = ""
    try:
        with contextlib.closing(existing(staged)) as copy:
            copy.execute("PRAGMA journal_mode=DELETE")
        reason = next(iter(integrity(staged)), "")
    except sqlite3.Error as error:
        reason = str(error)
    found: list[str] = []
    if not reason:
        with contextlib.suppress(ConfigurationError):  # it names the file that the copy was made from
            found = applied(staged)
    if not found:
        raise ConfigurationError(
            N_("{path} is not a valid backup of an OpenLXD database: {reason}."),
            path=str(source),
            reason=reason or "it has no tables of ours",
        )
    require_known(source, found)
    if os.geteuid() == 0:
        owner = staged.parent.stat()
        os.chown(staged, owner.st_uid, owner.st_gid)
    _sync(staged)


def _settle(file: Path) -> Path | None:
    """Bring everything of the old database into its one file: what a killed process left beside it must not meet the
    new one, which SQLite would take it for a part of. A damaged one is kept as it stands; where."""
    kept: Path | None = None
    if file.exists():
        try:
            with contextlib.closing(existing(file)) as old:
                old.execute("BEGIN EXCLUSIVE")  # rolls back what was half written; fails while a stranger has it
                old.execute("COMMIT")
                old.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.Error as error:
            if isinstance(fault := faults.translate(error, file), StorageUnavailable) and fault.code == "database_busy":
                raise fault from error
            log.warning("old_database_damaged", reason=str(error))
            kept = _free_name(file)
            for ending in ("", *SIDE_FILES):
                if side_file(file, ending).exists():
                    shutil.copy2(side_file(file, ending), side_file(kept, ending))
    for ending in SIDE_FILES:
        side_file(file, ending).unlink(missing_ok=True)
    return kept


def _keep(file: Path) -> Path:
    """A second name for the old database, which stays when the first is taken from it."""
    kept = _free_name(file)
    try:
        os.link(file, kept)
    except OSError:  # no hard links here
        shutil.copy2(file, kept)
        _sync(kept)
    return kept


def _free_name(file: Path) -> Path:
    base = f"{file.name}.replaced-{time.strftime('%Y%m%d-%H%M%S')}"
    names = (file.with_name(base + ("" if number == 1 else f"-{number}")) for number in range(1, 10_000))
    return next(name for name in names if not os.path.lexists(name))


def drop_twins(file: Path) -> None:
    """Remove the second name of a database whose restore was cut short before the new one took its place."""
    if file.exists() and file.stat().st_nlink > 1:
        for other in file.parent.glob(f"{file.name}.replaced-*"):
            if other.samefile(file):
                other.unlink()


def _drop(file: Path) -> None:
    for ending in ("", *SIDE_FILES):
        side_file(file, ending).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _said(template: str, path: Path, database: Path) -> Iterator[None]:
    """Errors of the system and of SQLite as one sentence."""
    try:
        yield
    except sqlite3.Error as error:
        fault = faults.translate(error, database)
        if fault is not None and fault.code == "database_busy":
            raise fault from error
        raise ConfigurationError(template, path=str(path), reason=str(error)) from error
    except OSError as error:
        reason = error.strerror or str(error)
        where = str(error.filename or path)
        if error.errno in (errno.ENOSPC, errno.EDQUOT) and where.startswith(str(database.parent)):
            raise storage_full() from error
        raise ConfigurationError(template, path=str(path), reason=reason) from error
