"""Commands of both doors, called by the ``openlxd`` program: as the host's admin, printing to this process's output."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from openlxd_core.domain.text import clean
from openlxd_tui.cli import context
from openlxd_tui.commands.call import Call
from openlxd_tui.commands.table import Door


class ProcessOutput:
    """Data to standard output, everything said about it to standard error."""

    @property
    def watched(self) -> bool:
        """Whether standard error is a terminal and something may be said."""
        return sys.stderr.isatty() and not context.options.quiet

    @property
    def width(self) -> int:
        """Columns of the terminal."""
        return shutil.get_terminal_size().columns

    def data(self, text: str) -> None:
        """Print lines of the answer."""
        context.out(text)

    def say(self, text: str) -> None:
        """Print one sentence on what was done."""
        context.say(text)

    def say_error(self, text: str) -> None:
        """Print one sentence on what went wrong, even with ``--quiet``."""
        sys.stderr.write(text + "\n")

    def progress(self, text: str) -> None:
        """Replace the line that moves."""
        if self.watched:
            sys.stderr.write("\r\x1b[K" + clean(text, max(1, self.width - 1)))
            sys.stderr.flush()

    async def drain(self) -> None:
        """Standard output blocks by itself."""


async def call(
    function: Callable[..., Coroutine[Any, Any, int]], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> int:
    """Open the core and run one command of the table."""
    async with context.open_core() as (core, actor):
        return await function(*args, **kwargs, at=Call(core, actor, ProcessOutput(), Door.PROGRAM))
