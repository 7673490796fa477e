"""``openlxd up``: what dies comes back, what is told to stop stops, and nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from openlxd_tui.cli import supervisor
from openlxd_tui.cli.supervisor import Child, Program, Supervisor
from tests.support.core import eventually

pytestmark = pytest.mark.slow

SERVES = """
import os, signal, sys, time
from openlxd_core import systemd
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
systemd.ready("127.0.0.1:4711")
while True:
    time.sleep(60)
"""
STUBBORN = SERVES.replace("lambda *_: sys.exit(0)", "signal.SIG_IGN")
BROKEN = "import sys; sys.exit(3)"


def _program(name: str, code: str) -> Program:
    return Program(name, [sys.executable, "-c", code], dict(os.environ))


class Up:
    """A supervisor at work in this process's loop."""

    def __init__(self, *programs: Program) -> None:
        self.said: list[str] = []
        self.ready: list[str] = []
        self.supervisor = Supervisor(programs, self.said.append)
        self.task = asyncio.create_task(self.supervisor.run(self._on_ready))

    def _on_ready(self, children: object) -> None:
        self.ready = [child.address for child in self.supervisor.children]

    def child(self, index: int) -> Child:
        return self.supervisor.children[index]

    def pid(self, index: int) -> int:
        process = self.child(index).process
        return process.pid if process is not None and process.returncode is None else 0


async def test_a_child_that_is_killed_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL one: restarting, the other goes on untouched, and somebody is told."""
    monkeypatch.setattr(supervisor, "RESTART_SECONDS", (0.01, 0.01))
    up = Up(_program("ssh", SERVES), _program("api", SERVES))
    await eventually(lambda: bool(up.ready), "both ready")
    assert up.ready == ["127.0.0.1:4711"] * 2
    first, other = up.pid(0), up.pid(1)
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: up.pid(0) not in (0, first), "the killed child is back")
    assert up.pid(1) == other
    assert any("SIGKILL" in line for line in up.said)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(up.task, 20)
    assert not psutil.pid_exists(other) or psutil.Process(other).status() == psutil.STATUS_ZOMBIE


async def test_what_served_is_back_at_once_however_often_it_is_killed() -> None:
    """Eight kills in a row: no pause grows, since each time it had said that it serves."""
    up = Up(_program("ssh", SERVES))
    await eventually(lambda: bool(up.ready), "ready")
    child = up.child(0)
    for _ in range(8):
        await eventually(lambda: child._served_since is not None and up.pid(0), "serves")
        served, pid = child._served_since, up.pid(0)
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: child._served_since not in (None, served), "serves again", 30)  # noqa: B023
    assert len(up.said) == 8
    assert all("restarting in 0.5 s" in line or line.endswith("restarting.") for line in up.said), up.said
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(up.task, 20)


async def test_only_what_dies_while_it_starts_is_held_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its pauses grow with each start that comes to nothing, and begin afresh once it has served."""
    monkeypatch.setattr(supervisor, "RESTART_SECONDS", (0.01, 0.05))
    monkeypatch.setattr(supervisor, "STEADY_SECONDS", 0.0)
    counter = tmp_path / "starts"
    broken_at = "2345 78"  # starts that fail
    code = f"""
import pathlib, sys
counter = pathlib.Path({str(counter)!r})
number = len(counter.read_text()) + 1 if counter.exists() else 1
counter.write_text("x" * number)
if str(number) in {broken_at!r}:
    sys.exit(4)
{SERVES}"""
    up = Up(_program("ssh", code))
    for serving in (1, 6):
        await eventually(lambda: len(counter.read_text()) == serving if counter.exists() else False, "there", 30)  # noqa: B023
        await eventually(lambda: up.child(0)._served_since is not None, "serves", 30)
        os.kill(up.pid(0), signal.SIGKILL)
    await eventually(lambda: len(counter.read_text()) == 9, "there", 30)
    pauses = [match[1] if (match := re.search(r"in ([\d.]+) s", line)) else "0" for line in up.said]
    assert pauses == ["0", "0.01", "0.02", "0.04", "0.05", "0", "0.01", "0.02"]
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(up.task, 20)


