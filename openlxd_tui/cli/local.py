"""``openlxd tui``: the admin console on this terminal, and its way into a container's shell."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import tty
from contextlib import suppress
from typing import TYPE_CHECKING

from openlxd_core.domain.console import ExecSession
from openlxd_core.domain.errors import ConfigurationError, Forbidden, OpenLXDError
from openlxd_core.i18n import N_, _, translator
from openlxd_tui.cli import exits
from openlxd_tui.cli.context import say, settings
from openlxd_tui.shells import ShellResult

if TYPE_CHECKING:
    from openlxd_core.bootstrap import Core
    from openlxd_core.domain.actor import Actor
    from openlxd_core.settings import Settings
    from openlxd_tui.app import OpenLXDApp


async def tui() -> int:
    """Open the admin console here, on this terminal. Whoever may use LXD's socket is its admin."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigurationError(N_("The console needs a terminal. Elsewhere use the other commands, with --json."))
    in_force = settings()
    _require_socket(in_force)
    from openlxd_core import bootstrap, logs
    from openlxd_tui.app import OpenLXDApp

    logs.configure(in_force, "tui")
    _log_to_file(in_force)
    async with bootstrap.open_core(in_force) as core:
        actor = await core.auth.local_login("tui")
        shells = LocalShells(core, actor)
        app = OpenLXDApp(core, actor, translator=translator(), environment=dict(os.environ), host_shell=shells)
        shells.app = app
        await app.run_async()
    if app.farewell is not None:
        say(app.farewell.text(_))
    return exits.FAILED if app.return_code else exits.DONE


def _require_socket(in_force: Settings) -> None:
    """Raise Forbidden unless this account may use LXD: that is what makes it an admin."""
    from openlxd_core.host.lxd import find_lxd, may_use

    if in_force.lxd == "simulated":
        return
    server = find_lxd(in_force)
    if server is not None and not (may_use(server.socket) and server.trusted):
        raise Forbidden(
            N_("{path} may not be used by this account. Be root, or in the group lxd."), path=str(server.socket)
        )


def _log_to_file(in_force: Settings) -> None:
    """Log lines would be painted over the screen: they go to a file while it is up."""
    import logging

    in_force.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    handler = logging.FileHandler(in_force.state_dir / "tui.log", encoding="utf-8", delay=True)
    root = logging.getLogger()
    for old in root.handlers[:]:
        handler.setFormatter(old.formatter)
        root.removeHandler(old)
    root.addHandler(handler)


class LocalShells:
    """Lends this terminal to a container's shell."""

    def __init__(self, core: Core, actor: Actor) -> None:
        self._core = core
        self._actor = actor
        self.app: OpenLXDApp | None = None

    async def __call__(self, container_name: str) -> ShellResult:
        """Run the login shell of a container until it ends; expected errors come back in the result."""
        app = self.app
        if app is None or app._driver is None:
            return ShellResult()
        size = os.get_terminal_size(sys.__stdin__.fileno() if sys.__stdin__ else 0)
        try:
            session = await self._core.consoles.open(
                self._actor,
                container_name,
                terminal=(size.columns, size.lines),
                term=os.environ.get("TERM", "xterm-256color"),
            )
        except OpenLXDError as error:
            return ShellResult(error=error.message)
        app._driver.stop_application_mode()
        try:
            with suppress(OSError):
                os.write(1, f"{container_name}: {_('exit or Ctrl-D brings you back.')}\r\n".encode())
            return ShellResult(exit_status=await _pipe(session))
        except OpenLXDError as error:
            return ShellResult(error=error.message)
        finally:
            await session.close()
            app._driver.start_application_mode()


async def _pipe(session: ExecSession) -> int:
    """Join this terminal, raw, with ``session`` until that ends; its exit status."""
    loop = asyncio.get_running_loop()
    keyboard = 0
    before = termios.tcgetattr(keyboard)
    typed: asyncio.Queue[bytes] = asyncio.Queue()
    resized = asyncio.Event()

    async def pass_input() -> None:
        while data := await typed.get():
            await session.write(data)
        await session.write_eof()

    async def pass_size() -> None:
        while True:
            await resized.wait()
            resized.clear()
            now = os.get_terminal_size(keyboard)
            await session.resize(now.columns, now.lines)

    tty.setraw(keyboard)
    loop.add_reader(keyboard, lambda: typed.put_nowait(os.read(keyboard, 65536)))
    old_winch = signal.getsignal(signal.SIGWINCH)
    loop.add_signal_handler(signal.SIGWINCH, resized.set)
    helpers = [asyncio.create_task(pass_input()), asyncio.create_task(pass_size())]
    try:
        while True:
            stream, data = await session.read()
            if stream == 0:
                return await session.wait()
            await asyncio.to_thread(_write_all, data)
    finally:
        loop.remove_reader(keyboard)
        loop.remove_signal_handler(signal.SIGWINCH)
        if old_winch is not None:
            signal.signal(signal.SIGWINCH, old_winch)
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def _write_all(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]
