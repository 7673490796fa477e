"""The columns of a table: what each shows, what it is sorted by, and how it gives way on a narrow terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from openlxd_tui.formatting import Cell

T = TypeVar("T")


@dataclass(frozen=True)
class Column(Generic[T]):
    """One column."""

    key: str
    title: str
    """Marked for the catalogue; translated when drawn."""
    cell: Callable[[T, int], Cell]
    """The cell of a record, for a width in terminal cells."""
    width: int
    """The cells it takes where there is room. A column that grows can be cut down to this; any other is never cut."""
    rank: int = 0
    """Its importance: the higher, the earlier it is cut and hidden on a narrow terminal; 0 stays."""
    grows: int = 0
    """Its part of the room that nothing needs; 0 for a column that is shown whole or not at all."""
    most: int = 1000
    """Where growing ends; what a cell needs may be more."""
    fair: int = 0
    """Of a column that grows: the cells it may need before less important columns are hidden for it."""
    align: Literal["left", "right"] = "left"
    sort: Callable[[T], Any] | None = None
    """What the column is sorted by; None for a record that has no such value, which comes last either way."""
    largest_first: bool = False
    """Whether sorting by this column begins with the largest value: the busiest, the newest."""
    live: bool = False
    """Whether the sort value changes while the record stays: figures of use."""


@dataclass(frozen=True)
class Span:
    """One cell drawn across several columns, in place of their own."""

    first: str
    last: str
    cell: Callable[[int], Cell]


def keys_of(span: Span, columns: Sequence[Column[T]]) -> Sequence[str]:
    """The columns that a span takes the place of, shown or not."""
    keys = [column.key for column in columns]
    return keys[keys.index(span.first) : keys.index(span.last) + 1]


def in_order(rows: Iterable[T], value: Callable[[T], Any], key: Callable[[T], str], *, reverse: bool) -> list[T]:
    """``rows`` sorted by ``value``. Those without one (None) come last either way, equal ones in the order of keys."""
    valued: list[tuple[Any, T]] = []
    without: list[T] = []
    for row in sorted(rows, key=key):
        found = value(row)
        if found is None:
            without.append(row)
        else:
            valued.append((found, row))
    valued.sort(key=lambda pair: pair[0], reverse=reverse)  # Python keeps equal ones in order here, too
    return [row for _value, row in valued] + without


GAP = 2
"""The blank cells between two columns."""


def allot(
    columns: Sequence[Column[T]], needs: Mapping[str, int], in_view: Mapping[str, int], room: int
) -> list[tuple[Column[T], int]]:
    """The columns that are shown in ``room`` cells, each with its width.

    ``needs`` are the cells that each column needs to cut nothing in any row, ``in_view`` those for the rows in view:
    they count where there is not enough for all, so that no cell is cut while another column has cells to spare.
    Columns are hidden in the order of their rank, so that one is never hidden before a less important one.
    """
    shown = _that_fit(columns, needs, room)
    gaps = GAP * (len(shown) - 1)
    wants = {c.key: needs[c.key] for c in shown}
    if sum(wants.values()) + gaps > room:
        wants = {c.key: in_view[c.key] for c in shown}
    widths = {c.key: min(wants[c.key], c.width) if c.grows else wants[c.key] for c in shown}
    left = room - gaps - sum(widths.values())
    if left < 0:  # only the first column can be too wide: it was kept although it does not fit
        widths[shown[0].key] = max(1, widths[shown[0].key] + left)
    ranked = sorted(shown, key=lambda c: c.rank)
    for limits in (wants, {c.key: c.width for c in shown}):  # what is needed, then what keeps columns in their place
        for column in ranked:
            more = max(0, min(left, limits[column.key] - widths[column.key]))
            widths[column.key] += more
            left -= more
    _grow(shown, widths, left)
    return [(c, widths[c.key]) for c in columns if c.key in widths]


def _that_fit(columns: Sequence[Column[T]], needs: Mapping[str, int], room: int) -> list[Column[T]]:
    shown: list[Column[T]] = []
    for column in sorted(columns, key=lambda c: c.rank):
        wish = max(column.width, needs[column.key])
        if column.grows:
            wish = min(wish, max(column.width, column.fair))
        if shown and room < wish + GAP:
            break
        room -= wish + (GAP if shown else 0)
        shown.append(column)
    return shown


def _grow(shown: Sequence[Column[T]], widths: dict[str, int], left: int) -> None:
    """Share out what nothing needs, so that a wide table is not all at its left."""
    growing = [c for c in shown if c.grows and widths[c.key] < c.most]
    while left > 0 and growing:
        share = max(1, left // sum(c.grows for c in growing))
        for column in list(growing):
            more = min(share * column.grows, column.most - widths[column.key], left)
            widths[column.key] += more
            left -= more
            if widths[column.key] >= column.most:
                growing.remove(column)
