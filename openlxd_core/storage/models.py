"""The tables. Column names and types of users, images and containers are the design paper's.

Only storage and the services see these; everything above gets frozen records. A table's docstring becomes a comment in
its SQL, which Tortoise's migrations split at semicolons: write none there. Every field that a later version
adds needs ``db_default`` (Tortoise keeps ``default`` to itself, and rows are there already).
"""

from __future__ import annotations

from typing import Any

from tortoise import fields
from tortoise.models import Model


class User(Model):
    """An account. Deleted ones keep their row, so that names in the audit stay true."""

    id = fields.IntField(primary_key=True)
    username = fields.CharField(max_length=100, unique=True)
    email = fields.CharField(max_length=255, unique=True)
    password_hash = fields.CharField(max_length=255)
    api_key = fields.CharField(max_length=64, unique=True, null=True)
    """The key's SHA-256 in hex; the key itself is shown once and kept nowhere. Never empty: SQLite cannot be told so
    afterwards without making the table anew, so whoever makes a row says what goes in."""
    api_key_shown = fields.BooleanField(db_default=False)
    """Whether anybody has seen the key."""
    role = fields.CharField(max_length=20, default="user")
    status = fields.CharField(max_length=20, default="active")
    suspended_reason = fields.CharField(max_length=500, default="")
    token_version = fields.IntField(default=0)
    """Raised to end every token at once."""
    created_at = fields.DatetimeField(auto_now_add=True)
    updated_at = fields.DatetimeField(auto_now=True)

    class Meta:
        table = "users"


class Quota(Model):
    """What a user may have in all."""

    id = fields.IntField(primary_key=True)
    user: fields.OneToOneRelation[User] = fields.OneToOneField(
        "models.User", related_name="quota", on_delete=fields.RESTRICT
    )
    user_id: int
    containers = fields.IntField()
    cpu = fields.IntField()
    memory_mb = fields.IntField()
    disk_mb = fields.IntField()
    snapshots = fields.IntField()
    forwards = fields.IntField()

    class Meta:
        table = "quotas"


class Preference(Model):
    """What an account chose in the terminal UI: theme, language, the views of tables."""

    id = fields.IntField(primary_key=True)
    user: fields.OneToOneRelation[User] = fields.OneToOneField(
        "models.User", related_name="preference", on_delete=fields.CASCADE
    )
    user_id: int
    chosen: Any = fields.JSONField()
    updated_at = fields.DatetimeField(auto_now=True)

    class Meta:
        table = "preferences"


class SshKey(Model):
    """A public key that names its owner."""

    id = fields.IntField(primary_key=True)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="ssh_keys", on_delete=fields.RESTRICT
    )
    user_id: int
    name = fields.CharField(max_length=100, default="")
    fingerprint = fields.CharField(max_length=100, unique=True)
    public_key = fields.TextField()
    created_at = fields.DatetimeField(auto_now_add=True)
    last_used_at = fields.DatetimeField(null=True)

    class Meta:
        table = "ssh_keys"


class Container(Model):
    """A container of a tenant: the truth about whose it is and what was promised, while LXD holds the thing itself."""

    id = fields.IntField(primary_key=True)
    name = fields.CharField(max_length=63, unique=True)
    project = fields.CharField(max_length=63)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="containers", on_delete=fields.RESTRICT
    )
    user_id: int
    created_by = fields.CharField(max_length=100, default="")
    image = fields.CharField(max_length=255, default="")
    architecture = fields.CharField(max_length=20, default="")
    status = fields.CharField(max_length=20)
    cpu = fields.IntField()
    memory_mb = fields.IntField()
    disk_mb = fields.IntField()
    ipv4 = fields.CharField(max_length=15, default="")
    ipv6 = fields.CharField(max_length=45, default="")
    wanted_ipv4 = fields.CharField(max_length=15, default="auto", db_default="auto")
    """``auto``, ``none``, or the address that it was made with."""
    wanted_ipv6 = fields.CharField(max_length=45, default="auto", db_default="auto")
    pinned_ipv4 = fields.CharField(max_length=15, default="", db_default="")
    """The address that it keeps while port forwards lead to it, and afterwards."""
    forward_limit: int | None = fields.IntField(null=True)
    """How many port forwards it may have, beside its owner's quota; none leaves that to the quota."""
    suspended_by = fields.CharField(max_length=100, default="")
    """Who suspended it; empty for one that is not suspended."""
    suspended_reason = fields.CharField(max_length=500, default="", db_default="")
    suspended_at = fields.DatetimeField(null=True)
    suspended_power = fields.CharField(max_length=20, default="", db_default="")
    """``running`` or ``stopped``: what it was when a suspension stopped it, until it has been started again."""
    operation_id = fields.CharField(max_length=36, default="")
    """The operation that has it in hand, or an empty string: one at a time."""
    error: Any = fields.JSONField(null=True)
    """``{"template": …, "params": …}`` of what went wrong last."""
    created_at = fields.DatetimeField(auto_now_add=True)
    updated_at = fields.DatetimeField(auto_now=True)

    class Meta:
        table = "containers"
        indexes = (("user_id", "name"),)  # a tenant's list must not read everybody's rows


