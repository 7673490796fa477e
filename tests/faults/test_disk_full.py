"""The state directory's disk is full: reading and signing in go on, changes are refused in one sentence, and all is
well again once there is room. Real processes on a real disk, filled to its last byte."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from openlxd_core.bootstrap import open_core
from openlxd_core.settings import Settings
from tests.support import disks
from tests.support.core import PASSWORD, add_user, make_settings
from tests.support.processes import Server, environment_of
from tests.support.ssh import make_key, run_ssh

pytestmark = [pytest.mark.timeout(180), pytest.mark.slow]
SENTENCE = "The server's disk is full"


@dataclass
class House:
    """A console and an API on a small disk, and alice, who has a key."""

    settings: Settings
    disk: disks.Disk
    api: Server
    ssh: Server
    key: Path

    def ask(self, method: str, path: str, body: Any = None, token: str = "") -> tuple[int, Any]:
        """One request: status and answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.api.port}/api/v1{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def sign_in(self) -> str:
        """Alice's token, by her password."""
        status, answer = self.ask("POST", "/users/login", {"username": "alice", "password": PASSWORD})
        assert status == 200, answer
        return str(answer["data"]["token"])

    def create(self, name: str, token: str, wait: int = 25) -> tuple[int, Any]:
        order = {"name": name, "image": "debian/12", "cpu": 1, "memory": 128, "disk": 1024}
        return self.ask("POST", f"/containers?wait={wait}", order, token)

    def run(self, *words: str) -> tuple[int, str, str]:
        """A command by ssh: exit status, output, errors."""
        done = run_ssh(self.ssh.port, *words, key=self.key)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def openlxd(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The command line on the host."""
        return subprocess.run(
            [sys.executable, "-m", "openlxd_tui.cli", *words], env=environment_of(self.settings), capture_output=True,
            text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def logs(self) -> str:
        return self.api.log() + self.ssh.log()


def until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"after {seconds} s: not {what}"
        time.sleep(0.2)


@pytest.fixture(params=disks.KINDS)
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """Both servers, on an empty small disk."""
    kind = str(request.param)
    reason = disks.why_not(kind) or ("" if shutil.which("ssh") else "this needs OpenSSH's client")
    if reason:
        pytest.skip(reason)
    try:
        mount = disks.mounted(kind, tmp_path / "state")
        disk = mount.__enter__()
    except RuntimeError as error:
        pytest.skip(str(error))
    servers: list[Server] = []
    try:
        settings = make_settings(tmp_path, api_tls="off", rate_login="1000/minute")
        key, line = make_key(tmp_path, "alice")

        async def prepare() -> None:
            async with open_core(settings, background=False) as core:
                await core.keys.add(await add_user(core, "alice"), line)

        asyncio.run(prepare())
        servers = [Server(module, settings, tmp_path / f"{module}.log") for module in ("openlxd_api", "openlxd_tui")]
        for server in servers:
            server.start()
        yield House(settings, disk, servers[0], servers[1], key)
    finally:
        for server in servers:
            server.kill()
        mount.__exit__(None, None, None)


def test_a_full_disk_refuses_changes_and_nothing_else(house: House) -> None:
    """Sign in, list and look by API and SSH; creates are refused by both; with room again, both create."""
    before = house.sign_in()
    house.disk.fill()

    token = house.sign_in()
    for good in (before, token):
        assert house.ask("GET", "/containers", token=good)[0] == 200
    wrong = house.ask("POST", "/users/login", {"username": "alice", "password": "not hers"})
    assert (wrong[0], wrong[1]["error"]) == (401, "unauthenticated")
    status, answer = house.create("web1", token)
    assert (status, answer["error"]) == (507, "storage_full"), answer
    assert answer["message"].startswith(SENTENCE)
    change = {"old_password": PASSWORD, "new_password": "another password"}
    assert house.ask("POST", "/users/password", change, token)[0] == 507
    assert asyncio.run(_password_login(house.ssh.port)) == "alice"

    assert house.run("list", "--json") == (0, "[]\n", "")
    assert house.run("whoami")[1] == "alice\n"
    status, out, error = house.run("create", "web2", "debian/12")
    assert (status, out) == (9, "")
    assert error.startswith(SENTENCE)
    assert "\n" not in error.strip()

    status, answer = house.ask("GET", "/health")
    assert (status, answer["data"]["status"]) == (200, "degraded")
    assert answer["data"]["database"] == {"reachable": True, "writable": False, "error": "storage_full"}
    assert house.ask("GET", "/containers", token=token)[1]["data"] == []

    assert house.openlxd("user", "list").returncode == 0
    refused = house.openlxd("user", "quota", "alice", "containers=5")
    assert (refused.returncode, refused.stdout) == (9, "")
    assert refused.stderr.startswith(f"Error: {SENTENCE}")
    doctor = json.loads(house.openlxd("doctor", "--json").stdout)
    assert [line["finding"] for line in doctor if line["check"] == "disk" and line["level"] == "wrong"]

    house.disk.free()
    until(lambda: house.ask("GET", "/health")[1]["data"]["status"] == "ok", "healthy by itself")
    status, answer = house.create("web1", token)
    assert status == 201, answer
    assert house.run("create", "web2", "debian/12", "--wait")[0] == 0
    assert "Traceback" not in house.logs()
    assert '"level": "error"' not in house.logs()


async def _password_login(port: int) -> str:
    async with asyncssh.connect(
        "127.0.0.1", port, username="alice", password=PASSWORD, known_hosts=None, config=None, client_keys=[],
        agent_path=None,
    ) as connection:  # fmt: skip
        return str((await connection.run("whoami")).stdout).strip()


def test_what_is_under_way_when_the_disk_fills_up_is_finished_later(house: House) -> None:
    """A create and a restart wait for room, show no failure, and end well; each is done once."""
    token = house.sign_in()
    assert house.create("old", token)[0] == 201
    assert house.create("web1", token, wait=0)[0] == 202
    assert house.ask("POST", "/containers/old/restart?wait=0", None, token)[0] == 202
    house.disk.fill()
    time.sleep(5)  # longer than either takes
    _status, answer = house.ask("GET", "/operations", token=token)
    assert {row["status"] for row in answer["data"] if row["target"] == "web1"} <= {"queued", "running"}
    assert "progress_not_recorded" in house.api.log()  # or the disk filled up too late to matter
    house.disk.free()

    def done() -> bool:
        rows = house.ask("GET", "/operations", token=token)[1]["data"]
        assert all(row["status"] != "failed" for row in rows), rows
        return all(row["status"] == "done" for row in rows)

    until(done, "everything done")
    for name in ("web1", "old"):
        shown = house.ask("GET", f"/containers/{name}", token=token)[1]["data"]
        assert (shown["status"], bool(shown["ipv4"])) == ("running", True)
    assert "Traceback" not in house.logs()


def test_servers_that_are_killed_on_a_full_disk_start_on_it(house: House) -> None:
    """SIGKILL both while nothing can be written: they come back, and let people in and read."""
    token = house.sign_in()
    assert house.create("web1", token)[0] == 201
    house.disk.fill()
    for server in (house.api, house.ssh):
        server.kill()
        server.start()
    assert house.ask("GET", "/containers/web1", token=house.sign_in())[0] == 200
    assert house.run("list")[0] == 0
    house.disk.free()
    until(lambda: house.create("web2", token)[0] == 201, "a create works")
    assert "Traceback" not in house.logs()
