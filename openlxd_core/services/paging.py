"""Pages of tables: read by keyset, a few rows at a time, so that no list blocks the process however long it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import attrgetter
from typing import Any, Generic, TypeVar

from tortoise.expressions import Q
from tortoise.models import Model
from tortoise.queryset import QuerySet

from openlxd_core.domain.errors import ValidationFailed
from openlxd_core.domain.listing import LIMIT_MAX, Cursor, Page, Part, Value, read_cursor
from openlxd_core.i18n import N_

CHUNK = 50
"""Rows that are read at once. Making models of 100 rows with a joined owner was measured at 7 ms; other sessions and
requests get their turn between two chunks."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

M = TypeVar("M", bound=Model)
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Order:
    """The orders of one list of rows."""

    name: str
    """The list's, for its cursors."""
    fields: Mapping[str, type[Value | datetime]]
    """What it can be sorted by, as clients say it, and the type of each."""
    default: str
    columns: Mapping[str, str] = field(default_factory=dict)
    """A field's column where it has another name; ``user__username`` for a joined one."""
    id: type[Value] = int

    def read(self, sort: str) -> tuple[str, type[Any], bool]:
        """The column, its type, and whether it is descending. Raises ValidationFailed."""
        name = sort.removeprefix("-")
        if name not in self.fields:
            raise _unsortable()
        return self.columns.get(name, name), self.fields[name], sort.startswith("-")


async def read_page(rows: QuerySet[M], order: Order, part: Part) -> Page[M]:
    """The rows of one page. Raises ValidationFailed for a cursor or an order that is none of this list's."""
    sort = part.sort or order.default
    (column, kind, descending), of = order.read(sort), f"{order.name}:{sort}"
    after = read_cursor(part.after, of, str if kind is str else int, order.id) if part.after else None
    ordered = rows.order_by(*(f"{'-' if descending else ''}{name}" for name in dict.fromkeys((column, "id"))))
    limit = max(1, min(part.limit, LIMIT_MAX))
    found: list[M] = []
    while len(found) <= limit:  # one more than the page holds, to know whether another follows
        wanted = min(CHUNK + 1, limit + 1 - len(found))
        chunk = await _beyond(ordered, column, kind, after, descending).limit(wanted)
        found += chunk
        if len(chunk) < wanted:
            break
        after = _cursor_of(chunk[-1], of, column)
    more = len(found) > limit
    return Page(found[:limit], _cursor_of(found[limit - 1], of, column).encode() if more else "")


async def read_all(rows: QuerySet[M], order: Order, sort: str = "") -> Sequence[M]:
    """Every row, in the list's order."""
    found: list[M] = []
    part = Part(LIMIT_MAX, "", sort)
    while True:
        page = await read_page(rows, order, part)
        found += page.items
        if not page.next:
            return found
        part = replace(part, after=page.next)


async def in_turns(rows: Sequence[M], record_of: Callable[[M], R]) -> list[R]:
    """The records of rows. Others get their turn after every 100: the records of 2,000 containers take 15 ms."""
    found: list[R] = []
    for start in range(0, len(rows), 2 * CHUNK):
        found += map(record_of, rows[start : start + 2 * CHUNK])
        await asyncio.sleep(0)
    return found


def _beyond(rows: QuerySet[M], column: str, kind: type[Any], after: Cursor | None, descending: bool) -> QuerySet[M]:
    if after is None:
        return rows
    way = "lt" if descending else "gt"
    if column == "id":
        return rows.filter(id__lt=after.id) if descending else rows.filter(id__gt=after.id)
    value: Any = _moment(after.value) if kind is datetime else after.value
    beyond_id = Q(id__lt=after.id) if descending else Q(id__gt=after.id)
    # the first condition lets the database seek in the column's index, which an OR alone does not
    return rows.filter(Q(**{f"{column}__{way}e": value}), Q(**{f"{column}__{way}": value}) | beyond_id)


def _cursor_of(row: Model, of: str, column: str) -> Cursor:
    value = attrgetter(column.replace("__", "."))(row)
    if isinstance(value, datetime):
        value = (value - _EPOCH) // timedelta(microseconds=1)
    return Cursor(of, value, row.pk)


def _moment(microseconds: Value) -> datetime:
    return _EPOCH + timedelta(microseconds=max(0, min(int(microseconds), 2**53)))  # 2**53 lies in the year 2255


def having(text: str, *columns: str) -> Q:
    """Rows that have ``text`` in one of the columns, in upper or lower case."""
    return reduce(Q.__or__, (Q(**{f"{column}__icontains": text}) for column in columns))


@dataclass(frozen=True)
class MemoryOrder(Generic[R]):
    """The orders of a list that stands in memory."""

    name: str
    keys: Mapping[str, tuple[type[Value], Callable[[R], Value]]]
    """The fields that it can be sorted by: the type of each, and how it is read."""
    default: str
    id: Callable[[R], str]
    """What is different for each item."""


def page_of(items: Sequence[R], order: MemoryOrder[R], part: Part) -> Page[R]:
    """One page of a list that stands in memory. Raises ValidationFailed as :func:`read_page` does."""
    sort = part.sort or order.default
    of, descending = f"{order.name}:{sort}", sort.startswith("-")
    if sort.removeprefix("-") not in order.keys:
        raise _unsortable()
    kind, key = order.keys[sort.removeprefix("-")]

    def place(item: R) -> tuple[Any, str]:
        return key(item), order.id(item)

    found = sorted(items, key=place, reverse=descending)
    if part.after:
        after = read_cursor(part.after, of, kind, str)
        last = (after.value, after.id)
        found = [item for item in found if (place(item) < last if descending else place(item) > last)]
    limit = max(1, min(part.limit, LIMIT_MAX))
    if len(found) <= limit:
        return Page(found, "")
    return Page(found[:limit], Cursor(of, *place(found[limit - 1])).encode())


def _unsortable() -> ValidationFailed:
    return ValidationFailed.of("sort", N_("This list cannot be sorted like this."))
