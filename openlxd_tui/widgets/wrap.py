"""Breaking a line of coloured text into several: at blanks and between Chinese characters, else wherever it must."""

from __future__ import annotations

from collections.abc import Iterable

from rich.cells import cell_len

from openlxd_tui.formatting import Cell, Piece, Tint
from openlxd_tui.textual_compat.output_sanitizer import without_harm


def wrap(cell: Cell, width: int, indent: int = 0) -> list[Cell]:
    """``cell`` in lines of at most ``width`` cells; all but the first begin with ``indent`` blanks. Never empty."""
    cell = tuple((without_harm(text), tint) for text, tint in cell)
    if sum(cell_len(text) for text, _tint in cell) <= width:
        return [cell]  # most lines fit
    characters = [(character, tint) for text, tint in cell for character in text]
    lines: list[Cell] = []
    start = 0
    while start < len(characters):
        before = indent if lines and indent < width - 1 else 0
        end = _end_of_line(characters, start, width - before)
        head: Cell = ((" " * before, "text"),) if before else ()
        lines.append((*head, *_joined(characters[start:end])))
        start = end
        while start < len(characters) and characters[start][0] == " ":
            start += 1
    return lines or [()]


def _end_of_line(characters: list[tuple[str, Tint]], start: int, width: int) -> int:
    """Where the line that begins at ``start`` ends: after the last place at which it may be broken."""
    size, end, breakable = 0, start, start
    while end < len(characters):
        wide = cell_len(characters[end][0])
        if size + wide > width:
            break
        size += wide
        end += 1
        if wide == 2 or characters[end - 1][0] == " ":
            breakable = end
    if end < len(characters) and characters[end][0] != " " and cell_len(characters[end][0]) < 2 and breakable > start:
        end = breakable
    return max(end, start + 1)


def _joined(characters: Iterable[tuple[str, Tint]]) -> Cell:
    pieces: list[Piece] = []
    for character, tint in characters:
        if pieces and pieces[-1][1] == tint:
            pieces[-1] = (pieces[-1][0] + character, tint)
        else:
            pieces.append((character, tint))
    return tuple(pieces)
