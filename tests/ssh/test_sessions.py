"""Sessions with a terminal: what they show, what they survive, how they end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import asyncssh
import psutil
import pytest
import structlog

from openlxd_core.domain.actor import SYSTEM
from openlxd_core.lxd.simulated.shell import SimulatedExec
from openlxd_tui.ssh.apps import make_console_app
from tests.ssh.rig import Rig, open_screen, running
from tests.support.core import PASSWORD, eventually
from tests.support.faulty_lxd import FaultyLxd


async def test_each_tenant_sees_their_own_session(rig: Rig) -> None:
    """Two tenants at the same time: each one's app knows who is there, and shows wide characters."""
    async with rig.connect() as one, rig.connect("bob") as other:
        for connection, name in ((one, "alice"), (other, "bob")):
            screen = await open_screen(connection)
            await screen.shows(f"ready {name}")
            await screen.shows("运行中")
            assert screen.seen.startswith(b"\x1b[?1049h")
            screen.type(b"q")
            assert await screen.closes() == 0
            assert b"\x1b[?1049l" in screen.seen
            assert b"\x1b[?1003l" in screen.seen


async def test_the_products_own_app_comes_up(tmp_path: Path) -> None:
    """The console's first frame lists the tenant's containers; q leaves it."""
    async with running(tmp_path, make_app=make_console_app) as rig, rig.connect() as connection:
        screen = await open_screen(connection)
        await screen.shows("web1")
        screen.type(b"q")
        assert await screen.closes() == 0


async def test_what_is_typed_arrives(rig: Rig) -> None:
    """Wide characters in two halves, a bracketed paste, a lone Esc; answers of the terminal are never typed."""
    async with rig.connect() as connection:
        screen = await open_screen(connection)
        await screen.shows("ready")
        screen.type(b"\t")
        wide = "容器".encode()
        screen.type(wide[:2])
        await asyncio.sleep(0.05)
        screen.type(wide[2:])
        await screen.shows("typed: 2 容器")
        screen.type(b"\x1b]11;rgb:1e1e/1e1e/1e1e\x1b\\\x1b[?62;22c\x1b[?2026;2$y\x1bP1+r524742\x1b\\\x1b[8;30;100t")
        screen.type(b"\x1b[200~from the clipboard\x1b[201~")
        await screen.shows("from the clipboard")
        screen.type(b"\x1b")
        screen.type(b"!")
        await screen.shows("typed: 21 ")


@pytest.mark.slow
async def test_windows_of_every_size_are_drawn(rig: Rig) -> None:
    """20×5, nonsense and gigantic windows, and a storm of ten thousand sizes, end in the last one, clamped."""
    async with rig.connect() as connection:
        screen = await open_screen(connection, size=(20, 5))
        await screen.shows("window 20x5")
        for given, drawn in (((400, 120), "400x120"), ((0, 0), "80x24"), ((1, 1), "20x5"), ((65535, 65535), "500x200")):
            screen.forget()
            screen.process.change_terminal_size(*given)
            await screen.shows(f"window {drawn}")
        for number in range(10_000):
            screen.process.change_terminal_size(60 + number % 40, 20)
        screen.process.change_terminal_size(77, 21)
        await screen.shows("window 77x21")
        screen.type(b"q")
        await screen.closes()


@pytest.mark.parametrize("size", [(0, 0), (1, 1), (65535, 65535), (2**32 - 1, 2**32 - 1)])
async def test_a_window_that_cannot_be_is_clamped_from_the_start(rig: Rig, size: tuple[int, int]) -> None:
    """The first frame of an impossible window comes all the same."""
    async with rig.connect() as connection:
        screen = await open_screen(connection, size=size)
        await screen.shows("window ")
        screen.type(b"q")
        await screen.closes()


