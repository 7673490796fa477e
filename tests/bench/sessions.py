"""Sessions of the console: many in one process, beside the same app as a process per login, measured in one run."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncssh
import psutil

from openlxd_tui.screens.containers.page import USAGE_SECONDS

FRAME = b"web1"
"""What the first useful frame shows: the tenant's container."""
ALONE = 6
SIZE = (120, 40)
MANY, TYPING, KEYS, PAUSE, SPREAD = 1000, 100, 20, 1.0, 10.0
_ROOT = Path(__file__).parents[2]


def pss_mib(*pids: int) -> float:
    """The proportional set size of processes, in MiB: what they share is divided among them."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024


class Client:
    """One session of the console, seen from its client."""

    def __init__(self, process: Any) -> None:
        self.process = process
        self.seen = b""
        self.received = 0
        self.changed = asyncio.Event()
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        with contextlib.suppress(asyncssh.Error, OSError):
            while data := await self.process.stdout.read(65536):
                self.seen = (self.seen + data)[-65536:]
                self.received += len(data)
                self.changed.set()

    async def until(self, text: bytes) -> None:
        async with asyncio.timeout(30):
            while text not in self.seen:
                self.changed.clear()
                await self.changed.wait()


async def first_frame(connection: Any) -> tuple[Client, float]:
    """A new session, and the seconds from its shell request to the first frame with content."""
    began = time.perf_counter()
    process = await connection.create_process(term_type="xterm-256color", term_size=SIZE, encoding=None)
    client = Client(process)
    await client.until(FRAME)
    return client, time.perf_counter() - began


async def key_to_paint(client: Client, count: int, *, pause: float = 0.1, late: float = 0.0) -> list[float]:
    """Seconds from a key (a letter typed into the filter, and taken back) to the first byte of what it paints.

    ``late`` is how long the first key waits, so that several clients do not press theirs at one moment.
    """
    found = []
    await asyncio.sleep(late)
    client.process.stdin.write(b"/")
    for number in range(count):
        await asyncio.sleep(pause)
        client.seen = b""
        began = time.perf_counter()
        client.process.stdin.write(b"w" if number % 2 == 0 else b"\x7f")
        await client.until(b"\x1b[")
        found.append(time.perf_counter() - began)
    return found


def start_alone(directory: Path) -> tuple[subprocess.Popen[bytes], int, float]:
    """The app as a process of its own on a new terminal; the seconds to its first frame."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.alone", str(directory)],
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True, cwd=_ROOT,
        env={**os.environ, "TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(slave)
    seen = b""
    while FRAME not in seen:
        seen += os.read(master, 65536)
        if process.poll() is not None:
            raise RuntimeError(f"the app alone ended: {seen[-2000:]!r}")
    spent = time.perf_counter() - began
    os.set_blocking(master, False)
    return process, master, spent


def drain(master: int) -> None:
    """Read what a terminal has shown since, so that its app never waits."""
    with contextlib.suppress(BlockingIOError, OSError):
        while os.read(master, 65536):
            pass


@contextlib.asynccontextmanager
async def served(directory: Path) -> AsyncIterator[tuple[int, int, Any]]:
    """A console in a process of its own: its process id, its port, and a key that signs in."""
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.ssh.serve", str(directory), "product",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, cwd=_ROOT,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        port, path = (await asyncio.wait_for(server.stdout.readline(), 60)).decode().split()
        yield server.pid, int(port), asyncssh.read_private_key(path)
    finally:
        server.kill()
        await server.wait()


async def measure(sessions: int) -> dict[str, float]:
    """Both ways, one after the other, on one database."""
    directory = Path(tempfile.mkdtemp(prefix="olx-bench-"))
    async with served(directory) as (pid, port, key):
        result = await _measure_console(pid, port, key, sessions)
    result.update(await asyncio.to_thread(_measure_alone, directory))
    result["faster"] = result["alone_first_frame_ms"] / result["first_frame_ms"]
    result["lighter"] = result["alone_memory_mib"] / result["memory_mib"]
    return result


async def measure_many(sessions: int = MANY, typing: int = TYPING) -> dict[str, float]:
    """``sessions`` in one process, of which ``typing`` press keys at the same time, one a second each."""
    directory = Path(tempfile.mkdtemp(prefix="olx-bench-"))
    async with served(directory) as (pid, port, key), contextlib.AsyncExitStack() as stack:
        before = pss_mib(pid)
        at_a_time = asyncio.Semaphore(4)

        async def session() -> Client:
            async with at_a_time:
                client, _spent = await first_frame(await stack.enter_async_context(_connect(port, key)))
                return client

        clients = await asyncio.gather(*(session() for _ in range(sessions)))
        await asyncio.sleep(10)
        memory = (pss_mib(pid) - before) / sessions
        server = psutil.Process(pid)
        used = sum(server.cpu_times()[:2])
        await asyncio.sleep(10)
        idle = (sum(server.cpu_times()[:2]) - used) / 10
        used, began = sum(server.cpu_times()[:2]), time.perf_counter()
        own = time.process_time()
        paints = await asyncio.gather(
            *(key_to_paint(client, KEYS, pause=PAUSE, late=SPREAD * number / typing)
              for number, client in enumerate(clients[:typing]))
        )  # fmt: skip
        spent = time.perf_counter() - began
        typing_cpu = (sum(server.cpu_times()[:2]) - used) / spent
        client_cpu = (time.process_time() - own) / spent
        for client in clients:
            client.task.cancel()
    times = sorted(spent for found in paints for spent in found)
    return {
        "many_sessions": sessions,
        "many_memory_mib": memory,
        "many_idle_cpu_percent": idle * 100,
        "many_typing_cpu_percent": typing_cpu * 100,
        "many_client_cpu_percent": client_cpu * 100,
        "many_key_to_paint_p50_ms": statistics.median(times) * 1000,
        "many_key_to_paint_p99_ms": times[-1 - len(times) // 100] * 1000,
    }


def _connect(port: int, key: Any) -> Any:
    return asyncssh.connect(
        "127.0.0.1", port, username="openlxd", client_keys=[key], known_hosts=None, config=None, agent_path=None
    )


async def _measure_console(pid: int, port: int, key: Any, sessions: int) -> dict[str, float]:
    server = psutil.Process(pid)
    async with contextlib.AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(_connect(port, key)) for _ in range(sessions)]
        before = pss_mib(pid)
        clients, frames = [], []
        for connection in connections:
            client, spent = await first_frame(connection)
            clients.append(client)
            frames.append(spent)
        await asyncio.sleep(2)
        after = pss_mib(pid)
        await asyncio.sleep(10)  # what has settled is frozen once, which is no idling
        received = sum(client.received for client in clients)
        # idle: nobody types; the clients' own work is in this process
        used = sum(server.cpu_times()[:2])
        await asyncio.sleep(10)
        idle = (sum(server.cpu_times()[:2]) - used) / 10
        tick = (sum(client.received for client in clients) - received) / sessions / (10 / USAGE_SECONDS)
        paints = await key_to_paint(clients[0], 100)
        for client in clients:
            client.task.cancel()
    return {
        "sessions": sessions,
        "first_frame_ms": statistics.median(frames) * 1000,
        "first_frame_first_ms": frames[0] * 1000,
        "memory_mib": (after - before) / sessions,
        "idle_cpu_percent": idle * 100,
        "tick_bytes": tick,
        "key_to_paint_p50_ms": statistics.median(paints) * 1000,
        "key_to_paint_p99_ms": sorted(paints)[-1 - len(paints) // 100] * 1000,
    }


def _measure_alone(directory: Path) -> dict[str, float]:
    started = []
    frames = []
    try:
        for _ in range(ALONE):
            process, master, spent = start_alone(directory)
            started.append((process, master))
            frames.append(spent)
        time.sleep(2)
        for _process, master in started:
            drain(master)
        memory = pss_mib(*(process.pid for process, _ in started)) / len(started)
    finally:
        for process, master in started:
            process.kill()
            process.wait()
            os.close(master)
    return {"alone_first_frame_ms": statistics.median(frames) * 1000, "alone_memory_mib": memory}
