"""Keeping Python's collector from stopping every session at once.

A full round of the collector looks at every object of every session: 0.9 s every three seconds with a hundred
sessions, measured, because each frame left knots for it (Textual's strips hold themselves in their own caches). So
strips are not tied in the first place; what has settled is frozen, out of the collector's sight; and what ended
sessions leave (an app is one great knot) is untied in rounds of our own, when few are held up by them.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import gc
from typing import Any

from textual.strip import Strip

from openlxd_tui.ssh.apps import forget_ended

_LOOK_SECONDS = 5.0
_SETTLED_SECONDS = 10.0
"""A session that has lived this long is frozen; most that are cut off never are."""
_SWEEP_SOON, _SWEEP_AT_LAST = 0.5, 60.0
_SWEEP_SHARE = 10
"""Deep sweeps take a tenth of the time at the most: they are dearer the more sessions live."""
_ROUND_SECONDS = 60.0
_THRESHOLDS = (5_000, 2, 1_000_000)
"""Rounds over young objects stay short: with a thousand sessions 20,000 of them took up to 0.1 s, and 20 such rounds
together 0.5 s. Full rounds are ours to begin."""

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


_trim: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's own


class Memory:
    """What the collector sees, for the one process that serves sessions."""

    def __init__(self) -> None:
        self._settled = False
        self._thresholds = gc.get_threshold()
        self._young: dict[object, float] = {}
        """Sessions that live and are not frozen, and when each began."""
        self._frozen: set[object] = set()
        self._frozen_gone = 0
        self._first_gone = 0.0
        self._swept = self._cost = 0.0
        self._rounds: asyncio.TimerHandle | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._frozen_at = 0.0

    def settle(self) -> None:
        """Keep what every session shares out of every later round; for a process that does nothing else."""
        self._settled = True
        self._thresholds = gc.get_threshold()
        gc.set_threshold(*_THRESHOLDS)
        untie_strips()
        self._freeze()
        self._look()

    def close(self) -> None:
        """No more rounds; give everything back to the collector."""
        for handle in (self._rounds, self._sweeping):
            if handle is not None:
                handle.cancel()
        self._rounds = self._sweeping = None
        if self._settled:
            gc.unfreeze()
            gc.set_threshold(*self._thresholds)

    def began(self, session: object) -> None:
        """A session has opened."""
        self._young[session] = asyncio.get_running_loop().time()

    def ended(self, session: object) -> None:
        """A session is over: what it leaves is freed in one of the next sweeps."""
        loop = asyncio.get_running_loop()
        if self._young.pop(session, None) is None:
            self._frozen.discard(session)
            self._first_gone = self._first_gone or loop.time()
            self._frozen_gone += 1
        if self._sweeping is None:
            self._sweeping = loop.call_later(_SWEEP_SOON, self._sweep)

    def _look(self) -> None:
        """Freeze sessions that have settled; once a minute, whatever is new."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if any(now - began >= _SETTLED_SECONDS for began in self._young.values()):
            self._frozen.update(self._young)
            self._young.clear()
            self._freeze()
        elif now - self._frozen_at >= _ROUND_SECONDS:
            gc.collect()
            self._frozen_at = now
        self._rounds = loop.call_later(_LOOK_SECONDS, self._look)

    def _freeze(self) -> None:
        gc.collect()  # of what is not frozen yet
        gc.freeze()
        self._frozen_at = asyncio.get_running_loop().time()

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweeping = None
        now = loop.time()
        due = now - self._swept >= _SWEEP_SHARE * self._cost
        old = self._frozen_gone > 0 and now - self._first_gone >= _SWEEP_AT_LAST
        deep = self._settled and self._frozen_gone > 0 and due and (old or self._frozen_gone >= len(self._frozen))
        forget_ended()
        if deep:
            gc.unfreeze()
        gc.collect()
        if deep:
            gc.freeze()
            self._frozen.update(self._young)
            self._young.clear()
            self._frozen_gone, self._first_gone = 0, 0.0
            self._swept, self._cost = now, loop.time() - now
        if _trim is not None:
            _trim(0)  # what is free goes back to the system
        if self._frozen_gone:
            self._sweeping = loop.call_later(_LOOK_SECONDS, self._sweep)
