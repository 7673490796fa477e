"""Keeping Python's collector from stopping every session at once.

A full round of the collector looks at every object of every session: 0.9 s every three seconds with a hundred
sessions, measured, because each frame left knots for it (Textual's strips hold themselves in their own caches). So
strips are not tied in the first place; what has settled is frozen, out of the collector's sight; and what ended
sessions leave (an app is one great knot) is untied in rounds of our own, when few are held up by them.
"""

from __future__ import annotations

import asyncio
import functools
import gc
from typing import Any

from textual.strip import Strip

from openlxd_tui.ssh.apps import forget_ended

_SETTLE_SECONDS = 2.0
_SWEEP_SOON, _SWEEP_OFTEN, _SWEEP_AT_LAST = 1.0, 10.0, 60.0
_ENDED_MANY = 20
_ROUND_SECONDS = 60.0
_THRESHOLDS = (20_000, 20, 1_000_000)
"""Young objects are looked at as ever; full rounds are ours to begin."""


_SELF_CACHES = {
    "adjust_cell_length": "_line_length_cache",
    "crop_extend": "_crop_extend_cache",
    "divide": "_divide_cache",
}
"""Methods of a strip that may return the strip itself, and the cache in which they then keep it."""


def untie_strips() -> None:
    """Let no strip keep itself: without that knot a frame's strips go as soon as the next frame is painted."""
    for name, cache in _SELF_CACHES.items():
        method = getattr(Strip, name)
        if not hasattr(method, "__wrapped__"):
            setattr(Strip, name, _untied(method, cache))


def _untied(method: Any, cache: str) -> Any:
    @functools.wraps(method)
    def call(strip: Strip, *args: Any, **kwargs: Any) -> Any:
        result = method(strip, *args, **kwargs)
        if result is strip or (type(result) is list and len(result) == 1 and result[0] is strip):
            getattr(strip, cache).clear()
        return result

    return call


class Memory:
    """What the collector sees, for the one process that serves sessions."""

    def __init__(self) -> None:
        self._settled = False
        self._live = 0
        self._ended = 0
        self._first_ended = 0.0
        self._swept = 0.0
        self._thresholds = gc.get_threshold()
        self._next_round: asyncio.TimerHandle | None = None
        self._freezing: asyncio.TimerHandle | None = None
        self._sweeping: asyncio.TimerHandle | None = None

    def settle(self) -> None:
        """Keep what every session shares out of every later round; for a process that does nothing else."""
        self._settled = True
        self._thresholds = gc.get_threshold()
        gc.set_threshold(*_THRESHOLDS)
        untie_strips()
        self._round()

    def close(self) -> None:
        """No more rounds; give everything back to the collector."""
        for handle in (self._freezing, self._sweeping, self._next_round):
            if handle is not None:
                handle.cancel()
        self._freezing = self._sweeping = self._next_round = None
        if self._settled:
            gc.unfreeze()
            gc.set_threshold(*self._thresholds)

    def began(self) -> None:
        """A session has opened: once it has settled it is frozen."""
        self._live += 1
        if self._settled and self._freezing is None:
            self._freezing = asyncio.get_running_loop().call_later(_SETTLE_SECONDS, self._freeze)

    def ended(self) -> None:
        """A session is over: what it leaves is freed in one of the next rounds."""
        loop = asyncio.get_running_loop()
        self._live -= 1
        self._ended += 1
        if self._ended == 1:
            self._first_ended = loop.time()
        if self._sweeping is None:
            self._sweeping = loop.call_later(_SWEEP_SOON, self._sweep)

    def _freeze(self) -> None:
        self._freezing = None
        self._round()

    def _round(self) -> None:
        """Untie what is not frozen (what is new since the last round), and freeze the rest."""
        gc.collect()
        gc.freeze()
        if self._next_round is not None:
            self._next_round.cancel()
        self._next_round = asyncio.get_running_loop().call_later(_ROUND_SECONDS, self._round)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweeping = None
        now = loop.time()
        many = self._ended >= _ENDED_MANY and now - self._swept >= _SWEEP_OFTEN
        if self._settled and self._live > 0 and not many and now - self._first_ended < _SWEEP_AT_LAST:
            self._sweeping = loop.call_later(_SWEEP_SOON, self._sweep)
            return
        self._ended, self._swept = 0, now
        forget_ended()
        if self._settled:
            gc.unfreeze()
        gc.collect()
        if self._settled:
            gc.freeze()