async def test_a_child_that_does_not_listen_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that ignores SIGTERM does not keep the rest from ending."""
    monkeypatch.setattr(supervisor, "STOP_SECONDS", 0.3)
    up = Up(_program("ssh", STUBBORN))
    await eventually(lambda: bool(up.ready), "ready")
    pid = up.pid(0)
    os.kill(os.getpid(), signal.SIGINT)
    assert await asyncio.wait_for(up.task, 20)
    assert not psutil.pid_exists(pid)


async def test_a_child_that_cannot_start_ends_it_all() -> None:
    """A wrong setting is not tried over and over: everything ends, and the caller learns that it failed."""
    up = Up(_program("ssh", SERVES), _program("api", BROKEN))
    assert await asyncio.wait_for(up.task, 30) is False
    assert up.ready == []


def _wait(condition: Callable[[], object], what: str, timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not {what}"
        time.sleep(0.05)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Settings for a whole ``openlxd up`` on simulated containers."""
    values = {
        "STATE_DIR": tmp_path / "state", "KEYS_DIR": tmp_path / "keys", "LXD": "simulated", "BCRYPT_ROUNDS": "4",
        "SSH_HOST": "127.0.0.1", "API_HOST": "127.0.0.1", "SSH_PORT": "0", "API_PORT": "0",
    }  # fmt: skip
    return {**os.environ, **{f"OPENLXD_{name}": str(value) for name, value in values.items()}}


def _children(process: subprocess.Popen[str]) -> dict[str, psutil.Process]:
    found = {}
    for child in psutil.Process(process.pid).children():
        try:
            found[child.cmdline()[-1]] = child
        except (psutil.Error, IndexError):
            continue
    return found


def _start(environment: dict[str, str], folder: Path) -> subprocess.Popen[str]:
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        call = [sys.executable, "-m", "openlxd_tui.cli", "up"]
        return subprocess.Popen(call, env=environment, stdout=out, stderr=err, text=True)


def test_up_serves_and_stops_and_shows_the_password_once(environment: dict[str, str], tmp_path: Path) -> None:
    """The first start prints where both listen and the first admin's password; the password opens the API.

    A killed server is back; SIGTERM ends all three; the second start prints no password.
    """
    process = _start(environment, tmp_path)
    try:
        _wait(lambda: "Password" in (tmp_path / "out").read_text(), "ready")
        out = (tmp_path / "out").read_text()
        assert "simulated" in out
        assert re.search(r"ssh openlxd@127\.0\.0\.1 -p \d+", out)
        password = re.search(r"Password +(\S+)", out)
        url = re.search(r"https://127\.0\.0\.1:\d+", out)
        assert password
        assert url
        _sign_in(url[0], password[1])
        before = _children(process)
        before["openlxd_tui"].kill()
        _wait(lambda: _children(process).get("openlxd_tui") not in (None, before["openlxd_tui"]), "restarted")
        children = _children(process)
        process.terminate()
        assert process.wait(40) == 0
        assert not any(child.is_running() for child in children.values())
    finally:
        process.kill()
        process.wait()
    second = _start(environment, tmp_path)
    try:
        _wait(lambda: "SSH console" in (tmp_path / "out").read_text(), "ready again")
        assert "Password" not in (tmp_path / "out").read_text()
    finally:
        second.send_signal(signal.SIGINT)
        assert second.wait(40) == 0


def _sign_in(url: str, password: str) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    request = urllib.request.Request(
        f"{url}/api/v1/users/login",
        data=f'{{"username": "admin", "password": "{password}"}}'.encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, context=context, timeout=30) as answer:
        assert answer.status == 200


def test_no_server_outlives_its_supervisor(environment: dict[str, str], tmp_path: Path) -> None:
    """SIGKILL ``openlxd up`` itself: the kernel ends both servers."""
    process = _start(environment, tmp_path)
    _wait(lambda: "Password" in (tmp_path / "out").read_text(), "ready")
    children = _children(process)
    assert set(children) == {"openlxd_tui", "openlxd_api"}
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(children.values(), timeout=30)
    assert alive == []