TERMINALS: list[tuple[str, dict[str, str], bytes, bytes]] = [
    ("xterm-256color", {}, b";5;", b";2;"),
    ("xterm-256color", {"COLORTERM": "truecolor"}, b"38;2;", b"38;5;"),
    ("xterm-kitty", {}, b"38;2;", b"38;5;"),
    ("screen-256color", {}, b";5;", b";2;"),
    ("linux", {}, b"\x1b[", b"38;"),
    ("xterm", {}, b"\x1b[", b"38;"),
    ("xterm-256color", {"NO_COLOR": "1"}, b"\x1b[", b"38;"),
    ("vt100", {}, b"\x1b[", b"38;"),
    ("no-such-terminal", {}, b"\x1b[", b"38;"),
    ("xterm\x1b[2J", {}, b"\x1b[", b"\x1b[2J\x1b"),
    ("x" * 4096, {}, b"\x1b[", b"38;"),
]


@pytest.mark.slow
async def test_colours_are_the_clients(rig: Rig) -> None:
    """Each session paints in the colours that its own terminal has, side by side in one process."""
    async with rig.connect() as connection:
        other = await open_screen(connection, term="xterm-kitty")
        await other.shows("ready")
        for term, env, has, has_not in TERMINALS:
            screen = await open_screen(connection, term=term, env=env)
            await screen.shows("ready")
            assert has in screen.seen, term
            assert has_not not in screen.seen, term
            screen.type(b"q")
            assert await screen.closes() == 0


@pytest.mark.parametrize("term", ["dumb", "unknown"])
async def test_a_terminal_that_cannot_draw_is_told_so(rig: Rig, term: str) -> None:
    """TERM=dumb gets one sentence that names the commands, and no escape code."""
    async with rig.connect() as connection:
        screen = await open_screen(connection, term=term)
        assert await screen.closes() == 2
        assert b"cannot show the console" in screen.seen
        assert b"\x1b" not in screen.seen


async def test_one_crash_is_one_sessions(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """A crash ends its own session with a sentence; the neighbour goes on, and no variable is printed."""
    async with rig.connect() as connection, rig.connect("bob") as other:
        neighbour = await open_screen(other)
        await neighbour.shows("ready")
        screen = await open_screen(connection)
        await screen.shows("ready")
        screen.type(b"x")
        await screen.shows("An internal error ended this session")
        assert await screen.closes() == 1
        assert b"not to be printed" not in screen.seen
        await neighbour.into_field(b"hello")
        await neighbour.shows("typed: 5 hello")
    assert sys.stdout is not None
    assert "textual" not in type(sys.stdout).__module__


@pytest.mark.slow
@pytest.mark.parametrize("close_seconds", [0.0, 0.3])
async def test_a_client_killed_inside_a_shell_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, close_seconds: float
) -> None:
    """The connection breaks while a shell has the app's terminal, idle or busy: the session ends, nothing is logged,
    also where LXD takes its time to end the shell and the app has no screen any more when it comes back.
    """
    close = SimulatedExec.close

    async def slowly(session: SimulatedExec) -> None:
        await asyncio.sleep(close_seconds)
        await close(session)

    monkeypatch.setattr(SimulatedExec, "close", slowly)
    async with running(tmp_path, make_app=make_console_app, lxd=FaultyLxd()) as rig:
        with structlog.testing.capture_logs() as lines:
            for typed in (b"", b"sleep 100\n", b"yes\n", b"exit\n"):
                connection = await rig.connect()
                screen = await open_screen(connection)
                await screen.shows("web1")
                screen.type(b"\r")
                await screen.shows("root@web1")
                screen.type(typed)
                connection.abort()
                await eventually(lambda: rig.console.limits.sessions == 0, "the session gone")
            await eventually(lambda: not rig.console._tasks, "every task ended")
        assert [line for line in lines if line["log_level"] in ("warning", "error", "critical")] == []


