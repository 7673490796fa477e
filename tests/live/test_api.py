"""The REST API over HTTPS, with curl, on a real LXD: as a billing system uses it, and killed in the middle."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from openlxd_core.bootstrap import open_core
from openlxd_core.domain.actor import SYSTEM
from openlxd_core.domain.container import State
from openlxd_core.domain.quota import Quota
from tests.live.conftest import House, build_house, clear
from tests.live.test_crashes import lxd_instances, settled
from tests.support.fixtures import require_live
from tests.support.lxd import LiveLxd

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]
MIB = 1024 * 1024


class Curl:
    """Requests as a shell script sends them, the certificate checked against the self-signed pair's."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.headers: list[str] = []

    def __call__(self, method: str, path: str, body: Any = None, *headers: str) -> tuple[int, Any]:
        command = [
            "curl", "-sS", "-X", method, "--cacert", str(self._house.settings.keys_dir / "tls_cert.pem"),
            "-w", "\n%{http_code}", "--max-time", "90", f"https://localhost:{self._house.api.port}/api/v1{path}",
        ]  # fmt: skip
        for header in [*self.headers, *headers]:
            command += ["-H", header]
        if body is not None:
            command += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        text, _, code = done.stdout.rpartition("\n")
        return int(code), json.loads(text)


@pytest.fixture
def curl(house: House) -> Curl:
    """A client of the running installation."""
    house.api.start()
    return Curl(house)


def inside(house: House, name: str, *command: str) -> str:
    """What a command prints inside a container."""

    async def run() -> str:
        async with open_core(house.settings, background=False) as core:
            session = await core.consoles.open(SYSTEM, name, list(command))
            said = b""
            while (chunk := await session.read())[0]:
                said += chunk[1]
            await session.close()
            return said.decode()

    return asyncio.run(run())


def memory_limit(house: House, name: str) -> int:
    """The bytes that the container itself is bounded to, as its own cgroup or /proc/meminfo tells from inside."""
    said = inside(
        house, name, "sh", "-c",
        "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null;"
        " sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1kB/p' /proc/meminfo",
    )  # fmt: skip
    found = []
    for word in said.split():
        if word.endswith("kB"):
            found.append(int(word[:-2]) * 1024)
        elif word.isdigit():
            found.append(int(word))
    assert found, said
    return min(found)


def cgroup_limit(house: House, name: str) -> int:
    """The bytes that the kernel holds a container to, read in the cgroup of its first process."""
    project = next(i["project"] for i in lxd_instances(house).values() if i["name"] == name)
    pid = house.lxd.call("GET", f"/1.0/instances/{name}/state?project={project}")["pid"]
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _number, controllers, path = line.split(":", 2)
        where = None
        if controllers == "":
            where = Path(f"/sys/fs/cgroup{path}/memory.max")
        elif "memory" in controllers.split(","):
            where = Path(f"/sys/fs/cgroup/memory{path}/memory.limit_in_bytes")
        while where is not None and len(where.parts) > 4:
            if where.exists() and where.read_text().strip().isdigit() and int(where.read_text()) < 1 << 50:
                return int(where.read_text())
            where = where.parent.parent / where.name
    raise AssertionError("no memory cgroup holds it")


