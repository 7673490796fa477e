"""Bars of text that draw themselves: one line high, or as high as a notice needs."""

from __future__ import annotations

from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from openlxd_tui.formatting import Cell
from openlxd_tui.session import Session, session_of
from openlxd_tui.widgets.paint import fit, strip_of
from openlxd_tui.widgets.wrap import wrap


class TextBar(Widget):
    """One line that draws itself from what is true when it is drawn."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "TextBar { height: 1; width: 1fr; }"
    GROUND = "ox-raised"

    @property
    def session(self) -> Session:
        """The session that this belongs to."""
        return session_of(self)

    def pieces(self, width: int) -> Cell:
        """What stands on the line."""
        raise NotImplementedError

    def render_line(self, y: int) -> Strip:
        """The line."""
        return strip_of(self.app, self.pieces(self.size.width), self.size.width, on=self.GROUND)


class Notice(TextBar):
    """A sentence that takes as many lines as it needs, up to ``max-height``, and none while there is none."""

    DEFAULT_CSS = "Notice { display: none; height: auto; max-height: 6; &.-shown { display: block; } }"

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """One line, or more where one is too narrow."""
        return len(self._wrapped(width))

    def _wrapped(self, width: int) -> list[Cell]:
        return wrap(self.pieces(width), max(1, width), indent=3)

    def render_line(self, y: int) -> Strip:
        """One of the lines; what does not fit into the last is cut."""
        width, lines = self.size.width, self._wrapped(self.size.width)
        last = y == self.size.height - 1 and y < len(lines) - 1
        cell = (*fit(lines[y], width - 1), ("…", "text")) if last else lines[y] if y < len(lines) else ()
        return strip_of(self.app, cell, width, on=self.GROUND)
