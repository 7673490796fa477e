"""The columns of a table: what each shows, what it is sorted by, and how it gives way on a narrow terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from openlxd_tui.present import Cell

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
    """The cells it takes; of a column that grows, the fewest."""
    rank: int = 0
    """The higher, the earlier the column gives way on a narrow terminal; 0 stays."""
    grows: int = 0
    """Its part of the room that is left over; 0 keeps the width."""
    most: int = 1000
    """Where growing ends."""
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
