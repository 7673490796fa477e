"""Lists: which part of one is asked for, what comes back, and the cursors that join the parts.

A page begins after the last row of the page before it, by the values that the list is sorted by and the row's id
(keyset pagination). Rows that are inserted or deleted meanwhile neither repeat nor hide others, as they would with
an offset, and a late page costs the database no more than the first.
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
    """Which part of a list is asked for."""

    limit: int = LIMIT_DEFAULT
    after: str = ""
    """The cursor that came with the page before; an empty string for the first page."""
    sort: str = ""
    """A field of the list, with a minus in front for descending; an empty string for the list's own order."""


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list."""

    items: Sequence[T]
    next: str
    """The cursor of the page that follows; an empty string at the end."""


@dataclass(frozen=True)
class Cursor:
    """The row that a page begins after."""

    of: str
    """The list and its order, so that it is refused for any other list: ``containers:-created_at``."""
    value: Value
    """What that row is sorted by; moments in microseconds since 1970."""
    id: Value

    def encode(self) -> str:
        """As clients get it: they are not meant to look inside."""
        told = json.dumps([_VERSION, self.of, self.value, self.id], ensure_ascii=False, separators=(",", ":"))
        return base64.urlsafe_b64encode(told.encode()).decode().rstrip("=")


def read_cursor(text: str, of: str, like: type[Value], id_like: type[Value] = int) -> Cursor:
    """The cursor in ``text``, for the list and order ``of`` that is sorted by values of the type ``like``.

    A cursor is not signed: whoever makes one up only picks where their own list begins. Raises ValidationFailed.
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
    """Which accounts; None takes all, but deleted ones are listed only where their status is asked for."""

    username: str | None = None
    email: str | None = None
    """Upper and lower case are the same."""
    role: Role | None = None
    status: AccountStatus | None = None
    search: str | None = None
    """A part of the user name or the address."""


@dataclass(frozen=True)
class ContainerFilter:
    """Which containers; None takes all."""

    status: State | None = None
    owner: str | None = None
    """A user name."""
    image: str | None = None
    search: str | None = None
    """A part of the name, the image, an address or the owner's name."""


@dataclass(frozen=True)
class OperationFilter:
    """Which operations; None takes all."""

    active: bool = False
    """Only those under way."""
    status: OperationStatus | None = None
    kind: Kind | None = None
    target: str | None = None
    """A container's name, or an image's."""
    owner: str | None = None
    """The user name of whose container or image it is about."""


@dataclass(frozen=True)
class AuditFilter:
    """Which entries of the audit; None takes all."""

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    outcome: str | None = None
    """``ok`` or an error's code."""
    origin: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    """Up to and without this moment."""
    before: int | None = None
    """Only entries with a smaller id."""


@dataclass(frozen=True)
class ImageFilter:
    """Which of the images that are here; None takes all."""

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
    """Which of the images that are offered; an empty string or None takes all."""

    search: str = ""
    """Several words, typed roughly."""
    distribution: str = ""
    release: str = ""
    architecture: str = ""
    variant: str = ""
    held: bool | None = None
    """Whether it is here."""
    supported: bool | None = None
    """Whether it is one that OpenLXD promises to support."""
