"""The JSON of each record, the same by SSH (``--json``), on the command line and over REST.

Each function makes the one dictionary of a record: REST's views are made from it, the other front ends print it.
Sizes are MiB where a name ends in ``_mb``, moments are UTC, sentences are in the reader's language.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from openlxd_core.domain.image import offered_architecture
from openlxd_core.domain.operation import STAGES
from openlxd_core.i18n import _

if TYPE_CHECKING:
    from openlxd_core.domain.account import SshKey, User
    from openlxd_core.domain.container import Container
    from openlxd_core.domain.errors import Message
    from openlxd_core.domain.forward import Forward
    from openlxd_core.domain.image import Image, Offer
    from openlxd_core.domain.operation import Operation
    from openlxd_core.domain.quota import Quota
    from openlxd_core.domain.snapshot import Snapshot


IMAGE_COLUMNS = (
    "id", "alias", "fingerprint", "distribution", "release", "codename", "architecture", "variant", "description",
    "size", "status", "imported_at", "created_at", "updated_at",
)  # fmt: skip
"""The columns of the ``images`` table, which every form of an image has."""


def container(found: Container) -> dict[str, Any]:
    """One container as its owner sees it."""
    return {
        "id": found.id,
        "name": found.name,
        "owner": found.owner,
        "image": found.image,
        "architecture": offered_architecture(found.architecture),
        "status": found.status.value,
        "cpu": found.cpu,
        "memory_mb": found.memory_mib,
        "disk_mb": found.disk_mib,
        "ipv4": found.ipv4,
        "ipv6": found.ipv6,
        "suspended": found.suspended,
        "suspended_by": found.suspended_by,
        "suspended_reason": found.suspended_reason,
        "suspended_at": found.suspended_at,
        "error": _text(found.error),
        "operation_id": found.operation_id,
        "created_at": found.created_at,
        "updated_at": found.updated_at,
    }


def snapshot(found: Snapshot) -> dict[str, Any]:
    """A container's state at one moment."""
    return {
        "name": found.name,
        "container": found.container,
        "ready": found.ready,
        "created_at": found.created_at,
    }


def forward(found: Forward) -> dict[str, Any]:
    """Ports of the host that lead to a container."""
    return {
        "id": found.id,
        "container": found.container,
        "owner": found.owner,
        "protocol": found.protocol.value,
        "address": found.address,
        "listen": str(found.listen),
        "target": str(found.target),
        "description": found.description,
        "status": found.state.value,
        "created_by": found.created_by,
        "created_at": found.created_at,
    }


def operation(found: Operation) -> dict[str, Any]:
    """Work that outlives the request that began it."""
    return {
        "id": found.id,
        "kind": found.kind.value,
        "actor": found.actor,
        "target": found.target,
        "status": found.status.value,
        "stage": found.stage,
        "stage_text": _(STAGES.get(found.stage, found.stage)),
        "progress": found.progress,
        "detail": dict(found.detail),
        "error_code": found.error_code,
        "error": _text(found.error),
        "created_at": found.created_at,
        "updated_at": found.updated_at,
    }


def user(found: User) -> dict[str, Any]:
    """One account, without its secrets."""
    return {
        "id": found.id,
        "username": found.username,
        "email": found.email,
        "role": found.role.value,
        "status": found.status.value,
        "suspended_reason": found.suspended_reason,
        "has_api_key": True,  # every account has one from the start
        "api_key_shown": found.api_key_shown,
        "created_at": found.created_at,
        "updated_at": found.updated_at,
    }


def ssh_key(found: SshKey) -> dict[str, Any]:
    """An SSH public key of an account."""
    return {
        "id": found.id,
        "name": found.name,
        "fingerprint": found.fingerprint,
        "public_key": found.public_key,
        "created_at": found.created_at,
        "last_used_at": found.last_used_at,
    }


def quota(found: Quota) -> dict[str, Any]:
    """Limits, summed over a tenant's containers."""
    return {
        "containers": found.containers,
        "cpu": found.cpu,
        "memory_mb": found.memory_mib,
        "disk_mb": found.disk_mib,
        "snapshots": found.snapshots,
        "forwards": found.forwards,
    }


def image(found: Image) -> dict[str, Any]:
    """A local image. ``size`` is in bytes."""
    return {
        "id": found.id,
        "alias": found.alias,
        "fingerprint": found.fingerprint,
        "distribution": found.distribution,
        "release": found.release,
        "codename": found.codename,
        "architecture": offered_architecture(found.architecture),
        "variant": found.variant,
        "description": found.description,
        "size": found.size_bytes,
        "status": found.status.value,
        "imported_at": found.imported_at,
        "created_at": found.created_at,
        "updated_at": found.updated_at,
        "end_of_life": found.end_of_life,
        "used_by": list(found.users),
        "private": found.private,
        "newer": found.newer,
        "pinned": found.pinned,
        "operation_id": found.operation_id,
    }


def offer(found: Offer) -> dict[str, Any]:
    """One image that an image server offers. ``size`` is in bytes; ``progress`` is -1 without a running import."""
    record = found.record
    plain = found.variant == "default"
    return {
        "id": record.id if record else None,
        "alias": found.alias,
        "aliases": list(found.aliases),
        "fingerprint": found.fingerprint,
        "distribution": found.distribution,
        "release": found.version,
        "codename": found.codename,
        "architecture": found.architecture,
        "variant": found.variant,
        "description": " ".join([found.distribution.capitalize(), found.version, *([] if plain else [found.variant])]),
        "size": found.size_bytes,
        "status": found.status.value,
        "imported_at": record.imported_at if record else None,
        "created_at": record.created_at if record else found.built_at,
        "updated_at": record.updated_at if record else found.built_at,
        "built_at": found.built_at,
        "server": found.server,
        "end_of_life": found.end_of_life,
        "ended": found.ended(datetime.now(UTC).date()),
        "supported": found.listed,
        "published": found.published,
        "held": found.held,
        "current": found.current,
        "hidden": found.hidden,
        "pinned": found.pinned,
        "progress": found.importing,
        "operation_id": found.operation_id,
    }


def image_info(image_here: Image | None, offered: Offer | None) -> dict[str, Any]:
    """One image: the columns of the table of images, of what is here or else of what is offered, and both records."""
    local = image(image_here) if image_here is not None else None
    remote = offer(offered) if offered is not None else None
    told = local or remote or {}
    return {**{column: told[column] for column in IMAGE_COLUMNS}, "local": local, "remote": remote}


def failure(code: str, message: Message, fields: Mapping[str, Message] | None = None) -> dict[str, Any]:
    """What failed. ``code`` is one of the API's, ``fields`` says why each value is not allowed."""
    answer: dict[str, Any] = {"success": False, "error": code, "message": message.text(_), "data": None}
    if fields:
        answer["fields"] = {name: why.text(_) for name, why in fields.items()}
    return answer


def encode(value: Any) -> str:
    """``value`` as one JSON document for a terminal or a pipe: ASCII, so that no text in it can drive a terminal."""
    return json.dumps(value, indent=2, default=_plain)


def _text(message: Message | None) -> str:
    return message.text(_) if message is not None else ""


def _plain(value: Any) -> Any:
    """Convert values that JSON lacks, as pydantic does."""
    if isinstance(value, date):  # a datetime is one
        text = value.isoformat()
        return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text
    if isinstance(value, Enum):
        return value.value
    return str(value)
