"""Snapshots: the record, and what a name may be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from openlxd_core.domain.errors import ValidationFailed
from openlxd_core.i18n import N_

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")


@dataclass(frozen=True)
class Snapshot:
    """A container's state at one moment."""

    name: str
    container: str
    user_id: int | None
    ready: bool
    """False while LXD is still creating it."""
    created_at: datetime


def check_snapshot_name(name: Any, field: str = "name") -> str:
    """A snapshot name; stricter than LXD's rule, as it is used in paths and commands. Raises ValidationFailed."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    raise ValidationFailed.of(
        field, N_("A snapshot name has 1 to 40 lower-case letters, digits and dashes, with no dash at an end.")
    )