class Image(Model):
    """An image of the market, as the design paper lists its columns."""

    id = fields.IntField(primary_key=True)
    alias = fields.CharField(max_length=100, unique=True)
    fingerprint = fields.CharField(max_length=64, default="")
    distribution = fields.CharField(max_length=50, default="")
    release = fields.CharField(max_length=50, default="")
    architecture = fields.CharField(max_length=20, default="amd64")
    variant = fields.CharField(max_length=50, default="default")
    description = fields.CharField(max_length=500, default="")
    size = fields.BigIntField(default=0)
    status = fields.CharField(max_length=20, default="available")
    imported_at = fields.DatetimeField(null=True)
    user_id: int | None = fields.IntField(null=True, db_index=True)
    """Who imported or published it, and whose room it takes; none for the house's."""
    private = fields.BooleanField(db_default=False)
    """Published from a container: its owner's and the admins' alone."""
    server = fields.CharField(max_length=500, db_default="")
    product = fields.CharField(max_length=200, db_default="")
    """The simplestreams product it came from, to find newer builds; empty for images imported outside OpenLXD."""
    serial = fields.CharField(max_length=50, db_default="")
    created_at = fields.DatetimeField(auto_now_add=True)
    updated_at = fields.DatetimeField(auto_now=True)

    class Meta:
        table = "images"


class Operation(Model):
    """Work that outlives the process that began it: intent first, then LXD, then the result."""

    id = fields.CharField(max_length=36, primary_key=True)
    kind = fields.CharField(max_length=20)
    user_id: int | None = fields.IntField(null=True, db_index=True)
    actor = fields.CharField(max_length=100)
    origin = fields.CharField(max_length=20, default="")
    address = fields.CharField(max_length=64, default="")
    target = fields.CharField(max_length=100)
    status = fields.CharField(max_length=20, db_index=True)
    stage = fields.CharField(max_length=20)
    progress = fields.IntField(default=0)
    error_code = fields.CharField(max_length=50, default="")
    error: Any = fields.JSONField(null=True)
    args: Any = fields.JSONField()
    worker = fields.CharField(max_length=36)
    """The process that does it; when that one is gone, another takes it over."""
    attempts = fields.IntField(default=0)
    detail: Any = fields.JSONField(null=True)
    """Beside the percent: bytes, rate and time left of a download."""
    cancelled_by = fields.CharField(max_length=100, db_default="")
    """Who asked to give it up; the process that does it looks."""
    created_at = fields.DatetimeField(auto_now_add=True, db_index=True)
    updated_at = fields.DatetimeField(auto_now=True)

    class Meta:
        table = "operations"
        indexes = (("user_id", "created_at"), ("target",))  # a tenant's list, and what was done to one thing


class Change(Model):
    """What happened, in order: how two processes and their sessions hear of each other."""

    id = fields.IntField(primary_key=True)
    topic = fields.CharField(max_length=20)
    verb = fields.CharField(max_length=20)
    key = fields.CharField(max_length=100)
    user_id: int | None = fields.IntField(null=True)
    data: Any = fields.JSONField()
    at = fields.DatetimeField(auto_now_add=True, db_index=True)

    class Meta:
        table = "changes"


