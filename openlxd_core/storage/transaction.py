"""The one way to write: a short unit of work that is done as a whole or not at all.

Tortoise's own ``in_transaction`` begins deferred, so two processes that read before they write lose their work
to "database is locked"; and a task cancelled inside it (somebody closes the TUI while saving) leaves the
process's only connection locked until a restart. So a unit runs in a task of its own, shielded from the caller's
cancellation, between ``BEGIN IMMEDIATE`` and ``COMMIT``. Nothing but the database may be awaited in it.
"""

from __future__ import annotations

import asyncio
import functools
import sqlite3
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

import structlog
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.backends.sqlite.client import SqliteTransactionWrapper
from tortoise.connection import get_connection, get_connections
from tortoise.exceptions import IntegrityError

from openlxd_core.backoff import Backoff
from openlxd_core.domain.errors import AlreadyExists, StorageUnavailable
from openlxd_core.i18n import N_
from openlxd_core.storage.client import PatientSqliteClient, patience, patiently
from openlxd_core.storage.faults import watch

log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

CONNECTION = "default"
BEST_EFFORT_SECONDS = 2.0
"""How long a unit that may be left out waits for another process."""
SURELY_SECONDS = (0.5, 5.0)
"""The first and the longest pause before what has to be written is tried again."""
_inside: ContextVar[bool] = ContextVar("openlxd_in_transaction", default=False)
_units: set[asyncio.Task[Any]] = set()
_after_commit: list[Callable[[], None]] = []


def after_commit(callback: Callable[[], None]) -> Callable[[], None]:
    """Call ``callback`` after every commit of this process; returns how to stop that."""
    _after_commit.append(callback)
    return lambda: _after_commit.remove(callback)


def transaction(work: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """Make ``work`` one unit. Called inside another unit, it becomes part of that one.

    Once begun, a unit ends by itself even if its caller is cancelled. Start tasks after it, never in it: they would
    keep the unit's connection and write past its end.
    """

    @functools.wraps(work)
    async def unit(*args: P.args, **kwargs: P.kwargs) -> T:
        if _inside.get():
            return await work(*args, **kwargs)
        task = asyncio.create_task(_run(functools.partial(work, *args, **kwargs)))
        _units.add(task)
        task.add_done_callback(_forget)
        return await asyncio.shield(task)

    return unit


async def units_done() -> None:
    """Wait until every unit that has begun is over (before the connection closes)."""
    while _units:
        await asyncio.gather(*_units, return_exceptions=True)


def _forget(task: asyncio.Task[Any]) -> None:
    _units.discard(task)
    if not task.cancelled():
        task.exception()  # seen: the caller may be gone


async def _run(work: Callable[[], Awaitable[T]]) -> T:
    _inside.set(True)
    client = get_connection(CONNECTION)
    try:
        if isinstance(client, PatientSqliteClient):
            result = await patiently(lambda: _sqlite(client, work), client.filename)
        else:
            result = await _other(client, work)
    except IntegrityError as error:
        raise AlreadyExists(N_("It already exists.")) from error
    for callback in list(_after_commit):
        callback()
    return result


async def _sqlite(client: PatientSqliteClient, work: Callable[[], Awaitable[T]]) -> T:
    async with client._lock:
        await client.connected()
        unit = SqliteTransactionWrapper(client)
        raw = unit._connection
        token = get_connections().set(CONNECTION, unit)
        try:
            changes = raw.total_changes
            await raw.execute("BEGIN IMMEDIATE")
            try:
                result = await work()
                # Readers in another process can hold up the last step; the work itself is not done twice for that.
                await patiently(lambda: raw.execute("COMMIT"), client.filename)
            except BaseException:
                await _roll_back(client)
                raise
            if raw.total_changes != changes:
                watch.succeeded()
        finally:
            get_connections().reset(token)
    return result


async def _roll_back(client: PatientSqliteClient) -> None:
    """Undo what a unit has begun; SQLite may have done so itself (a full disk, an I/O error)."""
    raw = client._connection
    try:
        if raw is not None and raw.in_transaction:
            await raw.execute("ROLLBACK")
    except sqlite3.Error as error:
        log.warning("rollback_failed", reason=str(error))
        await client.drop_connection()


async def _other(client: BaseDBAsyncClient, work: Callable[[], Awaitable[T]]) -> T:
    async with client._in_transaction():
        return await work()


async def best_effort(work: Callable[P, Awaitable[object]], event: str, *args: P.args, **kwargs: P.kwargs) -> None:
    """Do a unit that may be left out where the database takes no writes: the record of a login, say.

    Waits ``BEST_EFFORT_SECONDS`` at most for another process. What is left out is logged under ``event``.
    """
    with patience(BEST_EFFORT_SECONDS):
        try:
            await work(*args, **kwargs)
        except StorageUnavailable as error:
            log.warning(event, code=error.code)


async def surely(work: Callable[[], Awaitable[T]], **about: object) -> T:
    """Do ``work`` again until the database and its disk allow it: nobody else would write how something ended.

    ``about`` goes into the log line of the first try that fails.
    """
    backoff = Backoff(*SURELY_SECONDS)
    while True:
        try:
            return await work()
        except StorageUnavailable as error:
            if not backoff.pauses:
                log.warning("waits_for_storage", code=error.code, **about)
        await backoff.pause()
