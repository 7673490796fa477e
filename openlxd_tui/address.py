"""Where the SSH console is reached, as a person types it into their own terminal."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import Any

from openlxd_core.domain.text import clean
from openlxd_core.settings import Settings

_LOGIN = "openlxd"
_SSH_PORT = 22


@dataclass(frozen=True)
class SshAddress:
    """Host and port."""

    host: str
    port: int

    def command(self, *words: str, terminal: bool = False) -> str:
        """The whole ``ssh`` line; ``terminal`` asks for one, as a shell needs it."""
        options = (["-t"] if terminal else []) + ([] if self.port == _SSH_PORT else ["-p", str(self.port)])
        return " ".join(["ssh", *options, f"{_LOGIN}@{clean(self.host, 253)}", *words])


def address_of_connection(local: Any, settings: Settings) -> SshAddress:
    """The address that the client connected to; the settings' own where the connection does not tell."""
    try:
        host, port = str(local[0]), int(local[1])
        address = ipaddress.ip_address(host.partition("%")[0])
    except (TypeError, ValueError, IndexError, KeyError):
        return address_of_settings(settings)
    mapped = getattr(address, "ipv4_mapped", None)  # a socket for both families tells IPv4 so
    return SshAddress(str(mapped) if mapped else host, port)


def address_of_settings(settings: Settings) -> SshAddress:
    """Where the settings let the console listen; on every address, that is this host's public one or its name."""
    try:
        everywhere = ipaddress.ip_address(settings.ssh_host).is_unspecified
    except ValueError:
        everywhere = not settings.ssh_host
    host = settings.public_address or socket.gethostname() if everywhere else settings.ssh_host
    return SshAddress(host, settings.ssh_port)