class AuditEntry(Model):
    """Who did what to whom, from where, and how it ended."""

    id = fields.IntField(primary_key=True)
    at = fields.DatetimeField(auto_now_add=True)
    actor = fields.CharField(max_length=100)
    user_id: int | None = fields.IntField(null=True, db_index=True)
    """Whose affair it is: they see the entry, too."""
    origin = fields.CharField(max_length=20)
    address = fields.CharField(max_length=64)
    action = fields.CharField(max_length=50)
    target = fields.CharField(max_length=100)
    outcome = fields.CharField(max_length=50)
    detail = fields.CharField(max_length=500, default="")

    class Meta:
        table = "audit"
        indexes = (("actor",), ("action",), ("target",), ("at",))  # it grows without end, and is filtered by these


class Token(Model):
    """A token that was signed out before its time."""

    jti = fields.CharField(max_length=36, primary_key=True)
    expires_at = fields.DatetimeField(db_index=True)

    class Meta:
        table = "tokens"


class Setting(Model):
    """What the product itself has to remember between starts."""

    key = fields.CharField(max_length=100, primary_key=True)
    value: Any = fields.JSONField()

    class Meta:
        table = "settings"


class Snapshot(Model):
    """A snapshot that LXD holds or is about to hold, written first so that the count cannot be passed."""

    id = fields.IntField(primary_key=True)
    container: fields.ForeignKeyRelation[Container] = fields.ForeignKeyField(
        "models.Container", related_name="snapshots", on_delete=fields.CASCADE
    )
    container_id: int
    name = fields.CharField(max_length=100)
    ready = fields.BooleanField(default=False)
    created_at = fields.DatetimeField(auto_now_add=True)

    class Meta:
        table = "snapshots"
        unique_together = (("container", "name"),)


class PortForward(Model):
    """Ports of the host that lead to a container, written before LXD is told so that no port is promised twice."""

    id = fields.IntField(primary_key=True)
    container: fields.ForeignKeyRelation[Container] = fields.ForeignKeyField(
        "models.Container", related_name="port_forwards", on_delete=fields.CASCADE
    )
    container_id: int
    protocol = fields.CharField(max_length=10)
    """``tcp``, ``udp`` or ``both``."""
    address = fields.CharField(max_length=45)
    """The host's address at which it listens."""
    listen_first = fields.IntField()
    listen_last = fields.IntField()
    target_first = fields.IntField()
    """The container's first port; as many follow as the host's."""
    target_address = fields.CharField(max_length=45, default="")
    """Where LXD's rule leads; empty while LXD holds none."""
    description = fields.CharField(max_length=100, default="")
    state = fields.CharField(max_length=20)
    created_by = fields.CharField(max_length=100, default="")
    created_at = fields.DatetimeField(auto_now_add=True)

    class Meta:
        table = "port_forwards"
        indexes = (("address", "listen_first"), ("container_id",))


class Sample(Model):
    """What a container used at one moment, thinned with age."""

    id = fields.IntField(primary_key=True)
    container: fields.ForeignKeyRelation[Container] = fields.ForeignKeyField(
        "models.Container", related_name="samples", on_delete=fields.CASCADE
    )
    container_id: int
    at = fields.DatetimeField(db_index=True)
    cpu_percent = fields.FloatField(null=True)
    memory_mb = fields.FloatField()
    disk_mb = fields.FloatField()
    processes = fields.IntField()
    received = fields.BigIntField()
    sent = fields.BigIntField()

    class Meta:
        table = "samples"
        indexes = (("container_id", "at"),)


class IdempotentAnswer(Model):
    """The first answer to a request with an Idempotency-Key, for a day."""

    id = fields.IntField(primary_key=True)
    user_id = fields.IntField()
    key = fields.CharField(max_length=255)
    request = fields.CharField(max_length=64)
    """SHA-256 over method, path and body: another request under the same key is a mistake."""
    worker = fields.CharField(max_length=36)
    """The process that answers: when that one is gone without an answer, the next asker may try."""
    status: int | None = fields.IntField(null=True)
    answer: Any = fields.JSONField(null=True)
    made = fields.CharField(max_length=100, default="", db_default="")
    """``kind:id`` of what the request began, written together with it: a process that ends in between loses nothing."""
    created_at = fields.DatetimeField(auto_now_add=True, db_index=True)

    class Meta:
        table = "idempotency"
        unique_together = (("user_id", "key"),)
