"""``make bench``: sessions in one process beside the same app as a process per login, measured in one run.

Prints the time from shell request to first frame, the memory a session at 100 sessions (PSS), the idle CPU of 100
sessions, and the time from a key to its paint. ``--json`` prints the same for a program, ``--sessions N`` opens
another number.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import pty
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path
from typing import Any

import asyncssh
import psutil

from openlxd_tui.screens.containers.page import USAGE_SECONDS
from tests.bench import api, catalogue, search

FRAME = b"web1"
"""What the first useful frame shows: the tenant's container."""
ALONE = 6
SIZE = (120, 40)
FASTER, LIGHTER = 3.0, 10.0
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


async def key_to_paint(client: Client, count: int) -> list[float]:
    """Seconds from a key (a letter typed into the filter, and taken back) to the first byte of what it paints."""
    found = []
    client.process.stdin.write(b"/")
    for number in range(count):
        await asyncio.sleep(0.1)
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


async def measure(sessions: int) -> dict[str, float]:
    """Both ways, one after the other, on one database."""
    directory = Path(tempfile.mkdtemp(prefix="olx-bench-"))
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.ssh.serve", str(directory), "product",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, cwd=_ROOT,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        port, path = (await asyncio.wait_for(server.stdout.readline(), 60)).decode().split()
        result = await _measure_console(server.pid, int(port), asyncssh.read_private_key(path), sessions)
    finally:
        server.kill()
        await server.wait()
    result.update(await asyncio.to_thread(_measure_alone, directory))
    result["faster"] = result["alone_first_frame_ms"] / result["first_frame_ms"]
    result["lighter"] = result["alone_memory_mib"] / result["memory_mib"]
    return result


async def _measure_console(pid: int, port: int, key: Any, sessions: int) -> dict[str, float]:
    server = psutil.Process(pid)
    async with contextlib.AsyncExitStack() as stack:
        connections = [
            await stack.enter_async_context(
                asyncssh.connect(
                    "127.0.0.1",
                    port,
                    username="openlxd",
                    client_keys=[key],
                    known_hosts=None,
                    config=None,
                    agent_path=None,
                )
            )
            for _ in range(sessions)
        ]
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


def main() -> int:
    """Measure and print; 1 where a ratio misses its promise."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--sessions", type=int, default=100)
    options = parser.parse_args()
    found = asyncio.run(measure(options.sessions))
    rates = asyncio.run(api.main())
    kept = found["faster"] >= FASTER and found["lighter"] >= LIGHTER
    if options.json:
        print(json.dumps({name: round(value, 3) for name, value in (found | rates).items()} | {"kept": kept}))
        return 0 if kept else 1
    print(f"The same app, {found['sessions']:.0f} sessions in one process | a process per login ({ALONE} of them)")
    print(
        f"  shell request to first frame   {found['first_frame_ms']:7.0f} ms | {found['alone_first_frame_ms']:7.0f} ms"
        f"   {found['faster']:.1f} times faster (promised: {FASTER:.0f})"
    )
    print(
        f"  memory a session (PSS)         {found['memory_mib']:7.2f} MiB| {found['alone_memory_mib']:7.2f} MiB"
        f"  {found['lighter']:.1f} times lighter (promised: {LIGHTER:.0f})"
    )
    print(f"  idle CPU of all sessions       {found['idle_cpu_percent']:7.1f} % of one core")
    print(f"  sent a tick of a live row        {found['tick_bytes']:7.0f} bytes")
    print(
        f"  key to paint                   {found['key_to_paint_p50_ms']:7.1f} ms p50"
        f" {found['key_to_paint_p99_ms']:7.1f} ms p99"
    )
    print(api.report(rates))
    sys.stdout.flush()
    catalogue.main()
    print("a key pressed in the images screen's search, to its paint:", flush=True)
    kept = search.main() == 0 and kept
    print("Every promise is kept." if kept else "A promise is NOT kept.")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
