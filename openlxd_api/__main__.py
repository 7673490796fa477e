"""The API process: ``python -m openlxd_api``. Settings come from the environment and the settings file."""

from __future__ import annotations

import sys

from openlxd_api.server import serve
from openlxd_core.serving import run_server


def main() -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit status; a failed start is one line on standard error."""
    return run_server("api", serve)


if __name__ == "__main__":
    sys.exit(main())
