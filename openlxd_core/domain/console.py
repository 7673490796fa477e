"""Consoles: a command that runs inside a container, as the front ends hold it."""

from __future__ import annotations

from typing import Protocol


class ExecSession(Protocol):
    """A command that runs inside a container. ``stderr`` comes apart from ``stdout`` only without a terminal."""

    async def read(self) -> tuple[int, bytes]:
        """The next output: (1, data) for stdout, (2, data) for stderr; (0, b"") at the end."""

    async def write(self, data: bytes) -> None:
        """Send input; returns when the other side has room for more."""

    async def write_eof(self) -> None:
        """End the input."""

    async def close_output(self) -> None:
        """Stop reading: the command's next write fails (SIGPIPE); a terminal hangs up."""

    async def resize(self, width: int, height: int) -> None:
        """Tell the terminal's new size."""

    async def signal(self, number: int) -> None:
        """Send a signal to the command."""

    async def wait(self) -> int:
        """The exit status (128 + n where a signal n ended it). Raises OutcomeUnknown if LXD went away."""

    async def close(self) -> None:
        """End the command and every process that it started, except daemons; SIGHUP is sent first. Processes left
        behind by a command that ended on its own keep running. Safe to call twice.
        """
