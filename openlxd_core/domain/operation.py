"""Operations: work that outlives a request, and the process that started it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from openlxd_core.domain.errors import Message
from openlxd_core.i18n import N_


class OperationStatus(StrEnum):
    """The status of an operation."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Kind(StrEnum):
    """What an operation does."""

    CREATE = "create"
    START = "start"
    STOP = "stop"
    RESTART = "restart"
    PAUSE = "pause"
    RESUME = "resume"
    SUSPEND = "suspend"
    UNSUSPEND = "unsuspend"
    DELETE = "delete"
    RESIZE = "resize"
    REINSTALL = "reinstall"
    SNAPSHOT = "snapshot"
    RESTORE = "restore"
    SNAPSHOT_DELETE = "snapshot-delete"
    FORWARD = "forward"
    FORWARD_DELETE = "forward-delete"
    IMPORT = "image.import"
    PUBLISH = "image.publish"


CANCELLABLE = frozenset({Kind.IMPORT})
"""The kinds that can be cancelled after they started."""
ENDED = frozenset({OperationStatus.DONE, OperationStatus.FAILED, OperationStatus.CANCELLED})

STAGES: dict[str, str] = {
    "queued": N_("Waiting"),
    "project": N_("Preparing"),
    "create": N_("Unpacking the image"),
    "start": N_("Starting"),
    "network": N_("Waiting for an address"),
    "stop": N_("Stopping"),
    "work": N_("Working"),
    "delete": N_("Deleting"),
    "resolve": N_("Looking for the image"),
    "download": N_("Downloading"),
    "verify": N_("Checking"),
    "import": N_("Uploading to LXD"),
    "image": N_("Fetching the image"),
    "publish": N_("Creating the image"),
    "lxd": N_("Waiting for LXD"),
    "done": N_("Done"),
}
"""Every stage of an operation, with its label."""


@dataclass(frozen=True)
class Operation:
    """One operation, as its owner sees it."""

    id: str
    kind: Kind
    user_id: int | None
    """User id of the container's owner."""
    actor: str
    """User id of the actor."""
    target: str
    """The container's name, or the image's."""
    status: OperationStatus
    stage: str
    progress: int
    """0 to 100."""
    error_code: str
    error: Message | None
    args: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Of a download: ``bytes`` and ``total``, ``rate`` in bytes a second, ``seconds_left``."""

    @property
    def ended(self) -> bool:
        """Whether it is done, failed or cancelled."""
        return self.status in ENDED
