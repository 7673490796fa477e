"""A table of records that is drawn, not built: a thousand rows cost what the visible ones cost.

The records stay the core's own frozen ones; a column is a function from a record to a cell. Columns give way by
rank when the terminal is narrow. Order, cursor and scroll survive every change of the records, and a change
repaints only the lines whose text differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from openlxd_core.domain.preferences import TableView
from openlxd_core.i18n import N_, _
from openlxd_tui.formatting import Cell, Piece
from openlxd_tui.textual_compat.line_painter import paint_lines
from openlxd_tui.widgets.columns import GAP, Column, Span, in_order, keys_of
from openlxd_tui.widgets.paint import fit, strip_of, width_of
from openlxd_tui.widgets.table_layout import TableLayout
from openlxd_tui.widgets.wrap import wrap

T = TypeVar("T")
MEASURED = 100
"""As many rows are measured to lay the columns out, beside those in view: more would cost with each key of a search."""

__all__ = ["Column", "RecordTable", "Span"]


class RecordTable(ScrollView, Generic[T], can_focus=True, inherit_bindings=False):
    """The table. ``rows`` holds what is shown, in order."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", N_("Down"), show=False),
        Binding("up,k", "move(-1)", N_("Up"), show=False),
        Binding("pagedown,ctrl+d", "page(1)", N_("Page down"), show=False),
        Binding("pageup,ctrl+u", "page(-1)", N_("Page up"), show=False),
        Binding("home,g", "jump(0)", N_("First"), show=False),
        Binding("end,G", "jump(-1)", N_("Last"), show=False),
        Binding("o", "sort_next", N_("Sort"), show=False),
        Binding("O", "sort_turn", N_("Reverse sort"), show=False),
        Binding("C", "columns", N_("Columns"), show=False),
    ]
    ALLOW_SELECT = False
    DEFAULT_CSS = """
    RecordTable { height: 1fr; background: $ox-ground; scrollbar-size: 1 1; overflow-x: hidden; overflow-y: auto; }
    """

    class Highlighted(Message):
        """The cursor stands on another record (or on none)."""

        def __init__(self, table: RecordTable[Any], key: str | None) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> RecordTable[Any]:
            """The table."""
            return self.table

    class Selected(Message):
        """Somebody clicked the record under the cursor once more."""

        def __init__(self, table: RecordTable[Any], key: str) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> RecordTable[Any]:
            """The table."""
            return self.table

    class Arranged(Message):
        """Somebody chose another order."""

        def __init__(self, table: RecordTable[Any]) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> RecordTable[Any]:
            """The table."""
            return self.table

    class ColumnsWanted(Message):
        """The user pressed the key for choosing columns. The page opens the dialog: widgets do not import screens."""

        def __init__(self, table: RecordTable[Any], titles: Sequence[tuple[str, str]], shown: set[str]) -> None:
            super().__init__()
            self.table = table
            self.titles = titles
            """Key and title of each column that can be hidden."""
            self.shown = shown

        @property
        def control(self) -> RecordTable[Any]:
            """The table."""
            return self.table

    def __init__(
        self,
        columns: Sequence[Column[T]],
        key: Callable[[T], str],
        *,
        sort_by: str,
        span: Callable[[T], Span | None] | None = None,
        empty: Callable[[], Sequence[Cell]] = tuple,
        id: str | None = None,  # noqa: A002 - Textual's own name
    ) -> None:
        super().__init__(id=id)
        self.columns = columns
        self.sort_key = sort_by
        """A column's key; an empty string keeps the order in which the records came."""
        self.reverse = next((c.largest_first for c in columns if c.key == sort_by), False)
        """Whether the largest value comes first; the title's arrow then points down."""
        self.rows: list[T] = []
        self.cursor = 0
        self._awaited = ""
        self._own_order = not sort_by
        self._key = key
        self._span = span
        self._empty = empty
        self._records: dict[str, T] = {}
        self._wanted: Callable[[T], bool] | None = None
        self._drawn: dict[int, tuple[str, tuple[Cell, ...]]] = {}
        self._layout_for: tuple[int, str] | None = None
        self._layout = TableLayout(columns, span)
        self._room_for: tuple[Size, bool] | None = None
        self._width = 0

    # What is shown

    @property
    def current(self) -> T | None:
        """The record under the cursor."""
        return self.rows[self.cursor] if self.cursor < len(self.rows) else None

    @property
    def current_key(self) -> str | None:
        """Its key."""
        record = self.current
        return None if record is None else self._key(record)

    @property
    def total(self) -> int:
        """How many records there are, filtered out or not."""
        return len(self._records)

    def fill(self, records: Iterable[T], *, top: bool = False) -> None:
        """Show these records in place of the ones before; the cursor stays with its record, or goes to the ``top``."""
        self._records = {self._key(record): record for record in records}
        self._arrange(top=top)

    def put(self, *records: T) -> None:
        """Add or replace records."""
        moved = False
        places = {self._key(row): index for index, row in enumerate(self.rows)}
        for record in records:
            key = self._key(record)
            self._records[key] = record
            index = places.get(key)
            if index is None or self._value(self.rows[index]) != self._value(record) or not self._passes(record):
                moved = True
            else:
                self.rows[index] = record
        if moved:
            self._arrange()
        else:
            self.touch()

    def drop(self, key: str) -> None:
        """Take a record out."""
        if self._records.pop(key, None) is not None:
            self._arrange()

    def narrow(self, wanted: Callable[[T], bool] | None) -> None:
        """Show only the records that ``wanted`` agrees to; None shows all."""
        self._wanted = wanted
        self._arrange()

    def touch(self) -> None:
        """Look at the records again: bring the rows into their order, and repaint the visible lines that differ."""
        column = self._sort_column
        if column is not None and column.live and self._in_order(self.rows) != self.rows:
            self._arrange()
            return
        differing = list(self._differing())
        if differing and self._lay_out_for([self.rows[index] for _y, index in differing]):
            self.refresh()
            return
        paint_lines(self, [y for y, _index in differing])

    def _differing(self) -> Iterator[tuple[int, int]]:
        """The visible lines that show something else than their records now, each with its record's index."""
        top = self.scroll_offset.y - 1
        for y, (key, cells) in list(self._drawn.items()):
            index = top + y
            if 0 <= index < len(self.rows):
                record = self.rows[index]
                if self._key(record) != key or self._cells(record) != cells:
                    yield y, index

    def repaint(self) -> None:
        """Draw everything anew: another language, another theme."""
        self._layout_for = None
        self._drawn.clear()
        self.refresh()

    def _passes(self, record: T) -> bool:
        return self._wanted is None or self._wanted(record)

    @property
    def _sort_column(self) -> Column[T] | None:
        return next((c for c in self.columns if c.key == self.sort_key), None) if self.sort_key else None

    def _value(self, record: T) -> Any:
        """What the record is sorted by; None where it has nothing to be sorted by."""
        column = self._sort_column
        return column.sort(record) if column is not None and column.sort is not None else None

    def _in_order(self, rows: list[T]) -> list[T]:
        if not self.sort_key:
            return rows[::-1] if self.reverse else rows
        return in_order(rows, self._value, self._key, reverse=self.reverse)

    def _arrange(self, *, top: bool = False) -> None:
        before, index, count = self.current_key, 0 if top else self.cursor, len(self.rows)
        line = self.cursor - self.scroll_offset.y
        self.rows = self._in_order(list(filter(self._passes, self._records.values())))
        places = {self._key(row): place for place, row in enumerate(self.rows)}
        wanted = before
        if self._awaited in places:
            wanted, self._awaited, top = self._awaited, "", False
        self.cursor = places.get(wanted or "", -1) if not top else -1
        stayed = self.cursor >= 0 and wanted == before
        if self.cursor < 0:
            self.cursor = max(0, min(index, len(self.rows) - 1))
        size = Size(self.size.width, len(self.rows) + 1)
        if size != self.virtual_size:
            self.virtual_size = size
        self._drawn.clear()
        # rows that came or went above a scrolled view do not move what is read; a new order alone moves only rows
        anchored = stayed and self.scroll_offset.y > 0 and len(self.rows) != count
        self._show_cursor(self.cursor - line if anchored else None)
        self._layout.forget()
        self._lay_out(self.rows[:MEASURED])
        self.refresh()
        if self.current_key != before:
            self.post_message(self.Highlighted(self, self.current_key))

    # The cursor

    def move_to(self, index: int) -> None:
        """Put the cursor on a row, which is scrolled into view."""
        index = max(0, min(index, len(self.rows) - 1))
        if index == self.cursor or not self.rows:
            return
        for row in (self.cursor, index):
            self.refresh(Region(0, row - self.scroll_offset.y + 1, self.size.width, 1))
        self.cursor = index
        self._show_cursor()
        self.post_message(self.Highlighted(self, self.current_key))

    def seek(self, key: str) -> None:
        """Put the cursor on a record by its key, if it is shown."""
        index = next((i for i, row in enumerate(self.rows) if self._key(row) == key), None)
        if index is not None:
            self.move_to(index)

    def expect(self, key: str) -> None:
        """Put the cursor on the record with this key, now or as soon as it is here; not if it was moved meanwhile."""
        self._awaited = key
        index = next((i for i, row in enumerate(self.rows) if self._key(row) == key), None)
        if index is not None:
            self._awaited = ""
            self.move_to(index)

    @property
    def hides_expected(self) -> bool:
        """Whether the record that is expected is here, but filtered out."""
        return self._awaited in self._records

    def _show_cursor(self, top: int | None = None) -> None:
        """Scroll to ``top`` (by default: not at all), and as far beyond as the cursor's row needs to be in view."""
        height = max(1, self.size.height - 1)
        here = self.scroll_offset.y
        wish = min(max(here if top is None else max(0, top), self.cursor - height + 1), self.cursor)
        if wish != here:
            self.scroll_to(y=wish, animate=False, force=True)

    def action_move(self, by: int) -> None:
        """One row up or down."""
        self._awaited = ""
        self.move_to(self.cursor + by)

    def action_page(self, by: int) -> None:
        """One page up or down."""
        self._awaited = ""
        self.move_to(self.cursor + by * max(1, self.size.height - 2))

    def action_jump(self, to: int) -> None:
        """The first or the last row."""
        self._awaited = ""
        self.move_to(to if to >= 0 else len(self.rows) - 1)

    def action_sort_next(self) -> None:
        """Sort by the next visible column that can be sorted by."""
        keys = [column.key for column, _width in self._places() if column.sort] + [""] * self._own_order
        if keys in ([], [self.sort_key]):
            self.app.notify(_(N_("This table has only one sort order. Press O to reverse it.")))
            return
        at = keys.index(self.sort_key) if self.sort_key in keys else -1
        self._sort_by(keys[(at + 1) % len(keys)])

    def _sort_by(self, key: str) -> None:
        """Sort by another column, from the end that people look for first."""
        self.sort_key = key
        self.reverse = next((c.largest_first for c in self.columns if c.key == key), False)
        self._arrange()
        self.post_message(self.Arranged(self))

    def action_sort_turn(self) -> None:
        """The other way round."""
        self.reverse = not self.reverse
        self._arrange()
        self.post_message(self.Arranged(self))

    @property
    def view(self) -> TableView:
        """How the table is shown, to be remembered."""
        hidden = self._layout.hidden
        shown = tuple(c.key for c in self._hideable() if c.key not in hidden) if hidden else None
        return TableView(self.sort_key, self.reverse, shown)

    def show_as(self, view: TableView) -> None:
        """Show the table as it was before. A column that is no more, or cannot be sorted by, changes nothing."""
        sortable = {column.key for column in self.columns if column.sort} | ({""} if self._own_order else set())
        if view.sort is not None and view.sort in sortable:
            self.sort_key, self.reverse = view.sort, view.reverse
            self._arrange()
        if view.columns is not None:
            self._show_columns(set(view.columns))

    def _hideable(self) -> list[Column[T]]:
        """All columns but the first and the state: without them nobody knows what stands in a row."""
        return [column for column in self.columns if column.rank > 0 and column.key != "state"]

    def _show_columns(self, shown: set[str]) -> None:
        self._layout.hidden = frozenset(column.key for column in self._hideable() if column.key not in shown)
        self._layout.forget()
        self.repaint()

    def action_columns(self) -> None:
        """Choose which columns are shown, as far as there is room for them."""
        hideable = self._hideable()
        shown = {column.key for column in hideable} - self._layout.hidden
        self.post_message(self.ColumnsWanted(self, [(c.key, c.title) for c in hideable], shown))

    def show_columns(self, shown: set[str]) -> None:
        """Show these of the columns that can be hidden, and hide the others."""
        self._show_columns(shown)
        self.post_message(self.Arranged(self))

    async def _on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        event.stop()
        if offset.y == 0:
            self._sort_at(offset.x)
            return
        index = self.scroll_offset.y + offset.y - 1
        if index >= len(self.rows):
            return
        self._awaited = ""
        if index != self.cursor:
            self.move_to(index)
        elif event.chain >= 2 and self.current_key is not None:
            self.post_message(self.Selected(self, self.current_key))

    def _sort_at(self, x: int) -> None:
        left = 1
        for column, width in self._places():
            if left <= x < left + width + 2 and column.sort:
                if self.sort_key == column.key:
                    self.action_sort_turn()
                else:
                    self._sort_by(column.key)
                return
            left += width + 2

    # Drawing

    def on_resize(self) -> None:
        """Another width lays the columns out anew."""
        self.virtual_size = Size(self.size.width, len(self.rows) + 1)
        self._drawn = {y: drawn for y, drawn in self._drawn.items() if y < self.size.height}
        self._show_cursor()

    def _room(self) -> int:
        """The width of a line. Textual reckons it anew from the layout each time; a paint asks for it by the line."""
        mark = (self.outer_size, self.show_vertical_scrollbar)
        if self._room_for != mark:
            self._room_for, self._width = mark, self.scrollable_content_region.width
        return self._width

    def _places(self) -> list[tuple[Column[T], int]]:
        """The columns that fit, each with its width."""
        if self._layout_for != (self._room(), self.app.theme):
            self._lay_out(self.rows[:MEASURED])
        return self._layout.placed

    def _lay_out(self, measured: Sequence[T] = ()) -> bool:
        """Allot the columns for ``measured`` rows, those measured before and those in view; whether that moved any."""
        top, width = self.scroll_offset.y, self._room()
        in_view = self.rows[top : top + max(1, self.size.height - 1)]
        self._layout_for = (width, self.app.theme)
        return self._layout.renew(in_view, measured, width - 2, self.sort_key)

    def _lay_out_for(self, changed: Sequence[T]) -> bool:
        """As :meth:`_lay_out`, where no more than the ``changed`` rows in view differ from those laid out before."""
        if self._layout_for != (self._room(), self.app.theme):
            return self._lay_out()
        return self._layout.needs_more(changed, self.sort_key) and self._lay_out()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Other rows in view may need other widths."""
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value) and self._layout_for is not None:
            self._lay_out()

    def _cells(self, record: T) -> tuple[Cell, ...]:
        span = self._span(record) if self._span else None
        cells: list[Cell] = []
        places = self._places()
        keys = [column.key for column, _width in places]
        skip_to = -1
        for index, (column, width) in enumerate(places):
            if index <= skip_to:
                continue
            if span is not None and column.key == span.first:
                shown = [i for i, key in enumerate(keys) if i >= index and key in keys_of(span, self.columns)]
                skip_to = max(shown)
                width = sum(places[i][1] for i in range(index, skip_to + 1)) + GAP * (skip_to - index)
                cells.append(fit(span.cell(width), width))
            else:
                cells.append(fit(column.cell(record, width), width, column.align))
        return tuple(cells)

    def _titles(self) -> Cell:
        pieces: list[Piece] = [(" ", "quiet")]
        for column, width in self._places():
            title = _(column.title)
            if column.key == self.sort_key:
                arrow = " ▾" if self.reverse else " ▴"
                if cell_len(title) + 2 > width:  # the arrow stays, whatever else must go
                    title = "".join(text for text, _tint in fit(((title, "accent"),), width - 2))
                title += arrow
                pieces += fit(((title, "accent"),), width, column.align)
            else:
                pieces += fit(((title, "quiet"),), width, column.align)
            pieces.append(("  ", "quiet"))
        return tuple(pieces[:-1])

    def render_line(self, y: int) -> Strip:
        """One visible line: the titles, then the records from the scroll position on."""
        width = self._room()
        if y == 0:
            return strip_of(self.app, self._titles(), width, on="ox-ground")
        index = self.scroll_offset.y + y - 1
        if index >= len(self.rows):
            self._drawn.pop(y, None)
            return self._beneath(y, width)
        record = self.rows[index]
        cells = self._cells(record)
        self._drawn[y] = (self._key(record), cells)
        pieces: list[Piece] = []
        for cell in cells:
            pieces += cell
            pieces.append(("  ", "text"))
        here = index == self.cursor
        edge: Piece = ("▎" if here else " ", "accent")
        plain = bool(getattr(self.app, "few_colors", False))
        if here and plain:  # reversed, every colour would be a block of its own
            pieces = [(text, "text") for text, _tint in pieces]
        return strip_of(
            self.app,
            (edge, *pieces[:-1]),
            width,
            on="ox-cursor" if here and self.has_focus else "ox-raised" if here else "ox-ground",
            bold=here and self.has_focus,
            reverse=here and plain and self.has_focus,  # the edge alone marks the row while keys go elsewhere
        )

    def _beneath(self, y: int, width: int) -> Strip:
        room = max(1, min(width - 4, 76))
        lines = [line for cell in self._empty() for line in wrap(cell, room)] if not self.rows else []
        line = y - 1 - max(0, (self.size.height - 1 - len(lines)) // 3)
        if 0 <= line < len(lines):
            room = max(0, width - width_of(lines[line]))
            return strip_of(self.app, ((" " * (room // 2), "text"), *lines[line]), width, on="ox-ground")
        return strip_of(self.app, (), width, on="ox-ground")

    def watch_has_focus(self, value: bool) -> None:
        """The cursor is bright only where keys go."""
        super().watch_has_focus(value)
        self.refresh()

    def records(self) -> Mapping[str, T]:
        """Every record by key."""
        return self._records
