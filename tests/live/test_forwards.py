"""Port forwards on a real LXD, tried from outside the bridge: from a network namespace that knows the host alone."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.actor import SYSTEM, Actor
from openlxd_core.domain.forward import ForwardState
from openlxd_core.domain.operation import Operation, OperationStatus
from tests.support.core import add_user, eventually, make_settings
from tests.support.lxd import LiveLxd

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

HOST, GUEST = "198.18.77.1", "198.18.77.2"
"""Both ends of the link to the namespace, of the range for tests of networks (RFC 2544)."""

ECHO = """
import socket, sys
port, answer = int(sys.argv[1]), sys.argv[2].encode()
tcp, udp = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
tcp.bind(("", port)); tcp.listen(); udp.bind(("", port))
import select
print("up", flush=True)
while True:
    for ready in select.select([tcp, udp], [], [])[0]:
        if ready is udp:
            data, sender = udp.recvfrom(2048); udp.sendto(answer + data, sender)
        else:
            accepted, _ = tcp.accept(); accepted.sendall(answer + accepted.recv(2048)); accepted.close()
"""
ASK = """
import socket, sys
kind = socket.SOCK_STREAM if sys.argv[1] == "tcp" else socket.SOCK_DGRAM
asked = socket.socket(socket.AF_INET, kind); asked.settimeout(2)
asked.connect((sys.argv[2], int(sys.argv[3]))); asked.sendall(b"?"); print(asked.recv(2048).decode(), end="")
"""


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=20).stdout


@pytest.fixture
def outside() -> Iterator[str]:
    """A network namespace with a link to the host, and no way to the bridge but through it."""
    name = f"olxo{secrets.token_hex(3)}"
    run("ip", "netns", "add", name)
    try:
        run("ip", "link", "add", f"{name}h", "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "address", "add", f"{HOST}/30", "dev", f"{name}h")
        run("ip", "link", "set", f"{name}h", "up")
        run("ip", "-n", name, "address", "add", f"{GUEST}/30", "dev", "eth0")
        run("ip", "-n", name, "link", "set", "eth0", "up")
        run("ip", "-n", name, "route", "add", "default", "via", HOST)
        yield name
    finally:
        subprocess.run(["ip", "link", "delete", f"{name}h"], capture_output=True, check=False)
        run("ip", "netns", "delete", name)


@pytest.fixture
async def core(tmp_path: Path, live_lxd: LiveLxd) -> AsyncIterator[Core]:
    """A core on the real LXD, whose forwards listen at the host's end of the link."""
    settings = make_settings(tmp_path, lxd="socket", lxd_socket=live_lxd.socket, forward_address=HOST)
    async with open_core(settings) as opened:
        yield opened
        for container in await opened.containers.list(SYSTEM):
            await opened.operations.wait(SYSTEM, (await opened.containers.delete(SYSTEM, container.name)).id, 60)


async def done(core: Core, operation: Operation) -> Operation:
    ended = await core.operations.wait(SYSTEM, operation.id, 120)
    assert ended.status is OperationStatus.DONE, ended.error
    return ended


@contextlib.asynccontextmanager
async def serving(core: Core, live: LiveLxd, name: str, port: int) -> AsyncIterator[None]:
    """A server in the container's network namespace that answers by the container's name, tcp and udp."""
    project = (await core.containers.get(SYSTEM, name)).project
    pid = live.call("GET", f"/1.0/instances/{name}/state?project={project}")["pid"]
    process = await asyncio.create_subprocess_exec(
        "nsenter", "-t", str(pid), "-n", sys.executable, "-c", ECHO, str(port), name, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 10) == b"up\n"
        yield
    finally:
        process.kill()
        await process.wait()


async def ask(outside: str, protocol: str, port: int) -> str:
    """What answers outside; an empty string where nothing does."""
    words = ["ip", "netns", "exec", outside, sys.executable, "-c", ASK, protocol, HOST, str(port)]
    asked = await asyncio.create_subprocess_exec(*words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    said, _errors = await asyncio.wait_for(asked.communicate(), 10)
    return said.decode()


async def make(core: Core, actor: Actor, name: str) -> None:
    await done(core, await core.containers.create(actor, name, "busybox", 1, 64, 256))


async def test_a_forward_answers_outside_and_follows_its_container(core: Core, live_lxd: LiveLxd, outside: str) -> None:
    """tcp and udp; not while suspended; again afterwards, after a restart and a reinstall; never once deleted, also
    when the next container takes the address."""
    alice = await add_user(core, "alice")
    await make(core, alice, "web1")
    args: dict[str, Any] = (await done(core, await core.forwards.create(alice, "web1", 8080, protocol="both"))).args
    port, address = int(args["listen"]), (await core.containers.get(alice, "web1")).ipv4
    async with serving(core, live_lxd, "web1", 8080):
        assert await ask(outside, "tcp", port) == "web1?"
        assert await ask(outside, "udp", port) == "web1?"
        assert await ask(outside, "tcp", port + 1) == ""
    await done(core, await core.containers.restart(alice, "web1"))
    assert (await core.containers.get(alice, "web1")).ipv4 == address
    async with serving(core, live_lxd, "web1", 8080):
        assert await ask(outside, "tcp", port) == "web1?"
    await done(core, await core.containers.suspend(SYSTEM, "web1", "unpaid"))
    assert live_lxd.call("GET", f"/1.0/networks/{live_lxd.bridge}/forwards?recursion=1") == []
    await done(core, await core.containers.unsuspend(SYSTEM, "web1"))
    await done(core, await core.containers.reinstall(alice, "web1"))
    assert (await core.containers.get(alice, "web1")).ipv4 == address
    async with serving(core, live_lxd, "web1", 8080):
        assert await ask(outside, "tcp", port) == "web1?"
        assert await ask(outside, "udp", port) == "web1?"
    await done(core, await core.containers.delete(alice, "web1"))
    await make(core, alice, "web2")
    async with serving(core, live_lxd, "web2", 8080):
        assert await ask(outside, "tcp", port) == ""
    assert live_lxd.call("GET", f"/1.0/networks/{live_lxd.bridge}/forwards?recursion=1") == []


async def test_what_lxc_changes_is_noticed(core: Core, live_lxd: LiveLxd) -> None:
    """Removed with LXD's own API: missing within seconds, and restored."""
    alice = await add_user(core, "alice")
    await make(core, alice, "web1")
    made = (await done(core, await core.forwards.create(alice, "web1", 80))).args["forward"]
    live_lxd.call("DELETE", f"/1.0/networks/{live_lxd.bridge}/forwards/{HOST}")

    async def missing() -> bool:
        return (await core.forwards.get(alice, "web1", made)).state is ForwardState.MISSING

    await eventually(missing, "the forward shown as missing", 15)
    await done(core, await core.forwards.restore(alice, "web1", made))
    held = live_lxd.call("GET", f"/1.0/networks/{live_lxd.bridge}/forwards/{HOST}")["ports"]
    assert [port["target_port"] for port in held] == ["80"]
