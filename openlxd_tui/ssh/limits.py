"""How many unauthenticated connections there may be, how fast a stranger may try, how many sessions a tenant may hold.

asyncssh has no MaxStartups, MaxAuthTries or MaxSessions of its own; everything is counted here.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from openlxd_core.backoff import exponential
from openlxd_core.settings import Settings

TRIES_PER_CONNECTION = 6
KEYS_PER_CONNECTION = 40
"""Public keys that a client may offer on one connection: people have many in their agent."""
QUESTIONS_PER_CONNECTION = 24
"""Times that a client may have the password asked for, answered or not."""
SESSIONS_PER_CONNECTION = 10

_FREE_FAILURES = 3
_DELAY_MAX_SECONDS = 10.0
_FORGET_SECONDS = 600.0
_ADDRESSES_MAX = 10_000


@dataclass
class _Failures:
    count: float
    at: float


class LoginLimits:
    """The counts of one server. Not thread-safe; it lives on one event loop."""

    def __init__(
        self, settings: Settings, *, delay_seconds: float = 0.5, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._unauthenticated = settings.ssh_unauthenticated
        self._per_address = settings.ssh_per_address
        self._sessions_per_tenant = settings.ssh_sessions_per_tenant
        self._delay_seconds = delay_seconds
        self._clock = clock
        self._waiting: Counter[str] = Counter()
        self._waiting_in_all = 0
        self._failures: dict[str, _Failures] = {}
        self._sessions: Counter[Hashable] = Counter()
        self._connections: Counter[Hashable] = Counter()

    def enter(self, address: str) -> bool:
        """Count a connection that has not logged in; False if there are too many already."""
        if self._waiting_in_all >= self._unauthenticated or self._waiting[address] >= self._per_address:
            return False
        self._waiting[address] += 1
        self._waiting_in_all += 1
        return True

    def leave(self, address: str) -> None:
        """The connection has logged in, or is gone."""
        self._waiting_in_all -= 1
        self._waiting[address] -= 1
        if not self._waiting[address]:
            del self._waiting[address]

    def delay(self, address: str) -> float:
        """Seconds that the next try from ``address`` has to wait: nothing at first, doubling to a ceiling."""
        counted = self._count(address) - _FREE_FAILURES + 1  # the third failure is the first with a delay
        return exponential(counted, self._delay_seconds, _DELAY_MAX_SECONDS) if counted >= 1 else 0.0

    def failed(self, address: str) -> None:
        """A try from ``address`` has failed."""
        count = self._count(address) + 1
        self._failures.pop(address, None)  # the newest stand last
        self._failures[address] = _Failures(count, self._clock())
        if len(self._failures) > _ADDRESSES_MAX:
            del self._failures[next(iter(self._failures))]

    def succeeded(self, address: str) -> None:
        """Somebody from ``address`` has proved who they are."""
        self._failures.pop(address, None)

    def _count(self, address: str) -> float:
        known = self._failures.get(address)
        if known is None:
            return 0
        age = self._clock() - known.at
        return 0 if age > _FORGET_SECONDS else known.count / 2 ** (age / 60)

    def open_session(self, tenant: Hashable) -> bool:
        """Count a session of ``tenant``; False if they hold as many as they may."""
        if self._sessions[tenant] >= self._sessions_per_tenant:
            return False
        self._sessions[tenant] += 1
        return True

    def close_session(self, tenant: Hashable) -> None:
        """One of the sessions counted by :meth:`open_session` is over."""
        self._sessions[tenant] -= 1
        if not self._sessions[tenant]:
            del self._sessions[tenant]

    def connected(self, tenant: Hashable) -> bool:
        """Count a connection of somebody who has logged in; False if they hold too many."""
        if self._connections[tenant] >= 2 * self._sessions_per_tenant:
            return False
        self._connections[tenant] += 1
        return True

    def disconnected(self, tenant: Hashable) -> None:
        """One of the connections counted by :meth:`connected` is gone."""
        self._connections[tenant] -= 1
        if not self._connections[tenant]:
            del self._connections[tenant]

    @property
    def waiting(self) -> int:
        """Connections that have not logged in."""
        return self._waiting_in_all

    @property
    def sessions(self) -> int:
        """Open sessions in all."""
        return self._sessions.total()
