"""How the app steps into a container's shell without knowing whose terminal it runs on.

The SSH session and the local command line each bring a :class:`ShellOpener`: it takes the terminal over (the
app's driver is suspended meanwhile), runs the container's login shell until that ends, and gives the terminal back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from openlxd_core.domain.errors import Message


@dataclass(frozen=True)
class ShellResult:
    """How a shell ended."""

    exit_status: int | None = None
    """The shell's exit status; None where it did not get as far."""
    error: Message | None = None
    """Why there was no shell, or why it broke off, in a sentence for the person who asked."""


class ShellOpener(Protocol):
    """Something that can lend the terminal to a container's shell."""

    async def __call__(self, container_name: str) -> ShellResult:
        """Run the login shell of ``container_name`` on this terminal until it ends.

        Expected errors come back in the result. When this returns the app's driver is running again; the app
        repaints by itself.
        """
