"""One session of a connection: a TUI, a container's shell or one command, and the channel it speaks through."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

import asyncssh
import structlog

from openlxd_core.domain.actor import Actor
from openlxd_core.domain.errors import Message
from openlxd_core.domain.preferences import Preferences
from openlxd_core.domain.text import clean
from openlxd_core.i18n import Translator, _, set_translator
from openlxd_tui.choices import preferences_of
from openlxd_tui.ssh import commands
from openlxd_tui.ssh.apps import run
from openlxd_tui.ssh.pace import Pace, pace_of
from openlxd_tui.ssh.protocols import SessionConnection, SessionHost
from openlxd_tui.terminal.capabilities import TerminalKind, clamp_size, client_environment, judge_terminal, language_of
from openlxd_tui.terminal.intake import Intake

log = structlog.get_logger(__name__)

WRITE_HIGH = 256 * 1024
"""Bytes waiting for a client past which frames are left out."""
_POLL_SECONDS = 0.1
_FAREWELL_SECONDS = 1.2
"""How long an app may take to go before it is cancelled; a suspended tenant is out within two seconds."""


class ConsoleSession(asyncssh.SSHServerSession[bytes]):
    """A channel of type ``session``. It is the terminal of whatever runs on it."""

    def __init__(self, console: SessionHost, connection: SessionConnection, actor: Actor) -> None:
        self._console = console
        self._connection = connection
        self.core = console.core
        self.actor = actor
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._task: asyncio.Task[None] | None = None
        self._command: str | None = None
        self._intake = Intake(self._pause_reading, self._resume_reading)
        self._poll: asyncio.TimerHandle | None = None
        self._congested_since: float | None = None
        self._pace: Pace | None = None  # of a session that paints
        self._room_poll: asyncio.TimerHandle | None = None
        self._no_room_since: float | None = None
        self._app: Any = None
        self._farewell: Message | None = None
        self._lost = False
        self._unread = False
        self.has_terminal = False
        self.kind: TerminalKind = judge_terminal(None, {})
        self.size: tuple[int, int] = clamp_size(0, 0)
        self.environment: Mapping[str, str] = {}
        self.translator = Translator()
        self.preferences = Preferences()

    # the channel

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """The channel is open."""
        self._channel = chan
        chan.set_write_buffer_limits(high=WRITE_HIGH, low=WRITE_HIGH // 4)

    def pty_requested(self, term_type: str, term_size: Any, term_modes: Any) -> bool:
        """There is a terminal at the other end."""
        self.has_terminal = True
        self._term = term_type
        self.size = clamp_size(term_size[0], term_size[1])
        return True

    _term: str | None = None

    def shell_requested(self) -> bool:
        """No command was given."""
        return True

    def exec_requested(self, command: str) -> bool:
        """One was."""
        self._command = command
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        """None is offered here yet; the client is told so on its standard error."""
        self._say_error(_("The subsystem {name} is not supported.").format(name=clean(subsystem, 40)))
        return False

    def session_started(self) -> None:
        """Everything is known: begin."""
        assert self._channel is not None
        self.environment = client_environment(getattr(self._channel, "_env", {}))
        self.kind = judge_terminal(self._term, self.environment)
        self.translator.use(language_of(self.environment))
        self._task = self._console.keep(self._run())

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        """The window has another size now."""
        self.size = clamp_size(width, height)
        if self._intake.sink is not None and self.has_terminal:
            self._intake.sink.resized(*self.size)

    def data_received(self, data: bytes, datatype: Any) -> None:
        """The client typed this."""
        self._intake.received(data)

    def eof_received(self) -> bool:
        """The client will send no more; our half of the channel stays open."""
        if self.has_terminal and self._app is not None:
            self._app.exit()
        else:
            self._intake.ended()
        return True

    def signal_received(self, signal: str) -> None:
        """The client sends a signal by its SSH name."""
        sink = self._intake.sink
        if sink is not None and hasattr(sink, "signalled"):
            sink.signalled(signal)

    def reader_gone(self) -> None:
        """Nobody reads our output any more, as when the other end of the client's pipe has closed."""
        self._unread = True
        if self.has_terminal and self._app is not None:
            self._app.exit()
        elif hasattr(self._intake.sink, "reader_gone"):
            self._intake.sink.reader_gone()

    def break_received(self, msec: int) -> bool:
        """Nothing here is a serial line."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone, with or without goodbye: whatever runs for it ends."""
        self._lost = True
        self._channel = None
        self._intake.detach()
        for poll in (self._poll, self._room_poll):
            if poll is not None:
                poll.cancel()
        self._poll = self._room_poll = None
        self._connection.session_closed(self)
        if self._task is not None and not self._task.done():
            if self._app is not None:
                self._console.keep(self._leave_app())
            else:
                self._task.cancel()

    # what runs on it

    async def _run(self) -> None:
        set_translator(self.translator)
        status = 1
        try:
            status = await commands.dispatch(self, self._command, self._connection.container)
        except asyncio.CancelledError:
            status = 1
        except Exception:
            log.exception("session_broken", user=self.actor.username)
            self._say_error(commands.BROKEN.text(_))
        finally:
            self._finish(status)

    def _finish(self, status: int) -> None:
        if self._farewell is not None:
            if self.kind.draws and self.has_terminal:
                self.write(b"\r\x1b[K")  # whatever a shell left in this line
            self._say_error(clean(self._farewell.text(self.translator)))
            status = status or 1
        self._intake.detach()
        channel, self._channel = self._channel, None
        if channel is not None:
            with contextlib.suppress(OSError):
                channel.exit(status)

    @property
    def local_address(self) -> Any:
        """The socket address that the client connected to."""
        return self._channel.get_extra_info("sockname") if self._channel is not None else None

    async def run_app(self) -> int:
        """Run the console's app on the terminal until it ends, or the client goes.

        What the account chose before is read first, so that the first frame shows it; nothing more is asked of the
        client for it. A language that was chosen goes before the client's LANG.
        """
        self.preferences = await preferences_of(self.core, self.actor)
        if self.preferences.language:
            self.translator.use(self.preferences.language)
        assert self._channel is not None
        self._pace = pace_of(self._channel.get_connection())
        self._app = self._console.make_app(self)
        self._console.memory.began(self)
        try:
            return await run(self._app, self)
        finally:
            self._app = None
            self._console.memory.ended(self)

    async def end(self, reason: Message) -> None:
        """Show ``reason``, stop what runs and close."""
        if self._farewell is not None:
            return
        self._farewell = reason
        task = self._task
        if task is None or task.done():
            return
        if self._app is not None:
            await self._leave_app(reason)
        else:
            task.cancel()
            await asyncio.wait([task], timeout=_FAREWELL_SECONDS)

    async def _leave_app(self, reason: Message | None = None) -> None:
        """Ask the app to go; one that does not within the time is cancelled."""
        task, app = self._task, self._app
        if task is None:
            return
        if app is not None:
            try:
                app.end(reason) if reason is not None and hasattr(app, "end") else app.exit()
            except Exception:
                log.exception("app_would_not_end")
        for _try in range(3):
            done, _pending = await asyncio.wait([task], timeout=_FAREWELL_SECONDS)
            if done:
                return
            task.cancel()
        log.error("session_stuck", user=self.actor.username)

    @property
    def ending(self) -> bool:
        """Whether it ends because the service says so, and not by itself."""
        return self._farewell is not None

    def farewell(self, reason: Message) -> None:
        """Say ``reason`` when what runs has ended, unless there is a reason already."""
        self._farewell = self._farewell or reason

    # the terminal

    @property
    def congested(self) -> bool:
        """Whether the client reads more slowly than we write."""
        channel = self._channel
        if channel is None:
            return False
        waiting = channel.get_write_buffer_size()
        transport = getattr(channel.get_connection(), "_transport", None) if not self._lost else None
        if transport is not None:
            waiting += transport.get_write_buffer_size()
        if waiting <= WRITE_HIGH:
            return False
        if self._poll is None:
            self._congested_since = asyncio.get_running_loop().time()
            self._wait_for_room()
        return True

    def _wait_for_room(self) -> None:
        """Look again soon: asyncssh does not say when its connection's own buffer has emptied."""
        loop = asyncio.get_running_loop()
        self._poll = None
        channel = self._channel
        if channel is None or self._congested_since is None:
            return
        waiting = channel.get_write_buffer_size()
        transport = getattr(channel.get_connection(), "_transport", None)
        waiting += transport.get_write_buffer_size() if transport is not None else 0
        if waiting <= WRITE_HIGH // 4:
            self._congested_since = None
            if self._intake.sink is not None:
                self._intake.sink.drained()
        elif self._dropped_when_slow and loop.time() - self._congested_since > self._console.slow_seconds:
            log.info("client_too_slow", user=self.actor.username)
            channel.get_connection().abort()
        else:
            self._poll = loop.call_later(_POLL_SECONDS, self._wait_for_room)

    @property
    def room(self) -> int:
        """Bytes of frames that may be sent now: the line carries them within about a second."""
        channel = self._channel
        if channel is None or self._pace is None:
            return 0
        # what the client's SSH window keeps back has not even been sent
        return min(self._pace.room, self._pace.limit - channel.get_write_buffer_size())

    def want_room(self) -> None:
        """Have the sink's ``drained`` called once there is room for more."""
        if self._pace is None or self._channel is None:
            return
        if self._no_room_since is None:
            self._no_room_since = asyncio.get_running_loop().time()
        self._pace.when_room(self._look_for_room)
        if self._room_poll is None:
            self._room_poll = asyncio.get_running_loop().call_later(_POLL_SECONDS, self._poll_room)

    def _poll_room(self) -> None:
        self._room_poll = None
        self._look_for_room()

    def _look_for_room(self) -> None:
        if self._no_room_since is None or self._channel is None or self._pace is None:
            return
        if self.room >= self._pace.limit // 4:
            self._no_room_since = None
            if self._intake.sink is not None:
                self._intake.sink.drained()
        elif (
            self._dropped_when_slow
            and asyncio.get_running_loop().time() - self._no_room_since > self._console.slow_seconds
        ):
            log.info("client_too_slow", user=self.actor.username)
            self._channel.get_connection().abort()
        else:
            self.want_room()

    @property
    def _dropped_when_slow(self) -> bool:
        """Not while a command's output waits for its reader (``| less``, Ctrl-S): the command waits, too, and whether
        the client is still there is for the keepalive to say.
        """
        return not getattr(self._intake.sink, "patient", False)

    def write(self, data: bytes, *, error: bool = False) -> None:
        """Send output; nothing happens once the client has gone."""
        if self._channel is not None and data:
            if self._pace is not None:
                self._pace.wrote(len(data))
            with contextlib.suppress(OSError):
                self._channel.write(data, asyncssh.EXTENDED_DATA_STDERR if error and not self.has_terminal else None)

    async def drain(self) -> None:
        """Return when the client has room for more."""
        while self.congested:  # noqa: ASYNC110 - nobody says when asyncssh's own buffer empties
            await asyncio.sleep(_POLL_SECONDS)

    def attach(self, sink: Any) -> None:
        """Give input and window sizes to ``sink`` from now on, first what came before it."""
        self._intake.attach(sink)
        if self._unread:
            self.reader_gone()

    def detach(self, sink: Any) -> None:
        """Stop doing so, if ``sink`` is the one."""
        self._intake.detach(sink)

    def unread(self, data: bytes) -> None:
        """Put back input that a sink took and did not use."""
        self._intake.unread(data)

    def pause_input(self) -> None:
        """Ask the client to wait."""
        self._intake.pause()

    def resume_input(self) -> None:
        """Let it send again."""
        self._intake.resume()

    def _pause_reading(self) -> None:
        if self._channel is not None:
            self._channel.pause_reading()

    def _resume_reading(self) -> None:
        if self._channel is not None:
            self._channel.resume_reading()

    def say(self, text: str) -> None:
        """Lines of text on standard output."""
        self.write(self._lines(text))

    def say_error(self, text: str) -> None:
        """Lines of text on standard error (on the terminal, where there is one)."""
        self.write(self._lines(text), error=True)

    _say_error = say_error

    def _lines(self, text: str) -> bytes:
        end = "\r\n" if self.has_terminal else "\n"
        return (end.join(text.split("\n")) + end).encode("utf-8", "replace")
