"""Containers: the record, its states, and what a name and a size may be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, ip_address, ip_interface
from typing import Any

from openlxd_core.domain.errors import Message, ValidationFailed
from openlxd_core.domain.text import is_plain
from openlxd_core.domain.units import parse_count, parse_size_mib
from openlxd_core.i18n import N_

_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")  # LXD's rule: a host name label that starts with a letter
MEMORY_MIN_MIB = 16
DISK_MIN_MIB = 64


class State(StrEnum):
    """A container's state; ``missing`` is a row whose LXD instance has gone."""

    CREATING = "creating"
    RUNNING = "running"
    STOPPED = "stopped"
    FROZEN = "frozen"
    ERROR = "error"
    DELETING = "deleting"
    MISSING = "missing"


HOLDING = frozenset({State.CREATING, State.RUNNING, State.STOPPED, State.FROZEN, State.DELETING})
"""The states in which a container counts against its owner's quota. In ``error`` and ``missing`` LXD holds nothing."""

IN_LXD = frozenset({State.RUNNING, State.STOPPED, State.FROZEN})
"""The states of a container that LXD holds and no create or delete is at work on."""


@dataclass(frozen=True)
class Container:
    """One container as its owner sees it."""

    id: int
    name: str
    user_id: int | None
    """The owner; None for an instance that was not adopted."""
    owner: str
    """The owner's account name, or an empty string."""
    project: str
    image: str
    architecture: str
    status: State
    cpu: int
    memory_mib: int
    disk_mib: int
    ipv4: str
    ipv6: str
    suspended_by: str
    """Who suspended it, or an empty string."""
    error: Message | None
    """What went wrong, where the state is ``error`` or the last operation failed."""
    operation_id: str
    """The operation in progress, or an empty string."""
    created_at: datetime
    updated_at: datetime
    wanted_ipv4: str = "auto"
    """``auto``, ``none``, or the address that it was made with."""
    wanted_ipv6: str = "auto"
    pinned_ipv4: str = ""
    """The address that it keeps because port forwards lead to it, or an empty string."""
    suspended_reason: str = ""
    """Why it is suspended, for its owner to read."""
    suspended_at: datetime | None = None

    @property
    def fixed_ipv4(self) -> str:
        """``none``, the address that it keeps, or ``auto``."""
        return self.pinned_ipv4 or self.wanted_ipv4

    @property
    def suspended(self) -> bool:
        """Whether an admin has suspended it: it stays stopped, and its owner can only view it."""
        return bool(self.suspended_by)


@dataclass(frozen=True)
class ContainerSpec:
    """A container to create, with validated fields."""

    name: str
    image: str
    cpu: int
    memory_mib: int
    disk_mib: int


@dataclass(frozen=True)
class Usage:
    """What a running container uses at one moment."""

    cpu_percent: float | None
    """Of one core, so 200.0 is two cores; None before the second sample."""
    memory_mib: float
    disk_mib: float
    processes: int
    received_bytes: int
    sent_bytes: int


@dataclass(frozen=True)
class Sample:
    """Usage at a moment in the past."""

    at: datetime
    usage: Usage


def is_ipv4(text: str) -> bool:
    """Whether it is an IPv4 address as it is usually written."""
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


def check_name(name: Any, field: str = "name") -> str:
    """A container name as LXD allows it. Raises ValidationFailed."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    raise ValidationFailed.of(
        field,
        N_("A name has 1 to 63 lower-case letters, digits and dashes, starts with a letter and ends without a dash."),
    )


def name_stem(username: str) -> str:
    """What example names for a user's containers begin with: a valid name by itself, at most 22 characters."""
    stem = re.sub(r"[^a-z0-9]+", "-", username.lower()).strip("-")[:20].rstrip("-")
    return stem if stem[:1].isalpha() else f"c-{stem}" if stem else "web"


def check_image_alias(alias: Any, field: str = "image") -> str:
    """An image alias that LXD may be asked for. Raises ValidationFailed."""
    if isinstance(alias, str) and 0 < len(alias) <= 100 and is_plain(alias) and alias.strip() == alias:
        return alias
    raise ValidationFailed.of(field, N_("Choose an image."))


def check_spec(name: Any, image: Any, cpu: Any, memory: Any, disk: Any) -> ContainerSpec:
    """All five fields checked at once, so that a form can show every mistake. Raises ValidationFailed."""
    wrong: dict[str, Message] = {}
    values: list[Any] = []
    for check, value, field in (
        (check_name, name, "name"),
        (check_image_alias, image, "image"),
        (parse_count, cpu, "cpu"),
        (_memory, memory, "memory"),
        (_disk, disk, "disk"),
    ):
        try:
            values.append(check(value, field))
        except ValidationFailed as error:
            wrong.update(error.fields)
    if wrong:
        raise ValidationFailed(fields=wrong)
    return ContainerSpec(*values)


def check_address(value: Any, version: int, field: str) -> str:
    """``auto``, ``none``, or an IP address of this version in its usual spelling. Raises ValidationFailed."""
    if value in ("auto", "none"):
        return str(value)
    try:
        address = ip_address(value) if isinstance(value, str) else None
    except ValueError:
        address = None
    if address is None or address.version != version or "%" in str(value):
        raise ValidationFailed.of(
            field, N_("Write auto, none or an IPv{version} address of the host's network."), version=version
        )
    return str(address)


def check_in_network(address: str, bridge: str, field: str) -> None:
    """Whether a container may have ``address`` on ``bridge`` (the bridge's own address with its prefix length).

    Raises ValidationFailed for one outside the network, the bridge's own and the network's first and last.
    """
    if address in ("auto", "none"):
        return
    wanted = ip_address(address)
    try:
        own = ip_interface(bridge)
    except ValueError:  # the bridge has none of this version
        raise ValidationFailed.of(field, N_("The host's network does not assign such addresses.")) from None
    network = own.network
    taken = {own.ip, network.network_address, network.broadcast_address}
    if wanted not in network or wanted in taken:
        raise ValidationFailed.of(
            field, N_("{address} is not a free address of {network}."), address=address, network=str(network)
        )


def check_limits(cpu: Any, memory: Any, disk: Any) -> tuple[int, int, int]:
    """CPU count, memory and disk in MiB, checked as in :func:`check_spec`. Raises ValidationFailed."""
    spec = check_spec("x", "x", cpu, memory, disk)
    return spec.cpu, spec.memory_mib, spec.disk_mib


def _memory(value: Any, field: str) -> int:
    return _at_least(MEMORY_MIN_MIB, value, field)


def _disk(value: Any, field: str) -> int:
    return _at_least(DISK_MIN_MIB, value, field)


def _at_least(low: int, value: Any, field: str) -> int:
    mib = parse_size_mib(value, field)
    if mib < low:
        raise ValidationFailed.of(field, N_("At least {low} MiB are needed."), low=low)
    return mib
