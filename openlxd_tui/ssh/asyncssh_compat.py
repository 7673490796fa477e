"""What OpenLXD changes in asyncssh beside its public interface."""

from __future__ import annotations

from typing import Any

import asyncssh
from asyncssh.constants import MSG_IGNORE


def without_ignore_packets(connection: asyncssh.SSHServerConnection) -> None:
    """Let ``connection`` send no SSH_MSG_IGNORE before each packet.

    asyncssh sends one before every packet of an encrypted connection, as RFC 4251, section 9.3.1, advises for ciphers
    in CBC mode, whose initialization vector an attacker would know otherwise. OpenLXD offers none of those (see
    ``ENCRYPTION``), and each is encrypted and written to the socket on its own: half the cost of a small frame.
    """
    send = connection.send_packet

    def send_packet(packet_type: int, *args: bytes, **options: Any) -> None:
        if packet_type != MSG_IGNORE:
            send(packet_type, *args, **options)

    connection.send_packet = send_packet  # type: ignore[method-assign, assignment]
