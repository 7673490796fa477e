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
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import structlog

from openlxd_core.domain.errors import Message, OpenLXDError
from openlxd_core.i18n import N_, Translator, _, set_translator
from openlxd_core.logs import configure
from openlxd_tui.choices import preferences_of
from openlxd_tui.shells import ShellResult
from openlxd_tui.ssh.shell import RESET_TERMINAL, Pipe, wall_for
from openlxd_tui.ssh.terminal import clamp_size, judge_terminal

if TYPE_CHECKING:
    from textual.app import App

    from openlxd_core.bootstrap import Core
    from openlxd_core.domain.actor import Actor
    from openlxd_core.settings import Settings

log = structlog.get_logger(__name__)

_CHUNK = 65536


class LocalTerminal:
    """This process's terminal, as a container's shell sees it. Only between :meth:`taken` and its end."""

    def __init__(self, input_fd: int, output_fd: int) -> None:
        self._input = input_fd
        self._output = output_fd
        self._sink: Any = None
        self._reading = False

    @property
    def size(self) -> tuple[int, int]:
        """The window, in columns and rows."""
        found = shutil.get_terminal_size()
        return clamp_size(found.columns, found.lines)

    @property
    def congested(self) -> bool:
        """Never: writing blocks instead, and there is nobody else to hold up."""
        return False

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Pass every key on as it is, and tell of new window sizes."""
        loop = asyncio.get_running_loop()
        before = termios.tcgetattr(self._input)
        tty.setraw(self._input)
        others = signal.getsignal(signal.SIGWINCH)
        loop.add_signal_handler(signal.SIGWINCH, self._on_resize)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGWINCH)
            if others is not None:
                signal.signal(signal.SIGWINCH, others)
            self.pause_input()
            termios.tcsetattr(self._input, termios.TCSADRAIN, before)

    def write(self, data: bytes, *, error: bool = False) -> None:
        """Send output, all of it."""
        while data:
            data = data[os.write(self._output, data) :]

    def attach(self, sink: Any) -> None:
        """Give input to ``sink``."""
        self._sink = sink
        self.resume_input()

    def detach(self, sink: Any) -> None:
        """Stop doing so."""
        self.pause_input()
        self._sink = None

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
        except OSError:
            data = b""
        if data:
            self._sink.data(data)
        else:
            self.pause_input()
            self._sink.eof()

    def _on_resize(self) -> None:
        if self._sink is not None:
            self._sink.resized(*self.size)


class LocalShell:
    """The :class:`~openlxd_tui.shells.ShellOpener` of the local console."""

    def __init__(self, core: Core, actor: Actor) -> None:
        self._core = core
        self._actor = actor
        self.app: App[Any] | None = None
        """Set once the app exists; it needs this object to be made."""

    async def __call__(self, container_name: str) -> ShellResult:
        """Run the login shell of ``container_name`` on this terminal; the app waits behind it."""
        terminal = LocalTerminal(sys.__stdin__.fileno(), sys.__stdout__.fileno())  # type: ignore[union-attr]
        kind = judge_terminal(os.environ.get("TERM"), {})
        try:
            session = await self._core.consoles.open(
                self._actor, container_name, terminal=terminal.size, term=kind.name
            )
        except OpenLXDError as error:
            return ShellResult(error=error.message)
        driver = self.app._driver if self.app is not None else None
        try:
            if driver is not None:
                driver.suspend_application_mode()
            with terminal.taken():
                text = _("Shell in {name}. Type exit or press Ctrl+D to come back.").format(name=container_name)
                terminal.write(f"\x1b[2J\x1b[H{text}\r\n".encode("utf-8", "replace"))
                try:
                    return ShellResult(exit_status=await Pipe(session, terminal, wall=wall_for(self._actor)).run())
                finally:
                    terminal.write(RESET_TERMINAL)
        except OpenLXDError as error:
            return ShellResult(error=error.message)
        except Exception:
            log.exception("shell_broken", container=container_name)
            return ShellResult(error=Message(N_("The shell broke off.")))
        finally:
            await asyncio.shield(asyncio.ensure_future(session.close()))
            if driver is not None:
                driver.resume_application_mode()


async def run_console(core: Core, actor: Actor, *, language: str = "") -> int:
    """Run the console on this process's terminal as ``actor`` until they leave; the exit status."""
    from openlxd_tui.app import OpenLXDApp

    preferences = await preferences_of(core, actor)
    translator = Translator(language or preferences.language or _language())  # what was asked for now goes first
    set_translator(translator)
    shell = LocalShell(core, actor)
    app = OpenLXDApp(
        core, actor, translator=translator, environment=os.environ, host_shell=shell, preferences=preferences
    )
    shell.app = app
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


def _language() -> str:
    return next((os.environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(name)), "")
