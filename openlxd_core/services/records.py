"""Rows become the frozen records of the domain, and nothing of a row goes further up."""

from __future__ import annotations

from typing import Any

from openlxd_core.domain.account import AccountStatus, SshKey, User, before_freed
from openlxd_core.domain.actor import Role
from openlxd_core.domain.container import Container, State
from openlxd_core.domain.errors import Message
from openlxd_core.domain.feed import AuditEntry
from openlxd_core.domain.forward import Forward, ForwardState, PortRange, Protocol
from openlxd_core.domain.operation import Kind, Operation, OperationStatus
from openlxd_core.domain.quota import Quota
from openlxd_core.storage import models


def pack_message(message: Message | None) -> dict[str, Any] | None:
    """A sentence as JSON, so that every reader gets it in their own language."""
    if message is None:
        return None
    return {"template": message.template, "params": {k: _plain(v) for k, v in message.params.items()}}


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, bool)) else str(value)


def unpack_message(stored: Any) -> Message | None:
    """What :func:`pack_message` made."""
    if not isinstance(stored, dict):
        return None
    return Message(str(stored.get("template", "")), dict(stored.get("params") or {}))


def to_user(row: models.User) -> User:
    """The account without its secrets; a deleted one by the name that it had."""
    deleted = row.status == AccountStatus.DELETED
    return User(
        id=row.id,
        username=before_freed(row.username) if deleted else row.username,
        email=before_freed(row.email) if deleted else row.email,
        role=Role(row.role),
        status=AccountStatus(row.status),
        api_key_shown=row.api_key_shown,
        suspended_reason=row.suspended_reason,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def to_quota(row: models.Quota) -> Quota:
    """The quota."""
    return Quota(row.containers, row.cpu, row.memory_mb, row.disk_mb, row.snapshots, row.forwards)


def to_ssh_key(row: models.SshKey) -> SshKey:
    """The key."""
    return SshKey(
        id=row.id,
        user_id=row.user_id,
        name=row.name,
        fingerprint=row.fingerprint,
        public_key=row.public_key,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
    )


def to_container(row: models.Container) -> Container:
    """The container; its ``user`` must have been fetched with it."""
    return Container(
        id=row.id,
        name=row.name,
        user_id=row.user_id,
        owner=row.user.username,
        project=row.project,
        image=row.image,
        architecture=row.architecture,
        status=State(row.status),
        cpu=row.cpu,
        memory_mib=row.memory_mb,
        disk_mib=row.disk_mb,
        ipv4=row.ipv4,
        ipv6=row.ipv6,
        suspended_by=row.suspended_by,
        error=unpack_message(row.error),
        operation_id=row.operation_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
        wanted_ipv4=row.wanted_ipv4,
        wanted_ipv6=row.wanted_ipv6,
        pinned_ipv4=row.pinned_ipv4,
        suspended_reason=row.suspended_reason,
        suspended_at=row.suspended_at,
    )


def to_forward(row: models.PortForward) -> Forward:
    """The forward; its ``container`` and that one's ``user`` must have been fetched with it."""
    return Forward(
        id=row.id,
        container=row.container.name,
        user_id=row.container.user_id,
        owner=row.container.user.username,
        protocol=Protocol(row.protocol),
        address=row.address,
        listen=PortRange(row.listen_first, row.listen_last),
        target=PortRange(row.target_first, row.target_first + row.listen_last - row.listen_first),
        description=row.description,
        state=ForwardState(row.state),
        created_by=row.created_by,
        created_at=row.created_at,
    )


def to_operation(row: models.Operation) -> Operation:
    """The operation."""
    return Operation(
        id=row.id,
        kind=Kind(row.kind),
        user_id=row.user_id,
        actor=row.actor,
        target=row.target,
        status=OperationStatus(row.status),
        stage=row.stage,
        progress=row.progress,
        error_code=row.error_code,
        error=unpack_message(row.error),
        args=dict(row.args or {}),
        created_at=row.created_at,
        updated_at=row.updated_at,
        detail=dict(row.detail or {}),
    )


def to_audit_entry(row: models.AuditEntry) -> AuditEntry:
    """The audit entry."""
    return AuditEntry(
        id=row.id,
        at=row.at,
        actor=row.actor,
        user_id=row.user_id,
        origin=row.origin,
        address=row.address,
        action=row.action,
        target=row.target,
        outcome=row.outcome,
        detail=row.detail,
    )


_STATES = {"running": State.RUNNING, "stopped": State.STOPPED, "frozen": State.FROZEN}


def to_state(lxd_status: str) -> State:
    """LXD's status as ours."""
    return _STATES.get(lxd_status, State.ERROR)
