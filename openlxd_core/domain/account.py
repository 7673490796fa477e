"""Accounts: the record, and what a user name, an address and a password may be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from openlxd_core.domain.actor import Role
from openlxd_core.domain.errors import ValidationFailed
from openlxd_core.domain.text import is_plain
from openlxd_core.i18n import N_

_USERNAME = re.compile(r"[a-z][a-z0-9-]{2,31}")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(?:\.[^@\s.]+)+")
RESERVED_USERNAMES = frozenset({"openlxd", "root", "system", "anonymous"})
PASSWORD_MIN_CHARACTERS = 8
PASSWORD_MAX_BYTES = 72  # bcrypt reads no further; bcrypt 5 raises past it


class AccountStatus(StrEnum):
    """The design paper's three."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    DELETED = "deleted"


@dataclass(frozen=True)
class User:
    """One account, without its secrets."""

    id: int
    username: str
    email: str
    role: Role
    status: AccountStatus
    has_api_key: bool
    suspended_reason: str
    created_at: datetime
    updated_at: datetime

    @property
    def user_id(self) -> int:
        """A user owns themselves, for the policy."""
        return self.id


@dataclass(frozen=True)
class SshKey:
    """A public key that names its owner at the SSH door."""

    id: int
    user_id: int
    name: str
    fingerprint: str
    """``SHA256:…`` as ``ssh-keygen -l`` prints it."""
    public_key: str
    created_at: datetime
    last_used_at: datetime | None


def check_username(name: Any, field: str = "username") -> str:
    """A user name that may be given to a new account. Raises ValidationFailed."""
    if isinstance(name, str) and _USERNAME.fullmatch(name) and name not in RESERVED_USERNAMES:
        return name
    raise ValidationFailed.of(
        field, N_("A user name has 3 to 32 lower-case letters, digits and dashes and starts with a letter.")
    )


def check_email(email: Any, field: str = "email") -> str:
    """An email address. Raises ValidationFailed."""
    if isinstance(email, str) and len(email) <= 255 and is_plain(email) and _EMAIL.fullmatch(email):
        return email
    raise ValidationFailed.of(field, N_("This is not an email address."))


def check_password(password: Any, field: str = "password") -> str:
    """A password that may be set. Raises ValidationFailed."""
    if not isinstance(password, str) or len(password) < PASSWORD_MIN_CHARACTERS:
        raise ValidationFailed.of(field, N_("A password has at least {low} characters."), low=PASSWORD_MIN_CHARACTERS)
    try:
        size = len(password.encode())
    except UnicodeEncodeError:  # lone surrogates: nobody can type them again
        size = PASSWORD_MAX_BYTES + 1
    if size > PASSWORD_MAX_BYTES or "\0" in password:
        raise ValidationFailed.of(
            field, N_("A password has at most {high} bytes (24 Chinese characters)."), high=PASSWORD_MAX_BYTES
        )
    return password
