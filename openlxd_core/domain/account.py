"""Accounts: the record, and what a user name, an address and a password may be."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from openlxd_core.domain.actor import Role
from openlxd_core.domain.errors import ValidationFailed
from openlxd_core.domain.text import is_plain
from openlxd_core.i18n import N_

_USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{2,63}")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(?:\.[^@\s.]+)+")
USERNAME_MAX = 64
FIRST_ADMIN = "admin"
"""The name of the first admin; nobody else may take it."""
RESERVED_USERNAMES = frozenset(
    """
    abuse account accounts admin administrator all anonymous anyone api audit billing bin console daemon default deleted
    everybody everyone guest help host hostmaster incus info keys local localhost login logout lxc lxd lxdapi mail
    me moderator nobody nogroup none noreply null official openlxd operator owner password postmaster private profile
    public quota register regeneratekey rest root scp security self sftp shell ssh sshd staff superadmin superuser
    support sync sys sysadmin sysop system tenant tenants tui undefined unknown user users webmaster whmcs www wwwdata
    """.split()  # noqa: SIM905 - seventy quoted words read worse
)
"""Reserved names: the operator, the program, Unix accounts of the host, mailbox names (RFC 2142) and words of our
paths. Compared without separators, so that ``open-lxd`` and ``ad.min`` are refused, too."""
PASSWORD_MIN_CHARACTERS = 8
PASSWORD_MAX_BYTES = 72  # bcrypt reads no further; bcrypt 5 raises past it


class AccountStatus(StrEnum):
    """The three statuses of the design paper."""

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
    api_key_shown: bool
    """Whether the account's API key has been shown. Every account has one; the keys of accounts of earlier versions and
    of the first admin were never shown to anyone."""
    suspended_reason: str
    created_at: datetime
    updated_at: datetime

    @property
    def user_id(self) -> int:
        """A user owns themselves, for the policy."""
        return self.id


@dataclass(frozen=True)
class CreatedUser(User):
    """A new account with its API key, which is shown only now and not stored."""

    api_key: str = field(repr=False)
    """64 hex digits."""


@dataclass(frozen=True)
class SshKey:
    """An SSH public key of an account."""

    id: int
    user_id: int
    name: str
    fingerprint: str
    """``SHA256:…`` as ``ssh-keygen -l`` prints it."""
    public_key: str
    created_at: datetime
    last_used_at: datetime | None


def fold_username(name: str) -> str:
    """A user name as stored. Only ASCII is lowered: ``str.lower`` turns the Kelvin sign into ``k``."""
    return name.lower() if name.isascii() else name


def hash_api_key(key: str) -> str:
    """The stored form of an API key: its SHA-256 in hex. A key is 32 random bytes, so no slow hash is needed."""
    return hashlib.sha256(key.encode(errors="replace")).hexdigest()


def nobodys_api_key() -> str:
    """The stored form of a random key that is never shown, for the column must not be empty."""
    return hash_api_key(secrets.token_hex(32))


def check_username(name: Any, field: str = "username", *, first_admin: bool = False) -> str:
    """A user name that may be given to a new account, folded to lower case. Raises ValidationFailed.

    A name may consist of digits only: ids are passed as numbers, never as text.
    ``first_admin`` says that it is for the first admin, who alone may be called ``admin``.
    """
    folded = fold_username(name) if isinstance(name, str) else ""
    if not _USERNAME.fullmatch(folded):
        raise ValidationFailed.of(
            field,
            N_(
                "A user name has 3 to 64 characters, only letters, digits, dots, underscores and dashes, and starts"
                " with a letter or a digit."
            ),
        )
    if re.sub(r"[._-]", "", folded) in RESERVED_USERNAMES and not (first_admin and folded == FIRST_ADMIN):
        raise ValidationFailed.of(field, N_("The user name {name} is reserved. Choose another."), name=folded)
    return folded


_FREED = re.compile(r" \(deleted \d+\)$")


def freed(name: str, user_id: int) -> str:
    """The name or address that a deleted account's row gets, which frees its old one for others.

    It contains a space, which neither a user name nor an email address may.
    """
    return f"{name[:230]} (deleted {user_id})"


def before_freed(name: str) -> str:
    """The name or address that :func:`freed` was given."""
    return _FREED.sub("", name)


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
    except UnicodeEncodeError:  # unpaired surrogates cannot be typed again
        size = PASSWORD_MAX_BYTES + 1
    if size > PASSWORD_MAX_BYTES or "\0" in password:
        raise ValidationFailed.of(
            field, N_("A password has at most {high} bytes (24 Chinese characters)."), high=PASSWORD_MAX_BYTES
        )
    return password
