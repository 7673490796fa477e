"""Which ports of the host a forward may take: the operator's range, what is reserved, and a random free one."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence

from openlxd_core.domain.actor import Actor
from openlxd_core.domain.errors import AlreadyExists, Conflict, Forbidden, ValidationFailed
from openlxd_core.domain.forward import PortRange, Protocol, parse_operator_range
from openlxd_core.i18n import N_
from openlxd_core.settings import Settings

SSH = 22


def offered_ports(settings: Settings) -> PortRange | None:
    """The ports that tenants may take; None where the operator offers none."""
    return None if settings.forward_ports == "off" else parse_operator_range(settings.forward_ports)


def reserved_ports(settings: Settings) -> frozenset[int]:
    """What nobody may take: the host's SSH, and this server's own listeners."""
    return frozenset({SSH, settings.ssh_port, settings.api_port} - {0})


def check_listen(actor: Actor, wanted: PortRange, settings: Settings) -> None:
    """Raise ValidationFailed or Forbidden where the actor may not take these ports."""
    offered = offered_ports(settings)
    if not actor.is_admin:
        if offered is None:
            raise Forbidden(N_("Port forwards are turned off on this server."))
        if not (offered.holds(wanted.first) and offered.holds(wanted.last)):
            raise ValidationFailed.of("listen", N_("Choose ports from {range}."), range=str(offered))
    for port in sorted(reserved_ports(settings)):
        if wanted.holds(port):
            raise ValidationFailed.of("listen", N_("Port {port} is reserved."), port=port)


Taken = Collection[tuple[str, PortRange]]
"""Ports that are in use, each with its protocol, ``tcp`` or ``udp``."""


def check_untaken(protocol: Protocol, wanted: PortRange, taken: Taken) -> None:
    """Raise AlreadyExists where any of the ports is in use."""
    if _meets(protocol, wanted, taken):
        raise AlreadyExists(N_("Port {port} is in use."), port=str(wanted))


def choose_ports(actor: Actor, protocol: Protocol, length: int, taken: Taken, settings: Settings) -> PortRange:
    """Consecutive free ports of the operator's range, at a place that cannot be foretold. Raises Conflict."""
    offered = offered_ports(settings)
    if offered is None:
        if not actor.is_admin:
            raise Forbidden(N_("Port forwards are turned off on this server."))
        raise ValidationFailed.of("listen", N_("Name a port: this server offers none by itself."))
    places = len(offered) - length + 1
    busy = [*taken, *((each, PortRange(port, port)) for port in reserved_ports(settings) for each in ("tcp", "udp"))]
    blocked = _starts_blocked(protocol, length, busy, offered)
    free = places - len(blocked)
    if places <= 0 or free <= 0:
        raise Conflict(N_("No free port is left in {range}."), range=str(offered))
    number = secrets.randbelow(free)
    for first in range(offered.first, offered.first + places):
        if first in blocked:
            continue
        if number == 0:
            return PortRange(first, first + length - 1)
        number -= 1
    raise AssertionError("counted wrongly")


def _starts_blocked(protocol: Protocol, length: int, taken: Sequence[tuple[str, PortRange]], of: PortRange) -> set[int]:
    """The first ports from which ``length`` consecutive ones would meet one that is in use."""
    last_start = of.last - length + 1
    return {
        start
        for each, ports in taken
        if each in protocol.each
        for start in range(max(of.first, ports.first - length + 1), min(last_start, ports.last) + 1)
    }


def _meets(protocol: Protocol, wanted: PortRange, taken: Taken) -> bool:
    return any(each in protocol.each and ports.overlaps(wanted) for each, ports in taken)
