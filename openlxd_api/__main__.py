"""The API process: ``python -m openlxd_api``. Settings come from the environment and the settings file."""

from __future__ import annotations

import asyncio
import sys

from openlxd_api.server import serve
from openlxd_core import logs
from openlxd_core.domain.errors import OpenLXDError
from openlxd_core.settings import load_settings


def main() -> int:
    """Serve until told to stop; 1 with one line on standard error where that cannot be."""
    try:
        settings = load_settings().settings
        logs.configure(settings, "api")
        asyncio.run(serve(settings))
    except OpenLXDError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
