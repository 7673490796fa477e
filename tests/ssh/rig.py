"""What the SSH tests stand on: a listener on port 0, a small app, and containers whose shells can be watched."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import shlex
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
from textual import events
from textual.app import App, ComposeResult
from textual.widgets import DataTable, Input, Static

from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.errors import Message
from openlxd_core.i18n import N_, _
from openlxd_tui.ssh.limits import LoginLimits
from openlxd_tui.ssh.server import SshConsole
from openlxd_tui.ssh.session import ConsoleSession
from openlxd_tui.terminal.driver import TerminalDriver
from openlxd_tui.terminal.shell import SessionShell
from tests.support.core import PASSWORD, add_user, finish, make_settings
from tests.support.faulty_lxd import FaultyLxd
from tests.support.vt import VirtualTerminal

N_("typed: {text}")


class WatchedShell:
    """An exec session that answers what it is told: input in angle brackets, sizes and signals in square ones."""

    def __init__(self, lxd: WatchedLxd, command: Sequence[str], terminal: tuple[int, int] | None) -> None:
        self._lxd = lxd
        self.command = list(command)
        self.terminal = terminal
        self.closed = False
        self.ended = False
        self.status = 0
        self.written: list[bytes] = []
        self._output: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(64)
        self.put(1, b"$ ")

    def put(self, stream: int, data: bytes) -> None:
        self._output.put_nowait((stream, data))

    def end(self, status: int = 0) -> None:
        if not self.ended:
            self.ended, self.status = True, status
            self.put(0, b"")

    async def read(self) -> tuple[int, bytes]:
        return await self._output.get()

    async def write(self, data: bytes) -> None:
        self._lxd.typed += len(data)
        self.written.append(data)
        if data.startswith(b"exit"):
            self.end(int(data[4:].strip() or 0))
        elif data.startswith(b"flood"):
            self._lxd.flood = asyncio.create_task(self._flood(int(data[5:].strip())))
        elif data.startswith(b"fail"):
            self.put(2, b"to stderr")
        elif len(data) < 4096:
            await self._output.put((1, b"<" + data + b">"))

    async def _flood(self, count: int) -> None:
        for _n in range(count):
            await self._output.put((1, b"x" * 65536))
            self._lxd.flooded += 65536

    async def write_eof(self) -> None:
        self.end(0)

    async def close_output(self) -> None:
        self.put(2, b"[nobody reads]")

    async def resize(self, width: int, height: int) -> None:
        self.put(1, f"[{width}x{height}]".encode())

    async def signal(self, number: int) -> None:
        self.put(1, f"[signal {number}]".encode())

    async def wait(self) -> int:
        return self.status

    async def close(self) -> None:
        self.closed = True


class WatchedLxd(FaultyLxd):
    """The simulated LXD, in memory, whose shells can be watched."""

    def __init__(self) -> None:
        super().__init__()
        self.shells: list[WatchedShell] = []
        self.typed = 0
        self.flooded = 0
        self.flood: asyncio.Task[None] | None = None

    async def close(self) -> None:
        if self.flood is not None:
            self.flood.cancel()
        await super().close()

    async def exec(
        self,
        project: str,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        terminal: tuple[int, int] | None = None,
    ) -> WatchedShell:
        shell = WatchedShell(self, command, terminal)
        self.shells.append(shell)
        return shell


class SmallApp(App[None]):
    """A table, a field, a line that says what was typed; ``s`` opens web1's shell, ``x`` crashes."""

    ENABLE_COMMAND_PALETTE = False
    CSS = "#table { height: 1fr; }"
    BINDINGS = [("s", "shell", "Shell"), ("x", "crash", "Crash"), ("q", "quit", "Quit")]  # noqa: RUF012

    def __init__(self, session: ConsoleSession) -> None:
        super().__init__(driver_class=TerminalDriver)
        self.shell = SessionShell(session.core, session.actor, session)
        self.shell.app = self
        self.owner = session.actor.username
        self.farewell: Message | None = None

    def compose(self) -> ComposeResult:
        yield Static("", id="window", markup=False)
        yield DataTable(id="table", cursor_type="row")
        yield Input(id="field")
        yield Static("", id="line", markup=False)

    def on_mount(self) -> None:
        table = self.query_one(DataTable)
        table.add_columns("name", "state")
        for number in range(30):
            table.add_row(f"box{number}", "运行中")
        table.focus()
        self.query_one("#line", Static).update(f"ready {self.owner} 容器")

    def on_input_changed(self, event: Input.Changed) -> None:
        self.query_one("#line", Static).update(f"typed: {len(event.value)} {event.value[-20:]}")

    def on_resize(self, event: events.Resize) -> None:
        self.query_one("#window", Static).update(f"window {event.size.width}x{event.size.height}")

    def action_crash(self) -> None:
        password = "not to be printed"
        raise RuntimeError(f"crash of {len(password)}")

    def action_shell(self) -> None:
        self.run_worker(self._shell())

    async def _shell(self) -> None:
        result = await self.shell("web1")
        said = result.error.text(_) if result.error else f"status {result.exit_status}"
        self.query_one("#line", Static).update(f"shell ended: {said}")

    def end(self, reason: Message) -> None:
        self.farewell = reason
        self.exit()


