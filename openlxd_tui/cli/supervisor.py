"""``openlxd up``'s heart: two child processes, started, watched, restarted with back-off, ended together.

It speaks systemd's notification protocol to its children: each says when it serves, and where. A child whose
supervisor dies is ended by the kernel. What the children do is their own business.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from openlxd_core.backoff import exponential
from openlxd_core.i18n import _
from openlxd_core.systemd import ADDRESS

READY_SECONDS = 60.0
STOP_SECONDS = 20.0
"""How long a child may take to end before it is killed."""
RESTART_SECONDS = (0.5, 30.0)
"""The first and the longest pause before a child that died while it started is started again; doubled each time."""
STEADY_SECONDS = 5.0
"""A child that served this long starts again at once when it dies; one that served for less, after a moment."""
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Program:
    """One child: what it is called and how it is run."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def die_with_parent(parent: int) -> None:
    """Ask the kernel to end this process when its parent goes. Runs in the child, before its program."""
    with suppress(OSError, AttributeError):  # only Linux has it
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it went before we asked
        os._exit(1)


class Child:
    """One program, kept running."""

    def __init__(self, program: Program, folder: Path, say: Callable[[str], None]) -> None:
        self.program = program
        self.address = ""
        """Where it says that it listens."""
        self.ready = asyncio.Event()
        self.failed_to_start = False
        """Whether it ended by itself before it ever served: starting it again would not help."""
        self.process: asyncio.subprocess.Process | None = None
        self.starts = 0
        self._served_since: float | None = None
        self._say = say
        self._path = folder / f"{program.name}.notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._socket.bind(str(self._path))

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            while message := self._socket.recv(4096):
                fields = dict(
                    line.split("=", 1) for line in message.decode(errors="replace").split("\n") if "=" in line
                )
                self.address = fields.get(ADDRESS, self.address)
                if fields.get("READY") == "1":
                    self.ready.set()
                    self._served_since = self._served_since or time.monotonic()

    async def keep_running(self) -> None:
        """Start it, and start it again when it dies, until cancelled; then end it. Returns if it cannot start."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._socket, self._hear)
        failures = 0
        try:
            while True:
                status = await self._run()
                self._hear()  # it may have said that it serves just before it died
                if not self.ready.is_set() and self.starts == 1:
                    self.failed_to_start = True
                    self.ready.set()
                    return
                failures = 0 if self._served_since is not None else failures + 1
                delay = self._delay(failures)
                sentence = (
                    _("{name} ended ({status}); restarting in {seconds} s.")
                    if delay
                    else _("{name} ended ({status}); restarting.")
                )
                self._say(sentence.format(name=self.program.name, status=_describe(status), seconds=delay))
                await asyncio.sleep(delay)
        finally:
            loop.remove_reader(self._socket)
            await asyncio.shield(asyncio.ensure_future(self._end()))
            self._socket.close()

    def _delay(self, failures: int) -> float:
        """Seconds until the next start, after ``failures`` starts in a row that came to nothing.

        What served is wanted back at once: somebody killed it, or it met a rare bug. Only what cannot start is held
        back.
        """
        first, most = RESTART_SECONDS
        if failures:
            return exponential(failures, first, most)
        assert self._served_since is not None
        return 0.0 if time.monotonic() - self._served_since >= STEADY_SECONDS else first

    async def _run(self) -> int:
        parent = os.getpid()
        self.starts += 1
        self._served_since = None
        self.process = await asyncio.create_subprocess_exec(
            *self.program.command,
            stdin=asyncio.subprocess.DEVNULL,
            env={**self.program.environment, "NOTIFY_SOCKET": str(self._path)},
            preexec_fn=lambda: die_with_parent(parent),
            process_group=0,  # Ctrl-C on the terminal is ours to pass on
        )
        return await self.process.wait()

    async def _end(self) -> None:
        process = self.process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _describe(status: int) -> str:
    if status >= 0:
        return _("exit status {number}").format(number=status)
    with suppress(ValueError):
        return signal.Signals(-status).name
    return str(status)


class Supervisor:
    """Programs that run together and end together."""

    def __init__(self, programs: Sequence[Program], say: Callable[[str], None]) -> None:
        self._programs = programs
        self._say = say
        self.children: list[Child] = []

    async def run(self, on_ready: Callable[[Sequence[Child]], None]) -> bool:
        """Keep all of them running until SIGTERM or SIGINT; False if one of them cannot start at all.

        ``on_ready`` is called once, when every child serves.
        """
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, stop.set)
        with tempfile.TemporaryDirectory(prefix="openlxd-up-") as folder:
            self.children = [Child(program, Path(folder), self._say) for program in self._programs]
            tasks = [asyncio.create_task(child.keep_running()) for child in self.children]
            announcing = asyncio.create_task(self._announce(on_ready))
            stopping = asyncio.create_task(stop.wait())
            try:
                await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (announcing, stopping, *tasks):
                    task.cancel()
                await asyncio.gather(announcing, stopping, *tasks, return_exceptions=True)
        return not any(child.failed_to_start for child in self.children)

    async def _announce(self, on_ready: Callable[[Sequence[Child]], None]) -> None:
        try:
            async with asyncio.timeout(READY_SECONDS):
                for child in self.children:
                    await child.ready.wait()
        except TimeoutError:
            slow = ", ".join(child.program.name for child in self.children if not child.ready.is_set())
            self._say(_("Not ready after {seconds} s: {names}.").format(seconds=round(READY_SECONDS), names=slow))
            return
        if not any(child.failed_to_start for child in self.children):
            on_ready(self.children)


def python(module: str) -> list[str]:
    """The command that runs a module with this very interpreter."""
    return [sys.executable, "-m", module]
