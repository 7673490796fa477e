"""Passes bytes, signals and window sizes between a client and a command in a container."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import deque
from typing import TYPE_CHECKING

from openlxd_core.domain.console import ExecSession
from openlxd_core.domain.errors import OpenLXDError
from openlxd_tui.terminal.escape_filter import EscapeFilter
from openlxd_tui.terminal.ports import Port

if TYPE_CHECKING:
    from openlxd_core.domain.actor import Actor


_INPUT_HIGH = 64 * 1024


RESET_TERMINAL = (
    b"\x18"  # end whatever sequence was begun
    b"\x1b\\"
    b"\x1b[!p"  # soft reset: modes, margins, character sets, attributes
    b"\x1b[?1000l\x1b[?1001l\x1b[?1002l\x1b[?1003l\x1b[?1005l\x1b[?1006l\x1b[?1015l\x1b[?1016l"  # mouse
    b"\x1b[?9l\x1b[?1004l\x1b[?2004l\x1b[?2026l\x1b[?2048l"  # focus, paste, frames, sizes in band
    b"\x1b[?47l\x1b[?1047l\x1b[?1049l"  # the alternate screen
    b"\x1b[>4;0m\x1b[<99u"  # key reporting
    b"\x1b[?1l\x1b>\x1b[?5l\x1b[?6l\x1b[?7h\x1b[4l\x1b[20l\x1b[r"
    b"\x0f\x1b(B\x1b)0"  # character sets
    b"\x1b[0m\x1b[0 q\x1b[?25h"  # colours, cursor
    b"\x1b]0;\x1b\\"  # the title
    b"\r"
)
"""What undoes all that a program in a container may have done to a terminal, short of clearing it."""


class Relay:
    """Joins a command in a container with the client until one of them ends."""

    patient = True
    """A client that does not read holds up the command and nobody else: it may take its time."""

    def __init__(self, session: ExecSession, port: Port, *, escape_filter: EscapeFilter | None = None) -> None:
        self._session = session
        self._escape_filter = escape_filter
        self._port = port
        self._input: deque[bytes] = deque()
        self._input_size = 0
        self._eof = False
        self._size: tuple[int, int] | None = None
        self._signals: deque[int] = deque()
        self._unread = False
        self._typed = asyncio.Event()
        self._told = asyncio.Event()
        self._room = asyncio.Event()

    async def run(self) -> int:
        """The exit status. Whatever happens, the command is ended when this returns.

        Raises what the session raises (OutcomeUnknown where LXD went away).
        """
        self._port.attach(self)
        passing = [asyncio.create_task(self._pass_input()), asyncio.create_task(self._pass_controls())]
        try:
            await self._pass_output()
            return await self._session.wait()
        finally:
            self._port.detach(self)
            for task in passing:
                task.cancel()
            self._port.resume_input()
            await asyncio.shield(asyncio.ensure_future(self._session.close()))

    async def _pass_output(self) -> None:
        while True:
            stream, data = await self._session.read()
            if stream == 0:
                return
            self._port.write(
                self._escape_filter.feed(data) if self._escape_filter is not None else data, error=stream == 2
            )
            while self._port.congested:
                self._room.clear()
                await self._room.wait()

    async def _pass_input(self) -> None:
        """One writer, so that the order stays; it waits while the command does not read."""
        with contextlib.suppress(OpenLXDError, OSError):  # the command has ended, and its output says so
            while True:
                await self._typed.wait()
                self._typed.clear()
                while self._input:
                    data = b"".join(self._input)
                    self._input.clear()
                    await self._session.write(data)
                    self._input_size = sum(map(len, self._input))
                    self._port.resume_input()
                if self._eof:
                    self._eof = False
                    await self._session.write_eof()

    async def _pass_controls(self) -> None:
        """Signals and sizes, beside the input: a command that does not read must still be interrupted."""
        with contextlib.suppress(OpenLXDError, OSError):
            while True:
                await self._told.wait()
                self._told.clear()
                if self._unread:
                    self._unread = False
                    await self._session.close_output()
                while self._signals:
                    await self._session.signal(self._signals.popleft())
                if self._size is not None:
                    size, self._size = self._size, None
                    await self._session.resize(*size)

    # what the client does

    def data(self, data: bytes) -> None:
        """The client typed this."""
        self._input.append(data)
        self._input_size += len(data)
        if self._input_size > _INPUT_HIGH:
            self._port.pause_input()
        self._typed.set()

    def eof(self) -> None:
        """The client will send no more."""
        self._eof = True
        self._typed.set()

    def reader_gone(self) -> None:
        """Nobody reads the output any more."""
        self._unread = True
        self._told.set()

    def resized(self, width: int, height: int) -> None:
        """The window has another size now."""
        self._size = (width, height)
        self._told.set()

    def signalled(self, name: str) -> None:
        """The client sends a signal, by its SSH name (``TERM``, ``INT``)."""
        number = getattr(signal, f"SIG{name}", None)
        if isinstance(number, signal.Signals) and len(self._signals) < 16:
            self._signals.append(int(number))
            self._told.set()

    def drained(self) -> None:
        """The client has caught up."""
        self._room.set()


def escape_filter_for(actor: Actor) -> EscapeFilter | None:
    """An admin looks into other people's containers."""
    return EscapeFilter() if actor.is_admin else None
