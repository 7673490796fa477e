"""Statuses as types: they are enums in the OpenAPI document and in generated clients."""

from __future__ import annotations

from enum import StrEnum

from openlxd_core.domain.operation import Kind


class UserRole(StrEnum):
    """The role of an account."""

    USER = "user"
    ADMIN = "admin"


class Doing(StrEnum):
    """What an operation in progress does."""

    CREATING = "creating"
    STARTING = "starting"
    STOPPING = "stopping"
    RESTARTING = "restarting"
    PAUSING = "pausing"
    RESUMING = "resuming"
    SUSPENDING = "suspending"
    UNSUSPENDING = "unsuspending"
    DELETING = "deleting"
    RESIZING = "resizing"
    REINSTALLING = "reinstalling"
    SNAPSHOTTING = "snapshotting"
    RESTORING = "restoring"
    DOWNLOADING = "downloading"
    PUBLISHING = "publishing"
    FORWARDING = "forwarding"


class WhmcsStatus(StrEnum):
    """A container's state, or the operation in progress, in one word for billing systems."""

    CREATING = "creating"
    RUNNING = "running"
    STOPPED = "stopped"
    FROZEN = "frozen"
    ERROR = "error"
    DELETING = "deleting"
    MISSING = "missing"
    DELETED = "deleted"
    STARTING = "starting"
    STOPPING = "stopping"
    RESTARTING = "restarting"
    PAUSING = "pausing"
    RESUMING = "resuming"
    SUSPENDING = "suspending"
    UNSUSPENDING = "unsuspending"
    RESIZING = "resizing"
    REINSTALLING = "reinstalling"
    SNAPSHOTTING = "snapshotting"
    RESTORING = "restoring"
    DOWNLOADING = "downloading"
    PUBLISHING = "publishing"


class HealthStatus(StrEnum):
    """The health of the service."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


_DOING = {
    Kind.CREATE: Doing.CREATING,
    Kind.START: Doing.STARTING,
    Kind.STOP: Doing.STOPPING,
    Kind.RESTART: Doing.RESTARTING,
    Kind.PAUSE: Doing.PAUSING,
    Kind.RESUME: Doing.RESUMING,
    Kind.SUSPEND: Doing.SUSPENDING,
    Kind.UNSUSPEND: Doing.UNSUSPENDING,
    Kind.DELETE: Doing.DELETING,
    Kind.RESIZE: Doing.RESIZING,
    Kind.REINSTALL: Doing.REINSTALLING,
    Kind.SNAPSHOT: Doing.SNAPSHOTTING,
    Kind.RESTORE: Doing.RESTORING,
    Kind.SNAPSHOT_DELETE: Doing.DELETING,
    Kind.FORWARD: Doing.FORWARDING,
    Kind.FORWARD_DELETE: Doing.DELETING,
    Kind.IMPORT: Doing.DOWNLOADING,
    Kind.PUBLISH: Doing.PUBLISHING,
}


def doing(kind: Kind) -> Doing:
    """The status word for an operation of this kind in progress."""
    return _DOING[kind]
