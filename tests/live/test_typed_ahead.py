"""Typing ahead on a real LXD: whole journeys in single writes, through OpenSSH's client and on the local console."""

from __future__ import annotations

import sys

import pytest

from tests.live.conftest import House
from tests.support.processes import environment_of
from tests.support.ssh import ssh_command
from tests.support.terminal import Terminal

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]


def journey(terminal: Terminal, *, owner: bytes = b"") -> None:
    """Create, step into the shell and out, snapshot, resize, delete: each from the first key to the last at once."""
    terminal.write(b"nweb1" + owner + b"\x13")
    terminal.wait_for("web1", "running", "10.", timeout=60)
    terminal.write(b"\rhostname; echo here-$((40+2)); sleep 1\rexit\r")
    terminal.wait_for("here-42", "web1")
    terminal.wait_for("web1", "running", gone=["here-42"])
    terminal.write(b"vnfirst\r")
    terminal.wait_for("Snapshots of web1", "first", "ready", timeout=60)
    terminal.write(b"\x1b")
    terminal.wait_for("running", gone=["Snapshots of"])
    terminal.write(b"z\t\x15256MiB\r")
    terminal.wait_for("256 MiB", gone=["Resize web1"], timeout=60)
    terminal.write(b"dweb1\r")
    terminal.wait_for("containers", gone=["web1"], timeout=60) if owner else terminal.wait_for(
        "No containers yet", timeout=60
    )
    terminal.write(b"?q")
    terminal.wait_for("[ended 0]")


def test_a_tenants_journey_typed_ahead(house: House) -> None:
    """By ssh, as an expect script or a laggy line does it."""
    with Terminal(ssh_command(house.ssh.port, key=house.alice.key, tty=True), columns=140) as terminal:
        terminal.write(b"?1")  # before the first frame
        terminal.wait_for("alice", "No containers yet")
        journey(terminal)


def test_an_admins_journey_typed_ahead_on_the_local_console(house: House) -> None:
    """The local console, on a terminal of this machine, delivers keys in the same way."""
    environment = environment_of(house.settings)
    command = [sys.executable, "-m", "openlxd_tui.cli", "tui"]
    with Terminal(command, columns=150, environment=environment) as terminal:
        terminal.wait_for("Containers", "Users")
        journey(terminal, owner=b"\talice")
