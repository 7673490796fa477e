"""The main job, as a tenant does it: the OpenSSH client in a real terminal, a real LXD behind."""

from __future__ import annotations

import pytest

from tests.live.conftest import House
from tests.support.core import PASSWORD
from tests.support.ssh import run_ssh, ssh_command
from tests.support.terminal import Terminal

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]


def instances(house: House) -> list[str]:
    """The names that LXD holds."""
    found = house.lxd.call("GET", "/1.0/instances?recursion=1&all-projects=true")
    return [instance["name"] for instance in found]


def test_a_tenant_makes_uses_and_deletes_a_container(house: House) -> None:
    """Log in with a key, create web1, watch it run with its address, step in and out, delete it; LXD has it no more."""
    with Terminal(ssh_command(house.ssh.port, key=house.alice.key, tty=True)) as alice:
        alice.wait_for("alice")
        alice.keys("n")
        alice.wait_for("Name")
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


def test_a_tenant_logs_in_with_a_password(house: House) -> None:
    """No key: account and password are asked for; a wrong one is asked again."""
    with Terminal(ssh_command(house.ssh.port, tty=True)) as terminal:
        terminal.wait_for("Account")
        terminal.type("alice")
        terminal.keys("Enter")
        terminal.wait_for("Password")
        terminal.type("wrong")
        terminal.keys("Enter")
        terminal.wait_for("wrong")
        terminal.wait_for("Account")
        terminal.type("alice")
        terminal.keys("Enter")
        terminal.type(PASSWORD)
        terminal.keys("Enter")
        terminal.wait_for("alice", "/")
        terminal.keys("q")
        terminal.wait_for("[ended 0]")
