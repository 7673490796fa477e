"""Lends the terminal of a session to the shell of a container."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog

from openlxd_core.domain.errors import Message, OpenLXDError
from openlxd_core.i18n import N_, _
from openlxd_tui.shells import ShellResult
from openlxd_tui.terminal.relay import RESET_TERMINAL, Relay, escape_filter_for

if TYPE_CHECKING:
    from textual.app import App

    from openlxd_core.bootstrap import Core
    from openlxd_core.domain.actor import Actor
    from openlxd_tui.terminal.ports import Terminal


log = structlog.get_logger(__name__)


class SessionShell:
    """The :class:`~openlxd_tui.shells.ShellOpener` of a session: lends its terminal to a container's shell."""

    def __init__(self, core: Core, actor: Actor, terminal: Terminal) -> None:
        self._core = core
        self._actor = actor
        self._terminal = terminal
        self.app: App[Any] | None = None
        """Set once the app exists; it needs this object to be made."""

    async def __call__(self, container_name: str) -> ShellResult:
        """Run the login shell of ``container_name``; the app waits behind it."""
        try:
            session = await self._core.consoles.open(
                self._actor, container_name, terminal=self._terminal.size, term=self._terminal.kind.name
            )
        except OpenLXDError as error:
            return ShellResult(error=error.message)
        if getattr(self.app, "has_moved_on", bool)():  # it took too long, and somebody has gone on typing elsewhere
            await session.close()
            return ShellResult()
        driver = self.app._driver if self.app is not None else None
        try:
            if driver is not None:
                driver.stop_application_mode()
            self._terminal.write(f"\x1b[2J\x1b[H{_way_out(container_name)}\r\n".encode("utf-8", "replace"))
            return ShellResult(
                exit_status=await Relay(session, self._terminal, escape_filter=escape_filter_for(self._actor)).run()
            )
        except OpenLXDError as error:
            return ShellResult(error=error.message)
        except Exception:
            log.exception("shell_broken", container=container_name)
            return ShellResult(error=Message(N_("The shell ended unexpectedly.")))
        finally:
            await asyncio.shield(asyncio.ensure_future(session.close()))
            self._terminal.write(RESET_TERMINAL)
            if driver is not None and self.app is not None and self.app._running and not self.app._exit:
                driver.start_application_mode()


def _way_out(container_name: str) -> str:
    return _("Shell in {name}. Type exit or press Ctrl+D to come back.").format(name=container_name)
