"""Suspension on a real LXD: by billing's call, with open shells, LXD's autostart and kills in the middle."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from openlxd_core.bootstrap import open_core
from openlxd_core.domain.actor import SYSTEM, Role
from tests.live.conftest import House
from tests.live.test_api import Curl, curl  # noqa: F401 - a fixture
from tests.live.test_crashes import lxd_instances, settled
from tests.support.core import add_user
from tests.support.ssh import run_ssh, ssh_command

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]
WEB1 = {"name": "web1"}


@pytest.fixture
def billing(house: House, curl: Curl) -> Curl:  # noqa: F811
    """An admin's key on the running installation, in which alice has web1 and web2."""

    async def main() -> str:
        async with open_core(house.settings, background=False) as core:
            for name in ("web1", "web2"):
                made = await core.containers.create(SYSTEM, name, "busybox", 1, 128, 512, owner="alice")
                assert (await core.operations.wait(SYSTEM, made.id, 120)).error is None
            boss = await add_user(core, "boss", role=Role.ADMIN)
            return await core.accounts.regenerate_key(boss)

    curl.headers = [f"X-API-Key: {asyncio.run(main())}"]
    return curl


def ssh(house: House, *words: str) -> subprocess.CompletedProcess[bytes]:
    return run_ssh(house.ssh.port, *words, key=house.alice.key)


def becomes(condition: Callable[[], bool], what: str, timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def power(house: House, name: str = "web1") -> str:
    return str(lxd_instances(house)[name]["status"])


def set_power(house: House, action: str) -> None:
    project = lxd_instances(house)["web1"]["project"]
    body = {"action": action, "force": True, "timeout": 30}
    house.lxd.call("PUT", f"/1.0/instances/web1/state?project={project}", body)


def data(answer: tuple[int, Any]) -> Any:
    assert answer[0] == 200, answer
    return answer[1]["data"]


def test_billing_suspends_one_container_with_open_shells(house: House, billing: Curl) -> None:
    """The API's call ends shells of the SSH process within two seconds, also of a container that will not stop."""
    # one that ignores what a terminal or LXD sends first
    stubborn = "exec web1 -- sh -c \"trap '' HUP TERM; echo up; sleep 600 & wait\""
    shell, other = (
        subprocess.Popen(
            ssh_command(house.ssh.port, words, key=house.alice.key),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for words in (stubborn, "exec web2 -- sh -c 'echo up; cat'")
    )  # fmt: skip
    try:
        for process in (shell, other):
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
        began = time.monotonic()
        status, answer = billing("POST", "/whmcs/container/suspend?wait=0", {**WEB1, "reason": "Invoice 7 is unpaid"})
        assert (status, answer["data"]["status"]) == (202, "suspending")
        _out, error = shell.communicate(timeout=10)
        took = time.monotonic() - began
        assert took < 2.5, took  # two seconds, and curl's own start
        assert shell.returncode != 0
        assert b"Invoice 7 is unpaid" in error
        assert other.poll() is None
    finally:
        for process in (shell, other):
            process.kill()
            process.communicate()
    becomes(lambda: power(house) == "Stopped", "it is stopped")
    assert power(house, "web2") == "Running"
    settled(house, "web1")
    for words in (("start", "web1"), ("exec", "web1", "--", "id"), ("delete", "web1"), ("restart", "web1")):
        refused = ssh(house, *words)
        assert refused.returncode != 0, words
        assert b"Invoice 7 is unpaid" in refused.stderr, (words, refused.stderr)
    info = data(billing("GET", "/whmcs/container/info?name=web1"))
    assert (info["status"], info["suspended"], info["suspended_reason"]) == ("stopped", True, "Invoice 7 is unpaid")
    assert data(billing("POST", "/whmcs/container/suspend", WEB1))["status"] == "stopped"
    back = data(billing("POST", "/whmcs/container/unsuspend", WEB1))
    assert back["status"] == "running"
    assert back["ipv4"].startswith("10.")
    assert ssh(house, "exec", "web1", "--", "hostname").stdout == b"web1\n"


def test_neither_lxc_nor_a_restart_of_everything_undoes_it(house: House, billing: Curl) -> None:
    """lxc start, LXD's own autostart while we are down, both servers killed: it is stopped again, and remembered."""
    project = lxd_instances(house)["web1"]["project"]
    house.lxd.call("PATCH", f"/1.0/instances/web1?project={project}", {"config": {"boot.autostart": "true"}})
    assert data(billing("POST", "/containers/web1/suspend", {"reason": "fraud"}))["status"] == "stopped"
    set_power(house, "start")
    becomes(lambda: power(house) == "Stopped", "it is stopped after lxc started it")
    settled(house, "web1")
    house.api.kill()
    house.ssh.kill()
    house.lxd.kill()
    house.lxd.restart()
    becomes(lambda: power(house) == "Running", "LXD starts it by itself")
    house.ssh.start()
    house.api.start()
    becomes(lambda: power(house) == "Stopped", "it is stopped after everything was restarted")
    settled(house, "web1")
    assert lxd_instances(house)["web1"]["config"]["boot.autostart"] == "true"  # LXD's setting is none of ours
    assert data(billing("POST", "/containers/web1/unsuspend"))["status"] == "running"


@pytest.mark.parametrize("pause", [0.0, 0.15, 0.6])
@pytest.mark.parametrize("verb", ["suspend", "unsuspend"])
def test_a_server_killed_in_the_middle_leaves_what_was_asked_for(
    house: House, billing: Curl, verb: str, pause: float
) -> None:
    """The other process, or the same one after its restart, brings it to its end."""
    if verb == "unsuspend":
        assert data(billing("POST", "/containers/web1/suspend", {"reason": "x"}))["status"] == "stopped"
    status, answer = billing("POST", f"/containers/web1/{verb}?wait=0")
    assert status == 202, answer
    time.sleep(pause)
    house.api.kill()
    house.ssh.kill()
    house.ssh.start()
    want = "Stopped" if verb == "suspend" else "Running"
    becomes(lambda: power(house) == want, f"{verb} comes to its end")
    settled(house, "web1")
    house.api.start()
    shown = data(billing("GET", "/containers/web1"))
    assert (shown["suspended"], shown["status"]) == (verb == "suspend", want.lower())
    if verb == "suspend":
        assert data(billing("POST", "/containers/web1/unsuspend"))["status"] == "running"


def test_what_billing_finds_stopped_missing_or_at_work_is_a_success(house: House, billing: Curl) -> None:
    """No conflict, no error: the lock holds whatever LXD is doing."""
    assert data(billing("POST", "/whmcs/container/stop", WEB1))["status"] == "stopped"
    assert data(billing("POST", "/whmcs/container/suspend", WEB1))["status"] == "stopped"
    assert data(billing("POST", "/whmcs/container/unsuspend", WEB1))["status"] == "stopped"
    assert billing("POST", "/whmcs/container/start?wait=0", WEB1)[0] == 202
    assert data(billing("POST", "/whmcs/container/suspend?wait=60", WEB1))["status"] == "stopped"
    assert data(billing("POST", "/whmcs/container/unsuspend", WEB1))["status"] == "running"
    project = lxd_instances(house)["web1"]["project"]
    set_power(house, "stop")
    house.lxd.call("DELETE", f"/1.0/instances/web1?project={project}")
    becomes(lambda: data(billing("GET", "/containers/web1"))["status"] == "missing", "missing")
    assert data(billing("POST", "/whmcs/container/suspend", WEB1))["status"] == "missing"
    assert data(billing("POST", "/whmcs/container/unsuspend", WEB1))["status"] == "missing"