@dataclasses.dataclass
class Rig:
    """A running console and everything behind it."""

    core: Core
    console: SshConsole
    lxd: Any
    alice: Actor
    bob: Actor
    directory: Path

    @property
    def port(self) -> int:
        return self.console.port

    def connect(self, username: str = "alice", password: str | None = PASSWORD, **options: Any) -> Any:
        """An asyncssh client's connection, as an async context manager."""
        options.setdefault("client_keys", [])
        return asyncssh.connect(
            "127.0.0.1", self.port, username=username, password=password, known_hosts=None, config=None,
            agent_path=None, **options,
        )  # fmt: skip

    def ssh_command(self, *arguments: str, account: str = "alice", password: str = PASSWORD) -> list[str]:
        """OpenSSH's own client, answering its questions by itself."""
        helper = self.directory / f"askpass-{account}"
        helper.write_text(
            f'#!/bin/sh\ncase "$1" in *ccount*) echo {shlex.quote(account)};; *) echo {shlex.quote(password)};; esac\n'
        )
        helper.chmod(0o700)
        return [
            "env", f"SSH_ASKPASS={helper}", "SSH_ASKPASS_REQUIRE=force", "ssh", "-F", "none", "-p", str(self.port),
            "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "IdentityAgent=none",
            "-o", "IdentitiesOnly=yes", "-o", "ConnectTimeout=20", *arguments,
        ]  # fmt: skip

    async def ssh(
        self, *arguments: str, stdin: bytes = b"", account: str = "alice", password: str = PASSWORD
    ) -> tuple[int, str, str]:
        """Run OpenSSH's client to its end: exit status, standard output, standard error."""
        process = await asyncio.create_subprocess_exec(
            *self.ssh_command(*arguments, account=account, password=password),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "LANG": "C.UTF-8"},
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(stdin), 30)
        assert process.returncode is not None
        return process.returncode, out.decode(errors="replace"), err.decode(errors="replace")

    async def register_key(self, actor: Actor) -> tuple[asyncssh.SSHKey, str]:
        """A new key of ``actor``: the key, and the path of its private half."""
        key = asyncssh.generate_private_key("ssh-ed25519")
        path = self.directory / f"key-{actor.username}-{key.get_fingerprint()[-6:].replace('/', '_')}"
        key.write_private_key(path)
        path.chmod(0o600)
        await self.core.keys.add(actor, key.export_public_key().decode().strip(), "test")
        return key, str(path)


class Screen:
    """The client's end of a session with a terminal; keeps all that it was shown."""

    def __init__(self, process: Any, size: tuple[int, int] = (100, 30)) -> None:
        self.process = process
        self.seen = b""
        self.received = 0
        self.terminal = VirtualTerminal(min(500, size[0]) or 80, min(200, size[1]) or 24)
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            while data := await self.process.stdout.read(65536):
                self.seen += data
                self.received += len(data)
                self.terminal.feed(data)
        except (asyncssh.Error, OSError):
            pass

    async def shows(self, text: str, timeout: float = 5) -> None:
        """Wait until ``text`` is on the screen, or was sent since the last :meth:`forget`."""
        deadline = asyncio.get_running_loop().time() + timeout
        while text.encode() not in self.seen and text not in self.terminal.text:
            assert asyncio.get_running_loop().time() < deadline, f"{text!r} is not in {self.seen[-600:]!r}"
            assert not self._task.done() or text.encode() in self.seen or text in self.terminal.text, (
                f"closed without {text!r}: {self.seen[-800:]!r}"
            )
            await asyncio.sleep(0.01)

    async def reads(self, *texts: str, gone: Sequence[str] = (), timeout: float = 15) -> None:
        """Wait until a person would read each of ``texts``, and none of ``gone``."""
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            shown = self.terminal.text
            if all(text in shown for text in texts) and not any(text in shown for text in gone):
                return
            assert asyncio.get_running_loop().time() < deadline, f"not {texts} (or still {gone}):\n{shown}"
            assert not self._task.done(), f"closed without {texts}:\n{shown}"
            await asyncio.sleep(0.01)

    def forget(self) -> None:
        self.seen = b""

    def type(self, data: bytes) -> None:
        self.process.stdin.write(data)

    async def into_field(self, data: bytes) -> None:
        """Go to the field, wait until the app is there, and type."""
        self.forget()
        self.type(b"\t")
        await self.shows("\x1b[")
        self.type(data)

    async def closes(self, timeout: float = 10) -> int | None:
        """Wait for the session's end; its exit status."""
        await asyncio.wait_for(self.process.wait_closed(), timeout)
        await asyncio.wait([self._task], timeout=2)
        status: int | None = self.process.exit_status
        return status


async def open_screen(
    connection: Any, *, size: tuple[int, int] = (100, 30), term: str = "xterm-256color", **options: Any
) -> Screen:
    """A session with a terminal and no command."""
    process = await connection.create_process(
        options.pop("command", None), term_type=term, term_size=size, encoding=None, **options
    )
    return Screen(process, size)


@asynccontextmanager
async def running(
    directory: Path,
    *,
    make_app: Any = SmallApp,
    delay_seconds: float = 0.0,
    slow_seconds: float = 60,
    lxd: FaultyLxd | None = None,
    **settings: Any,
) -> AsyncIterator[Rig]:
    """A console with two tenants, alice (who has the running container web1) and bob."""
    lxd = lxd or WatchedLxd()
    chosen = make_settings(directory, **settings)
    async with open_core(chosen, lxd=lxd) as core:
        alice, bob = await add_user(core, "alice"), await add_user(core, "bob")
        await finish(core, await core.containers.create(alice, "web1", "debian/12", 1, "512MiB", "1GiB"))
        limits = LoginLimits(chosen, delay_seconds=delay_seconds)
        console = SshConsole(core, limits=limits, make_app=make_app, slow_seconds=slow_seconds)
        await console.start()
        try:
            yield Rig(core, console, lxd, alice, bob, directory)
        finally:
            await console.close()
