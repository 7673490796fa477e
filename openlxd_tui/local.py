"""The console on this machine's own terminal, for ``openlxd tui``: the same app, as an admin."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from openlxd_core.domain.errors import OpenLXDError
from openlxd_core.i18n import N_, Translator, set_translator
from openlxd_core.logs import configure
from openlxd_tui.address import address_of_settings
from openlxd_tui.choices import preferences_of
from openlxd_tui.terminal.app_colours import app_environment, paint_true_colours
from openlxd_tui.terminal.capabilities import TerminalKind, clamp_size, judge_terminal, language_of
from openlxd_tui.terminal.driver import TerminalDriver
from openlxd_tui.terminal.ports import CURRENT_TERMINAL
from openlxd_tui.terminal.shell import SessionShell

if TYPE_CHECKING:
    from openlxd_core.bootstrap import Core
    from openlxd_core.domain.actor import Actor
    from openlxd_core.settings import Settings

_CHUNK = 65536
_ROOM = 32 * 1024  # bytes that wait for the terminal, past which frames are left out


class LocalTerminal:
    """This process's own terminal. Only between :meth:`taken` and its end.

    It is opened once more for writing, without blocking: a terminal that does not read (a stalled line, a stopped
    multiplexer) must not hold up the operations that this process runs. The descriptors that the shell gave us stay
    as they are, for they are the shell's, too.
    """

    def __init__(self, input_fd: int, output_fd: int, environment: Mapping[str, str]) -> None:
        self.kind: TerminalKind = judge_terminal(environment.get("TERM"), environment)
        self._input = input_fd
        self._output = output_fd
        self._own_output = False
        self._sink: Any = None
        self._reading = False
        self._unread: list[bytes] = []
        self._waiting = bytearray()
        self._behind = False
        self._before: list[Any] = []

    @property
    def size(self) -> tuple[int, int]:
        """The window, in columns and rows."""
        found = shutil.get_terminal_size()
        return clamp_size(found.columns, found.lines)

    @property
    def congested(self) -> bool:
        """Whether the terminal has not taken yet what was written to it."""
        self._behind = self._behind or bool(self._waiting)
        return bool(self._waiting)

    @property
    def room(self) -> int:
        """Bytes of frames that may be written now."""
        return _ROOM - len(self._waiting)

    def want_room(self) -> None:
        """Have the sink's ``drained`` called once the terminal has taken what waits."""
        self._behind = True

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Pass every key on as it is, and tell of new window sizes."""
        loop = asyncio.get_running_loop()
        self._before = termios.tcgetattr(self._input)
        with contextlib.suppress(OSError):
            self._output = os.open(os.ttyname(self._output), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
            self._own_output = True
        tty.setraw(self._input)
        loop.add_signal_handler(signal.SIGWINCH, self._on_resize)
        loop.add_signal_handler(signal.SIGCONT, self._on_return)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGWINCH)
            loop.remove_signal_handler(signal.SIGCONT)
            self.pause_input()
            loop.remove_writer(self._output)
            if self._own_output:
                os.set_blocking(self._output, True)
                with contextlib.suppress(OSError):
                    self._write_all()
                os.close(self._output)
            termios.tcsetattr(self._input, termios.TCSADRAIN, self._before)

    def write(self, data: bytes, *, error: bool = False) -> None:
        """Send output, all of it, as the terminal takes it."""
        self._waiting += data
        self._write_some()

    def _write_some(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._write_all()
        except BlockingIOError:
            loop.add_writer(self._output, self._write_some)
            return
        except OSError:  # the terminal has gone: reading says so, too
            self._waiting.clear()
        loop.remove_writer(self._output)
        if self._behind:
            self._behind = False
            if self._sink is not None:
                self._sink.drained()

    def _write_all(self) -> None:
        while self._waiting:
            del self._waiting[: os.write(self._output, self._waiting[:_CHUNK])]

    def attach(self, sink: Any) -> None:
        """Give input to ``sink``, first what nobody took before."""
        self._sink = sink
        self.resume_input()
        unread, self._unread = self._unread, []
        for data in unread:
            sink.data(data)

    def detach(self, sink: Any) -> None:
        """Stop doing so."""
        if self._sink is sink:
            self.pause_input()
            self._sink = None

    def unread(self, data: bytes) -> None:
        """Return input that nobody took: the next sink gets it first."""
        if data:
            self._unread.insert(0, data)

    def pause_input(self) -> None:
        """Leave keys where they are."""
        if self._reading:
            self._reading = False
            asyncio.get_running_loop().remove_reader(self._input)

    def resume_input(self) -> None:
        """Read on."""
        if not self._reading and self._sink is not None:
            self._reading = True
            asyncio.get_running_loop().add_reader(self._input, self._on_input)

    def _on_input(self) -> None:
        try:
            data = os.read(self._input, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._sink.data(data)
        else:
            sink = self._sink
            self.pause_input()
            sink.eof()

    def _on_resize(self) -> None:
        if self._sink is not None:
            self._sink.resized(*self.size)

    def _on_return(self) -> None:
        """Back from a SIGSTOP: the shell has used the terminal in its own way meanwhile."""
        tty.setraw(self._input)
        if hasattr(self._sink, "returned"):
            self._sink.returned()


async def run_console(core: Core, actor: Actor, *, language: str = "") -> int:
    """Run the console on this process's terminal as ``actor`` until they leave; the exit status."""
    from openlxd_tui.app import OpenLXDApp

    preferences = await preferences_of(core, actor)
    translator = Translator(language or preferences.language or language_of(os.environ))  # what was asked for now first
    set_translator(translator)
    terminal = LocalTerminal(sys.__stdin__.fileno(), sys.__stdout__.fileno(), os.environ)  # type: ignore[union-attr]
    CURRENT_TERMINAL.set(terminal)
    shell = SessionShell(core, actor, terminal)
    app = OpenLXDApp(
        core,
        actor,
        translator=translator,
        environment=app_environment(terminal.kind.colours),
        host_shell=shell,
        driver_class=TerminalDriver,
        preferences=preferences,
        ssh=address_of_settings(core.settings),
    )
    shell.app = app
    paint_true_colours(app)
    with terminal.taken():
        await app.run_async()
    if app.farewell is not None:
        (sys.__stderr__ or sys.stderr).write(app.farewell.text(translator) + "\n")
    return app.return_code or 0


def run(settings: Settings, *, language: str = "") -> int:
    """``openlxd tui``: open the core as whoever may open the LXD socket, and run the console.

    Raises ConfigurationError, and OpenLXDError where there is no terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise OpenLXDError(N_("The console needs a terminal."))
    configure(settings, "tui")
    _log_to_file(settings)

    async def open_and_run() -> int:
        from openlxd_core.bootstrap import open_core

        async with open_core(settings) as core:
            return await run_console(core, await core.auth.local_login("tui"), language=language)

    return asyncio.run(open_and_run())


def _log_to_file(settings: Settings) -> None:
    """Log lines would be written across the screen: they go to ``tui.log`` beside the database."""
    settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    stream = (settings.state_dir / "tui.log").open("a", encoding="utf-8", buffering=1)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(stream)
