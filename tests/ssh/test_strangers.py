"""What a stranger, or a tenant who asks too much, can cost: little, and each refusal is one sentence."""

from __future__ import annotations

import asyncio
import gc
import os
import random
from pathlib import Path

import asyncssh
import psutil
import pytest

from tests.ssh.rig import Rig, open_screen, running
from tests.support.core import eventually


async def send_and_listen(port: int, data: bytes) -> bytes:
    """Open a plain connection, send ``data``, and return what comes back until the other side hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        await writer.drain()
        return await asyncio.wait_for(reader.read(65536), 5)
    except OSError:
        return b""
    finally:
        writer.close()


@pytest.mark.slow
async def test_garbage_before_the_banner_costs_nothing(tmp_path: Path) -> None:
    """Six hundred connections that send noise leave memory where it was, and the door open."""
    async with running(tmp_path, ssh_unauthenticated=1000, ssh_per_address=1000) as rig:
        chance = random.Random(1)
        kinds = [
            lambda: chance.randbytes(500),
            lambda: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            lambda: b"SSH-1.5-old\r\n",
            lambda: b"SSH-2.0-" + b"x" * 100_000 + b"\r\n",
            lambda: b"SSH-2.0-x\r\n\x7f\xff\xff\xff" + chance.randbytes(400),
            lambda: b"",
        ]

        async def burst(count: int) -> None:
            for _ in range(0, count, 20):
                await asyncio.gather(*(_poke(rig.port, kinds[n % len(kinds)]()) for n in range(20)))

        await burst(60)
        gc.collect()
        before = psutil.Process().memory_info().rss
        await burst(600)
        await eventually(lambda: rig.console.limits.waiting == 0, "every stranger gone")
        gc.collect()
        assert psutil.Process().memory_info().rss - before < 8 * 2**20
        async with rig.connect() as connection:
            assert (await connection.run("whoami")).stdout == "alice\n"


async def _poke(port: int, data: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        await writer.drain()
        await reader.read(100)
    except OSError:
        pass
    finally:
        writer.close()


async def test_too_many_from_one_address_are_turned_away(tmp_path: Path) -> None:
    """Connections that never log in have a ceiling per address; the one past it reads why, and is let go."""
    async with running(tmp_path, ssh_per_address=5) as rig:
        idle = [await asyncio.open_connection("127.0.0.1", rig.port) for _ in range(5)]
        for reader, _writer in idle:
            assert (await reader.readline()).startswith(b"SSH-2.0-OpenSSH_compatible_OpenLXD")
        answer = await send_and_listen(rig.port, b"SSH-2.0-late\r\n")
        assert b"Too many connections" in answer
        assert b"SSH-2.0" not in answer
        for _reader, writer in idle:
            writer.close()
        await eventually(lambda: rig.console.limits.waiting == 0, "room again")
        async with rig.connect() as connection:
            assert (await connection.run("whoami")).stdout == "alice\n"


@pytest.mark.slow
async def test_whoever_does_not_log_in_is_let_go(tmp_path: Path) -> None:
    """A client that says nothing is dropped when its time is up."""
    async with running(tmp_path, ssh_login_seconds=1) as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
        await asyncio.wait_for(reader.read(-1), 5)
        writer.close()
        await eventually(lambda: rig.console.limits.waiting == 0, "nobody waiting")


async def test_three_hundred_sessions_on_one_connection_end_at_ten(tmp_path: Path) -> None:
    """One connection holds ten sessions; every other is refused with a sentence, and the ten go on."""
    async with running(tmp_path, ssh_sessions_per_tenant=100) as rig, rig.connect() as connection:
        asked = [connection.create_process("shell web1", term_type="xterm", encoding=None) for _ in range(300)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, BaseException)]
        assert len(refused) == 290
        assert all(isinstance(answer, asyncssh.ChannelOpenError) for answer in refused)
        assert {str(answer) for answer in refused} == {"This connection has reached its limit of sessions."}
        assert rig.console.limits.sessions == 10


async def test_a_tenant_holds_so_many_sessions(tmp_path: Path) -> None:
    """The limit counts over connections, says so, and frees what is closed."""
    async with running(tmp_path, ssh_sessions_per_tenant=2) as rig:
        async with rig.connect() as one, rig.connect() as two, rig.connect("bob") as other:
            first = await open_screen(one, command="shell web1")
            await open_screen(two, command="shell web1")
            with pytest.raises(asyncssh.ChannelOpenError, match="reached your limit of open sessions"):
                await two.run("whoami")
            assert (await other.run("whoami")).stdout == "bob\n"
            first.type(b"exit 0")
            await first.closes()
            await eventually(lambda: rig.console.limits.sessions == 1, "one session less")
            assert (await two.run("whoami")).stdout == "alice\n"
        await eventually(lambda: rig.console.limits.sessions == 0, "no session left")


FORWARDINGS = {
    "a port of the host": ("-W", "127.0.0.1:22"),
    "a port of the network": ("-W", "192.0.2.1:80"),
    "the LXD socket": ("-N", "-o", "ExitOnForwardFailure=yes", "-R", "8000:/var/lib/lxd/unix.socket"),
    "a listener here": ("-N", "-o", "ExitOnForwardFailure=yes", "-R", "18022:127.0.0.1:22"),
    "a socket here": ("-N", "-o", "ExitOnForwardFailure=yes", "-R", "/tmp/openlxd-test.sock:127.0.0.1:22"),
    "a subsystem": ("-s", "nosuchsubsystem"),
    "a tunnel": ("-N", "-o", "ExitOnForwardFailure=yes", "-o", "Tunnel=ethernet", "-w", "any"),
}


@pytest.mark.parametrize("arguments", FORWARDINGS.values(), ids=list(FORWARDINGS))
async def test_no_way_leads_to_the_host(rig: Rig, arguments: tuple[str, ...]) -> None:
    """Forwardings, subsystems and tunnels are refused to OpenSSH's client."""
    destination = ["alice@127.0.0.1"]
    if "-s" in arguments:
        arguments, destination = ("-s",), ["alice@127.0.0.1", "nosuchsubsystem"]
    status, out, err = await rig.ssh(*arguments, *destination)
    assert status == 255
    assert err.strip()
    assert "SSH-2.0" not in out


async def test_local_forwards_reach_nothing(rig: Rig) -> None:
    """-L to a port, and to a socket's path, open no channel."""
    async with rig.connect() as connection:
        for destination in (("127.0.0.1", 22), ("web1", 22), ("localhost", rig.port)):
            with pytest.raises(asyncssh.ChannelOpenError, match="not supported"):
                await connection.open_connection(*destination)
        with pytest.raises(asyncssh.ChannelOpenError, match="not supported"):
            await connection.open_unix_connection("/var/lib/lxd/unix.socket")


async def test_files_agents_and_screens_are_not_passed_on(rig: Rig) -> None:
    """sftp, the agent and X11 are refused; the client's variables never reach the server's environment."""
    async with rig.connect() as connection:
        with pytest.raises(asyncssh.Error):
            await connection.start_sftp_client()
        result = await connection.run("whoami", env={"TEXTUAL_DRIVER": "x", "PYTHONPATH": "/tmp", "LXD_DIR": "/tmp/x"})
        assert result.stdout == "alice\n"
    assert "TEXTUAL_DRIVER" not in os.environ
    assert os.environ.get("LXD_DIR") != "/tmp/x"
    status, _out, err = await rig.ssh("-A", "-X", "alice@127.0.0.1", "whoami")
    assert status == 0 or "X11" in err
    assert not [name for name in os.listdir("/tmp") if name.startswith("asyncssh-")]
