"""Painting one line of cells: the shared craft of every widget here that draws its own lines.

These widgets draw with Textual's line API instead of being built from many small widgets: a session holds a
handful of objects, the first frame comes fast, and a change repaints the lines it touches and no others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.strip import Strip

from openlxd_tui.formatting import Cell, Piece, Tint
from openlxd_tui.textual_compat.output_sanitizer import without_harm
from openlxd_tui.theme import ROLES

_styles: dict[tuple[str, str, str | None, bool, bool], Style] = {}


def style_for(app: App[None], tint: Tint, *, on: str | None = None, bold: bool = False, reverse: bool = False) -> Style:
    """The Rich style of a colour role in the app's theme, on the background ``on`` (a CSS variable's name)."""
    key = (app.theme, tint, on, bold, reverse)
    style = _styles.get(key)
    if style is None:
        ground = app.theme_variables[on] if on else None
        style = _styles[key] = Style(color=ROLES[app.theme][tint], bgcolor=ground, bold=bold, reverse=reverse)
    return style


def width_of(cell: Cell) -> int:
    """The cells that ``cell`` takes on a terminal; a Chinese character takes two."""
    return sum(cell_len(text) for text, _tint in cell)


def fit(cell: Cell, width: int, align: Literal["left", "right"] = "left") -> Cell:
    """``cell`` in exactly ``width`` terminal cells: cut with an ellipsis, or padded."""
    cell = tuple((without_harm(text), tint) for text, tint in cell)
    room = width - width_of(cell)
    if room >= 0:
        padding: Piece = (" " * room, "text")
        return (padding, *cell) if align == "right" else (*cell, padding)
    kept: list[Piece] = []
    left = width - 1
    for text, tint in cell:
        size = cell_len(text)
        if size <= left:
            kept.append((text, tint))
            left -= size
            continue
        cut = set_cell_size(text, left).rstrip()
        kept.append((cut + "…" + " " * (left - cell_len(cut)), tint))
        return tuple(kept) if width > 0 else ()
    return (*kept, ("…" + " " * left, "faint")) if width > 0 else ()


def strip_of(
    app: App[None],
    cell: Iterable[Piece],
    width: int,
    *,
    on: str | None = None,
    bold: bool = False,
    reverse: bool = False,
) -> Strip:
    """One drawn line of ``width`` cells."""
    theme = app.theme  # a reactive of Textual's: asking for it costs more than the rest of a piece
    segments = []
    for text, tint in fit(tuple(cell), width):
        if text:
            style = _styles.get((theme, tint, on, bold, reverse))
            segments.append(Segment(text, style or style_for(app, tint, on=on, bold=bold, reverse=reverse)))
    return Strip(segments, width)
