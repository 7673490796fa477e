"""The SSH console's process: ``python -m openlxd_tui``."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

import structlog

from openlxd_core.serving import run_server
from openlxd_core.systemd import ready, stopping

if TYPE_CHECKING:
    from openlxd_core.settings import Settings

log = structlog.get_logger(__name__)


def forget_terminal() -> None:
    """Drop what the server's own environment says about terminals: it is nobody's who logs in."""
    for name in list(os.environ):
        if name.startswith("TEXTUAL") or name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "COLUMNS", "LINES"):
            del os.environ[name]


async def serve(settings: Settings) -> None:
    """Listen until SIGTERM or SIGINT. Raises ConfigurationError."""
    from openlxd_core.bootstrap import open_core
    from openlxd_tui.ssh.server import SshConsole

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with open_core(settings) as core:
        console = SshConsole(core)
        console.settle()
        await console.start()
        try:
            log.info("ssh_listening", address=console.address)
            ready(console.address)
            await stop.wait()
        finally:
            stopping()
            log.info("ssh_stopping")
            await console.close()


def main() -> int:
    """Load the settings, serve, and return the exit status."""
    forget_terminal()
    return run_server("ssh", serve)


if __name__ == "__main__":
    sys.exit(main())
