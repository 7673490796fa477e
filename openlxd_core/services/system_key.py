"""The system API key: the installation's own key, for billing systems and scripts of the operator.

The key is a file in the keys directory; whoever can read it is root here or is meant to be an admin. It acts as one
account, which the database names, so that every process agrees and every change has a person behind it:

- the first admin that is made is bound to it in the transaction that makes them; nobody else ever is by themselves;
- while that account is suspended, deleted or no longer an admin the key is refused. It never moves on to the next
  admin: shutting an account would otherwise leave a door open, and give another person's name to what comes through it;
- the operator binds it to another admin with ``openlxd user key system NAME``.

Only the key's SHA-256 is kept in memory. The file is looked at with each use, so that a new key counts at once
and a deleted key stops working immediately.
"""

from __future__ import annotations

import hmac
from pathlib import Path

import structlog

from openlxd_core import key_files
from openlxd_core.domain.account import AccountStatus, User, hash_api_key
from openlxd_core.domain.actor import Actor, Role
from openlxd_core.domain.errors import ConfigurationError, Conflict
from openlxd_core.domain.policy import Action, require
from openlxd_core.i18n import N_
from openlxd_core.services import audit
from openlxd_core.services.lookup import find_user
from openlxd_core.services.records import to_user
from openlxd_core.storage import models
from openlxd_core.storage.transaction import transaction

log = structlog.get_logger(__name__)

ORIGIN = "system key"
"""Where the audit says that somebody came from who used it."""
BOUND = "system_key"
"""The setting that names the account: ``{"user_id": 1}``."""


async def bound_user() -> models.User | None:
    """The account that the key acts as, if it may still be one: an admin who is not deleted."""
    row = await models.Setting.filter(key=BOUND).first()
    if row is None:
        return None
    admins = models.User.filter(id=int(row.value["user_id"]), role=Role.ADMIN.value)
    return await admins.exclude(status=AccountStatus.DELETED.value).first()


async def bind_to(actor: Actor, user: models.User) -> None:
    """Let the key act as ``user`` from now on; inside a transaction."""
    await models.Setting.update_or_create(key=BOUND, defaults={"value": {"user_id": user.id}})
    await audit.record(actor, "system_key.bind", user.username, user_id=user.id)


class SystemKey:
    """The key's file, and whom it acts as."""

    def __init__(self, keys_dir: Path) -> None:
        self._file = keys_dir / key_files.SYSTEM_API_KEY
        key_files.system_api_key(keys_dir)  # made at first start; one that cannot be used stops the start
        self._seen: tuple[int, ...] = ()
        self._digest = ""

    def opens(self, digest: str) -> bool:
        """Whether ``digest`` is the SHA-256 of the key; takes the same time for every digest."""
        return hmac.compare_digest(self._current().encode(), digest.encode())

    def _current(self) -> str:
        """The digest of what the file holds now, or an empty string where that is no key."""
        try:
            found = self._file.lstat()
        except OSError:
            seen: tuple[int, ...] = ()
        else:
            seen = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode, found.st_uid)
        if seen and seen == self._seen:
            return self._digest
        self._seen, self._digest = (), ""
        if seen:
            try:
                self._digest = hash_api_key(key_files.read_system_api_key(self._file))
                self._seen = seen
            except ConfigurationError as error:  # half written, opened to others, or no key at all: it opens nothing
                log.warning("system_key_unusable", reason=str(error))
        return self._digest

    async def acts_as(self, actor: Actor) -> User | None:
        """The account that the key acts as; None while it is refused because that account is gone."""
        require(actor, Action.USER_MANAGE)
        row = await bound_user()
        return to_user(row) if row is not None else None

    @transaction
    async def bind(self, actor: Actor, user: int | str) -> User:
        """Let the key act as another admin. Raises NotFound, Conflict for an account that is no active admin."""
        require(actor, Action.USER_MANAGE)
        row = await find_user(actor, user)
        if row.role != Role.ADMIN or row.status != AccountStatus.ACTIVE:
            raise Conflict(N_("{name} is not an active admin: the system API key acts as one."), name=row.username)
        await bind_to(actor, row)
        return to_user(row)