def test_a_billing_system_orders_changes_and_ends_a_container(house: House, curl: Curl) -> None:
    """Register, login, create by the design paper's body, info, more memory seen inside, stop, start, delete."""
    form = {"username": "carol", "email": "carol@example.org", "password": "correct horse"}
    assert curl("POST", "/users/register", form)[0] == 201
    status, answer = curl("POST", "/users/login", {"username": "carol", "password": "correct horse"})
    assert status == 200
    status, answer = curl("POST", "/users/regenerate-key", None, f"Authorization: Bearer {answer['data']['token']}")
    curl.headers = [f"X-API-Key: {answer['data']['api_key']}"]
    order = {
        "name": "web1", "image": "busybox", "cpu": 1, "memory": "256MB", "disk": "1GB", "ipv4": "auto", "ipv6": "auto",
    }  # fmt: skip
    status, answer = curl("POST", "/whmcs/container/create", order)
    assert status == 201, answer
    made = answer["data"]
    assert (made["name"], made["status"]) == ("web1", "running")
    assert made["ipv4"].startswith("10.")
    assert made["ipv6"].startswith("fd42:")
    assert answer["message"] == "Container created successfully"
    assert curl("POST", "/whmcs/container/create", order)[0] == 409
    status, answer = curl("GET", f"/whmcs/container/info?container_id={made['container_id']}")
    assert status == 200
    assert answer["data"]["status"] == "running"
    assert answer["data"]["ipv4"] == made["ipv4"]
    assert answer["data"]["ipv6"].startswith("fd42:")
    assert cgroup_limit(house, "web1") == 256 * MIB
    status, answer = curl("POST", "/whmcs/container/config", {"name": "web1", "memory": "512MB"})
    assert (status, answer["data"]["status"]) == (200, "running")
    assert cgroup_limit(house, "web1") == 512 * MIB
    assert memory_limit(house, "web1") >= 512 * MIB  # where the guest can see a limit at all, it is the new one
    assert curl("POST", "/containers/web1/snapshots", {"name": "one"})[0] == 201
    status, answer = curl("GET", "/containers/web1/metrics")
    assert status == 200
    assert answer["data"]["now"]["processes"] >= 1
    assert curl("POST", "/containers/web1/snapshots/one/restore")[0] == 200
    assert curl("POST", "/containers/web1/reinstall", {})[0] == 200
    assert curl("GET", "/containers/web1")[1]["data"]["ipv4"] == made["ipv4"]
    for verb, found in (("stop", "stopped"), ("stop", "stopped"), ("start", "running"), ("start", "running")):
        status, answer = curl("POST", f"/whmcs/container/{verb}", {"name": "web1"})
        assert (status, answer["data"]["status"]) == (200, found), answer
    status, answer = curl("POST", "/whmcs/container/delete", {"name": "web1"})
    assert (status, answer["data"]["status"]) == (200, "deleted")
    assert lxd_instances(house) == {}
    assert curl("GET", "/whmcs/container/info?name=web1")[0] == 404


@pytest.fixture(scope="module")
def heavy_lxd() -> Iterator[LiveLxd]:
    """An LXD that unpacks its heavy image anew for each container, so that a create takes a while."""
    require_live()
    lxd = LiveLxd.start(btrfs=False)
    try:
        lxd.import_image("heavy", description="A heavy image", ballast_mib=300)
        yield lxd
    finally:
        lxd.stop()


@pytest.fixture
def heavy_house(tmp_path: Path, heavy_lxd: LiveLxd) -> Iterator[House]:
    """An installation whose API alone runs, so that nobody else finishes what it began."""
    built = build_house(tmp_path, heavy_lxd)
    built.api.start()
    try:
        yield built
    finally:
        built.api.kill()
        clear(heavy_lxd)


STEPS = ("queued", "project", "create", "start", "network", "done")


def wait_for_step(house: House, operation_id: str, step: str) -> str:
    """Watch the database until the create has come to ``step``; the step that was seen, which may be a later one."""
    file = house.settings.state_dir / "openlxd.sqlite3"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(sqlite3.OperationalError):  # it is being written at this moment
            connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
            try:
                (seen,) = connection.execute("SELECT stage FROM operations WHERE id = ?", [operation_id]).fetchone()
            finally:
                connection.close()
            if STEPS.index(seen) >= STEPS.index(step):
                return str(seen)
        time.sleep(0.002)
    raise AssertionError(f"the create never came to {step}")


