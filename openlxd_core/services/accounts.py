"""Accounts: making, suspending, deleting them; passwords and API keys."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from tortoise.expressions import Q
from tortoise.queryset import QuerySet

from openlxd_core.coordination.change_log import announce
from openlxd_core.domain.account import (
    FIRST_ADMIN,
    AccountStatus,
    CreatedUser,
    User,
    check_email,
    check_password,
    check_username,
    fold_username,
    freed,
    hash_api_key,
    nobodys_api_key,
)
from openlxd_core.domain.actor import SYSTEM, Actor, Role
from openlxd_core.domain.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Message,
    Unauthenticated,
    ValidationFailed,
)
from openlxd_core.domain.listing import Page, Part, UserFilter
from openlxd_core.domain.policy import Action, require
from openlxd_core.domain.quota import Quota
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_
from openlxd_core.services import audit, system_key
from openlxd_core.services.idempotency import begun_before, note
from openlxd_core.services.lookup import find_user
from openlxd_core.services.paging import Order, having, in_turns, read_all, read_page
from openlxd_core.services.passwords import Passwords
from openlxd_core.services.records import to_user
from openlxd_core.settings import Settings
from openlxd_core.storage import models
from openlxd_core.storage.transaction import transaction

ORDER = Order(
    "users", {"username": str, "email": str, "role": str, "status": str, "created_at": datetime}, default="username"
)


class Accounts:
    """The accounts and what belongs to them alone."""

    def __init__(
        self, settings: Settings, passwords: Passwords, remove_containers: Callable[[Actor, int], Awaitable[None]]
    ) -> None:
        """``remove_containers`` deletes every container of a user."""
        self._settings = settings
        self._passwords = passwords
        self._remove_containers = remove_containers

    async def register(self, actor: Actor, username: str, email: str, password: str) -> CreatedUser:
        """Make an account for oneself, where registration is on; with its API key, shown this once."""
        require(actor, Action.REGISTER)
        if self._settings.registration != "on" and not actor.is_admin:
            raise Forbidden(N_("Registration is closed here. Ask the operator for an account."))
        return await self._create(actor, username, email, password, Role.TENANT, None)

    async def create(
        self,
        actor: Actor,
        username: str,
        email: str,
        password: str,
        *,
        role: Role = Role.TENANT,
        quota: Quota | None = None,
    ) -> CreatedUser:
        """Make an account for somebody; with its API key, shown this once. Raises ValidationFailed, AlreadyExists."""
        require(actor, Action.USER_MANAGE)
        return await self._create(actor, username, email, password, role, quota)

    async def _create(
        self, actor: Actor, username: str, email: str, password: str, role: Role, quota: Quota | None
    ) -> CreatedUser:
        first = role is Role.ADMIN and not await _admins().exists()
        _check_all(
            (
                lambda: check_username(username, first_admin=first),
                lambda: check_email(email),
                lambda: check_password(password),
            )
        )
        username = fold_username(username)
        again = await self._made_before(actor, username, role)
        if again is not None:
            return again
        await self._refuse_taken(username, email)  # before the hash, which is dear
        hashed = await self._passwords.hash(password)
        key = secrets.token_hex(32)
        row = await self._store(actor, username, email, hashed, role, quota or self._settings.quota, key)
        return CreatedUser(**vars(to_user(row)), api_key=key)

    async def _made_before(self, actor: Actor, username: str, role: Role) -> CreatedUser | None:
        """The account that this very request had made before its process ended; its key was seen by nobody, so there
        is a new one."""
        before = begun_before("user")
        rows = models.User.filter(id=int(before or 0), username=username, role=Role.TENANT.value, status="active")
        if role is not Role.TENANT or not before or not await rows.exists():
            return None
        key = secrets.token_hex(32)
        await self._store_key(SYSTEM if actor.user_id is None else actor, int(before), key)
        return CreatedUser(**vars(to_user(await rows.get())), api_key=key)

    async def _refuse_taken(self, username: str, email: str) -> None:
        if await models.User.filter(username=username).exists():
            raise AlreadyExists(N_("The user name {name} is taken."), name=username)
        if await models.User.filter(email__iexact=email).exists():
            raise AlreadyExists(N_("Another account already has this email address."))

    @transaction
    async def _store(
        self, actor: Actor, username: str, email: str, hashed: str, role: Role, quota: Quota, api_key: str | None
    ) -> models.User:
        """The row and what belongs to it. ``api_key`` None is one that nobody knows."""
        await self._refuse_taken(username, email)
        is_first_admin = role is Role.ADMIN and not await _admins().exists()
        row = await models.User.create(
            username=username,
            email=email,
            password_hash=hashed,
            role=role.value,
            api_key=hash_api_key(api_key) if api_key is not None else nobodys_api_key(),
            api_key_shown=api_key is not None,
        )
        await models.Quota.create(
            user_id=row.id,
            containers=quota.containers,
            cpu=quota.cpu,
            memory_mb=quota.memory_mib,
            disk_mb=quota.disk_mib,
            snapshots=quota.snapshots,
            forwards=quota.forwards,
        )
        await note("user", row.id)
        await audit.record(actor, "user.create", username, user_id=row.id, detail=role.value)
        if is_first_admin:
            await system_key.bind_to(actor, row)
        await announce("user", "created", username, row.id)
        return row

    async def list(self, actor: Actor) -> Sequence[User]:
        """Every account that is not deleted, by name."""
        require(actor, Action.USER_VIEW)
        return await in_turns(await read_all(models.User.exclude(status="deleted"), ORDER), to_user)

    async def page(self, actor: Actor, wanted: UserFilter, part: Part) -> Page[User]:
        """One page of :meth:`list`, of those that ``wanted`` takes. Raises ValidationFailed."""
        require(actor, Action.USER_VIEW)
        rows = models.User.exclude(status="deleted")
        if wanted.status is not None:
            rows = models.User.filter(status=wanted.status.value)
        if wanted.status is AccountStatus.DELETED:  # found by the names that they had
            if wanted.username is not None:
                rows = rows.filter(username__startswith=f"{fold_username(wanted.username)} (")
            if wanted.email is not None:
                rows = rows.filter(email__istartswith=f"{wanted.email} (")
        else:
            if wanted.username is not None:
                rows = rows.filter(username=fold_username(wanted.username))
            if wanted.email is not None:
                rows = rows.filter(email__iexact=wanted.email)
        if wanted.role is not None:
            rows = rows.filter(role=wanted.role.value)
        if wanted.search is not None:
            rows = rows.filter(having(wanted.search, "username", "email"))
        found = await read_page(rows, ORDER, part)
        return Page(await in_turns(found.items, to_user), found.next)

    async def get(self, actor: Actor, user: int | str | None = None) -> User:
        """One account; the actor's own for None. Raises NotFound."""
        return to_user(await find_user(actor, user))

    @transaction
    async def suspend(self, actor: Actor, user: int | str, reason: str = "") -> User:
        """Shut every door to an account. Its containers go on running."""
        row = await find_user(actor, user)
        require(actor, Action.USER_MANAGE, to_user(row))
        if row.id == actor.user_id:
            raise Conflict(N_("You cannot suspend yourself."))
        row.status = AccountStatus.SUSPENDED.value
        row.suspended_reason = clean(reason, 500)
        row.token_version += 1
        await row.save()
        await audit.record(actor, "user.suspend", row.username, user_id=row.id, detail=reason)
        await announce("user", "suspended", row.username, row.id, reason=row.suspended_reason)
        return to_user(row)

    @transaction
    async def activate(self, actor: Actor, user: int | str) -> User:
        """Reactivate a suspended account."""
        row = await find_user(actor, user)
        require(actor, Action.USER_MANAGE, to_user(row))
        row.status = AccountStatus.ACTIVE.value
        row.suspended_reason = ""
        await row.save()
        await audit.record(actor, "user.activate", row.username, user_id=row.id)
        await announce("user", "activated", row.username, row.id)
        return to_user(row)

    async def delete(self, actor: Actor, user: int | str, *, containers: bool = False) -> User:
        """Mark an account as deleted; its row and its audit stay, its name and address are free.

        Raises Conflict while it has containers, unless they go, too. Its private images go as well, soon after.
        """
        row = await find_user(actor, user)
        require(actor, Action.USER_MANAGE, to_user(row))
        if containers:
            await self._remove_containers(actor, row.id)
        return await self._mark_deleted(actor, row.id)

    @transaction
    async def _mark_deleted(self, actor: Actor, user_id: int) -> User:
        row = await find_user(actor, user_id)
        if row.id == actor.user_id:
            raise Conflict(N_("You cannot delete yourself."))
        left = await models.Container.filter(user_id=row.id).count()
        if left:
            raise Conflict(N_("{name} still has {count} containers."), name=row.username, count=left)
        name = row.username
        row.status = AccountStatus.DELETED.value
        row.username, row.email = freed(row.username, row.id), freed(row.email, row.id)
        row.password_hash = ""  # matches no password
        row.token_version += 1
        row.api_key, row.api_key_shown = nobodys_api_key(), False
        await row.save()
        await models.SshKey.filter(user_id=row.id).delete()
        await audit.record(actor, "user.delete", name, user_id=row.id)
        await announce("user", "deleted", name, row.id)
        return to_user(row)

    async def set_password(self, actor: Actor, user: int | str, password: str) -> User:
        """Give somebody a new password; every token and session of theirs ends."""
        row = await find_user(actor, user)
        require(actor, Action.USER_MANAGE, to_user(row))
        check_password(password)
        return await self._store_password(actor, row.id, await self._passwords.hash(password))

    async def change_password(self, actor: Actor, old: str, new: str) -> User:
        """Change one's own password; every other token and session ends. Raises Unauthenticated for a wrong old one."""
        require(actor, Action.ACCOUNT_OWN)
        row = await find_user(actor)
        check_password(new, "new_password")
        if not await self._passwords.verify(old, row.password_hash):
            raise Unauthenticated(N_("The old password is wrong."))
        return await self._store_password(actor, row.id, await self._passwords.hash(new))

    @transaction
    async def _store_password(self, actor: Actor, user_id: int, hashed: str) -> User:
        row = await find_user(actor, user_id)
        row.password_hash = hashed
        row.token_version += 1
        await row.save()
        await audit.record(actor, "user.password", row.username, user_id=row.id)
        await announce("user", "password", row.username, row.id, by=actor.username, session=actor.session)
        return to_user(row)

    @transaction
    async def update_profile(self, actor: Actor, *, email: str) -> User:
        """Change one's own email address."""
        require(actor, Action.ACCOUNT_OWN)
        row = await find_user(actor)
        check_email(email)
        if await models.User.filter(email__iexact=email).exclude(id=row.id).exists():
            raise AlreadyExists(N_("Another account already has this email address."))
        row.email = email
        await row.save()
        await audit.record(actor, "user.profile", row.username, user_id=row.id)
        await announce("user", "updated", row.username, row.id)
        return to_user(row)

    @transaction
    async def update(
        self, actor: Actor, user: int | str, *, email: str | None = None, role: Role | None = None
    ) -> User:
        """Change somebody's email address or role; what is None stays. A new role ends their tokens and sessions."""
        row = await find_user(actor, user)
        require(actor, Action.USER_MANAGE, to_user(row))
        if email is not None:
            check_email(email)
            if await models.User.filter(email__iexact=email).exclude(id=row.id).exists():
                raise AlreadyExists(N_("Another account already has this email address."))
            row.email = email
        if role is not None and role.value != row.role:
            if row.id == actor.user_id:
                raise Conflict(N_("You cannot change your own role."))
            row.role = role.value
            row.token_version += 1
        await row.save()
        await audit.record(actor, "user.update", row.username, user_id=row.id, detail=row.role)
        await announce("user", "updated", row.username, row.id)
        return to_user(row)

    async def regenerate_key(self, actor: Actor, user: int | str | None = None) -> str:
        """A new API key, 64 hex digits, shown this once; the old one is dead from now on."""
        row = await find_user(actor, user)
        require(actor, Action.ACCOUNT_OWN if row.id == actor.user_id else Action.USER_MANAGE, to_user(row))
        key = secrets.token_hex(32)
        await self._store_key(actor, row.id, key)
        return key

    @transaction
    async def _store_key(self, actor: Actor, user_id: int, key: str) -> None:
        row = await find_user(actor, user_id)
        row.api_key, row.api_key_shown = hash_api_key(key), True
        await row.save()
        await audit.record(actor, "user.api_key", row.username, user_id=row.id)
        await announce("user", "updated", row.username, row.id)

    async def ensure_first_admin(self) -> tuple[str, str] | None:
        """Make the first admin where there is no admin; returns their name and random password, once."""
        if await _admins().exists():
            return None
        password = secrets.token_urlsafe(12)
        hashed = await self._passwords.hash(password)
        name = await self._store_first_admin(hashed)
        return (name, password) if name else None

    @transaction
    async def _store_first_admin(self, hashed: str) -> str | None:
        if await _admins().exists():
            return None  # another process was faster
        name = FIRST_ADMIN
        while await models.User.filter(Q(username=name) | Q(email=_local_address(name))).exists():
            name = f"{FIRST_ADMIN}-{secrets.token_hex(2)}"  # a tenant of an older version is called admin
        await self._store(SYSTEM, name, _local_address(name), hashed, Role.ADMIN, self._settings.quota, None)
        return name


def _admins() -> QuerySet[models.User]:
    return models.User.filter(role=Role.ADMIN.value).exclude(status=AccountStatus.DELETED.value)


def _local_address(name: str) -> str:
    """An address that no mail server has (RFC 2606), where an account needs one and nobody gave any."""
    return f"{name}@localhost.invalid"


def _check_all(checks: Sequence[Callable[[], object]]) -> None:
    wrong: dict[str, Message] = {}
    for check in checks:
        try:
            check()
        except ValidationFailed as error:
            wrong.update(error.fields)
    if wrong:
        raise ValidationFailed(fields=wrong)
