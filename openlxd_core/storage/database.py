"""Opening, upgrading, copying and checking the database."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import structlog
from tortoise import Tortoise
from tortoise.backends.base.config_generator import expand_db_url
from tortoise.context import TortoiseContext, set_global_context
from tortoise.exceptions import ConfigurationError as TortoiseConfigurationError
from tortoise.exceptions import OperationalError
from tortoise.migrations.api import migrate

from openlxd_core.domain.errors import ConfigurationError, DatabaseBusy, StorageFull
from openlxd_core.i18n import N_
from openlxd_core.storage import faults
from openlxd_core.storage.client import BUSY_TIMEOUT_MS, PATIENCE_SECONDS
from openlxd_core.storage.transaction import CONNECTION, units_done

log = structlog.get_logger(__name__)

MIGRATIONS = Path(__file__).with_name("migrations")
ENGINE = "openlxd_core.storage.client"
_BACKUPS_KEPT = 10


def journal_mode(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> str:
    """WAL where this SQLite has the fix for the WAL-reset bug (3.51.3, 3.50.7, 3.44.6), else TRUNCATE.

    The bug can corrupt a database that two processes write: https://www.sqlite.org/wal.html#walresetbug
    """
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51, 0) or (3, 44, 6) <= version < (3, 45, 0)
    return "WAL" if fixed else "TRUNCATE"


def sqlite_file(url: str) -> Path | None:
    """The file behind an SQLite URL; None for another database or one in memory."""
    scheme, _, rest = url.partition("://")
    path = rest.partition("?")[0]
    return Path(path) if scheme == "sqlite" and path and path != ":memory:" else None


def tortoise_config(url: str, *, patient: bool = False) -> dict[str, Any]:
    """The configuration of Tortoise for ``url``; ``tortoise makemigrations`` reads it as well.

    ``patient`` puts our own client in: Tortoise's migrations know their dialect by the client's module, so they run on
    Tortoise's.
    """
    connection = expand_db_url(url)
    if url.startswith("sqlite://"):
        if patient:
            connection["engine"] = ENGINE
        connection["credentials"] = {
            "file_path": connection["credentials"]["file_path"],
            # first: the others are statements, too, and wait for whoever holds the database
            "busy_timeout": str(BUSY_TIMEOUT_MS if patient else 10_000),
            "journal_mode": "MEMORY" if sqlite_file(url) is None else journal_mode(),
            "synchronous": "FULL",
            "foreign_keys": "ON",
            "trusted_schema": "OFF",
            "cell_size_check": "ON",
            "journal_size_limit": "16777216",
            "temp_store": "MEMORY",  # a sort that spills must not need a disk that is full
        }
    return {
        "connections": {CONNECTION: connection},
        "apps": {
            "models": {
                "models": ["openlxd_core.storage.models"],
                "default_connection": CONNECTION,
                "migrations": "openlxd_core.storage.migrations",
            }
        },
        "use_tz": True,
        "timezone": "UTC",
    }


TORTOISE_CONFIG = tortoise_config("sqlite://:memory:")
"""For the ``tortoise`` command."""


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[None]:
    """Upgrade the database at ``url`` and keep it open for this task and every task started from it.

    Open it in the outermost ``async with``, before any listener: handlers inherit the context from there.
    """
    file = sqlite_file(url)
    if file is not None:
        await upgrade(url)
        log.debug("database", file=str(file), sqlite=sqlite3.sqlite_version, journal=journal_mode())
    faults.watch.reset()
    context = TortoiseContext()
    with context:
        with contextlib.suppress(TortoiseConfigurationError):  # only one can be the fallback
            set_global_context(context)
        await context.init(config=tortoise_config(url, patient=True))
        try:
            if file is None:
                await context.generate_schemas()
            yield
        finally:
            await units_done()
            await context.close_connections()


async def upgrade(url: str) -> list[str]:
    """Bring the schema up to date, after a backup where there is data; returns the migrations applied.

    One process does it, the other waits. Raises ConfigurationError for a database newer than the program or one
    that is no database.
    """
    file = sqlite_file(url)
    if file is None:
        await _migrate(url)
        return []
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        return await _upgrade(url, file)
    except (OperationalError, sqlite3.Error) as error:
        fault = faults.translate(error, file)
        if fault is None:
            raise
        raise fault from error


async def _upgrade(url: str, file: Path) -> list[str]:
    with _exclusive(file.with_name(file.name + ".upgrade-lock")):
        known = sorted(p.stem for p in MIGRATIONS.glob("[0-9]*.py"))
        applied = _applied(file)
        newer = sorted(set(applied) - set(known))
        if newer:
            raise ConfigurationError(
                N_("The database {path} was written by a newer OpenLXD (it has {migration}). Install that version."),
                path=str(file),
                migration=newer[0],
            )
        waiting = [name for name in known if name not in applied]
        if not waiting:
            return []
        if applied:
            copy = file.parent / "backups" / f"{file.stem}-{time.strftime('%Y%m%d-%H%M%S')}-before-{waiting[0]}.sqlite3"
            await backup(url, copy)
            _prune(copy.parent)
            log.info("database_backup", file=str(copy))
            await _migrate(url)
        else:
            await _create(file)
        log.info("database_upgraded", migrations=waiting)
        return waiting


async def _create(file: Path) -> None:
    # made aside and moved into place: a crash in the middle leaves nothing half made behind
    fresh = file.with_name(file.name + ".new")
    fresh.unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    await _migrate(f"sqlite://{fresh}")
    for leftover in ("-wal", "-shm", "-journal"):
        fresh.with_name(fresh.name + leftover).unlink(missing_ok=True)
    fresh.replace(file)


async def _migrate(url: str) -> None:
    # a context of its own, so that nothing of it leaks into the caller's
    async def run() -> None:
        try:
            await migrate(config=tortoise_config(url))
        finally:
            await Tortoise.close_connections()

    await asyncio.create_task(run())


def _existing(file: Path) -> sqlite3.Connection:
    """A connection for reading a file that exists. Not read-only where that can be helped: what a killed process left
    half written must be rolled back first, and a read-only connection refuses to."""
    mode = "rw" if os.access(file, os.W_OK) else "ro"
    return sqlite3.connect(f"file:{file}?mode={mode}", uri=True, timeout=PATIENCE_SECONDS)


def _applied(file: Path) -> list[str]:
    if not file.exists() or file.stat().st_size == 0:
        return []
    try:
        with contextlib.closing(_existing(file)) as connection:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "tortoise_migrations" not in tables:
                return []
            return [row[0] for row in connection.execute("SELECT name FROM tortoise_migrations ORDER BY id")]
    except sqlite3.Error as error:
        fault = faults.translate(error, file)
        if isinstance(fault, DatabaseBusy | StorageFull):
            raise fault from error
        raise ConfigurationError(
            N_("The database {path} cannot be read: {reason}. Restore it with: openlxd db restore FILE"),
            path=str(file),
            reason=str(error),
        ) from None


def _prune(directory: Path) -> None:
    for old in sorted(directory.glob("*.sqlite3"), key=lambda p: p.stat().st_mtime)[:-_BACKUPS_KEPT]:
        old.unlink(missing_ok=True)


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


async def backup(url: str, target: Path) -> None:
    """Write a consistent copy to ``target`` while the database is in use. Raises ConfigurationError."""
    source = _file_of(url)
    await asyncio.to_thread(_copy, source, target)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = target.with_name(target.name + ".partial")
    partial.unlink(missing_ok=True)
    try:
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with (
            contextlib.closing(_existing(source)) as old,
            contextlib.closing(sqlite3.connect(partial)) as new,
        ):
            old.backup(new)
        wrong = integrity(partial)
        if wrong:
            raise ConfigurationError(N_("The copy is damaged: {reason}."), reason=wrong[0])
        partial.replace(target)
    except (sqlite3.Error, OSError) as error:
        raise ConfigurationError(
            N_("The database cannot be copied to {path}: {reason}."), path=str(target), reason=str(error)
        ) from None
    finally:
        partial.unlink(missing_ok=True)


async def restore(url: str, source: Path) -> Path | None:
    """Put the copy ``source`` in the database's place; returns where the old one was moved.

    Both processes must be stopped. Raises ConfigurationError if ``source`` is no sound database.
    """
    file = _file_of(url)
    wrong = await asyncio.to_thread(integrity, source)
    if wrong or not _applied(source):
        raise ConfigurationError(
            N_("{path} is not a sound copy of an OpenLXD database: {reason}."),
            path=str(source),
            reason=wrong[0] if wrong else "it has no tables of ours",
        )
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _exclusive(file.with_name(file.name + ".upgrade-lock")):
        staged = file.with_name(file.name + ".restoring")
        shutil.copyfile(source, staged)
        staged.chmod(0o600)
        aside: Path | None = None
        if file.exists():
            aside = file.with_name(f"{file.name}.replaced-{time.strftime('%Y%m%d-%H%M%S')}")
            file.rename(aside)
        for leftover in ("-wal", "-shm", "-journal"):
            file.with_name(file.name + leftover).unlink(missing_ok=True)
        staged.replace(file)
    return aside


def integrity(file: Path) -> list[str]:
    """What is wrong with an SQLite file, in SQLite's words; empty when it is sound."""
    if not file.is_file():
        return [f"there is no file {file}"]
    try:
        with contextlib.closing(_existing(file)) as connection:
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)") if row[0] != "ok"]
            found += [
                f"row {row[1]} of {row[0]} points nowhere" for row in connection.execute("PRAGMA foreign_key_check")
            ]
            return found
    except sqlite3.Error as error:
        return [str(error)]


async def check(url: str) -> list[str]:
    """What is wrong with the database; empty when it is sound."""
    return await asyncio.to_thread(integrity, _file_of(url))


def _file_of(url: str) -> Path:
    file = sqlite_file(url)
    if file is None:
        raise ConfigurationError(N_("This works on an SQLite file; use the database server's own tools."))
    return file
