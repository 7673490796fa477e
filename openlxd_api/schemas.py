"""What goes in and out, as types: the API's promise, apart from the core's records.

Bodies refuse fields they do not know. What a value may be (a name, a size, a password) is judged by the core, once
for all front ends; here stands only its type and a bound on its length.
"""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, StrictStr, model_validator

from openlxd_core.domain import account, container
from openlxd_core.domain.feed import LxdState
from openlxd_core.i18n import N_, _


class Body(BaseModel):
    """The root of what clients send."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class View(BaseModel):
    """The root of what clients get."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class NoQuery(Body):
    """An endpoint without a query: any field in it is a mistake."""


class SignIn(Body):
    """A user name or an email address, and the password."""

    username: StrictStr | None = Field(None, max_length=320)
    """The user name (or ``email`` in its place)."""
    email: StrictStr | None = Field(None, max_length=320)
    password: StrictStr = Field(max_length=4096)
    otp: StrictStr | None = Field(None, max_length=32)
    """The one-time code, where the account has it switched on."""

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if (self.username is None) == (self.email is None):
            raise ValueError(N_("Send a user name or an email address."))
        return self

    @property
    def account(self) -> str:
        """Whichever of the two was sent."""
        return self.username if self.username is not None else self.email or ""


class ProfileChange(Body):
    """What people may change about themselves."""

    email: StrictStr = Field(max_length=320)


class UserView(View):
    """One account, without its secrets."""

    id: int
    username: str
    email: str
    role: str
    """``user`` or ``admin``."""
    status: str
    has_api_key: bool
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, user: account.User) -> UserView:
        """The view of a record."""
        return cls(
            id=user.id,
            username=user.username,
            email=user.email,
            role=user.role.value,
            status=user.status.value,
            has_api_key=user.has_api_key,
            created_at=user.created_at,
            updated_at=user.updated_at,
        )


class SignedIn(View):
    """A token, and whose it is."""

    token: str
    expires_at: datetime
    user: UserView


class ContainerView(View):
    """One container as its owner sees it. Sizes are MiB."""

    id: int
    name: str
    owner: str
    image: str
    architecture: str
    status: str
    cpu: int
    memory_mb: int
    disk_mb: int
    ipv4: str
    ipv6: str
    suspended_by: str
    error: str
    """What went wrong, in the reader's language, or an empty string."""
    operation_id: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, found: container.Container) -> ContainerView:
        """The view of a record, its error in the language of the request."""
        return cls(
            id=found.id,
            name=found.name,
            owner=found.owner,
            image=found.image,
            architecture=found.architecture,
            status=found.status.value,
            cpu=found.cpu,
            memory_mb=found.memory_mib,
            disk_mb=found.disk_mib,
            ipv4=found.ipv4,
            ipv6=found.ipv6,
            suspended_by=found.suspended_by,
            error=found.error.text(_) if found.error else "",
            operation_id=found.operation_id,
            created_at=found.created_at,
            updated_at=found.updated_at,
        )


class DatabaseHealth(View):
    """Whether the database answers."""

    reachable: bool


class LxdHealth(View):
    """Whether LXD answers, and what it is."""

    reachable: bool
    kind: str
    """``lxd``, ``incus``, ``simulated``, or empty before the first answer."""
    version: str
    simulated: bool
    """True where no container is real."""
    since: datetime

    @classmethod
    def of(cls, state: LxdState) -> LxdHealth:
        """The view of a state; its reason stays inside, it may name paths of the host."""
        return cls(
            reachable=state.reachable,
            kind=state.kind,
            version=state.version,
            simulated=state.kind == "simulated",
            since=state.since,
        )


class Health(View):
    """Liveness, and each thing we depend on."""

    status: str
    """``ok``, ``degraded`` (LXD is away) or ``down`` (the database is)."""
    version: str
    database: DatabaseHealth
    lxd: LxdHealth
