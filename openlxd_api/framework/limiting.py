"""Rate limits: strict ones for signing in and registering, by address and by account; a generous one for the rest.

IPv6 addresses count by their /64, which is what one customer usually has. Limits are per process.
"""

from __future__ import annotations

import copy
import ipaddress
import math
import time

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, RateLimiter

from openlxd_core.domain.errors import RateLimited
from openlxd_core.i18n import N_
from openlxd_core.settings import Settings

LIMIT, REMAINING, RESET = "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"
"""The headers of draft-ietf-httpapi-ratelimit-headers up to version 05, which most clients and proxies know; later
drafts use one structured field and are not finished."""


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
        storage = MemoryStorage()
        self._exact = MovingWindowRateLimiter(storage)
        self._coarse = FixedWindowRateLimiter(storage)
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
        await self._take(self._coarse, self._api, "api", _who(user_id, address))

    async def _take(self, limiter: RateLimiter, item: RateLimitItem, what: str, who: str, *, told: bool = True) -> None:
        within = await limiter.hit(item, what, who)
        if within and (self._headers is None or not told):
            return
        until, left = await limiter.get_window_stats(item, what, who)
        wait = max(1.0, until - time.time())
        if self._headers is not None:
            self._tell(item, left if within else 0, wait)
        if not within:
            raise RateLimited(N_("Too many requests. Try again in {seconds} seconds."), wait)

    def _tell(self, item: RateLimitItem, left: int, wait: float) -> None:
        assert self._headers is not None
        if left <= int(self._headers.get(REMAINING, left)):
            self._headers |= {LIMIT: str(item.amount), REMAINING: str(left), RESET: str(math.ceil(wait))}


def _who(user_id: int | None, address: str) -> str:
    return f"user:{user_id}" if user_id is not None else f"address:{source_of(address)}"
