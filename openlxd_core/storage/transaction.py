"""The one way to write: a short unit of work that is done as a whole or not at all.

Tortoise's own ``in_transaction`` begins deferred, so two processes that read before they write lose their work
to "database is locked"; and a task cancelled inside it (somebody closes the TUI while saving) leaves the
process's only connection locked for ever. So a unit runs in a task of its own, shielded from the caller's
cancellation, between ``BEGIN IMMEDIATE`` and ``COMMIT``. Nothing but the database may be awaited in it.
"""

from __future__ import annotations

import asyncio
import functools
import sqlite3
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.backends.sqlite.client import SqliteClient, SqliteTransactionWrapper
from tortoise.connection import get_connection, get_connections
from tortoise.exceptions import IntegrityError, OperationalError

from openlxd_core.domain.errors import AlreadyExists, Busy
from openlxd_core.i18n import N_

P = ParamSpec("P")
T = TypeVar("T")

CONNECTION = "default"
_TRIES_WHEN_LOCKED = 2
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
    for attempt in range(_TRIES_WHEN_LOCKED):
        try:
            result = await (_sqlite(client, work) if isinstance(client, SqliteClient) else _other(client, work))
            break
        except IntegrityError as error:  # a kind of OperationalError, so it comes first
            raise AlreadyExists(N_("This exists already.")) from error
        except (OperationalError, sqlite3.OperationalError) as error:
            if "locked" not in str(error):
                raise
            if attempt == _TRIES_WHEN_LOCKED - 1:
                raise Busy(N_("The database is busy at the moment. Nothing was changed; try again soon.")) from error
    for callback in list(_after_commit):
        callback()
    return result


async def _sqlite(client: SqliteClient, work: Callable[[], Awaitable[T]]) -> T:
    async with client._lock:
        if client._connection is None:
            await client.create_connection(with_db=True)
        unit = SqliteTransactionWrapper(client)
        raw = unit._connection
        token = get_connections().set(CONNECTION, unit)
        try:
            await raw.execute("BEGIN IMMEDIATE")
            try:
                result = await work()
                await raw.execute("COMMIT")
            except BaseException:
                if raw.in_transaction:
                    await raw.execute("ROLLBACK")
                raise
        finally:
            get_connections().reset(token)
    return result


async def _other(client: BaseDBAsyncClient, work: Callable[[], Awaitable[T]]) -> T:
    async with client._in_transaction():
        return await work()
