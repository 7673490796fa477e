"""Changes, LXD's status and audit entries, as front ends receive them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Change:
    """One change. Ids increase, so a reader can resume after the last one."""

    id: int
    topic: str
    """``container``, ``operation``, ``user``, ``key``, ``quota``, ``image`` or ``lxd``."""
    verb: str
    """For example ``created``, ``updated``, ``deleted``, ``suspended``, ``password``."""
    key: str
    """The name or id of what changed."""
    user_id: int | None
    """The owner's user id; None if it concerns everyone."""
    data: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True)
class LxdState:
    """Whether LXD answers, and what it is."""

    reachable: bool
    kind: str
    """``lxd``, ``incus`` or ``simulated``; an empty string before the first answer."""
    version: str
    reason: str
    """Why it is not reachable, in the words of the system; for admins."""
    since: datetime
    chosen: bool = False
    """If simulated: whether the settings request it, or no LXD was found."""


@dataclass(frozen=True)
class AuditEntry:
    """Who did what to whom, from where, and how it ended."""

    id: int
    at: datetime
    actor: str
    user_id: int | None
    origin: str
    address: str
    action: str
    target: str
    outcome: str
    """``ok`` or an error's code."""
    detail: str
