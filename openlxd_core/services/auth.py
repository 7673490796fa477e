"""Proving who somebody is: the one place that makes actors of people."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import jwt
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from pydantic import BaseModel, ConfigDict, Field, model_validator

from openlxd_core.domain.account import AccountStatus, fold_username, hash_api_key
from openlxd_core.domain.actor import Actor, Role, anonymous, local_admin
from openlxd_core.domain.errors import (
    ConfigurationError,
    RateLimited,
    Suspended,
    TokenExpired,
    Unauthenticated,
    ValidationFailed,
)
from openlxd_core.i18n import N_
from openlxd_core.services import audit
from openlxd_core.services.keys import read_public_key
from openlxd_core.services.passwords import Passwords
from openlxd_core.services.system_key import ORIGIN as SYSTEM_KEY
from openlxd_core.services.system_key import SystemKey, bound_user
from openlxd_core.storage import models
from openlxd_core.storage.read_cache import ReadCache
from openlxd_core.storage.transaction import best_effort, transaction

TOKEN_LIFE = timedelta(hours=24)
_ALGORITHM = "HS256"
_SECRET_BYTES_MIN = 32
FAILURES_PER_ACCOUNT_AND_ADDRESS = RateLimitItemPerMinute(5)
FAILURES_PER_ADDRESS = RateLimitItemPerMinute(30)


@dataclass(frozen=True)
class _Account:
    """What the check of a credential needs of an account's row."""

    id: int
    username: str
    role: str
    status: str
    suspended_reason: str

    @classmethod
    def of(cls, row: models.User) -> _Account:
        """The row's."""
        return cls(row.id, row.username, row.role, row.status, row.suspended_reason)


@dataclass(frozen=True)
class Token:
    """A signed token and when it ends."""

    token: str
    expires_at: datetime


class Auth:
    """Passwords, keys and tokens become actors, or Unauthenticated, Suspended, RateLimited.

    The accounts that API keys and tokens lead to are kept in ``reads`` until anything in the database changes. A
    suspension, a new password or a sign-out, by any process, therefore counts from the next check on.
    """

    def __init__(self, passwords: Passwords, secret: bytes, system_key: SystemKey, reads: ReadCache) -> None:
        if len(secret) < _SECRET_BYTES_MIN:
            raise ConfigurationError(N_("The JWT secret is too short: it needs {count} bytes."), count=32)
        self._passwords = passwords
        self._secret = secret
        self._system_key = system_key
        self._reads = reads
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def password_login(self, account: str, password: str, *, origin: str, address: str = "") -> Actor:
        """Somebody who knows the password of ``account`` (a user name or an email address).

        An unknown account and a wrong password answer alike, in the same time; only failures count towards
        the limit (five a minute for one account from one address, thirty for one address).
        """
        account = account.strip()[:255]
        windows = (
            (FAILURES_PER_ACCOUNT_AND_ADDRESS, (address, account.lower())),
            (FAILURES_PER_ADDRESS, (address, "")),
        )
        for item, (where, who) in windows:
            if not await self._limiter.test(item, where, who):
                until = (await self._limiter.get_window_stats(item, where, who)).reset_time
                wait = max(1.0, until - datetime.now(UTC).timestamp())
                raise RateLimited(N_("Too many failed sign-ins. Try again in {seconds} seconds."), wait)
        row = await models.User.exclude(status="deleted").filter(**_by_account(account)).first()
        if not await self._passwords.verify(password, row.password_hash if row else None):
            for item, (where, who) in windows:
                await self._limiter.hit(item, where, who)
            await best_effort(_record_failure, "login_not_recorded", account, row.id if row else None, origin, address)
            raise Unauthenticated(N_("The account or the password is wrong."))
        assert row is not None
        return await self._welcome(row, "login.password", origin, address)

    async def key_known(self, public_key: str, account: str | None = None) -> bool:
        """Whether a key (an OpenSSH line) names an account, or ``account``."""
        return await self._key_row(public_key, account) is not None

    async def key_login(self, public_key: str, account: str | None = None, *, origin: str, address: str = "") -> Actor:
        """Whoever has proved to the SSH server that they hold this key."""
        key = await self._key_row(public_key, account)
        if key is None:
            raise Unauthenticated(N_("This key is not registered."))
        return await self._welcome(key.user, "login.key", origin, address, key)

    async def _key_row(self, public_key: str, account: str | None) -> models.SshKey | None:
        try:
            fingerprint = read_public_key(public_key)[1]
        except ValidationFailed:
            return None
        row = await models.SshKey.filter(fingerprint=fingerprint).select_related("user").first()
        if row is None or row.user.status == AccountStatus.DELETED:
            return None
        return row if account is None or fold_username(account) == row.user.username else None

    async def _welcome(
        self, row: models.User, action: str, origin: str, address: str, key: models.SshKey | None = None
    ) -> Actor:
        actor = _actor(row, origin, address)
        suspended = row.status == AccountStatus.SUSPENDED
        # A full disk keeps nobody out: whoever comes to make room has to get in.
        await best_effort(_record_login, "login_not_recorded", actor, action, "suspended" if suspended else "ok", key)
        if suspended:
            raise _suspended(row)
        return actor

    async def local_login(self, origin: str) -> Actor:
        """Whoever may open the LXD socket on this host: the first admin there is."""
        row = await models.User.filter(role="admin", status="active").order_by("id").first()
        return _actor(row, origin, "") if row else local_admin(origin=origin)

    async def api_key_login(self, key: str, *, origin: str, address: str = "") -> Actor:
        """Whoever holds an API key: an account's, or the installation's, which acts as the account it is bound to."""
        account = None
        if len(key) == 64:
            digest = hash_api_key(key)
            if self._system_key.opens(digest):
                account, origin = await self._reads.read("account of the system key", _system_account), SYSTEM_KEY
            else:  # found by the digest of a random key: how long that takes tells nothing of the key
                account = await self._reads.read(("account of an API key", digest), partial(_account_of_key, digest))
        if account is None:
            raise Unauthenticated(N_("This API key is not valid."))
        if account.status == AccountStatus.SUSPENDED:
            raise _suspended(account)
        return _actor(account, origin, address)

    async def issue_token(self, actor: Actor) -> Token:
        """A token of 24 hours for ``actor``; it ends sooner with the account, the password or a sign-out."""
        row = await models.User.filter(id=actor.user_id, status="active").first()
        if row is None:
            raise Unauthenticated(N_("Sign in first."))
        now = datetime.now(UTC).replace(microsecond=0)
        claims = {
            "sub": str(row.id),
            "role": row.role,
            "ver": row.token_version,
            "iat": now,
            "exp": now + TOKEN_LIFE,
            "jti": str(uuid.uuid4()),
        }
        return Token(jwt.encode(claims, self._secret, _ALGORITHM), now + TOKEN_LIFE)

    async def token_login(self, token: str, *, origin: str, address: str = "") -> Actor:
        """Whoever holds a token of ours."""
        # the token itself is a secret, so it is kept by its digest
        key = ("account of a token", hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest())
        claims, account = await self._reads.read(key, partial(self._checked, token))
        if claims.exp <= datetime.now(UTC).timestamp():
            raise TokenExpired(N_("This token has expired. Sign in again."))
        if account.status == AccountStatus.SUSPENDED:
            raise _suspended(account)
        return _actor(account, origin, address)

    async def _checked(self, token: str) -> tuple[_Claims, _Account]:
        """A token's claims and its account, which may be suspended. Raises Unauthenticated, TokenExpired."""
        claims = self._claims(token)
        row = await models.User.filter(id=int(claims.sub)).exclude(status="deleted").first()
        if row is None or await models.Token.filter(jti=claims.jti).exists():
            raise Unauthenticated(N_("This token is not valid any more. Sign in again."))
        # a suspension raises the token's version, too, and is told by its own sentence
        outdated = claims.ver != row.token_version or claims.role != row.role
        if outdated and row.status != AccountStatus.SUSPENDED:
            raise Unauthenticated(N_("This token is not valid any more. Sign in again."))
        return claims, _Account.of(row)

    @transaction
    async def revoke_token(self, token: str) -> None:
        """Sign a token out, in every process, from now on."""
        claims = self._claims(token)
        now = datetime.now(UTC)
        await models.Token.filter(expires_at__lt=now).delete()
        await models.Token.get_or_create(
            jti=claims.jti, defaults={"expires_at": datetime.fromtimestamp(claims.exp, UTC)}
        )

    def _claims(self, token: str) -> _Claims:
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                options={
                    "require": ["exp", "iat", "sub", "jti", "ver", "role"],
                    "enforce_minimum_key_length": True,
                },
            )
            return _Claims.model_validate(claims)
        except jwt.ExpiredSignatureError:
            raise TokenExpired(N_("This token has expired. Sign in again.")) from None
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError, RecursionError):
            raise Unauthenticated(N_("This token is not valid.")) from None


