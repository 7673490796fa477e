"""Opening, upgrading and checking the database."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog
from tortoise import Tortoise
from tortoise.backends.base.config_generator import expand_db_url
from tortoise.context import TortoiseContext, set_global_context
from tortoise.exceptions import ConfigurationError as TortoiseConfigurationError
from tortoise.exceptions import OperationalError
from tortoise.migrations.api import migrate

from openlxd_core import file_lock
from openlxd_core.storage import faults, holding
from openlxd_core.storage.backups import backup, drop_twins
from openlxd_core.storage.client import BUSY_TIMEOUT_MS
from openlxd_core.storage.files import (
    MIGRATIONS,
    SIDE_FILES,
    applied,
    file_of,
    integrity,
    make_place,
    require_known,
    side_file,
    sqlite_file,
)
from openlxd_core.storage.transaction import CONNECTION, units_done

log = structlog.get_logger(__name__)

ENGINE = "openlxd_core.storage.client"
_BACKUPS_KEPT = 10


def journal_mode(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> str:
    """WAL where this SQLite has the fix for the WAL-reset bug (3.51.3, 3.50.7, 3.44.6), else TRUNCATE.

    The bug can corrupt a database that two processes write: https://www.sqlite.org/wal.html#walresetbug
    """
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51, 0) or (3, 44, 6) <= version < (3, 45, 0)
    return "WAL" if fixed else "TRUNCATE"


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
        make_place(file)
    async with holding.shared(file) if file is not None else contextlib.nullcontext():
        if file is not None:
            await upgrade(url)
            log.debug("database", file=str(file), sqlite=sqlite3.sqlite_version, journal=journal_mode())
        async with _connected(url):
            yield


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[None]:
    faults.watch.reset()
    context = TortoiseContext()
    with context:
        with contextlib.suppress(TortoiseConfigurationError):  # only one can be the fallback
            set_global_context(context)
        await context.init(config=tortoise_config(url, patient=True))
        try:
            if sqlite_file(url) is None:
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
    make_place(file)
    try:
        async with holding.shared(file):
            return await _upgrade(url, file)
    except (OperationalError, sqlite3.Error) as error:
        fault = faults.translate(error, file)
        if fault is None:
            raise
        raise fault from error


async def _upgrade(url: str, file: Path) -> list[str]:
    with file_lock.locked(file.with_name(file.name + ".upgrade-lock")):
        drop_twins(file)
        there = applied(file)
        require_known(file, there)
        waiting = [name for name in sorted(p.stem for p in MIGRATIONS.glob("[0-9]*.py")) if name not in there]
        if not waiting:
            return []
        if there:
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
    for ending in SIDE_FILES:
        side_file(fresh, ending).unlink(missing_ok=True)
        side_file(file, ending).unlink(missing_ok=True)  # SQLite would take another database's for a part of this
    fresh.replace(file)


async def _migrate(url: str) -> None:
    # a context of its own, so that nothing of it leaks into the caller's
    async def run() -> None:
        try:
            await migrate(config=tortoise_config(url))
        finally:
            await Tortoise.close_connections()

    await asyncio.create_task(run())


def _prune(directory: Path) -> None:
    for old in sorted(directory.glob("*.sqlite3"), key=lambda p: p.stat().st_mtime)[:-_BACKUPS_KEPT]:
        old.unlink(missing_ok=True)


async def check(url: str) -> list[str]:
    """What is wrong with the database; empty when it is sound."""
    file = file_of(url)
    if not file.exists():
        return await asyncio.to_thread(integrity, file)
    async with holding.shared(file):
        return await asyncio.to_thread(integrity, file)
