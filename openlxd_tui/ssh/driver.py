"""Textual's driver over an SSH channel: no threads, no signal handlers, nothing of the server's own terminal."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from textual import events
from textual.driver import Driver
from textual.geometry import Size
from textual.message import Message

from openlxd_tui.ssh.keys import KeyReader
from openlxd_tui.ssh.terminal import recolour

if TYPE_CHECKING:
    from textual.app import App

    from openlxd_tui.ssh.terminal import TerminalKind

_KEYS_STEP = 32  # bytes parsed between two turns of the event loop: each may be a key that paints
_PASTE_STEP = 4096  # the same, in the middle of a paste
_INPUT_HIGH = 64 * 1024  # waiting bytes past which the client is asked to wait
_QUEUE_HIGH = 8  # messages that an app handles in one go, without letting other sessions have their turn
_WAIT_SECONDS = 0.01
_RESIZE_SECONDS = 0.05

_ENTER = (
    "\x1b[?1049h"  # the alternate screen
    "\x1b[?25l"  # no cursor
    "\x1b[?1004h"  # focus reports
    "\x1b[?2004h"  # bracketed paste
    "\x1b[?7l"  # no line wrap
    "\x1b[?2026$p"  # can it show a frame at once?
)
_LEAVE = "\x1b[?2026l\x1b[?2004l\x1b[?1004l\x1b[?7h\x1b[0m\x1b[?1049l\x1b[?25h"
_MOUSE_ON = "\x1b[?1000h\x1b[?1003h\x1b[?1006h"
_MOUSE_OFF = "\x1b[?1006l\x1b[?1003l\x1b[?1000l"


_REPORTS = re.compile(rb"\x1b\[(?:<[\d;]*[Mm]|[IO]|\?[\d;]*\$y)")  # mouse, focus, the answer to a query


def typed_only(data: bytes) -> bytes:
    """``data`` without what a terminal reports by itself because the app asked for it."""
    return _REPORTS.sub(b"", data)


class Sink(Protocol):
    """Whoever has the terminal at the moment: an app's driver, or a container's shell."""

    def data(self, data: bytes) -> None:
        """The client typed this."""

    def resized(self, width: int, height: int) -> None:
        """The window has another size now."""

    def drained(self) -> None:
        """What was written has gone out, after a time when it had not."""


class Terminal(Protocol):
    """The client's terminal at the other end of a channel."""

    kind: TerminalKind
    size: tuple[int, int]

    @property
    def congested(self) -> bool:
        """Whether the client reads more slowly than we write; ``drained`` is called when that is over."""

    def write(self, data: bytes, *, error: bool = False) -> None:
        """Send output; nothing happens once the client has gone."""

    def attach(self, sink: Sink) -> None:
        """Give input and window sizes to ``sink`` from now on."""

    def detach(self, sink: Sink) -> None:
        """Stop doing so, if ``sink`` is the one."""

    def pause_input(self) -> None:
        """Ask the client to wait."""

    def resume_input(self) -> None:
        """Let it send again."""

    def unread(self, data: bytes) -> None:
        """Put back input that a sink took and did not use."""


CURRENT_TERMINAL: ContextVar[Terminal] = ContextVar("openlxd_terminal")
"""The terminal of the session that this task belongs to: Textual makes its driver itself."""


