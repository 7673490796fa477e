"""Lists: pages, sort orders, filters and cursors.

A page begins after the last row of the page before it, by the values that the list is sorted by and the row's id
(keyset pagination). Rows that are inserted or deleted meanwhile neither repeat nor hide others, as they would with
an offset, and the last page costs the database no more than the first.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from openlxd_core.domain.account import AccountStatus
from openlxd_core.domain.actor import Role
from openlxd_core.domain.container import State
from openlxd_core.domain.errors import ValidationFailed
from openlxd_core.domain.image import ImageStatus
from openlxd_core.domain.operation import Kind, OperationStatus
from openlxd_core.i18n import N_

LIMIT_DEFAULT = 100
LIMIT_MAX = 1000
CURSOR_MAX = 2048
"""Characters. The longest values that a list is sorted by are email addresses of 255 characters."""
_VERSION = 1
_WHOLE_MAX = 2**63 - 1

T = TypeVar("T")
Value = str | int


@dataclass(frozen=True)
class Part:
    """The requested page of a list."""

    limit: int = LIMIT_DEFAULT
    after: str = ""
    """The cursor of the previous page; an empty string for the first page."""
    sort: str = ""
    """A field of the list, with a minus in front for descending; an empty string for the list's own order."""


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list."""

    items: Sequence[T]
    next: str
    """The cursor of the next page; an empty string at the end."""


@dataclass(frozen=True)
class Cursor:
    """The row that a page begins after."""

    of: str
    """The list and its order, so that it is refused for any other list: ``containers:-created_at``."""
    value: Value
    """The row's value of the sort field; times in microseconds since 1970."""
    id: Value

    def encode(self) -> str:
        """The opaque form for clients."""
        told = json.dumps([_VERSION, self.of, self.value, self.id], ensure_ascii=False, separators=(",", ":"))
        return base64.urlsafe_b64encode(told.encode()).decode().rstrip("=")


def read_cursor(text: str, of: str, like: type[Value], id_like: type[Value] = int) -> Cursor:
    """The cursor in ``text``, for the list and order ``of`` that is sorted by values of the type ``like``.

    A cursor is not signed: a forged one only changes where the client's own list begins. Raises ValidationFailed.
    """
    try:
        if not 0 < len(text) <= CURSOR_MAX:
            raise ValueError("length")
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        version, found, value, last = json.loads(raw)
    except (ValueError, TypeError, RecursionError, binascii.Error):
        raise _not_a_cursor() from None
    if version != _VERSION or found != of or not (_fits(value, like) and _fits(last, id_like)):
        raise _not_a_cursor()
    return Cursor(of, value, last)


def _fits(value: object, like: type[Value]) -> bool:
    if like is int:
        return type(value) is int and abs(value) <= _WHOLE_MAX
    if not isinstance(value, str) or "\0" in value:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _not_a_cursor() -> ValidationFailed:
    return ValidationFailed.of("after", N_("This is not a cursor of this list in this order. Begin at the first page."))


@dataclass(frozen=True)
class UserFilter:
    """Filters of accounts; None matches all, but deleted ones are listed only by their status."""

    username: str | None = None
    email: str | None = None
    """Case is ignored."""
    role: Role | None = None
    status: AccountStatus | None = None
    search: str | None = None
    """A part of the user name or the address."""


@dataclass(frozen=True)
class ContainerFilter:
    """Filters of containers; None matches all."""

    status: State | None = None
    owner: str | None = None
    """A user name."""
    image: str | None = None
    search: str | None = None
    """A part of the name, the image, an address or the owner's name."""


@dataclass(frozen=True)
class OperationFilter:
    """Filters of operations; None matches all."""

    active: bool = False
    """Only operations in progress."""
    status: OperationStatus | None = None
    kind: Kind | None = None
    target: str | None = None
    """A container's name, or an image's."""
    owner: str | None = None
    """User name of the owner of the container or image."""


@dataclass(frozen=True)
class AuditFilter:
    """Filters of audit entries; None matches all."""

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    outcome: str | None = None
    """``ok`` or an error's code."""
    origin: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    """Before this time."""
    before: int | None = None
    """Only entries with a smaller id."""


@dataclass(frozen=True)
class ImageFilter:
    """Filters of local images; None matches all."""

    status: ImageStatus | None = None
    distribution: str | None = None
    release: str | None = None
    """A code name or a number."""
    architecture: str | None = None
    """Debian's name for it or LXD's."""
    variant: str | None = None
    private: bool | None = None
    search: str | None = None
    """A part of the name, the description or the fingerprint."""


@dataclass(frozen=True)
class OfferFilter:
    """Filters of the catalogue; an empty string or None matches all."""

    search: str = ""
    """Search words, matched approximately."""
    distribution: str = ""
    release: str = ""
    architecture: str = ""
    variant: str = ""
    held: bool | None = None
    """Whether it is imported."""
    supported: bool | None = None
    """Whether OpenLXD supports this release."""
