"""What a client sends, on its way to whoever reads it: one queue, so that no byte overtakes another.

The reader changes while bytes arrive (a command that is still being started, the app, a shell, the app again), and
each of them may ask the client to wait and to go on, also from inside :meth:`Sink.data`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

HIGH = 32 * 1024
"""Bytes that nobody takes yet, past which the client is asked to wait; it may send one SSH window more."""


class Intake:
    """Hands over what ``received`` brings, in order, to the sink of the moment."""

    def __init__(self, pause_reading: Callable[[], None], resume_reading: Callable[[], None]) -> None:
        self._pause_reading = pause_reading
        self._resume_reading = resume_reading
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._sink: Any = None
        self._held = False  # the sink has asked for nothing more at the moment
        self._stopped = False  # the client has been asked to wait
        self._delivering = False
        self._ended = False
        self._told = False  # the sink knows that the input has ended

    @property
    def sink(self) -> Any:
        """Who reads at the moment, or None."""
        return self._sink

    def attach(self, sink: Any) -> None:
        """Give everything to ``sink`` from now on, and first of all what came before it."""
        self._sink = sink
        self._held = self._told = False
        self._deliver()

    def detach(self, sink: Any = None) -> None:
        """Stop doing so, if ``sink`` (or, for None, anyone) is the reader; what comes now waits for the next one."""
        if sink is None or self._sink is sink:
            self._sink = None
            self._held = False

    def received(self, data: bytes) -> None:
        """The client sent this."""
        self._waiting.append(data)
        self._size += len(data)
        self._deliver()

    def ended(self) -> None:
        """The client will send no more. The sink's ``eof``, where it has one, comes after the last byte."""
        self._ended = True
        self._deliver()

    def unread(self, data: bytes) -> None:
        """Put back what a sink took and did not use: the next one gets it first."""
        if data:
            self._waiting.appendleft(data)
            self._size += len(data)

    def pause(self) -> None:
        """The sink has enough for now."""
        self._held = True
        self._regulate()

    def resume(self) -> None:
        """The sink has room again."""
        self._held = False
        self._deliver()

    def _deliver(self) -> None:
        if self._delivering:  # called from inside a sink: the loop below goes on by itself
            return
        self._delivering = True
        try:
            while self._waiting and self._sink is not None and not self._held:
                data = self._waiting.popleft()
                self._size -= len(data)
                self._sink.data(data)
            if self._ended and not self._told and not self._waiting and self._sink is not None:
                self._told = True
                if hasattr(self._sink, "eof"):
                    self._sink.eof()
        finally:
            self._delivering = False
        self._regulate()

    def _regulate(self) -> None:
        """Let the client send, or ask it to wait: always last, since asyncssh delivers from inside ``resume``."""
        stop = self._held or (self._size > HIGH if self._sink is None else bool(self._waiting))
        if stop:
            self._stopped = True
            self._pause_reading()  # again, if need be: asyncssh resumes by itself when a command is asked for
        elif not stop and self._stopped and not self._delivering:
            self._stopped = False
            self._resume_reading()
