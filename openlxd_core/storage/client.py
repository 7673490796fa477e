"""The connection to SQLite: Tortoise's, with patience where another process holds the database, and our errors.

Tortoise loads it by name (``engine`` in its configuration). Statements inside a transaction go through Tortoise's
own wrapper; :mod:`openlxd_core.storage.transaction` treats theirs.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from tortoise.backends.sqlite.client import SqliteClient
from tortoise.exceptions import IntegrityError, OperationalError

from openlxd_core.backoff import Backoff
from openlxd_core.domain.errors import DatabaseBusy
from openlxd_core.storage import faults

T = TypeVar("T")

PATIENCE_SECONDS = 20.0
"""How long a statement or a unit waits for another process before it is refused as busy."""
BUSY_TIMEOUT_MS = 50
"""How long SQLite itself waits, which blocks the whole connection. Short: while one unit waits, others may read."""
_patience: ContextVar[float | None] = ContextVar("openlxd_patience", default=None)


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Within this block, wait no longer than ``seconds`` for a database that another process holds."""
    token = _patience.set(seconds)
    try:
        yield
    finally:
        _patience.reset(token)


def patience_seconds() -> float:
    """How long to wait here."""
    chosen = _patience.get()
    return PATIENCE_SECONDS if chosen is None else chosen


async def patiently(work: Callable[[], Awaitable[T]], file: str, *, again: bool = True) -> T:
    """Do ``work``, again while another process holds the database. Raises StorageUnavailable and its kinds.

    ``again=False`` only translates: for work that may be half done when it fails.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_seconds()
    # no growth: a writer holds the database for milliseconds. The jitter makes two waiting processes part ways
    backoff = Backoff(0.015, 0.015, jitter=0.7)
    while True:
        try:
            return await work()
        except IntegrityError:  # a kind of OperationalError, so it comes first
            raise
        except (OperationalError, sqlite3.Error) as error:
            fault = faults.translate(error, file)
            if fault is None:
                raise
            if not (again and isinstance(fault, DatabaseBusy) and loop.time() < deadline):
                faults.watch.failed(fault, error)
                raise fault from error
        await backoff.pause()


class _Held:
    """The connection while a statement has it.

    Tortoise's own never releases the lock if connecting fails, and goes on with a connection that was dropped while it
    waited.
    """

    def __init__(self, client: PatientSqliteClient) -> None:
        self._client = client

    async def __aenter__(self) -> Any:
        await self._client._lock.acquire()
        try:
            await self._client.connected()
        except BaseException:
            self._client._lock.release()
            raise
        return self._client._connection

    async def __aexit__(self, *_: object) -> None:
        self._client._lock.release()


class PatientSqliteClient(SqliteClient):
    """What Tortoise runs statements on."""

    def acquire_connection(self) -> Any:
        """The connection, for one statement."""
        return _Held(self)

    async def connected(self) -> None:
        """Connect if that is still to be done; for whoever holds the lock."""
        if self._connection is None:
            await self.create_connection(with_db=True)

    async def create_connection(self, with_db: bool) -> None:
        """Connect. A connection whose pragmas were set in part only (foreign keys off, say) is not kept."""
        try:
            await super().create_connection(with_db)
        except BaseException:
            await self.drop_connection()
            raise

    async def drop_connection(self) -> None:
        """Forget a connection in an unknown state; the next statement makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                await connection.close()

    async def execute_insert(self, query: str, values: list[Any]) -> int:
        """As Tortoise's."""
        insert = super().execute_insert
        return await patiently(lambda: insert(query, values), self.filename)

    async def execute_many(self, query: str, values: list[list[Any]]) -> None:
        """As Tortoise's."""
        execute = super().execute_many
        await patiently(lambda: execute(query, values), self.filename)  # one transaction: all of it or nothing

    async def execute_query(self, query: str, values: list[Any] | None = None) -> tuple[int, Sequence[dict[str, Any]]]:
        """As Tortoise's."""
        execute = super().execute_query
        return await patiently(lambda: execute(query, values), self.filename)

    async def execute_query_dict(self, query: str, values: list[Any] | None = None) -> list[dict[str, Any]]:
        """As Tortoise's."""
        execute = super().execute_query_dict
        return await patiently(lambda: execute(query, values), self.filename)

    async def execute_script(self, query: str) -> None:
        """As Tortoise's; several statements, so it is not tried twice."""
        execute = super().execute_script
        await patiently(lambda: execute(query), self.filename, again=False)


client_class = PatientSqliteClient
"""What Tortoise looks for in an engine."""
