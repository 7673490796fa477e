"""Bytes through ``exec``: OpenSSH's client at one end, a simulated container's command at the other.

The data is random, and compared by hash where it is large: zeros would hide bytes that change places.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.ssh.rig import Rig, running
from tests.support.core import eventually
from tests.support.faulty_lxd import FaultyLxd

pytestmark = pytest.mark.slow

KIB, MIB = 1024, 1024 * 1024
SIZES = [1, 4095, 32 * KIB, 64 * KIB, 64 * KIB + 1, 96 * KIB, 160 * KIB, 257 * KIB, MIB + 17, 5 * MIB + 3]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """alice's web1 is a simulated container with its own shell, and she has a key."""
    async with running(tmp_path, lxd=FaultyLxd()) as rig:
        yield rig


async def pipe(rig: Rig, key: str, *words: str, data: bytes, pause: float = 0.0) -> tuple[int, bytes, bytes]:
    """``printf data | ssh … words``: exit status, output and errors; ``pause`` waits before it reads any of them."""
    process = await asyncio.create_subprocess_exec(
        *rig.ssh_command("-o", "LogLevel=ERROR", "-i", key, "alice@127.0.0.1", *words),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, limit=64 * KIB,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None

    async def feed() -> None:
        assert process.stdin is not None
        process.stdin.write(data)
        await process.stdin.drain()
        process.stdin.close()

    async def read(stream: asyncio.StreamReader) -> bytes:
        await asyncio.sleep(pause)
        return await stream.read()

    async with asyncio.timeout(120):
        _, out, err = await asyncio.gather(feed(), read(process.stdout), read(process.stderr))
        return await process.wait(), out, err


def same(one: bytes, other: bytes) -> bool:
    """Whether both are the same bytes; the hash keeps a failure's report readable."""
    return (len(one), hashlib.sha256(one).hexdigest()) == (len(other), hashlib.sha256(other).hexdigest())


async def test_random_data_comes_back_as_it_went(rig: Rig) -> None:
    """``exec web1 -- cat`` returns every byte in its place, whatever the size."""
    _, key = await rig.register_key(rig.alice)
    for number, size in enumerate(SIZES):
        data = random.Random(number).randbytes(size)
        status, out, err = await pipe(rig, key, "exec", "web1", "--", "cat", data=data)
        assert (status, err) == (0, b""), size
        assert same(out, data), size


async def test_what_is_sent_before_the_command_starts_keeps_its_order(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command takes its time to start: more waits for it than the server holds, and none of it changes places."""
    _, key = await rig.register_key(rig.alice)
    begin = rig.core.consoles.open

    async def slowly(*args: Any, **options: Any) -> Any:
        await asyncio.sleep(0.3)
        return await begin(*args, **options)

    monkeypatch.setattr(rig.core.consoles, "open", slowly)
    for number, size in enumerate(SIZES):
        data = random.Random(number).randbytes(size)
        status, out, _err = await pipe(rig, key, "exec", "web1", "--", "cat", data=data)
        assert status == 0
        assert same(out, data), size


async def test_errors_are_binary_too(rig: Rig) -> None:
    """Standard error is a stream of bytes like standard output, apart from it."""
    _, key = await rig.register_key(rig.alice)
    data = random.Random(1).randbytes(700 * KIB)
    status, out, err = await pipe(rig, key, "exec", "web1", "--", "sh", "-c", "'cat >&2'", data=data)
    assert (status, out) == (0, b"")
    assert same(err, data)


async def test_a_reader_may_take_its_time(tmp_path: Path) -> None:
    """A client that reads nothing for longer than a console's screen would be given still gets every byte."""
    async with running(tmp_path, lxd=FaultyLxd(), slow_seconds=0.3) as rig:
        _, key = await rig.register_key(rig.alice)
        data = random.Random(2).randbytes(6 * MIB)
        status, out, _err = await pipe(rig, key, "exec", "web1", "--", "cat", data=data, pause=2)
        assert status == 0
        assert same(out, data)


async def test_many_pipes_at_once_do_not_mix(rig: Rig) -> None:
    """Sessions of one connection, side by side, each with its own data in bursts of any size."""

    async def one(connection: Any, seed: int) -> None:
        dice = random.Random(seed)
        data = dice.randbytes(dice.randrange(200 * KIB, 900 * KIB))
        process = await connection.create_process("exec web1 -- cat", encoding=None)

        async def feed() -> None:
            start = 0
            while start < len(data):
                size = dice.randrange(1, 90_000)
                process.stdin.write(data[start : start + size])
                start += size
                if dice.random() < 0.3:
                    await process.stdin.drain()
            process.stdin.write_eof()

        feeding = asyncio.create_task(feed())
        assert same(await process.stdout.read(), data)
        await feeding
        await process.wait_closed()
        assert process.exit_status == 0

    async with rig.connect() as connection:
        await asyncio.gather(*(one(connection, seed) for seed in range(8)))


async def test_half_closed_is_not_closed(rig: Rig) -> None:
    """A client that has sent its last byte still gets all the output, and the status."""
    _, key = await rig.register_key(rig.alice)
    data = random.Random(3).randbytes(2 * MIB)
    status, out, _err = await pipe(rig, key, "exec", "web1", "--", "sha256sum", data=data)
    assert (status, out) == (0, f"{hashlib.sha256(data).hexdigest()}  -\n".encode())
    status, out, _err = await pipe(rig, key, "exec", "web1", "--", "sh", "-c", "'sleep 0.5; cat; exit 7'", data=data)
    assert status == 7
    assert same(out, data)


async def test_output_that_nobody_reads_ends_the_command(rig: Rig) -> None:
    """``ssh … exec web1 -- yes | head -1``: OpenSSH's client says that its output is closed, and the command ends."""
    _, key = await rig.register_key(rig.alice)
    ssh = rig.ssh_command("-o", "LogLevel=ERROR", "-i", key, "alice@127.0.0.1", "exec", "web1", "--")
    for command in (["yes"], ["sh", "-c", "'yes; exit 5'"], ["sh", "-c", "'cat; exit 5'"]):
        process = await asyncio.create_subprocess_exec(
            "bash", "-c", '"$@" | head -c 100 | wc -c; echo ${PIPESTATUS[0]}', "bash", *ssh, *command,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(random.Random(9).randbytes(MIB))  # held open: only the output closes
        out, _err = await asyncio.wait_for(_finish(process), 20)
        assert out.split() == [b"100", b"141" if command == ["yes"] else b"5"]
        process.stdin.close()
    await eventually(lambda: not any(rig.lxd._sessions.values()), "every command ended")


async def _finish(process: asyncio.subprocess.Process) -> tuple[bytes, None]:
    assert process.stdout is not None
    out = await process.stdout.read()
    await process.wait()
    return out, None


async def test_a_client_that_is_killed_takes_its_command_along(rig: Rig) -> None:
    """Also while the command reads nothing, and input waits for it on the way."""
    _, key = await rig.register_key(rig.alice)
    process = await asyncio.create_subprocess_exec(
        *rig.ssh_command("-i", key, "alice@127.0.0.1", "exec", "web1", "--", "sleep", "1000"),
        stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(bytes(4 * MIB))
    await eventually(lambda: any(rig.lxd._sessions.values()), "the command running")
    process.kill()
    await process.wait()
    await eventually(lambda: not any(rig.lxd._sessions.values()), "the command ended")


async def test_a_channel_closed_on_a_living_connection_ends_its_command(rig: Rig) -> None:
    """As a multiplexed client does it when one of its sessions is killed; input that nobody took is no obstacle."""
    async with rig.connect() as connection:
        process = await connection.create_process("exec web1 -- sleep 1000", encoding=None)
        process.stdin.write(bytes(4 * MIB))
        await eventually(lambda: any(rig.lxd._sessions.values()), "the command running")
        await asyncio.sleep(0.2)  # the way is full
        process.channel.abort()
        await eventually(lambda: not any(rig.lxd._sessions.values()), "the command ended")
        await eventually(lambda: rig.console.limits.sessions == 0, "the session gone")
        assert (await connection.run("whoami")).stdout == "alice\n"


async def test_64_mib_come_back_as_they_went(rig: Rig) -> None:
    """The same for more than any buffer on the way."""
    _, key = await rig.register_key(rig.alice)
    data = random.Random(4).randbytes(64 * MIB)
    status, out, _err = await pipe(rig, key, "exec", "web1", "--", "cat", data=data)
    assert status == 0
    assert same(out, data)
