"""How a process of ours speaks with whoever started it: systemd, or our own ``openlxd up``.

Both use systemd's notification protocol, a datagram to ``$NOTIFY_SOCKET``; ``openlxd up`` listens for it as
systemd does. Nothing happens where nobody listens.
"""

from __future__ import annotations

import os
import socket

ADDRESS = "X_OPENLXD_ADDRESS"
"""The field in which a server says where it listens (systemd leaves names beginning with X_ alone)."""


def notify(*fields: str) -> bool:
    """Send fields such as ``READY=1`` or ``STOPPING=1``; False where nobody listens. Never raises."""
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
    """Say that the process serves, and where: ``0.0.0.0:2222``."""
    return notify("READY=1", f"STATUS=Listening on {listening}", f"{ADDRESS}={listening}")


def stopping() -> bool:
    """Say that the process has begun to shut down."""
    return notify("STOPPING=1")
