"""Operations, changes, audit entries and health."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from openlxd_api.framework.models import View
from openlxd_api.v1.schemas.states import HealthStatus
from openlxd_core import shapes
from openlxd_core.domain import operation
from openlxd_core.domain.feed import AuditEntry, Change, LxdState


class OperationView(View):
    """Work that outlives the request that began it."""

    id: str
    kind: operation.Kind
    actor: str
    """Who asked."""
    target: str
    """The container's name, or the image's."""
    status: operation.OperationStatus
    stage: str
    stage_text: str
    """The stage in the reader's language."""
    progress: int
    """0 to 100."""
    detail: dict[str, Any]
    """Of a download: ``bytes``, ``total``, ``rate`` (bytes a second) and ``seconds_left``."""
    error_code: str
    error: str
    """What went wrong, in the reader's language, or an empty string."""
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, found: operation.Operation) -> OperationView:
        """The view of a record, its words in the language of the request."""
        return cls(**shapes.operation(found))


class ChangeView(View):
    """One change: the data of an event of ``/events``."""

    topic: str
    verb: str
    key: str
    data: dict[str, Any]
    at: datetime

    @classmethod
    def of(cls, change: Change) -> ChangeView:
        """The view of a record."""
        return cls(topic=change.topic, verb=change.verb, key=change.key, data=dict(change.data), at=change.at)


class AuditView(View):
    """Who did what to whom, from where, and how it ended."""

    id: int
    at: datetime
    actor: str
    origin: str
    address: str
    action: str
    target: str
    outcome: str
    """``ok`` or an error's code."""
    detail: str

    @classmethod
    def of(cls, entry: AuditEntry) -> AuditView:
        """The view of a record."""
        return cls(
            id=entry.id,
            at=entry.at,
            actor=entry.actor,
            origin=entry.origin,
            address=entry.address,
            action=entry.action,
            target=entry.target,
            outcome=entry.outcome,
            detail=entry.detail,
        )


class DatabaseHealth(View):
    """Whether the database answers, and whether changes can be saved."""

    reachable: bool
    writable: bool
    """False while the disk is full or the database cannot be written."""
    error: str
    """The error code of changes at the moment (``storage_full`` …), or an empty string."""


class LxdHealth(View):
    """Whether LXD is reachable, and its kind."""

    reachable: bool
    kind: str
    """``lxd``, ``incus``, ``simulated``, or empty before the first answer."""
    version: str
    simulated: bool
    """True if containers are simulated."""
    since: datetime

    @classmethod
    def of(cls, state: LxdState) -> LxdHealth:
        """The view of a state; its reason is left out, as it may contain paths of the host."""
        return cls(
            reachable=state.reachable,
            kind=state.kind,
            version=state.version,
            simulated=state.kind == "simulated",
            since=state.since,
        )


class Health(View):
    """Health of the service and its dependencies."""

    status: HealthStatus
    """``degraded`` while LXD is unreachable or changes cannot be saved, ``down`` while the database does not answer."""
    version: str
    database: DatabaseHealth
    lxd: LxdHealth
