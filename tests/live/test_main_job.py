"""The main job, as a tenant does it: the OpenSSH client in a real terminal, a real LXD behind."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from typing import Any

import pytest

from openlxd_core.bootstrap import open_core
from openlxd_core.domain.actor import SYSTEM
from tests.live.conftest import House
from tests.support.core import PASSWORD
from tests.support.ssh import run_ssh, ssh_command
from tests.support.terminal import Terminal

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]


async def api_keys(house: House) -> dict[str, str]:
    """A fresh API key for each tenant."""
    async with open_core(house.settings, background=False) as core:
        return {who.name: await core.accounts.regenerate_key(SYSTEM, who.id) for who in (house.alice, house.bob)}


async def suspend(house: House, name: str, reason: str) -> None:
    """As an admin does it from another process."""
    async with open_core(house.settings, background=False) as core:
        await core.accounts.suspend(SYSTEM, name, reason)


def instances(house: House) -> list[str]:
    """The names that LXD holds."""
    found = house.lxd.call("GET", "/1.0/instances?recursion=1&all-projects=true")
    return [instance["name"] for instance in found]


def test_a_tenant_makes_uses_and_deletes_a_container(house: House) -> None:
    """Log in with a key, create web1, watch it run with its address, step in and out, delete it; LXD has it no more."""
    with Terminal(ssh_command(house.ssh.port, key=house.alice.key, tty=True)) as alice:
        alice.wait_for("alice")
        alice.keys("n")
        alice.wait_for("New container", "left of")
        alice.type("web1")
        alice.keys("C-s")
        alice.wait_for("web1", "running", "10.", timeout=60)
        # another tenant, at the same time, by every door there is
        with Terminal(ssh_command(house.ssh.port, key=house.bob.key, tty=True)) as bob:
            assert "web1" not in bob.wait_for("bob")
        refused = run_ssh(house.ssh.port, "web1", key=house.bob.key)
        missing = run_ssh(house.ssh.port, "web2", key=house.bob.key)
        assert refused.returncode != 0
        assert refused.stderr.replace(b"web1", b"X") == missing.stderr.replace(b"web2", b"X")
        alice.keys("Enter")
        alice.wait_for("root@web1:~#")
        alice.type("hostname; echo here-$((40+2))")
        alice.keys("Enter")
        alice.wait_for("web1", "here-42")
        alice.type("exit")
        alice.keys("Enter")
        alice.wait_for("alice", "running", "web1", gone=["here-42"])
        alice.keys("d")
        alice.wait_for("Delete")
        alice.type("web1")
        alice.keys("Enter")
        alice.wait_for("alice", gone=["web1"], timeout=60)
        assert instances(house) == []
        alice.keys("q")
        alice.wait_for("[ended 0]")


def test_two_processes_share_one_house(house: House) -> None:
    """What one tenant makes by SSH the API shows them, and no other tenant; a suspension by one ends the other's."""
    keys = asyncio.run(api_keys(house))
    house.api.start()

    def get(path: str, name: str) -> tuple[int, dict[str, Any]]:
        done = subprocess.run(
            ["curl", "-sk", "-w", "\n%{http_code}", "-H", f"X-API-Key: {keys[name]}",
             f"https://127.0.0.1:{house.api.port}/api/v1{path}"], check=True, capture_output=True, text=True,
        )  # fmt: skip
        body, _, code = done.stdout.rpartition("\n")
        return int(code), json.loads(body)

    made = run_ssh(
        house.ssh.port, "create", "web1", "busybox", "--cpu", "1", "--memory", "128MiB", "--disk", "512MiB",
        key=house.alice.key,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    code, body = get("/containers/web1", "alice")
    assert (code, body["data"]["status"]) == (200, "running")
    assert body["data"]["ipv4"].startswith("10.")
    assert get("/containers", "bob")[1]["data"] == []
    stranger, missing = get("/containers/web1", "bob"), get("/containers/web2", "bob")
    assert stranger[0] == missing[0] == 404
    assert stranger[1]["message"].replace("web1", "web2") == missing[1]["message"]
    health = get("/health", "alice")[1]["data"]
    assert health["lxd"]["kind"] == "lxd"


def test_a_suspended_tenants_session_ends_with_the_reason(house: House) -> None:
    """Within two seconds of a suspension by another process; and she does not get in again."""
    with Terminal(ssh_command(house.ssh.port, key=house.alice.key, tty=True)) as terminal:
        terminal.wait_for("alice", "/3")
        asyncio.run(suspend(house, "alice", "unpaid invoice"))
        begun = time.monotonic()
        terminal.wait_for("unpaid invoice", "[ended", timeout=5)
        assert time.monotonic() - begun < 2
    refused = run_ssh(house.ssh.port, "list", key=house.alice.key)
    assert refused.returncode == 255
    assert run_ssh(house.ssh.port, "list", key=house.bob.key).returncode == 0


def test_a_tenant_logs_in_with_a_password(house: House) -> None:
    """No key: account and password are asked for; a wrong one is asked again."""
    command = [word.replace("LogLevel=ERROR", "LogLevel=INFO") for word in ssh_command(house.ssh.port, tty=True)]
    with Terminal(command) as terminal:
        terminal.wait_for("Account")
        terminal.type("alice")
        terminal.keys("Enter")
        terminal.wait_for("Password")
        terminal.type("wrong")
        terminal.keys("Enter")
        terminal.wait_for("The account or the password is wrong.")
        terminal.type("alice")
        terminal.keys("Enter")
        terminal.type(PASSWORD)
        terminal.keys("Enter")
        terminal.wait_for("alice", "/")
        terminal.keys("q")
        terminal.wait_for("[ended 0]")
