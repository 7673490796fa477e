"""Rate limits: strict ones for signing in and registering, by address and by account; a generous one for the rest.

IPv6 addresses count by their /64, which is what one customer usually has. Limits are per process.
"""

from __future__ import annotations

import copy
import ipaddress
import math
import time
from functools import lru_cache

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter, RateLimiter

from openlxd_core.domain.errors import RateLimited
from openlxd_core.i18n import N_
from openlxd_core.settings import Settings

LIMIT, REMAINING, RESET = "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"
"""The headers of draft-ietf-httpapi-ratelimit-headers up to version 05, which most clients and proxies know; later
drafts use one structured field and are not finished."""


@lru_cache(maxsize=1024)
def source_of(address: str) -> str:
    """What an address is counted as: itself, or the /64 of an IPv6 address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return address


class Limiter:
    """The configured limits and the current counts."""

    def __init__(self, settings: Settings) -> None:
        self._sign_in = parse(settings.rate_login)
        self._register = parse(settings.rate_register)
        self._api = parse(settings.rate_api)
        self._exact = MovingWindowRateLimiter(MemoryStorage())
        self._counts = FixedWindows(self._api)
        self._headers: dict[str, str] | None = None

    def telling(self, headers: dict[str, str]) -> Limiter:
        """The same limits and counts, which also write the remaining requests of the tightest limit into ``headers``.

        Counts by account name are not shown to clients that have not signed in: they would reveal other clients'
        attempts.
        """
        found = copy.copy(self)
        found._headers = headers
        return found

    async def sign_in(self, address: str, account: str) -> None:
        """Count an attempt to sign in. Raises RateLimited."""
        await self._both(self._sign_in, "login", address, account)

    async def register(self, address: str, account: str) -> None:
        """Count an attempt to register. Raises RateLimited."""
        await self._both(self._register, "register", address, account)

    async def sealed(self, user_id: int | None, address: str) -> None:
        """Count a request whose idempotency key costs a slow digest. Raises RateLimited."""
        await self._take(self._exact, self._sign_in, "sealed", _who(user_id, address))

    async def _both(self, item: RateLimitItem, what: str, address: str, account: str) -> None:
        await self._take(self._exact, item, what, f"address:{source_of(address)}")
        await self._take(self._exact, item, what, f"account:{account.strip().lower()[:255]}", told=False)

    async def ask(self, user_id: int | None, address: str) -> None:
        """Count a request of an account, or of an address that has not signed in. Raises RateLimited."""
        left, wait = self._counts.hit(_who(user_id, address))
        if self._headers is not None:
            self._tell(self._api, max(left, 0), wait)
        if left < 0:
            raise _too_many(wait)

    async def _take(self, limiter: RateLimiter, item: RateLimitItem, what: str, who: str, *, told: bool = True) -> None:
        within = await limiter.hit(item, what, who)
        if within and (self._headers is None or not told):
            return
        until, left = await limiter.get_window_stats(item, what, who)
        wait = max(1.0, until - time.time())
        if self._headers is not None:
            self._tell(item, left if within else 0, wait)
        if not within:
            raise _too_many(wait)

    def _tell(self, item: RateLimitItem, left: int, wait: float) -> None:
        assert self._headers is not None
        if left <= int(self._headers.get(REMAINING, left)):
            self._headers |= {LIMIT: str(item.amount), REMAINING: str(left), RESET: str(math.ceil(wait))}


class FixedWindows:
    """Counts of requests in windows of a fixed length, which begin with a client's first request.

    Every request passes here: the library's limiter for this took 6 % of the time of a cached answer, this 1 %. The
    strict limits, which are rare and need exact windows, are the library's.
    """

    CLIENTS = 10_000
    """Clients counted before those whose window has ended are forgotten."""

    def __init__(self, limit: RateLimitItem) -> None:
        self._amount = limit.amount
        self._seconds = limit.get_expiry()
        self._windows: dict[str, tuple[float, int]] = {}
        self._room = self.CLIENTS

    def hit(self, who: str) -> tuple[int, float]:
        """Count a request: how many are left, less than 0 for one too many, and the seconds until the window ends."""
        now = time.monotonic()
        until, count = self._windows.get(who, (0.0, 0))
        if until <= now:
            until, count = now + self._seconds, 0
            if len(self._windows) >= self._room:
                self._forget(now)
        self._windows[who] = (until, count + 1)
        return self._amount - count - 1, max(1.0, until - now)

    def _forget(self, now: float) -> None:
        self._windows = {who: window for who, window in self._windows.items() if window[0] > now}
        self._room = max(self.CLIENTS, 2 * len(self._windows))  # so that forgetting stays rare


def _too_many(wait: float) -> RateLimited:
    return RateLimited(N_("Too many requests. Try again in {seconds} seconds."), wait)


def _who(user_id: int | None, address: str) -> str:
    return f"user:{user_id}" if user_id is not None else f"address:{source_of(address)}"
