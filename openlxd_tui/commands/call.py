"""The port between a command and the door that it was called by: who calls, the core, and where its output goes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from cyclopts import Parameter
from rich.cells import cell_len

from openlxd_core import shapes
from openlxd_core.domain.text import clean

if TYPE_CHECKING:
    from openlxd_core.bootstrap import Core
    from openlxd_core.domain.actor import Actor
    from openlxd_core.domain.errors import Message
    from openlxd_tui.commands.table import Door

_CELL_MAX = 80


class UsageError(Exception):
    """The words cannot be understood; the sentence says why, in the caller's language."""


class OperationFailed(Exception):
    """An operation ended without success. ``code`` is an error's code, as operations keep it."""

    def __init__(self, code: str, message: Message) -> None:
        super().__init__(code)
        self.code = code
        self.message = message


class Output(Protocol):
    """Where a command's output goes."""

    @property
    def watched(self) -> bool:
        """Whether a person at a terminal sees it, so that a line may move."""

    @property
    def width(self) -> int:
        """Columns of the terminal, or of a page where there is none."""

    def data(self, text: str) -> None:
        """Print lines of the answer."""

    def say(self, text: str) -> None:
        """Print one sentence on what was done."""

    def say_error(self, text: str) -> None:
        """Print one sentence on what went wrong."""

    def progress(self, text: str) -> None:
        """Replace the line that moves by ``text``; an empty one removes it. Only where it is ``watched``."""

    async def drain(self) -> None:
        """Return when the reader has room for more."""


@dataclass
class Call:
    """One call of a command."""

    core: Core
    actor: Actor
    out: Output
    door: Door
    session: Any = None
    """By SSH: the session, with the client's terminal and its input."""

    async def json(self, value: Any) -> None:
        """Print the answer for a program: one JSON document, with REST's own shapes."""
        self.out.data(shapes.encode(value))
        await self.out.drain()

    async def table(self, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print the answer for a person: rows below their headings."""
        self.out.data(aligned([headings, *rows]))
        await self.out.drain()


At = Annotated[Call, Parameter(parse=False)]
"""The parameter of a command that is no word of the caller's."""


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows as text, each column as wide as its content; what is empty is shown as a dash."""
    shown = [[clean(cell, _CELL_MAX) or "-" for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*shown, strict=True)]
    return "\n".join(
        "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    )
