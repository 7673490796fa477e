"""Port forwards: the record, and what a protocol, a port and a range may be.

A forward leads from ports of the host's public address to ports of one container. LXD calls the whole of an
address's rules a network forward, and one rule a port specification.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from openlxd_core.domain.errors import ValidationFailed
from openlxd_core.domain.text import is_plain
from openlxd_core.i18n import N_

RANGE_MAX = 100
"""Ports of one forward, at most: one forward counts once in the quota, whatever its length."""
DESCRIPTION_MAX = 100
_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", re.ASCII)


class Protocol(StrEnum):
    """Which packets are forwarded."""

    TCP = "tcp"
    UDP = "udp"
    BOTH = "both"

    @property
    def each(self) -> tuple[str, ...]:
        """LXD's protocols: ``both`` is two rules there."""
        return ("tcp", "udp") if self is Protocol.BOTH else (self.value,)


class ForwardState(StrEnum):
    """How far LXD holds what the row promises."""

    PENDING = "pending"
    """LXD is about to be told."""
    ACTIVE = "active"
    """LXD holds it."""
    INACTIVE = "inactive"
    """Taken out of LXD while the container is suspended, failed or missing; put back afterwards."""
    REMOVING = "removing"
    MISSING = "missing"
    """Somebody removed it in LXD. Its ports stay reserved until it is deleted or restored."""


@dataclass(frozen=True)
class PortRange:
    """Consecutive ports, first to last."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def overlaps(self, other: PortRange) -> bool:
        """Whether any port is in both."""
        return self.first <= other.last and other.first <= self.last

    def holds(self, port: int) -> bool:
        """Whether ``port`` is one of them."""
        return self.first <= port <= self.last


@dataclass(frozen=True)
class Forward:
    """One port forward as the container's owner sees it."""

    id: int
    container: str
    user_id: int | None
    owner: str
    protocol: Protocol
    address: str
    """The host's address at which it listens."""
    listen: PortRange
    target: PortRange
    """The container's ports, as many as ``listen`` has."""
    description: str
    state: ForwardState
    created_by: str
    """The account that made it; ``lxd`` for one that was found in LXD."""
    created_at: datetime


def parse_protocol(value: Any, field: str = "protocol") -> Protocol:
    """``tcp``, ``udp`` or ``both``. Raises ValidationFailed."""
    try:
        return Protocol(value)
    except ValueError:
        raise ValidationFailed.of(field, N_("A protocol is tcp, udp or both.")) from None


def parse_ports(value: Any, field: str) -> PortRange:
    """One port or a range: ``80``, ``"80"``, ``"8000-8010"``. Raises ValidationFailed."""
    found = None
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        found = _RANGE.fullmatch(str(value))
    if found is None:
        raise ValidationFailed.of(field, N_("A port is a number from 1 to 65535, or a range such as 8000-8010."))
    first, last = int(found[1]), int(found[2] or found[1])
    if not (1 <= first <= 65535 and 1 <= last <= 65535):
        raise ValidationFailed.of(field, N_("A port is a number from 1 to 65535, or a range such as 8000-8010."))
    if last < first:
        raise ValidationFailed.of(field, N_("A range of ports begins with its lower number."))
    if last - first + 1 > RANGE_MAX:
        raise ValidationFailed.of(field, N_("A range has at most {limit} ports."), limit=RANGE_MAX)
    return PortRange(first, last)


def parse_operator_range(text: str) -> PortRange:
    """The ports that an operator offers, of any length: ``20000-29999``. Raises ValueError."""
    found = _RANGE.fullmatch(text.strip())
    if found is None:
        raise ValueError("it is a range of ports such as 20000-29999")
    first, last = int(found[1]), int(found[2] or found[1])
    if not 1 <= first <= last <= 65535:
        raise ValueError("it is a range of ports such as 20000-29999")
    return PortRange(first, last)


def check_description(value: Any, field: str = "description") -> str:
    """What a forward is for, in a line. Raises ValidationFailed."""
    if isinstance(value, str) and len(value) <= DESCRIPTION_MAX and (not value or is_plain(value)):
        return value.strip()
    raise ValidationFailed.of(
        field, N_("A description is one line of at most {limit} characters."), limit=DESCRIPTION_MAX
    )
