"""Back-off: how long to wait before something that failed is tried again.

The loop around it stays with its caller, which knows what is a failure, what is progress, when to stop. Not tenacity,
nor stamina on top of it: both retry one callable until it returns, while most loops here also succeed in between (an
event stream that was connected for a day, a download that got new bytes) and then start again at the first pause, for
which neither has a reset. stamina also takes no sleep function, and only adds jitter.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable


def exponential(failures: float, first: float, most: float, factor: float = 2.0) -> float:
    """Seconds to wait after ``failures`` failures in a row: ``first`` after one, ``most`` at the most.

    ``failures`` may be a fraction, for counts that decay over time.
    """
    # the exponent is bounded, as 2.0 ** 1100 would overflow; no pause grows by 2 ** 60
    return 0.0 if failures <= 0 else min(most, first * factor ** min(60.0, failures - 1))


class Backoff:
    """Pauses that grow from ``first`` to ``most`` seconds by ``factor``, until :meth:`reset`.

    ``jitter`` (0.2: each pause is 80 to 120 % of its length) keeps many waiters from coming back at the same moment.
    ``sleep`` and ``spread`` are what tests replace.
    """

    def __init__(
        self,
        first: float,
        most: float,
        *,
        factor: float = 2.0,
        jitter: float = 0.0,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        spread: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._first, self._most, self._factor, self._jitter = first, most, factor, jitter
        self._sleep, self._spread = sleep, spread
        self.seconds = min(first, most)
        """The length of the next pause, before jitter."""
        self.pauses = 0
        """How many pauses there were since the beginning or the last reset."""

    def reset(self) -> None:
        """Start again at the first pause: what failed has worked in between."""
        self.seconds, self.pauses = min(self._first, self._most), 0

    async def pause(self, most: float | None = None) -> None:
        """Wait, at most ``most`` seconds this time; later pauses grow from what this one was."""
        length = self.seconds if most is None else min(self.seconds, most)
        self.seconds, self.pauses = min(length * self._factor, self._most), self.pauses + 1
        await self._sleep(length * self._spread(1 - self._jitter, 1 + self._jitter) if self._jitter else length)