async def test_into_a_shell_and_back(rig: Rig) -> None:
    """From the app into a container's shell and back: the terminal is handed over, reset and painted again."""
    async with rig.connect() as connection:
        screen = await open_screen(connection)
        await screen.shows("ready")
        screen.type(b"s")
        await screen.shows("Shell in web1")
        assert b"\x1b[?1049l" in screen.seen
        screen.process.change_terminal_size(70, 22)
        await screen.shows("[70x22]")
        screen.type(b"\x1b]0;evil title\x07\x1b[?1000h")
        await screen.shows("evil title")
        screen.forget()
        screen.type(b"exit 4")
        await screen.shows("shell ended: status 4")
        assert b"\x1b[!p" in screen.seen
        assert screen.seen.index(b"\x1b[!p") < screen.seen.index(b"\x1b[?1049h")
        assert rig.lxd.shells[-1].closed
        screen.type(b"q")
        assert await screen.closes() == 0


async def test_a_shell_from_the_app_ends_with_the_client(rig: Rig) -> None:
    """The client vanishes while it is in a shell of the app: the command ends, the session too."""
    connection = await rig.connect()
    screen = await open_screen(connection)
    await screen.shows("ready")
    screen.type(b"s")
    await screen.shows("Shell in web1")
    connection.abort()
    await eventually(lambda: rig.lxd.shells[-1].closed, "the command ended")
    await eventually(lambda: rig.console.limits.sessions == 0, "the session gone")


async def suspend(rig: Rig, _key: str) -> None:
    await rig.core.accounts.suspend(SYSTEM, "alice", "unpaid")


async def delete(rig: Rig, _key: str) -> None:
    await rig.core.accounts.delete(SYSTEM, "alice", containers=True)


async def change_password(rig: Rig, _key: str) -> None:
    await rig.core.accounts.set_password(SYSTEM, "alice", "another password")


async def remove_key(rig: Rig, _key: str) -> None:
    [key] = await rig.core.keys.list(rig.alice)
    await rig.core.keys.delete(rig.alice, key.id)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("act", "says"),
    [
        (suspend, "suspended: unpaid"),
        (delete, "was deleted"),
        (change_password, "password of this account was changed"),
        (remove_key, "key that you signed in with was removed"),
    ],
)
async def test_what_happens_to_an_account_happens_to_its_sessions(rig: Rig, act: Any, says: str) -> None:
    """Suspended, deleted, a new password, the key removed: open sessions say so and close within two seconds."""
    key, path = await rig.register_key(rig.alice)
    async with (
        rig.connect("openlxd", None, client_keys=[key]) as connection,
        rig.connect("openlxd", None, client_keys=[key]) as idle,
        rig.connect("bob") as other,
    ):
        neighbour = await open_screen(other)
        await neighbour.shows("ready bob")
        screen = await open_screen(connection)
        await screen.shows("ready alice")
        await act(rig, path)
        await screen.shows(says, timeout=2)
        await screen.closes(timeout=2)
        assert screen.seen.index(b"\x1b[?1049l") < screen.seen.index(says.encode())
        await asyncio.wait_for(idle.wait_closed(), 2)
        with pytest.raises(asyncssh.Error):
            await connection.run("whoami")
        await neighbour.into_field(b"still here")
        await neighbour.shows("still here")


async def test_whoever_changes_their_password_stays_and_their_other_sessions_go(rig: Rig) -> None:
    """The session that made the change is the one that knows."""
    async with rig.connect("alice") as mine, rig.connect("alice") as elsewhere:
        here, there = await open_screen(mine), await open_screen(elsewhere)
        await here.shows("ready alice")
        await there.shows("ready alice")
        own = mine.get_extra_info("sockname")
        [actor] = [d._actor.result() for d in rig.console._connections if d._conn.get_extra_info("peername") == own]
        await rig.core.accounts.change_password(actor, PASSWORD, "another password")
        await there.shows("password of this account was changed", timeout=2)
        await there.closes(timeout=2)
        await here.into_field(b"still here")
        await here.shows("still here")