class SshDriver(Driver):
    """Runs one app on the terminal of its session."""

    def __init__(
        self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        self._terminal = CURRENT_TERMINAL.get()
        super().__init__(app, debug=debug, mouse=mouse, size=self._terminal.size)
        self._recolour = recolour(self._terminal.kind.colours)
        self._reader = KeyReader()
        self._tick: asyncio.TimerHandle | None = None
        self._input: deque[bytes] = deque()
        self._input_size = 0
        self._pump: asyncio.Handle | None = None
        self._resize: asyncio.TimerHandle | None = None
        self._output: list[str] = []
        self._behind = False
        self._on_screen = False

    # output

    def write(self, data: str) -> None:
        """Send ``data`` with the next flush, which comes by itself."""
        if not self._output:
            self._loop.call_soon(self.flush)
        self._output.append(data)

    def flush(self) -> None:
        """Send what was written; a frame that the client has no room for is left out."""
        if not self._output:
            return
        text = "".join(self._output)
        self._output.clear()
        if not self._on_screen:
            return
        if self._terminal.congested:
            self._behind = True
            return
        self._send(text)

    def _send(self, text: str) -> None:
        if self._recolour is not None:
            text = self._recolour(text)
        self._terminal.write(text.encode("utf-8", "replace"))

    def drained(self) -> None:
        """Paint everything anew once a slow client has caught up."""
        if self._behind and self._on_screen:
            self._behind = False
            self._app.refresh(layout=True)

    # the terminal's modes

    def start_application_mode(self) -> None:
        """Take the terminal."""
        self._on_screen = True
        self._behind = False
        self._send(_ENTER + (_MOUSE_ON if self._mouse else ""))
        self._terminal.attach(self)
        self._report_size()

    def disable_input(self) -> None:
        """Stop listening."""
        self._terminal.detach(self)
        for handle in (self._tick, self._pump, self._resize):
            if handle is not None:
                handle.cancel()
        self._tick = self._pump = self._resize = None
        self._terminal.unread(typed_only(b"".join(self._input)))  # typed ahead, for whoever takes the terminal now
        self._input.clear()
        self._input_size = 0
        self._terminal.resume_input()

    def stop_application_mode(self) -> None:
        """Give the terminal back as it was."""
        self.disable_input()
        if self._on_screen:
            self._on_screen = False
            self._output.clear()
            self._send(_MOUSE_OFF + _LEAVE)

    # input

    def data(self, data: bytes) -> None:
        """The client typed this."""
        self._input.append(data)
        self._input_size += len(data)
        if self._input_size > _INPUT_HIGH:
            self._terminal.pause_input()
        if self._pump is None:
            self._read_some()

    def _read_some(self) -> None:
        """Parse a little, let the other sessions run, and go on: ten megabytes of paste must not stop them."""
        self._pump = None
        if not self._input:
            return
        if self._unhandled() > _QUEUE_HIGH:
            self._pump = self._loop.call_later(_WAIT_SECONDS, self._read_some)
            return
        data = self._input.popleft()
        step = _PASTE_STEP if self._reader.pasting else _KEYS_STEP
        if len(data) > step:
            self._input.appendleft(data[step:])
            data = data[:step]
        self._input_size -= len(data)
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        self._deliver(self._reader.feed(data))
        if self._input:
            self._pump = self._loop.call_soon(self._read_some)
        else:
            self._terminal.resume_input()
        self._arm_tick()

    def _unhandled(self) -> int:
        """Messages that wait in the app, and in the widget that its keys go to."""
        focused = self._app.focused if self._app._screen_stack else None
        return self._app.message_queue_size + (focused.message_queue_size if focused is not None else 0)

    def _arm_tick(self) -> None:
        deadline = self._reader.deadline
        if deadline is not None and self._on_screen:
            self._tick = self._loop.call_later(deadline, self._on_tick)

    def _on_tick(self) -> None:
        self._tick = None
        if self._input:  # more has come and waits its turn: time has not passed for the reader
            return
        self._deliver(self._reader.tick())
        self._arm_tick()

    def _deliver(self, messages: list[Message]) -> None:
        for message in messages:
            self.process_message(message)

    def send_message(self, message: Message) -> None:
        """Hand a message to the app; we are on its thread already."""
        self._app.post_message(message)

    # the window

    def resized(self, width: int, height: int) -> None:
        """The window has another size now; a storm of sizes is one size, a moment later."""
        if self._resize is None:
            self._resize = self._loop.call_later(_RESIZE_SECONDS, self._report_size)

    def _report_size(self) -> None:
        self._resize = None
        self._size = self._terminal.size
        size = Size(*self._size)
        self.send_message(events.Resize(size, size))

    # what a server must not do for a client

    def open_url(self, url: str, new_tab: bool = True) -> None:
        """Nothing: the browser would open on the server."""

    def deliver_binary(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the file would be saved on the server."""
