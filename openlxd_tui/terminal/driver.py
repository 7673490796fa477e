"""Textual's driver for both doors, an SSH channel and the local terminal: no threads, no signal handlers.

Keys are delivered one at a time (see :mod:`openlxd_tui.terminal.settled`), so that lag, a paste or a script that types
ahead acts on the screens that it was meant for. Text for a field that has the focus goes in as fast as the field
takes it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from textual import events
from textual._ansi_sequences import SYNC_END, SYNC_START
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.driver import Driver
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.widgets import Input

from openlxd_tui.terminal.capabilities import recolour
from openlxd_tui.terminal.keyboard import Typed
from openlxd_tui.terminal.keys import KeyReader
from openlxd_tui.terminal.picture import Picture
from openlxd_tui.terminal.ports import CURRENT_TERMINAL
from openlxd_tui.terminal.settled import Settling, check_textual

if TYPE_CHECKING:
    from rich.console import RenderableType
    from textual.app import App
    from textual.screen import Screen


HOLD_SECONDS = 5.0
"""How long a key waits for the app to have handled the one before, at the most: a screen that needs longer to open
does not open any more, and what was typed ahead for it is dropped."""
IMPATIENT_SECONDS = 1.0
"""After so long, Esc and Ctrl+C do not wait: they drop what was typed ahead and act."""
_IMPATIENT = (b"\x1b", b"\x03")
_LOOKS_AT_ONCE = 64  # turns of the event loop; most keys are handled within ten
_LOOK_MOST_SECONDS = 0.02
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


check_textual()


class InputDropped(Message):
    """What was typed ahead is lost, because the screen that it was meant for did not open in time."""

    bubble = False


_ACTING = (events.InputEvent, events.Paste)


class TerminalDriver(Driver):
    """Runs one app on the terminal of its session."""

    def __init__(
        self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        self._terminal = CURRENT_TERMINAL.get()
        super().__init__(app, debug=debug, mouse=mouse, size=self._terminal.size)
        self._recolour = recolour(self._terminal.kind.colours)
        self._reader = KeyReader()
        self._tick: asyncio.TimerHandle | None = None
        self._typed = Typed(self._reader)
        self.settling = Settling(app)
        """Tells when the app has handled a key; the app asks it whether somebody has typed on."""
        self._key_pending, self._text_pending = True, False  # what is typed at once waits for the first screen
        self._delivered = 0.0
        self._typed_at = self._loop.time()
        self._looks = 0
        self._pump: asyncio.Handle | None = None
        self._resize: asyncio.TimerHandle | None = None
        self._size_now = self._terminal.size
        self._picture = Picture(*self._size_now)
        self._painting = False
        app._display = self._display  # type: ignore[method-assign]
        self._on_screen = False

    # output

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        """As ``App._display``, but only what differs from what the client shows is sent, at the pace of its line."""
        app = self._app
        try:
            if renderable is None or app._batch_count or not app._running or app._closed:
                return
            if isinstance(renderable, LayoutUpdate | ChopsUpdate):
                self._picture.take(renderable)
                self._paint_soon()
            else:  # nothing of ours; it is painted over with the next frame
                type(app)._display(app, screen, renderable)
                self._picture.forget_shown()
        finally:
            app.post_display_hook()

    def paint_strip(self, x: int, y: int, strip: Strip) -> None:
        """Show ``strip`` at these cells of the screen with the next frame."""
        self._picture.put(x, y, strip)
        self._paint_soon()

    def _paint_soon(self) -> None:
        if not self._painting:
            self._painting = True
            self._loop.call_soon(self._paint)

    def _paint(self) -> None:
        """Send lines that differ, for as long as there is room; the rest is sent as it will be by then."""
        self._painting = False
        dirty = self._picture.dirty
        if not dirty or not self._on_screen:
            return
        room = self._terminal.room
        parts: list[str] = []
        size = 0
        for y in dirty:
            if size >= room:
                self._terminal.want_room()
                break
            painted = self._picture.line(y)
            if painted:
                parts.append(painted)
                size += len(painted)
        if not parts:
            return
        cursor = self._app.cursor_position
        x, y = max(0, min(cursor.x, self._size_now[0] - 1)), max(0, min(cursor.y, self._size_now[1] - 1))
        text = "".join(parts) + self._picture.rest_pen() + f"\x1b[{y + 1};{x + 1}H"
        if len(parts) > 1 and self._app._sync_available:
            text = f"{SYNC_START}{text}{SYNC_END}"
        self._send(text)

    def write(self, data: str) -> None:
        """Send ``data``, which is no part of a frame (a bell, the pointer's shape), if there is room."""
        if self._on_screen and self._terminal.room > 0:
            self._send(data)

    def _send(self, text: str) -> None:
        if self._recolour is not None:
            text = self._recolour(text)
        self._terminal.write(text.encode("utf-8", "replace"))

    def returned(self) -> None:
        """Somebody else has had the terminal: take it again as it was."""
        if self._on_screen:
            self._send(_ENTER + (_MOUSE_ON if self._mouse else ""))
            self._repaint()

    def drained(self) -> None:
        """The client has room again: send the newest picture."""
        self._paint()

    def _repaint(self) -> None:
        """Send every line anew: the client's screen shows something else."""
        self._picture.forget_shown()
        self._paint_soon()

    # the terminal's modes

    def start_application_mode(self) -> None:
        """Take the terminal."""
        self._on_screen = True
        self._key_pending = True
        self._delivered = self._loop.time()
        self._send(_ENTER + (_MOUSE_ON if self._mouse else ""))
        self._repaint()
        self._terminal.attach(self)
        self._report_size()

    def disable_input(self) -> None:
        """Stop listening."""
        self._terminal.detach(self)
        for handle in (self._tick, self._pump, self._resize):
            if handle is not None:
                handle.cancel()
        self._tick = self._pump = self._resize = None
        self._terminal.unread(self._typed.take_all())
        self._terminal.resume_input()

    def stop_application_mode(self) -> None:
        """Give the terminal back as it was."""
        self.disable_input()
        if self._on_screen:
            self._on_screen = False
            self._send(_MOUSE_OFF + _LEAVE)

    # input

    def data(self, data: bytes) -> None:
        """The client typed this."""
        now = self._typed_at = self._loop.time()
        if data in _IMPATIENT and now - self._delivered >= IMPATIENT_SECONDS and self._waits_for_app:
            self._give_up()
        self._typed.add(data, now)
        if self._typed.size > _INPUT_HIGH:
            self._terminal.pause_input()
        if self._pump is None:
            self._read_some()

    @property
    def idle_seconds(self) -> float:
        """How long nothing has been typed."""
        return self._loop.time() - self._typed_at

    def eof(self) -> None:
        """The terminal has gone."""
        self._app.exit()

    @property
    def _waits_for_app(self) -> bool:
        """Whether a key has been delivered that the app has not fully handled yet."""
        if (self._key_pending or self._text_pending) and self.settling.settled:
            self._key_pending = self._text_pending = False
        return self._key_pending or self._text_pending

    @property
    def _to_a_field(self) -> bool:
        """Whether what comes next is text for the field that has the focus: it needs to wait for no other text."""
        return self._typed.is_text and isinstance(self._app.focused if self._app._screen_stack else None, Input)

    def _read_some(self) -> None:
        """Deliver the next key or a little text, let the other sessions run, and go on."""
        self._pump = None
        if not self._typed or not self._on_screen:
            return
        text = self._to_a_field and not self._key_pending
        if not text and self._waits_for_app:
            self._look_again()
            return
        self._looks = 0
        if self._unhandled() > _QUEUE_HIGH:
            self._pump = self._loop.call_later(_WAIT_SECONDS, self._read_some)
            return
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        self._deliver(self._typed.next(many=text), text=text)
        if self._typed:
            self._pump = self._loop.call_soon(self._read_some)
        if self._typed.size <= _INPUT_HIGH:
            self._terminal.resume_input()
        self._arm_tick()

    def _look_again(self) -> None:
        """The app is still at the last key: look again, at once at first, then less and less often."""
        now = self._loop.time()
        if now - max(self._delivered, self._typed.since) >= HOLD_SECONDS:
            self._give_up()
            self.send_message(InputDropped())
            return
        self._looks += 1
        if self._looks <= _LOOKS_AT_ONCE:
            self._pump = self._loop.call_soon(self._read_some)
        else:
            wait = min(_LOOK_MOST_SECONDS, 0.0005 * (self._looks - _LOOKS_AT_ONCE))
            self._pump = self._loop.call_later(wait, self._read_some)

    def _give_up(self) -> None:
        """Whoever types has waited long enough: what was typed blind is dropped, and the next key acts."""
        self.settling.give_up()
        self.forget_typed()
        self._key_pending = self._text_pending = False

    def forget_typed(self) -> None:
        """Drop what was typed and not delivered yet: it was meant for a screen that did not come."""
        self._typed.take_all()
        self._terminal.resume_input()

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
        if self._typed:  # more has come and waits its turn; the queue knows how long after
            return
        self._deliver(self._reader.tick(), text=False)
        self._arm_tick()

    def _deliver(self, messages: list[Message], *, text: bool) -> None:
        for message in messages:
            if text and isinstance(message, events.Key):
                self._text_pending = True
            elif isinstance(message, _ACTING) and not isinstance(message, events.MouseMove):
                self._key_pending = True
                self.settling.began()
            self._delivered = self._loop.time()
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
        if self._size != self._size_now:
            self._size_now = self._size
            self._picture.resize(*self._size)
        else:
            self._repaint()  # the window changed to and fro: terminals move lines meanwhile
        size = Size(*self._size)
        self.send_message(events.Resize(size, size))

    # what a server must not do for a client

    def open_url(self, url: str, new_tab: bool = True) -> None:
        """Nothing: the browser would open on the server."""

    def deliver_binary(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the file would be saved on the server."""