@pytest.mark.slow
async def test_ten_megabytes_of_paste_stop_nobody(rig: Rig) -> None:
    """Ten megabytes of paste, bracketed or not, are cut or taken bit by bit; a neighbour paints meanwhile."""
    async with rig.connect() as connection, rig.connect("bob") as other:
        neighbour = await open_screen(other)
        await neighbour.shows("ready")
        await neighbour.into_field(b"")
        screen = await open_screen(connection)
        await screen.shows("ready")
        await screen.into_field(b"\x1b[200~" + b"p" * 10 * 2**20 + b"\x1b[201~")
        neighbour.type(b"quick")
        await neighbour.shows("typed: 5 quick")
        await screen.shows("typed: 100000 ")
        screen.type(b"y" * 2**20)  # not bracketed: a key each
        neighbour.forget()
        neighbour.type(b"!")
        await neighbour.shows("typed: 6 quick!")
        connection.abort()
        await eventually(lambda: rig.console.limits.sessions == 1, "the session gone")


@pytest.mark.slow
async def test_an_unterminated_paste_ends_by_itself(rig: Rig) -> None:
    """A bracketed paste whose end never comes is over after a pause."""
    async with rig.connect() as connection:
        screen = await open_screen(connection)
        await screen.shows("ready")
        await screen.into_field(b"\x1b[200~half a paste")
        await screen.shows("half a paste")
        screen.type(b"!")
        await screen.shows("half a paste!")


async def test_a_stopped_client_holds_up_nobody(rig: Rig) -> None:
    """OpenSSH's client under SIGSTOP: the neighbours go on, and it goes on where it was when it wakes."""
    process = await asyncio.create_subprocess_exec(
        *rig.ssh_command("-tt", "alice@127.0.0.1"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL, env={**os.environ, "TERM": "xterm-256color"},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        await asyncio.wait_for(process.stdout.readuntil(b"ready"), 20)
        process.send_signal(signal.SIGSTOP)
        async with rig.connect("bob") as other:
            neighbour = await open_screen(other)
            await neighbour.shows("ready bob")
        process.send_signal(signal.SIGCONT)
        process.stdin.write(b"q")
        assert await asyncio.wait_for(process.wait(), 10) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_closing_the_console_tells_everybody(tmp_path: Path) -> None:
    """When the service stops, open sessions say so and close; nothing hangs."""
    async with running(tmp_path) as rig:
        connection = await rig.connect()
        screen = await open_screen(connection)
        await screen.shows("ready")
        await asyncio.wait_for(rig.console.close(), 5)
        await screen.shows("being restarted")
        await connection.wait_closed()


@pytest.mark.slow
async def test_two_hundred_logins_cut_off_leave_no_memory(tmp_path: Path) -> None:
    """Two hundred sessions opened and cut off without goodbye leave the server within 10 MiB of what it held after
    the first twenty, and not one of them alive."""
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.ssh.serve", str(tmp_path), "product",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        port, path = (await asyncio.wait_for(server.stdout.readline(), 30)).decode().split()
        key = asyncssh.read_private_key(path)
        held = psutil.Process(server.pid)

        async def cut_off() -> None:
            connection = await asyncssh.connect(
                "127.0.0.1", int(port), username="openlxd", client_keys=[key], known_hosts=None, config=None,
                agent_path=None,
            )  # fmt: skip
            screen = await open_screen(connection)
            await screen.shows("web1", timeout=30)
            connection.abort()
            await connection.wait_closed()

        async def cut_off_many(count: int) -> None:
            for _ in range(count // 4):
                await asyncio.gather(*(cut_off() for _ in range(4)))

        await cut_off_many(20)
        await asyncio.sleep(1)
        before = held.memory_info().rss
        await cut_off_many(200)
        await asyncio.sleep(2)
        grown = held.memory_info().rss - before
        assert grown < 10 * 2**20, f"grown by {grown / 2**20:.1f} MiB from {before / 2**20:.1f} MiB"
        assert held.num_threads() < 40
        assert len(held.net_connections("tcp")) <= 2
    finally:
        server.kill()
        await server.wait()
