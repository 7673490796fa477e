"""How wide the columns of one table are, for what stands in its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from rich.cells import cell_len

from openlxd_core.i18n import _
from openlxd_tui.widgets.columns import Column, Span, allot, keys_of
from openlxd_tui.widgets.paint import width_of

T = TypeVar("T")
_WIDE = 1000
"""A width in which every cell shows all it has."""


class TableLayout(Generic[T]):
    """The columns that are shown, each with its width.

    What columns need only grows until :meth:`forget`, so that they do not move to and fro while one scrolls.
    """

    def __init__(self, columns: Sequence[Column[T]], span: Callable[[T], Span | None] | None) -> None:
        self.placed: list[tuple[Column[T], int]] = []
        self.hidden: frozenset[str] = frozenset()
        """The keys of the columns that somebody chose not to see."""
        self._columns = columns
        self._span = span
        self._needs: dict[str, int] = {}
        self._short = False

    def forget(self) -> None:
        """The rows are others: measure them anew."""
        self._needs.clear()

    def renew(self, in_view: Sequence[T], measured: Sequence[T], room: int, sort_key: str) -> bool:
        """Allot ``room`` cells for the rows in view, those ``measured`` and those seen before; whether any moved."""
        seen = self._measure(in_view, sort_key)
        for found in (seen, self._measure(measured, sort_key)):
            for key, need in found.items():
                self._needs[key] = max(need, self._needs.get(key, 0))
        before = self.placed
        self.placed = allot([c for c in self._columns if c.key not in self.hidden], self._needs, seen, room)
        self._short = any(width < self._needs[column.key] for column, width in self.placed)
        return self.placed != before

    def needs_more(self, rows: Sequence[T], sort_key: str) -> bool:
        """Whether these rows may move the columns: they need more room somewhere than the rows before, or room is
        short, and then what is in view counts."""
        return self._short or any(need > self._needs.get(key, 0) for key, need in self._measure(rows, sort_key).items())

    def _measure(self, rows: Sequence[T], sort_key: str) -> dict[str, int]:
        """The cells that each column needs to cut neither its title (with its arrow) nor anything in these rows."""
        needs = {c.key: cell_len(_(c.title)) + 2 * (c.key == sort_key) for c in self._columns}
        for row in rows:
            span = self._span(row) if self._span else None
            spanned = keys_of(span, self._columns) if span is not None else ()
            for column in self._columns:
                if column.key not in spanned:
                    needs[column.key] = max(needs[column.key], width_of(column.cell(row, _WIDE)))
        return needs
