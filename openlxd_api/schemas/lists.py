"""What a client may ask of a list: a page, an order and filters. Each list names its own; others are refused."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictStr

from openlxd_api.schemas.base import Body, Digits
from openlxd_core.domain.account import AccountStatus
from openlxd_core.domain.actor import Role
from openlxd_core.domain.container import State
from openlxd_core.domain.listing import (
    CURSOR_MAX,
    LIMIT_DEFAULT,
    LIMIT_MAX,
    ContainerFilter,
    Part,
    UserFilter,
)

Text = Annotated[StrictStr, Field(min_length=1, max_length=255)]
"""A filter that is compared as it is."""


class ListQuery(Body):
    """Which page of a list."""

    limit: Digits = Field(LIMIT_DEFAULT, ge=1, le=LIMIT_MAX)
    """How many at most."""
    after: StrictStr | None = Field(None, min_length=1, max_length=CURSOR_MAX)
    """The `next` of the page before. It belongs to one list in one order."""

    @property
    def part(self) -> Part:
        """The record."""
        return Part(self.limit, self.after or "", getattr(self, "sort", ""))


class UserQuery(ListQuery):
    """Which accounts; deleted ones only with ``status=deleted``."""

    sort: Literal[
        "username", "-username", "email", "-email", "role", "-role", "status", "-status", "created_at", "-created_at"
    ] = "username"
    username: Text | None = None
    email: Text | None = None
    """Upper and lower case are the same."""
    role: Literal["user", "admin"] | None = None
    status: AccountStatus | None = None
    search: Text | None = None
    """A part of the user name or the address."""

    @property
    def wanted(self) -> UserFilter:
        """The record."""
        role = Role(self.role) if self.role is not None else None
        return UserFilter(self.username, self.email, role, self.status, self.search)


class ContainerQuery(ListQuery):
    """Which containers."""

    sort: Literal[
        "name", "-name", "status", "-status", "owner", "-owner", "image", "-image", "cpu", "-cpu",
        "memory_mb", "-memory_mb", "disk_mb", "-disk_mb", "created_at", "-created_at",
    ] = "name"  # fmt: skip
    status: State | None = None
    owner: Text | None = None
    """A user name."""
    image: Text | None = None
    """The image it was made from, as the container names it."""
    search: Text | None = None
    """A part of the name, the image, an address or the owner's name."""

    @property
    def wanted(self) -> ContainerFilter:
        """The record."""
        return ContainerFilter(self.status, self.owner, self.image, self.search)
