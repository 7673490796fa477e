"""The start of both server processes: settings, log, and one line on standard error for a failed start."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

from openlxd_core import logs
from openlxd_core.domain.errors import OpenLXDError, unusable
from openlxd_core.domain.exits import INTERRUPTED, exit_code
from openlxd_core.settings import Settings, load_settings


def run_server(component: str, serve: Callable[[Settings], Awaitable[None]]) -> int:
    """Load the settings, serve until told to stop, and return the exit status.

    A problem that the operator can fix (a setting, a file, a port) is one line on standard error; anything else is a
    bug and is logged with its traceback.
    """

    async def run(settings: Settings) -> None:
        await serve(settings)

    try:
        settings = load_settings().settings
        logs.configure(settings, component)
        asyncio.run(run(settings))
    except OpenLXDError as error:
        return _stopped(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        if error.filename is None:
            raise
        return _stopped(unusable(error.filename, error))
    return 0


def _stopped(error: OpenLXDError) -> int:
    (sys.__stderr__ or sys.stderr).write(f"Error: {error}\n")
    return exit_code(error)
