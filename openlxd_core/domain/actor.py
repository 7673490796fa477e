"""Actors: who performs a call. Every service method takes an Actor first and fetches rows through it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """The role of an account. ``user`` is the design paper's word for a tenant."""

    ADMIN = "admin"
    TENANT = "user"
    ANONYMOUS = "anonymous"
    SYSTEM = "system"


@dataclass(frozen=True)
class Actor:
    """The account that performs a call, and where the call comes from."""

    role: Role
    user_id: int | None = None
    username: str = ""
    origin: str = ""
    """``ssh``, ``api``, ``tui``, ``cli`` or ``system``: for the audit."""
    address: str = ""
    """The client's network address, or an empty string."""
    session: str = ""
    """The session of the call: changing one's password ends all other sessions."""

    @property
    def is_admin(self) -> bool:
        """Whether the actor can see every row."""
        return self.role in (Role.ADMIN, Role.SYSTEM)


SYSTEM = Actor(Role.SYSTEM, username="system", origin="system")


def local_admin(username: str = "root", origin: str = "tui") -> Actor:
    """Whoever can open the LXD socket is root on the host already: the local TUI and command line act as this."""
    return Actor(Role.ADMIN, username=username, origin=origin)


def anonymous(origin: str, address: str = "") -> Actor:
    """A client that has not signed in."""
    return Actor(Role.ANONYMOUS, origin=origin, address=address)
