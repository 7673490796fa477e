"""The client's address, as rate limits and the audit log use it.

``X-Forwarded-For`` is trusted only from proxies that the operator listed, and read from the right, so that a
client cannot forge its address.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import lru_cache

from aiohttp import web

from openlxd_core.domain.errors import ConfigurationError
from openlxd_core.i18n import N_

_OF_PROXIES = ("X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Forwarded", "Via")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Client:
    """The client of one request."""

    address: str
    local: bool = False
    """Whether the request came from this machine, through no proxy."""


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
    """The client: the nearest address that is not a ``trusted`` proxy."""
    address = request.remote or ""
    if not trusted and not any(header in request.headers for header in _OF_PROXIES):
        return _direct(address)
    hops = [hop.strip() for header in request.headers.getall("X-Forwarded-For", []) for hop in header.split(",")]
    while hops and _is_in(address, trusted):
        candidate = hops.pop()
        try:
            address = str(ipaddress.ip_address(candidate))
        except ValueError:
            break
    direct = not any(header in request.headers for header in _OF_PROXIES)
    return Client(address, direct and _is_loopback(address))


@lru_cache(maxsize=1024)
def _direct(address: str) -> Client:
    return Client(address, _is_loopback(address))


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
