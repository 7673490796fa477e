"""Notifications to the service manager: systemd, or ``openlxd up``.

Both use systemd's notification protocol, a datagram to ``$NOTIFY_SOCKET``; ``openlxd up`` listens for it as
systemd does. Without a listener nothing is sent.
"""

from __future__ import annotations

import os
import socket

ADDRESS = "X_OPENLXD_ADDRESS"
"""The field in which a server says where it listens (systemd leaves names beginning with X_ alone)."""


def notify(*fields: str) -> bool:
    """Send fields such as ``READY=1`` or ``STOPPING=1``; False without a listener. Never raises."""
    target = os.environ.get("NOTIFY_SOCKET", "")
    if target[:1] not in ("/", "@"):
        return False
    address = "\0" + target[1:] if target.startswith("@") else target
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
            connection.connect(address)
            connection.sendall("\n".join(fields).encode())
    except OSError:
        return False
    return True


def ready(listening: str) -> bool:
    """Notify that the server listens on ``listening``, such as ``0.0.0.0:2222``."""
    return notify("READY=1", f"STATUS=Listening on {listening}", f"{ADDRESS}={listening}")


def stopping() -> bool:
    """Notify that the process is shutting down."""
    return notify("STOPPING=1")
