"""Addresses: where forwards listen on the host, and a free one of the bridge for a container that is stopped."""

from __future__ import annotations

import socket
from ipaddress import IPv4Interface

from openlxd_core.domain.container import is_ipv4
from openlxd_core.domain.errors import ConfigurationError, Conflict
from openlxd_core.i18n import N_
from openlxd_core.lxd.gateway import LxdGateway
from openlxd_core.settings import Settings
from openlxd_core.storage import models

_SOMEWHERE = ("192.0.2.1", 9)
"""An address of RFC 5737: asking the kernel for the way to it sends nothing."""
_SIMULATED = "198.51.100.1"


def listen_address(settings: Settings) -> str:
    """The host's IPv4 address at which forwards listen: the one set, else the one with which it reaches the Internet.

    Raises ConfigurationError where neither is there.
    """
    for chosen in (settings.forward_address, settings.public_address):
        if is_ipv4(chosen):
            return chosen
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_SOMEWHERE)
            return str(probe.getsockname()[0])
        except OSError:
            if settings.simulated:
                return _SIMULATED
    raise ConfigurationError(
        N_("No address for port forwards was found. Set OPENLXD_FORWARD_ADDRESS to this host's public IPv4 address.")
    )


async def given_address(lxd: LxdGateway, project: str, name: str) -> str:
    """The address that the bridge has given to a container's NIC, or an empty string.

    Never what the container's state shows: its root could put another's address there, and would get it for good.
    """
    hwaddr = (await lxd.instance(project, name)).hwaddr.lower()
    return next((lease.address for lease in await lxd.leases(project) if hwaddr and lease.hwaddr == hwaddr), "")


async def free_address(lxd: LxdGateway, network: str) -> str:
    """An IPv4 address of the bridge that nobody has: neither a container of ours, running or stopped, nor an instance
    that OpenLXD does not manage. Taken from the network's end, as DHCP begins at its start. Raises Conflict."""
    own, _ipv6 = await lxd.bridge_addresses(network)
    if not own:
        raise Conflict(N_("The bridge has no IPv4 network."))
    rows = await models.Container.all().values_list("project", "ipv4", "wanted_ipv4", "pinned_ipv4")
    taken = {str(address) for row in rows for address in row[1:]}
    foreign = {instance.project for instance in await lxd.instances()} - {str(row[0]) for row in rows}
    for project in sorted(foreign | {"default"}):
        taken |= {lease.address for lease in await lxd.leases(project)}
    bridge = IPv4Interface(own)
    for number in range(bridge.network.num_addresses - 2, 0, -1):
        candidate = bridge.network[number]
        if candidate != bridge.ip and str(candidate) not in taken:
            return str(candidate)
    raise Conflict(N_("The bridge has no free IPv4 address."))
