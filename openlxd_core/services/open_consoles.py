"""The commands that run in containers for this process's sessions, so that a suspension can end them.

Whichever process suspends a container, every process hears of it through the feed within a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog

from openlxd_core.coordination.change_log import Feed
from openlxd_core.domain.actor import SYSTEM
from openlxd_core.domain.console import ExecSession
from openlxd_core.domain.errors import OutcomeUnknown, Suspended
from openlxd_core.i18n import N_
from openlxd_core.storage import models

T = TypeVar("T")
log = structlog.get_logger(__name__)


class WatchedSession:
    """An :class:`ExecSession` that ends with Suspended once its container is suspended."""

    def __init__(self, container: str, consoles: OpenConsoles) -> None:
        self.container = container
        self._consoles = consoles
        self._session: ExecSession | None = None
        self._error: Suspended | None = None
        self._closing: asyncio.Task[None] | None = None
        self._asked: set[asyncio.Future[Any]] = set()

    async def begin(self, session: ExecSession) -> WatchedSession:
        """Stand for ``session``. Raises Suspended where the container was suspended while it was opened."""
        self._session = session
        if self._error is not None:
            error = self._error
            await self.close()
            raise error
        return self

    def end(self, error: Suspended) -> None:
        """Kill the command; whoever reads or waits gets ``error``."""
        if self._error is None:
            self._error = error
            for asked in self._asked:
                asked.cancel()
            if self._session is not None:
                self._closing = asyncio.ensure_future(self._session.close())

    def _reason(self) -> Suspended | None:
        return self._error

    async def _until_suspended(self, call: Callable[[ExecSession], Awaitable[T]]) -> T:
        """What the session answers. A suspension does not wait for it: hanging up a stubborn command takes seconds."""
        if self._error is not None:
            raise self._error
        if self._session is None:
            raise AssertionError("a session that was never begun")
        asked = asyncio.ensure_future(call(self._session))
        self._asked.add(asked)
        try:
            return await asked
        except asyncio.CancelledError:
            task, error = asyncio.current_task(), self._reason()
            if error is None or (task is not None and task.cancelling()):
                raise
            raise error from None
        finally:
            self._asked.discard(asked)

    async def read(self) -> tuple[int, bytes]:
        """As :meth:`ExecSession.read`. Raises Suspended."""
        return await self._until_suspended(lambda session: session.read())

    async def write(self, data: bytes) -> None:
        """As :meth:`ExecSession.write`. Raises Suspended."""
        await self._until_suspended(lambda session: session.write(data))

    async def write_eof(self) -> None:
        """As :meth:`ExecSession.write_eof`. Raises Suspended."""
        await self._until_suspended(lambda session: session.write_eof())

    async def close_output(self) -> None:
        """As :meth:`ExecSession.close_output`. Raises Suspended."""
        await self._until_suspended(lambda session: session.close_output())

    async def resize(self, width: int, height: int) -> None:
        """As :meth:`ExecSession.resize`. Raises Suspended."""
        await self._until_suspended(lambda session: session.resize(width, height))

    async def signal(self, number: int) -> None:
        """As :meth:`ExecSession.signal`. Raises Suspended."""
        await self._until_suspended(lambda session: session.signal(number))

    async def wait(self) -> int:
        """As :meth:`ExecSession.wait`. Raises Suspended."""
        try:
            status = await self._until_suspended(lambda session: session.wait())
        except OutcomeUnknown:
            await self._consoles.check(self.container)
            raise
        await self._consoles.check(self.container)
        return status

    async def close(self) -> None:
        """End it on purpose. Safe to call twice."""
        self._consoles.forget(self)
        if self._session is not None:
            await self._session.close()
        if self._closing is not None:
            await asyncio.gather(self._closing, return_exceptions=True)


class OpenConsoles:
    """Keeps the sessions of this process, and ends those of containers that are suspended."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._sessions: set[WatchedSession] = set()

    def watch(self, container: str) -> WatchedSession:
        """Begin to watch ``container``: before its row is read, so that no suspension falls between the two."""
        session = WatchedSession(container, self)
        self._sessions.add(session)
        return session

    def forget(self, session: WatchedSession) -> None:
        """Stop watching. Safe to call twice."""
        self._sessions.discard(session)

    async def run(self) -> None:
        """Follow the change log until cancelled."""
        async with self._feed.subscribe(SYSTEM) as changes:
            async for change in changes:
                try:
                    if change.topic == "container" and change.verb == "suspended":
                        self._end(change.key, str(change.data.get("reason") or ""))
                    elif change.topic == "resync":
                        await self._look()
                except Exception:
                    log.exception("console_not_ended", container=change.key)

    async def check(self, container: str) -> None:
        """Raise Suspended if it is: a container may be stopped before the feed has told why."""
        row = await models.Container.filter(name=container).exclude(suspended_by="").first()
        if row is not None:
            raise was_suspended(row.name, row.suspended_reason)

    async def _look(self) -> None:
        """Changes were missed: ask for each container that has a session."""
        names = {session.container for session in self._sessions}
        for row in await models.Container.filter(name__in=names).exclude(suspended_by=""):
            self._end(row.name, row.suspended_reason)

    def _end(self, container: str, reason: str) -> None:
        for session in list(self._sessions):
            if session.container == container:
                session.end(was_suspended(container, reason))


def was_suspended(container: str, reason: str) -> Suspended:
    """The sentence for a session that ends."""
    if reason:
        return Suspended(N_("{name} was suspended: {reason}"), name=container, reason=reason)
    return Suspended(N_("{name} was suspended."), name=container)
