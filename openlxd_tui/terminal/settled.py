"""Whether an app has fully handled the last key, so that the next one meets the screen that it was meant for.

Textual hands a key from queue to queue: the app's, the focused widget's, each parent's, and the app's again, where
the binding is found. The action may push a screen, move the focus or start a worker that reads something before it
opens a dialog. A second key posted meanwhile goes to whatever has the focus *then*. So the next key waits until
every queue of the current screen is empty with its task waiting for more, the screen is mounted, nothing is left to
be done after its next paint, and no worker is on its way to open or close something.

This looks at private parts of Textual 8 (a pump's ``_message_queue`` and its ``ready_event``, a screen's
``_callbacks``): Textual's own ``wait_for_idle`` measures the processor time of the whole process, which is never idle
where a hundred sessions share it. :func:`check_textual` fails at the start if those parts have gone.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from textual._queue import Queue

if TYPE_CHECKING:
    from textual.app import App
    from textual.message_pump import MessagePump
    from textual.worker import Worker

BACKGROUND = frozenset({"feed", "load", "fetch", "refresh", "quota", "hint", "explain", "choices"})
"""Groups of workers that read what a screen shows; whoever types does not wait for those. All others hold keys."""
READING = frozenset({"load", "fetch"})
READING_SECONDS = 1.0
"""How long keys wait for a screen just opened, or a list just changed, to be read; then they act on what is shown."""


def check_textual() -> None:
    """Raise RuntimeError if Textual's queue is another one than this module knows."""
    queue: Queue[None] = Queue()
    if not (hasattr(queue, "values") and hasattr(getattr(queue, "ready_event", None), "_waiters")):
        raise RuntimeError("textual._queue.Queue has changed: see openlxd_tui.terminal.settled")


def is_idle(pump: MessagePump) -> bool:
    """Whether a message pump has handled all it was sent and waits for more."""
    queue: Any = pump._message_queue
    return not queue.values and bool(queue.ready_event._waiters)


def is_quiet(app: App[Any]) -> bool:
    """Whether the app and every widget of its current screen are mounted and idle."""
    if not is_idle(app) or not app._screen_stack:
        return False
    screen = app._screen_stack[-1]
    if not screen._is_mounted or not is_idle(screen) or screen._callbacks:
        return False
    waiting = [screen._nodes]
    while waiting:
        for child in waiting.pop():
            if not child._is_mounted or not is_idle(child):
                return False
            waiting.append(child._nodes)
    return True


class Settling:
    """Follows one app from key to key."""

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._since = float("-inf")
        self._screen: Any = None
        self._moved = True  # at first: a session just opened reads its list
        self._given_up: WeakSet[Worker[Any]] = WeakSet()

    def began(self) -> None:
        """A key is being delivered."""
        self._since = time.monotonic()
        self._screen = self._app._screen_stack[-1] if self._app._screen_stack else None
        self._moved = False

    @property
    def settled(self) -> bool:
        """Whether the last key has been handled, and everything that followed from it."""
        return is_quiet(self._app) and not self.holders()

    def holders(self) -> list[Worker[Any]]:
        """The workers that the next key waits for."""
        app = self._app
        screen = app._screen_stack[-1] if app._screen_stack else None
        self._moved = self._moved or screen is not self._screen
        asking: dict[Any, asyncio.Future[Any]] = getattr(app, "asking", {})
        holding, reading = [], []
        for worker in app.workers._workers:
            if worker.is_finished or worker in self._given_up:
                continue
            if worker.group not in BACKGROUND:
                asked = asking.get(worker)
                if asked is None or asked.done():
                    holding.append(worker)
            elif worker.group in READING and worker.node is screen:
                reading.append(worker)
        if holding:
            self._moved, self._since = True, time.monotonic()
        elif self._moved and reading:
            first = not getattr(screen, "_loaded", True) and any(worker.group == "load" for worker in reading)
            if first or time.monotonic() - self._since < READING_SECONDS:
                return reading
        return holding

    def give_up(self) -> None:
        """Wait no longer for what the next key waits for now."""
        self._given_up.update(self.holders())

    def has_given_up(self, worker: Worker[Any]) -> bool:
        """Whether somebody has typed on because this worker took too long."""
        return worker in self._given_up
