"""How much may be on its way to a client at once, by what its line has carried.

What has left this process is not yet seen: it waits in this host's socket buffer, in routers, in a proxy. None of
those can be asked. A client can: SSH answers requests in order, so the answer to a keepalive sent behind a frame says
that the frame has arrived, and when. From that follow the bytes in flight, and what the line drains in a second.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any
from weakref import WeakKeyDictionary, ref

FIRST = 16 * 1024
"""Bytes that may be in flight before anything is known of the line."""
LEAST, MOST = 2 * 1024, 24 * 1024
"""The bounds of what may be in flight; one line of a screen may come on top."""
_ASK_AT = 4 * 1024  # unconfirmed bytes from which on the client is asked
_MEASURED = 2 * 1024  # bytes in flight from which on an answer says something of the line
_INSTANT = 0.02  # seconds; a queue shorter than that is none
_UNANSWERED_MOST = 8


class Pace:
    """The line to one client, shared by all sessions of its connection.

    Args:
        ask: sends a request that the client answers; returns when it has.
    """

    def __init__(self, ask: Callable[[], Awaitable[Any]]) -> None:
        self._ask = ask
        self._sent = self._confirmed = 0
        self._asked: deque[int] = deque()
        self._round_trip = float("inf")
        self._waiting: list[Callable[[], None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.limit = FIRST
        """Bytes that may be in flight: what the line drains in a second, within bounds."""

    @property
    def in_flight(self) -> int:
        """Bytes sent that the client has not confirmed."""
        return self._sent - self._confirmed

    @property
    def room(self) -> int:
        """Bytes that may be sent now."""
        return self.limit - self.in_flight

    def wrote(self, size: int) -> None:
        """So many bytes were sent."""
        self._sent += size
        if self._sent - (self._asked[-1] if self._asked else self._confirmed) >= min(_ASK_AT, self.limit // 2):
            self.ask()

    def when_room(self, call: Callable[[], None]) -> None:
        """Call back once, when something has been confirmed."""
        if call not in self._waiting:
            self._waiting.append(call)
        if not self._asked:
            self.ask()

    def ask(self) -> None:
        """Have what was sent so far confirmed."""
        if len(self._asked) < _UNANSWERED_MOST:
            self._asked.append(self._sent)
            task = asyncio.ensure_future(self._measure(self._sent, self.in_flight))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _measure(self, sent: int, in_flight: int) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await self._ask()
        spent = loop.time() - begun
        self._asked.popleft()
        self._confirmed = max(self._confirmed, sent)
        self._round_trip = min(self._round_trip, spent)
        if in_flight >= _MEASURED:
            per_second = in_flight / max(spent - self._round_trip, _INSTANT)
            self.limit = int(min(MOST, max(LEAST, per_second)))
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call()


_paces: WeakKeyDictionary[Any, Pace] = WeakKeyDictionary()


def pace_of(connection: Any) -> Pace:
    """The pace of an asyncssh connection. The first one to ask measures the round trip of an empty line."""
    pace = _paces.get(connection)
    if pace is None:
        reach = ref(connection)

        async def ask() -> None:
            if (found := reach()) is not None:
                await found._make_global_request(b"keepalive@openssh.com")

        pace = _paces[connection] = Pace(ask)
        pace.ask()
    return pace