class _Claims(BaseModel):
    """What a token of ours holds; a signed one that holds anything else was not made by this version."""

    model_config = ConfigDict(strict=True, extra="forbid")

    sub: str = Field(pattern=r"^[0-9]{1,11}$")
    role: str
    ver: int
    iat: int
    exp: int
    jti: str = Field(max_length=36)

    @model_validator(mode="after")
    def _lives_a_day_at_most(self) -> _Claims:
        if self.exp - self.iat > TOKEN_LIFE.total_seconds():
            raise ValueError("the token lives too long")
        return self


def _by_account(account: str) -> dict[str, str]:
    return {"email__iexact": account} if "@" in account else {"username": fold_username(account)}


async def _account_of_key(digest: str) -> _Account | None:
    row = await models.User.filter(api_key=digest).exclude(status="deleted").first()
    return _Account.of(row) if row is not None else None


async def _system_account() -> _Account | None:
    row = await bound_user()
    return _Account.of(row) if row is not None else None


def _actor(row: models.User | _Account, origin: str, address: str) -> Actor:
    return Actor(Role(row.role), row.id, row.username, origin, address)


def _suspended(row: models.User | _Account) -> Suspended:
    if row.suspended_reason:
        return Suspended(N_("This account is suspended: {reason}"), reason=row.suspended_reason)
    return Suspended(N_("This account is suspended."))


@transaction
async def _record_login(actor: Actor, action: str, outcome: str, key: models.SshKey | None) -> None:
    await audit.record(
        actor, action, actor.username, outcome=outcome, detail=key.fingerprint if key is not None else ""
    )
    if key is not None and outcome == "ok":
        await models.SshKey.filter(id=key.id).update(last_used_at=datetime.now(UTC))


@transaction
async def _record_failure(account: str, user_id: int | None, origin: str, address: str) -> None:
    await audit.record(
        anonymous(origin, address), "login.password", account, user_id=user_id, outcome="unauthenticated"
    )
