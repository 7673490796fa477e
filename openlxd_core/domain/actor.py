"""Who asks. Every service method takes an Actor first, and rows are fetched through it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What somebody is. ``user`` is the design paper's word for a tenant."""

    ADMIN = "admin"
    TENANT = "user"
    ANONYMOUS = "anonymous"
    SYSTEM = "system"


@dataclass(frozen=True)
class Actor:
    """Somebody who asks, and where they ask from."""

    role: Role
    user_id: int | None = None
    username: str = ""
    origin: str = ""
    """``ssh``, ``api``, ``tui``, ``cli`` or ``system``: for the audit."""
    address: str = ""
    """The client's network address, where there is one."""
    session: str = ""
    """Which of their sessions asks, where that matters: changing one's password ends the others."""

    @property
    def is_admin(self) -> bool:
        """Whether every row is theirs to see."""
        return self.role in (Role.ADMIN, Role.SYSTEM)


SYSTEM = Actor(Role.SYSTEM, username="system", origin="system")


def local_admin(username: str = "root", origin: str = "tui") -> Actor:
    """Whoever can open the LXD socket is root on the host already: the local TUI and command line act as this."""
    return Actor(Role.ADMIN, username=username, origin=origin)


def anonymous(origin: str, address: str = "") -> Actor:
    """Somebody who has not said who they are."""
    return Actor(Role.ANONYMOUS, origin=origin, address=address)
