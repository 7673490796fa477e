"""Query parameters of lists: page, sort order and filters. Unknown parameters are refused."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictStr

from openlxd_api.framework.models import Body
from openlxd_api.v1.schemas.base import Digits, Moment, Truth
from openlxd_api.v1.schemas.states import UserRole
from openlxd_core.domain.account import AccountStatus
from openlxd_core.domain.actor import Role
from openlxd_core.domain.container import State
from openlxd_core.domain.image import ImageStatus
from openlxd_core.domain.listing import (
    CURSOR_MAX,
    LIMIT_DEFAULT,
    LIMIT_MAX,
    AuditFilter,
    ContainerFilter,
    ImageFilter,
    OfferFilter,
    OperationFilter,
    Part,
    UserFilter,
)
from openlxd_core.domain.operation import Kind, OperationStatus

Text = Annotated[StrictStr, Field(min_length=1, max_length=255)]
"""A filter that is compared exactly."""


class ListQuery(Body):
    """Which page of a list."""

    limit: Digits = Field(LIMIT_DEFAULT, ge=1, le=LIMIT_MAX)
    """Maximum number of entries."""
    after: StrictStr | None = Field(None, min_length=1, max_length=CURSOR_MAX)
    """The `next` of the previous page. It is valid for one list in one order."""

    @property
    def part(self) -> Part:
        """The record."""
        return Part(self.limit, self.after or "", getattr(self, "sort", ""))


class UserQuery(ListQuery):
    """Filters of accounts; deleted ones are listed only with ``status=deleted``."""

    sort: Literal[
        "username", "-username", "email", "-email", "role", "-role", "status", "-status", "created_at", "-created_at"
    ] = "username"
    username: Text | None = None
    email: Text | None = None
    """Case is ignored."""
    role: UserRole | None = None
    status: AccountStatus | None = None
    search: Text | None = None
    """A part of the user name or the address."""

    @property
    def wanted(self) -> UserFilter:
        """The record."""
        role = Role(self.role.value) if self.role is not None else None
        return UserFilter(self.username, self.email, role, self.status, self.search)


class ContainerQuery(ListQuery):
    """Filters of containers."""

    sort: Literal[
        "name", "-name", "status", "-status", "owner", "-owner", "image", "-image", "cpu", "-cpu",
        "memory_mb", "-memory_mb", "disk_mb", "-disk_mb", "created_at", "-created_at",
    ] = "name"  # fmt: skip
    status: State | None = None
    owner: Text | None = None
    """A user name."""
    image: Text | None = None
    """The container's ``image``."""
    search: Text | None = None
    """A part of the name, the image, an address or the owner's name."""

    @property
    def wanted(self) -> ContainerFilter:
        """The record."""
        return ContainerFilter(self.status, self.owner, self.image, self.search)


class KeyQuery(ListQuery):
    """The page of SSH public keys."""

    sort: Literal["created_at", "-created_at", "name", "-name", "fingerprint", "-fingerprint"] = "created_at"


class SnapshotQuery(ListQuery):
    """The page of snapshots."""

    sort: Literal["created_at", "-created_at", "name", "-name"] = "created_at"


class OperationQuery(ListQuery):
    """Filters of operations."""

    sort: Literal["created_at", "-created_at"] = "-created_at"
    active: Truth = False
    """Only operations in progress."""
    status: OperationStatus | None = None
    kind: Kind | None = None
    target: Text | None = None
    """A container's name, or an image's."""
    owner: Text | None = None
    """User name of the owner of the container or image."""

    @property
    def wanted(self) -> OperationFilter:
        """The record."""
        return OperationFilter(self.active, self.status, self.kind, self.target, self.owner)


class AuditQuery(ListQuery):
    """Filters of audit entries."""

    sort: Literal["id", "-id"] = "-id"
    actor: Text | None = None
    """User name of the actor."""
    action: Text | None = None
    """The action: ``container.create``, ``user.suspend`` …"""
    target: Text | None = None
    outcome: Text | None = None
    """``ok`` or an error's code."""
    origin: Text | None = None
    """``api``, ``ssh``, ``tui``, ``cli`` or ``system``."""
    since: Moment | None = None
    """At or after this time: ``2026-08-01T00:00:00Z``."""
    until: Moment | None = None
    """Before this time."""
    before: Digits | None = Field(None, ge=1, le=2_147_483_647)
    """Only entries with a smaller id; ``after`` does the same for the pages of every list."""

    @property
    def wanted(self) -> AuditFilter:
        """The record."""
        return AuditFilter(
            self.actor, self.action, self.target, self.outcome, self.origin, self.since, self.until, self.before
        )


class ImageQuery(ListQuery):
    """Filters of local images."""

    sort: Literal[
        "alias", "-alias", "distribution", "-distribution", "status", "-status", "size", "-size",
        "imported_at", "-imported_at",
    ] = "alias"  # fmt: skip
    status: ImageStatus | None = None
    distribution: Text | None = None
    release: Text | None = None
    """A code name or a number."""
    architecture: Text | None = None
    """``amd64``, ``arm64`` … or LXD's name for it."""
    variant: Text | None = None
    private: Truth | None = None
    """Only private images, or only others."""
    search: Text | None = None
    """A part of the name, the description or the fingerprint."""

    @property
    def wanted(self) -> ImageFilter:
        """The record."""
        return ImageFilter(
            self.status, self.distribution, self.release, self.architecture, self.variant, self.private, self.search
        )


class RemoteQuery(ListQuery):
    """Search text and filters of the catalogue."""

    sort: Literal["best", "alias", "-alias", "size", "-size", "built_at", "-built_at"] = "best"
    search: StrictStr = Field("", max_length=200)
    """Several words, typed roughly: ``ubuntu 22 cloud``."""
    text: StrictStr = Field("", max_length=200)
    """Deprecated name of ``q``."""
    distribution: StrictStr = Field("", max_length=50)
    release: StrictStr = Field("", max_length=50)
    """A code name or a number."""
    architecture: StrictStr = Field("", max_length=20)
    """``amd64``, ``arm64`` … or LXD's name for it."""
    variant: StrictStr = Field("", max_length=50)
    held: Truth | None = None
    """Only imported images, or only others."""
    supported: Truth | None = None
    """Only supported releases, or only others."""
    offset: Digits = Field(0, ge=0, le=100_000)
    """Number of entries to skip, instead of ``after``."""

    @property
    def wanted(self) -> OfferFilter:
        """The record."""
        return OfferFilter(
            self.search or self.text,
            self.distribution,
            self.release,
            self.architecture,
            self.variant,
            self.held,
            self.supported,
        )
