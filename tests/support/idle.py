"""Waiting for a Textual app to come to rest, by the event loop rather than by the processor.

Textual's pilot waits after every key press, twice, until the process used less than a twentieth of 20 ms
(``textual/_wait.py``): 40 ms a key at the least, a second and more where other workers keep the processors busy, and
ten minutes in a run of this suite. Here an app is at rest when its event loop has nothing left to run and no
timer about to fire.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any, cast

import textual.app
import textual.pilot

TURNS = 3
"""Turns of the loop in a row with nothing to run: a message handler posts to a queue whose reader runs a turn later."""
SOON = 0.02
"""Seconds: a timer due within them belongs to what happened just now. Textual paints on a timer of 1/60 s."""


async def _quiet(deadline: float) -> None:
    ready = cast(Any, asyncio.get_running_loop())._ready
    quiet = 0
    while quiet < TURNS and monotonic() < deadline:
        await asyncio.sleep(0)
        quiet = 0 if ready else quiet + 1


async def wait_for_idle(min_sleep: float = 0, max_sleep: float = 1) -> None:
    """Return once the running loop has nothing to run and no timer due at once, after ``max_sleep`` seconds at most."""
    loop = cast(Any, asyncio.get_running_loop())
    deadline = monotonic() + max_sleep
    await _quiet(deadline)
    due = [timer.when() for timer in loop._scheduled if not timer.cancelled() and timer.when() < loop.time() + SOON]
    if due:
        await asyncio.sleep(max(due) - loop.time())
        await _quiet(deadline)


def install() -> None:
    """Put it in place of Textual's, for the pilots of this process."""
    for module in (textual.app, textual.pilot):
        assert hasattr(module, "wait_for_idle")
        module.wait_for_idle = wait_for_idle  # type: ignore[attr-defined]
