"""Running a Textual app for one of many clients: everything that Textual takes for its own is put back.

An app believes that it owns the process: it replaces ``sys.stdout``, the loop's task factory, and prints a crash
with every local variable. Here it owns one channel.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import uuid
from typing import TYPE_CHECKING, Any

import structlog
import textual.app
from textual._styles_cache import StylesCache
from textual.filter import ANSIToTruecolor

from openlxd_core.domain.errors import Message
from openlxd_core.i18n import N_
from openlxd_tui.address import address_of_connection
from openlxd_tui.terminal.app_colours import app_environment, paint_true_colours
from openlxd_tui.terminal.driver import TerminalDriver
from openlxd_tui.terminal.ports import CURRENT_TERMINAL
from openlxd_tui.terminal.shell import SessionShell

if TYPE_CHECKING:
    from textual.app import App

    from openlxd_tui.ssh.protocols import AppSession

log = structlog.get_logger(__name__)


def share_process() -> None:
    """Keep every app of this process off the process's own streams. Safe to call again.

    Apps restore ``sys.stdout`` in the order they end, not in the reverse order they began: it would stay on a dead
    app's object, and keep that app in memory.
    """
    for name in ("redirect_stdout", "redirect_stderr"):
        if not hasattr(textual.app, name):
            raise RuntimeError(f"textual.app.{name} has gone: look at what replaced it before serving many apps")
        setattr(textual.app, name, contextlib.nullcontext)


def forget_ended() -> None:
    """Drop what Textual's process-wide caches hold of apps that have ended (about 70 KiB each, for the last 150)."""
    StylesCache.get_inner_outer.cache_clear()
    ANSIToTruecolor.truecolor_style.cache_clear()


def make_console_app(session: AppSession) -> App[Any]:
    """The product's own app for the tenant of ``session``."""
    from openlxd_tui.app import OpenLXDApp

    CURRENT_TERMINAL.set(session)
    shell = SessionShell(session.core, session.actor, session)
    app: App[Any] = OpenLXDApp(
        session.core,
        session.actor,
        translator=session.translator,
        environment=app_environment(session.kind.colours),
        host_shell=shell,
        driver_class=TerminalDriver,
        preferences=session.preferences,
        ssh=address_of_connection(session.local_address, session.core.settings),
    )
    shell.app = app
    return app


async def run(app: App[Any], session: AppSession) -> int:
    """Run ``app`` until it ends. A crash is logged without its variables, and told in a sentence."""
    CURRENT_TERMINAL.set(session)
    paint_true_colours(app)
    app._print_error_renderables = app._exit_renderables.clear  # type: ignore[method-assign]
    running = asyncio.ensure_future(app.run_async())
    if sys.version_info >= (3, 12):
        # Textual's first step makes every task of the loop an eager one, other people's too.
        await asyncio.sleep(0)
        asyncio.get_running_loop().set_task_factory(None)
    try:
        await running
    except asyncio.CancelledError:
        running.cancel()
        await asyncio.wait([running], timeout=2)
        raise
    farewell = getattr(app, "farewell", None)
    if farewell is not None:
        session.farewell(farewell)
    elif app._exception is not None:
        reference = uuid.uuid4().hex[:8]
        log.error("app_crashed", reference=reference, user=session.actor.username, exc_info=app._exception)
        session.farewell(
            Message(
                N_("An internal error ended this session. Connect again, or report it with reference {reference}."),
                {"reference": reference},
            )
        )
    return app.return_code or 0
