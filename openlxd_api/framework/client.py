"""Where a request comes from: the address that limits and the audit go by.

``X-Forwarded-For`` is believed only from proxies the operator named, and read from the right, so that nobody
can write themselves another address.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from aiohttp import web

from openlxd_core.domain.errors import ConfigurationError
from openlxd_core.i18n import N_

_OF_PROXIES = ("X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Forwarded", "Via")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Client:
    """The other end of a request."""

    address: str
    local: bool = False
    """Whether it is this machine itself, and no proxy stands between."""


def parse_networks(text: str) -> tuple[Network, ...]:
    """The networks of a comma-separated list. Raises ConfigurationError."""
    try:
        return tuple(ipaddress.ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ConfigurationError(
            N_("Setting {key} (from {source}) is invalid: {reason}."),
            key="trusted_proxies",
            source="settings",
            reason=str(error),
        ) from None


def client_of(request: web.Request, trusted: tuple[Network, ...]) -> Client:
    """Who sent this: the nearest address that is not one of the ``trusted`` proxies."""
    address = request.remote or ""
    hops = [hop.strip() for header in request.headers.getall("X-Forwarded-For", []) for hop in header.split(",")]
    while hops and _is_in(address, trusted):
        candidate = hops.pop()
        try:
            address = str(ipaddress.ip_address(candidate))
        except ValueError:
            break
    direct = not any(header in request.headers for header in _OF_PROXIES)
    return Client(address, direct and _is_loopback(address))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _is_in(address: str, networks: tuple[Network, ...]) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in networks)