@pytest.mark.parametrize("step", STEPS[:-1])
def test_an_api_killed_in_a_step_of_a_create_leaves_no_ghost(heavy_house: House, step: str) -> None:
    """After the restart the operation has its end and the container is running and whole, or gone and in error."""
    house = heavy_house
    curl = Curl(house)

    async def key() -> str:
        async with open_core(house.settings, background=False) as core:
            return await core.accounts.regenerate_key(SYSTEM, house.alice.id)

    curl.headers = [f"X-API-Key: {asyncio.run(key())}", "Idempotency-Key: order-1"]
    order = {"name": "web1", "image": "heavy", "cpu": 1, "memory": "256MiB", "disk": "2GiB"}
    status, answer = curl("POST", "/containers?wait=0", order)
    assert status == 202, answer
    seen = wait_for_step(house, answer["data"]["operation_id"], step)
    house.api.kill()
    house.api.start()
    if seen in ("queued", "project", "create"):  # those that follow may have ended before the signal came
        assert "operation_taken_over" in house.api.log(), seen
    again = curl("POST", "/containers?wait=0", order)  # a script that lost its answer asks again
    assert again == (202, answer)
    state = settled(house, "web1", 120)
    curl.headers = curl.headers[:1]
    status, ended = curl("GET", f"/operations/{answer['data']['operation_id']}")
    assert status == 200
    held = lxd_instances(house)
    if state is State.RUNNING:
        assert ended["data"]["status"] == "done"
        assert list(held) == ["web1"]
        assert held["web1"]["status"] == "Running"
        assert int(inside(house, "web1", "sh", "-c", "ls /bin | wc -l")) > 50  # whole, not merely there
    else:
        assert state is State.ERROR
        assert ended["data"]["status"] == "failed"
        assert held == {}

    async def used() -> Quota:
        async with open_core(house.settings, background=False) as core:
            return (await core.quotas.get(SYSTEM, "alice")).used

    assert asyncio.run(used()).containers == (1 if state is State.RUNNING else 0)


@pytest.mark.parametrize("step", ["queued", "create", "network"])
def test_an_order_whose_answer_was_lost_with_the_api_is_not_made_twice(heavy_house: House, step: str) -> None:
    """The API is killed while the client waits; the same request with its key finds what it had begun."""
    house = heavy_house
    curl = Curl(house)

    async def key() -> str:
        async with open_core(house.settings, background=False) as core:
            return await core.accounts.regenerate_key(SYSTEM, house.alice.id)

    curl.headers = [f"X-API-Key: {asyncio.run(key())}", "Idempotency-Key: order-2"]
    order = {"name": "web1", "image": "heavy", "cpu": 1, "memory_mb": 256, "disk_mb": "2GiB"}
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(curl, "POST", "/containers?wait=60", order)
        file = house.settings.state_dir / "openlxd.sqlite3"
        deadline = time.monotonic() + 60
        found = None
        while found is None and time.monotonic() < deadline:
            with contextlib.suppress(sqlite3.OperationalError):
                connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
                found = connection.execute("SELECT id FROM operations WHERE kind = 'create'").fetchone()
                connection.close()
        assert found is not None
        wait_for_step(house, found[0], step)
        house.api.kill()
        with pytest.raises(AssertionError):  # curl: the server closed the connection
            asked.result(30)
    house.api.start()
    status, answer = curl("POST", "/containers?wait=60", order)
    deadline = time.monotonic() + 90
    while status != 201 and time.monotonic() < deadline:  # LXD may still unpack what the dead process asked for
        assert status in (409, 503), answer
        time.sleep(1)
        status, answer = curl("POST", "/containers?wait=60", order)  # a refusal is not kept
    assert status == 201, answer
    assert (answer["data"]["name"], answer["data"]["status"]) == ("web1", "running")
    again = dict(reversed(order.items()))
    assert curl("POST", "/containers?wait=60", again) == (201, answer)
    assert list(lxd_instances(house)) == ["web1"]
    curl.headers = curl.headers[:1]
    assert len(curl("GET", "/operations?kind=create&status=done")[1]["data"]) == 1
    assert len(curl("GET", "/containers")[1]["data"]) == 1
