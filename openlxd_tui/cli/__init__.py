"""The ``openlxd`` command.

This file is what ``openlxd --help`` pays for, so it imports next to nothing. ``root`` knows which commands there
are, a module beside it holds each group, ``context`` is what they share, ``exits`` turns errors into exit codes.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with its exit code."""
    import sys

    from openlxd_tui.cli.root import run

    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))
