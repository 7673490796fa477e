"""SSH public keys: reading, naming and keeping them."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from datetime import datetime

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from openlxd_core.coordination.change_log import announce
from openlxd_core.domain.account import SshKey
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.errors import AlreadyExists, Conflict, NotFound, ValidationFailed
from openlxd_core.domain.listing import Page, Part
from openlxd_core.domain.policy import Action, require
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_
from openlxd_core.services import audit
from openlxd_core.services.idempotency import begun_before, note
from openlxd_core.services.lookup import find_user
from openlxd_core.services.paging import Order, read_page
from openlxd_core.services.records import to_ssh_key, to_user
from openlxd_core.storage import models
from openlxd_core.storage.transaction import transaction

_ALGORITHMS = frozenset(
    {
        "ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
    }
)  # fmt: skip
_RSA_BITS_MIN = 2048
_LINE_MAX = 16 * 1024
_KEYS_MAX = 50
ORDER = Order("keys", {"created_at": datetime, "name": str, "fingerprint": str}, default="created_at")


def read_public_key(line: str) -> tuple[str, str, str]:
    """(``algorithm base64``, ``SHA256:…`` fingerprint, comment) of a line of an authorized_keys file.

    Options in front of the key are not taken. Raises ValidationFailed.
    """
    text = line.strip() if isinstance(line, str) else ""
    if "PRIVATE KEY" in text:
        raise ValidationFailed.of("public_key", N_("This is a private key. Paste the .pub file's line instead."))
    words = text.split(None, 2)
    if len(text) > _LINE_MAX or "\n" in text or len(words) < 2 or words[0] not in _ALGORITHMS:
        raise _not_a_key()
    algorithm, encoded = words[0], words[1]
    try:
        blob = base64.b64decode(encoded, validate=True)
        length = int.from_bytes(blob[:4])
        if blob[4 : 4 + length] != algorithm.encode():
            raise _not_a_key()
        if not algorithm.startswith("sk-"):  # cryptography does not read hardware keys; asyncssh checks them at login
            key = load_ssh_public_key(f"{algorithm} {encoded}".encode())
            if isinstance(key, RSAPublicKey) and key.key_size < _RSA_BITS_MIN:
                raise ValidationFailed.of(
                    "public_key", N_("An RSA key needs at least {bits} bits."), bits=_RSA_BITS_MIN
                )
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        raise _not_a_key() from None
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    comment = clean(words[2], 100) if len(words) > 2 else ""
    return f"{algorithm} {encoded}", f"SHA256:{digest}", comment


def _not_a_key() -> ValidationFailed:
    return ValidationFailed.of(
        "public_key", N_("This is not an SSH public key. It begins with ssh-ed25519, ssh-rsa or ecdsa-sha2-….")
    )


class Keys:
    """The keys of an account."""

    async def list(self, actor: Actor, user: int | str | None = None) -> Sequence[SshKey]:
        """An account's keys; the actor's own for None."""
        row = await find_user(actor, user)
        require(actor, Action.ACCOUNT_OWN, to_user(row))
        return [to_ssh_key(key) for key in await models.SshKey.filter(user_id=row.id).order_by("id")]

    async def page(self, actor: Actor, part: Part, user: int | str | None = None) -> Page[SshKey]:
        """One page of :meth:`list`. Raises ValidationFailed."""
        row = await find_user(actor, user)
        require(actor, Action.ACCOUNT_OWN, to_user(row))
        found = await read_page(models.SshKey.filter(user_id=row.id), ORDER, part)
        return Page([to_ssh_key(key) for key in found.items], found.next)

    async def add(self, actor: Actor, public_key: str, name: str = "", user: int | str | None = None) -> SshKey:
        """Register a key. Raises ValidationFailed, AlreadyExists (a key names one account only)."""
        key, fingerprint, comment = read_public_key(public_key)
        before = begun_before("key")
        if before:  # what an earlier holder of the request's idempotency key registered
            found = await models.SshKey.filter(id=int(before), fingerprint=fingerprint).first()
            if found is not None and found.user_id == (await find_user(actor, user)).id:
                return to_ssh_key(found)
        return await self._store(actor, key, fingerprint, clean(name, 100) or comment, user)

    @transaction
    async def _store(self, actor: Actor, key: str, fingerprint: str, name: str, user: int | str | None) -> SshKey:
        owner = await find_user(actor, user)
        require(actor, Action.ACCOUNT_OWN, to_user(owner))
        if await models.SshKey.filter(fingerprint=fingerprint).exists():
            raise AlreadyExists(N_("This key is already registered."))
        if await models.SshKey.filter(user_id=owner.id).count() >= _KEYS_MAX:
            raise Conflict(N_("An account holds at most {limit} keys."), limit=_KEYS_MAX)
        row = await models.SshKey.create(user_id=owner.id, name=name, fingerprint=fingerprint, public_key=key)
        await note("key", row.id)
        await audit.record(actor, "key.add", fingerprint, user_id=owner.id, detail=name)
        await announce("key", "added", row.id, owner.id, fingerprint=fingerprint)
        return to_ssh_key(row)

    @transaction
    async def delete(self, actor: Actor, key_id: int) -> None:
        """Forget a key; sessions that it opened end. Raises NotFound."""
        row = await models.SshKey.filter(id=key_id).first()
        if row is None or not (actor.is_admin or row.user_id == actor.user_id):
            raise NotFound(N_("There is no such key."))
        require(actor, Action.ACCOUNT_OWN, to_ssh_key(row))
        await row.delete()
        await audit.record(actor, "key.delete", row.fingerprint, user_id=row.user_id)
        await announce("key", "deleted", row.id, row.user_id, fingerprint=row.fingerprint)
