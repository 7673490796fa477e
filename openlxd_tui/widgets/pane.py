"""A pane of facts beside or beneath a table, which scrolls where it has more to say than it has room for."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from openlxd_core.i18n import _
from openlxd_tui.formatting import Cell
from openlxd_tui.textual_compat.line_painter import paint_lines
from openlxd_tui.widgets.paint import fit, strip_of, width_of
from openlxd_tui.widgets.wrap import wrap

Fact = tuple[str, Cell]
"""A label (marked for the catalogue) and what stands behind it."""
_FACTS_KEPT = 64
TWO_COLUMNS_FROM = 70
"""From this width on, short facts stand side by side."""


class Pane(Widget):
    """Lines that are drawn, wrapped where they are too long. Blank lines give way first, then it scrolls."""

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    Pane { background: $ox-raised; padding: 1 2; overflow: hidden; }
    """
    LABELS = 10
    """The cells that labels take."""

    def __init__(self, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._top = 0
        self._laid: tuple[object, list[Cell]] | None = None
        self._facts_told: dict[tuple[str, Cell, int, int], tuple[bool, list[Cell]]] = {}
        self._outer_size = self._content_size = Size(0, 0)

    def head(self) -> Sequence[Cell]:
        """The lines above the facts; an empty one gives way where there is little room."""
        raise NotImplementedError

    def facts(self) -> Sequence[Fact]:
        """Label and value, the most important first."""
        raise NotImplementedError

    def say(self) -> None:
        """What is said has changed: draw the lines that differ."""
        before, self._laid = self._laid, None
        height = self._content().height
        if before is None or before[0] != (self._content(), self.app.theme) or not height:
            self.refresh()
            return
        old, new = before[1], self.lines()
        if len(old) != len(new):  # the marks at the edge may differ, too
            self.refresh()
            return
        shown = range(min(height, len(new) - self._top))
        paint_lines(self, [y for y in shown if old[self._top + y] != new[self._top + y]])

    def start_over(self) -> None:
        """It is about something else from now on: from its first line."""
        self._top = 0
        self._laid = None
        self.refresh()

    # Lines

    def lines(self) -> list[Cell]:
        """Everything there is to say, in lines of the pane's width."""
        size = self._content()
        mark = (size, self.app.theme)
        if self._laid is None or self._laid[0] != mark:
            width = max(1, size.width)
            lines = self._lines(width)
            if len(lines) > size.height:
                lines = [line for line in lines if line]
            if len(lines) > size.height:  # the last column is the marks'
                lines = [line for line in self._lines(max(1, width - 2)) if line]
            self._laid = (mark, lines)
        return self._laid[1]

    def _content(self) -> Size:
        """The size of the content. Textual works it out from the layout each time, and every line asks for it."""
        if self._outer_size != self.outer_size or not self._content_size:
            self._outer_size, self._content_size = self.outer_size, self.size
        return self._content_size

    def _lines(self, width: int) -> list[Cell]:
        lines = [part for cell in self.head() for part in (wrap(cell, width) if cell else [()])]
        column = width // 2 - 1 if width >= TWO_COLUMNS_FROM else 0
        waiting: Cell | None = None
        for label, cell in self.facts():
            short, told = self._fact_lines(_(label), cell, width, column)
            if short:
                if waiting is None:
                    waiting = told[0]
                else:
                    lines.append((*fit(waiting, column), ("  ", "text"), *told[0]))
                    waiting = None
                continue
            if waiting is not None:
                lines.append(waiting)
                waiting = None
            lines += told
        return [*lines, waiting] if waiting is not None else lines

    def _fact_lines(self, title: str, cell: Cell, width: int, column: int) -> tuple[bool, list[Cell]]:
        """A fact's lines, and whether it is short enough to share a line. Kept: of ten facts two change at a time."""
        key = (title, cell, width, column)
        found = self._facts_told.get(key)
        if found is None:
            if len(self._facts_told) >= _FACTS_KEPT:
                self._facts_told.clear()
            found = self._facts_told[key] = self._wrap_fact(title, cell, width, column)
        return found

    def _wrap_fact(self, title: str, cell: Cell, width: int, column: int) -> tuple[bool, list[Cell]]:
        size = width_of(((title, "quiet"),))
        indent = max(self.LABELS, size + 1)
        whole: Cell = ((title + " " * (indent - size), "quiet"), *cell)
        if column and width_of(whole) <= column:
            return True, [whole]
        if width_of(whole) > width >= width_of(cell):  # a value is not broken that fits on a line of its own
            return False, [((title, "quiet"),), cell]
        return False, wrap(whole, width, indent)

    def render_line(self, y: int) -> Strip:
        """One line; the marks at the right edge say that there is more above or below."""
        lines, (width, height) = self.lines(), self._content()
        top = self._top = max(0, min(self._top, len(lines) - height))
        cell = lines[top + y] if top + y < len(lines) else ()
        above, below = y == 0 and top > 0, y == height - 1 and top + height < len(lines)
        if above or below:
            arrows = "↕" if above and below else "▲" if above else "▼"
            cell = (*fit(cell, width - 2), (" " + arrows, "accent"))
        return strip_of(self.app, cell, width, on="ox-raised", bold=y == 0 and top == 0)

    # Scrolling

    def scroll_lines(self, by: int) -> bool:
        """Scroll by so many lines, as far as there are any; whether there were."""
        top = max(0, min(self._top + by, len(self.lines()) - self.size.height))
        if top == self._top:
            return False
        self._top = top
        self.refresh()
        return True

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel."""
        event.stop()
        self.scroll_lines(2)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel."""
        event.stop()
        self.scroll_lines(-2)
