"""Accounts, keys and quotas, going in and out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, StrictStr, WithJsonSchema, model_validator

from openlxd_api.framework.models import Body, View
from openlxd_api.v1.schemas.base import SIZE_MAX, SIZES, Whole, number_or_text
from openlxd_api.v1.schemas.states import UserRole
from openlxd_core import shapes
from openlxd_core.domain import account
from openlxd_core.domain.quota import Quota
from openlxd_core.domain.units import parse_size_mib
from openlxd_core.i18n import N_

Username = Annotated[
    StrictStr,
    Field(
        max_length=200,
        description="Folded to lower case. Some names are reserved (root, admin, support …). A number is no name.",
        json_schema_extra={"pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{2,63}$"},
        examples=["alice", "client.42"],
    ),
]
_PLAIN = "\u00a1-\u061b\u061d-\u167f\u1681-\u180d\u180f-\u1fff\u3001-\ud7ff"  # no spaces, no bidi marks
Email = Annotated[
    StrictStr,
    Field(
        max_length=255,
        json_schema_extra={"pattern": rf"^[!-?A-~{_PLAIN}]{{1,64}}@[!-\-/-?A-~{_PLAIN}]+(?:\.[!-\-/-?A-~{_PLAIN}]+)+$"},
        examples=["alice@example.org"],
    ),
]
Password = Annotated[
    StrictStr,
    Field(max_length=4096),
    WithJsonSchema(
        {
            "type": "string",
            "format": "password",
            "description": "At least 8 characters, at most 72 bytes of UTF-8.",
            "anyOf": [
                {"type": "string", "pattern": "^[\\x20-\\x7e]{8,72}$"},
                {"type": "string", "minLength": 8, "maxLength": 18, "pattern": "^[^\\u0000]*$"},
            ],
        }
    ),
]
OldPassword = Annotated[StrictStr, Field(max_length=4096, json_schema_extra={"format": "password"})]


class SignIn(Body):
    """A user name or an email address, and the password."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": [name], "properties": {name: {"type": "string"}}} for name in ("username", "email")]
        }
    )

    username: StrictStr | None = Field(None, max_length=320)
    """The user name (or ``email`` in its place)."""
    email: StrictStr | None = Field(None, max_length=320)
    password: OldPassword

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if (self.username is None) == (self.email is None):
            raise ValueError(N_("Send a user name or an email address."))
        return self

    @property
    def account(self) -> str:
        """The user name or the email address."""
        return self.username if self.username is not None else self.email or ""


class Registration(Body):
    """Registration of a new account."""

    username: Username
    email: Email
    password: Password


def _schema_of_quota_size() -> Any:
    return WithJsonSchema(
        {
            "description": "MiB as a number, or text like 4GB, 4GiB.",
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": SIZE_MAX},
                {"type": "string", "pattern": "^[1-9][0-9]{0,3}(?:M|MB|MiB|G|GB|GiB)$"},
            ],
        }
    )


QuotaSize = Annotated[int | str, BeforeValidator(number_or_text), _schema_of_quota_size()]
QuotaCount = Annotated[Whole, Field(ge=0, le=100_000)]


class QuotaBody(Body):
    """Limits over all containers of a tenant; the ``quota`` of a response can be sent back unchanged."""

    former: ClassVar[Mapping[str, str]] = SIZES

    containers: QuotaCount
    cpu: QuotaCount
    memory_mb: QuotaSize
    disk_mb: QuotaSize
    snapshots: QuotaCount
    forwards: QuotaCount = 10
    """Port forwards of all containers."""

    def quota(self, inside: str = "") -> Quota:
        """The record; ``inside`` is the field that holds this body, where one does. Raises ValidationFailed."""

        def size(value: int | str, field: str) -> int:
            return 0 if value in (0, "0") else parse_size_mib(value, field)

        return Quota(
            containers=self.containers,
            cpu=self.cpu,
            memory_mib=size(self.memory_mb, f"{inside}memory"),
            disk_mib=size(self.disk_mb, f"{inside}disk"),
            snapshots=self.snapshots,
            forwards=self.forwards,
        )


class NewUser(Registration):
    """An account created by an admin."""

    role: UserRole = UserRole.USER
    quota: QuotaBody | None = None
    """The default quota if omitted."""


class ProfileChange(Body):
    """Changes to one's own account."""

    email: Email


class UserChange(Body):
    """Changes to an account by an admin; omitted fields stay unchanged."""

    email: Email | None = None
    role: UserRole | None = None


class PasswordChange(Body):
    """A new password for one's own account."""

    old_password: OldPassword
    new_password: Password


class NewPassword(Body):
    """A new password for an account, set by an admin."""

    password: Password


class Suspension(Body):
    """The reason of a suspension, shown to the account's owner."""

    reason: StrictStr = Field("", max_length=500)


class DeleteUser(Body):
    """What happens to the account's containers."""

    containers: Literal["delete"] | None = None
    """``delete`` deletes them. Without it an account that has containers is not deleted."""


class NewKey(Body):
    """An SSH public key."""

    public_key: StrictStr = Field(min_length=1, max_length=16384, examples=["ssh-ed25519 AAAAC3Nza… alice@laptop"])
    """A line as ``ssh-keygen`` writes it into a ``.pub`` file."""
    name: StrictStr = Field("", max_length=100)


class QuotaView(View):
    """Sums over a tenant's containers. Sizes are MiB."""

    containers: int
    cpu: int
    memory_mb: int
    disk_mb: int
    snapshots: int
    forwards: int

    @classmethod
    def of(cls, quota: Quota) -> QuotaView:
        """The view of a record."""
        return cls(**shapes.quota(quota))


class QuotaStateView(View):
    """A tenant's limits, usage and remaining quota."""

    quota: QuotaView
    used: QuotaView
    left: QuotaView

    @classmethod
    def of(cls, state: Any) -> QuotaStateView:
        """The view of the core's answer."""
        return cls(quota=QuotaView.of(state.quota), used=QuotaView.of(state.used), left=QuotaView.of(state.left))


class UserView(View):
    """One account, without its secrets."""

    id: int
    username: str
    email: str
    role: UserRole
    status: account.AccountStatus
    suspended_reason: str
    has_api_key: bool = True
    """Every account has one from the start."""
    api_key_shown: bool
    """Whether the API key has been shown; false for accounts made by an earlier version or at the first start."""
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, user: account.User) -> UserView:
        """The view of a record."""
        return cls(**shapes.user(user))


class CreatedUserView(UserView):
    """A new account with its API key. The key is shown only once; only its SHA-256 hash is stored."""

    api_key: str
    """64 hex digits, for the header ``X-API-Key``."""

    @classmethod
    def of_created(cls, user: account.CreatedUser) -> CreatedUserView:
        """The view of a record."""
        return cls(**UserView.of(user).model_dump(), api_key=user.api_key)


class SignedIn(View):
    """A token and its account."""

    token: str
    expires_at: datetime
    user: UserView


class ApiKey(View):
    """A new API key. It is shown only once; only its SHA-256 hash is stored."""

    api_key: str
    """64 hex digits, for the header ``X-API-Key``."""


class KeyView(View):
    """An SSH public key of an account."""

    id: int
    name: str
    fingerprint: str
    """``SHA256:…`` as ``ssh-keygen -l`` prints it."""
    public_key: str
    created_at: datetime
    last_used_at: datetime | None

    @classmethod
    def of(cls, key: account.SshKey) -> KeyView:
        """The view of a record."""
        return cls(**shapes.ssh_key(key))
