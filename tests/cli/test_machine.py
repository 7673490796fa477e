"""Finding LXD, and what the doctor says."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import threading
from pathlib import Path

import pytest

from openlxd_core.domain.errors import LxdUnavailable
from openlxd_core.host import busybox
from openlxd_core.host.doctor import Level, check_clock, check_keys, check_permissions, check_ports
from openlxd_core.host.lxd import candidates, find_lxd, settled
from openlxd_core.host.setup import set_up
from openlxd_core.settings import Settings, load_settings
from openlxd_tui.cli import exits
from openlxd_tui.cli.context import act_as_owner, hand_over
from openlxd_tui.cli.servers import _host_and_port, _lxd_environment
from openlxd_tui.ssh.channel import SERVER_VERSION
from tests.cli.conftest import Openlxd
from tests.support.core import make_settings


def test_the_operators_own_socket_is_the_only_one_tried(tmp_path: Path) -> None:
    """Who names a socket means it: no other LXD is taken in its place, and its silence is an error."""
    settings = Settings(lxd_socket=tmp_path / "mine.socket")
    assert list(candidates(settings)) == [tmp_path / "mine.socket"]
    with pytest.raises(LxdUnavailable, match=r"mine\.socket"):
        find_lxd(settings)


def test_an_lxd_that_is_down_for_a_moment_is_not_simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its socket is there: tenants see that LXD is unreachable, never invented containers in place of theirs."""
    monkeypatch.setenv("LXD_DIR", str(tmp_path))
    monkeypatch.setattr("openlxd_core.host.setup.can_set_up", lambda: False)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "unix.socket"))
    chosen = _lxd_environment(Settings())
    assert chosen == {"OPENLXD_LXD": "socket", "OPENLXD_LXD_SOCKET": str(tmp_path / "unix.socket")}
    assert settled(Settings()).lxd_socket == tmp_path / "unix.socket"


def test_without_any_lxd_containers_are_simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none is and none can be installed."""
    monkeypatch.setenv("LXD_DIR", str(tmp_path))
    monkeypatch.setattr("openlxd_core.host.setup.can_set_up", lambda: False)
    found = _lxd_environment(Settings())
    assert found == {"OPENLXD_LXD": "none"}  # not the same as being asked to: the screens say which it was
    assert load_settings(environment=found).settings.simulated
    assert _lxd_environment(Settings(lxd="simulated")) == {}


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("https://0.0.0.0:18443", ("0.0.0.0", 18443)),
        ("https://[::]:18443", ("::", 18443)),
        ("127.0.0.1:4711", ("127.0.0.1", 4711)),
        ("", ("fallback", 1)),
        ("nonsense", ("fallback", 1)),
    ],
)
def test_where_a_server_listens_is_heard_from_itself(address: str, found: tuple[str, int]) -> None:
    """Port 0 becomes the port that was taken."""
    assert _host_and_port(address, "fallback", 1) == found


def test_the_doctor_says_what_is_wrong_and_how_to_mend_it(openlxd: Openlxd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1 if anything is wrong; every line that is not all right has its mend."""
    monkeypatch.setenv("OPENLXD_IMAGES_URL", "http://127.0.0.1:9")
    ran = openlxd("doctor", "--json")
    assert ran.code == exits.FAILED
    wrong = [line for line in ran.data if line["level"] == "wrong"]
    assert [line["check"] for line in wrong] == ["images"]
    assert all(line["mend"] for line in ran.data if line["level"] != "ok")
    checks = {line["check"] for line in ran.data}
    assert checks == {"lxd", "ports", "keys", "permissions", "clock", "images", "registration", "database"}
    text = openlxd("doctor")
    assert text.code == exits.FAILED
    assert "WRONG" in text.out


def test_an_lxd_that_does_not_answer_is_wrong_and_has_a_mend(
    openlxd: Openlxd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The named socket is tried, nothing else, and the way out is told."""
    monkeypatch.setenv("OPENLXD_LXD", "auto")
    monkeypatch.setenv("OPENLXD_LXD_SOCKET", str(tmp_path / "nobody.socket"))
    monkeypatch.setenv("OPENLXD_IMAGES_URL", "http://127.0.0.1:9")
    ran = openlxd("doctor", "--json")
    assert ran.code == exits.FAILED
    found = next(line for line in ran.data if line["check"] == "lxd")
    assert found["level"] == "wrong"
    assert "nobody.socket" in found["finding"]
    assert "openlxd setup" in found["mend"]


@pytest.mark.slow
def test_a_taken_port_is_found(tmp_path: Path) -> None:
    """Somebody else's server on our port is named before the start fails."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = make_settings(tmp_path, ssh_port=other.getsockname()[1])
        levels = [finding.level for finding in check_ports(settings)]
    assert levels == [Level.WRONG, Level.OK]


@pytest.mark.parametrize(
    ("banner", "level"),
    [(f"SSH-2.0-{SERVER_VERSION}\r\n", Level.OK), ("SSH-2.0-OpenSSH_9.2\r\n", Level.WRONG), ("", Level.WRONG)],
)
def test_our_own_console_on_its_port_is_recognised(tmp_path: Path, banner: str, level: Level) -> None:
    """A running console is all right; the host's sshd on the same port is not, nor what says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _address = listener.accept()
            with connection:
                connection.sendall(banner.encode())

        greeter = threading.Thread(target=answer, daemon=True)
        greeter.start()
        settings = make_settings(tmp_path, ssh_port=listener.getsockname()[1])
        assert next(check_ports(settings)).level is level
        greeter.join(5)


def test_open_keys_and_open_state_are_found(tmp_path: Path) -> None:
    """Secrets that others can read, and a state directory that others can look into."""
    settings = make_settings(tmp_path)
    settings.keys_dir.mkdir(mode=0o755)
    settings.keys_dir.chmod(0o755)
    (settings.keys_dir / "jwt_secret").write_text("x" * 64)
    (settings.keys_dir / "jwt_secret").chmod(0o644)
    assert [finding.level for finding in check_keys(settings)] == [Level.WRONG]
    assert Level.WRONG in [finding.level for finding in check_permissions(settings)]


def test_a_clock_that_went_back_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens would live too long, or not at all."""
    monkeypatch.setattr("time.time", lambda: 1_000_000_000.0)
    assert [finding.level for finding in check_clock(make_settings(tmp_path))] == [Level.WRONG]


@pytest.mark.live
def test_setup_makes_what_is_missing_and_nothing_twice(live_lxd: object, tmp_path: Path) -> None:
    """On an LXD that has everything it changes nothing; its own image is not made where there is one."""
    from tests.support.lxd import LiveLxd

    assert isinstance(live_lxd, LiveLxd)
    settings = make_settings(tmp_path, lxd="auto", lxd_socket=live_lxd.socket, network=live_lxd.bridge)
    said: list[str] = []
    assert set_up(settings, said.append).version
    said.clear()
    set_up(settings, said.append)
    assert len(said) == 1  # what is running, and nothing done


@pytest.mark.live
def test_the_first_image_boots_and_takes_an_address(live_lxd: object) -> None:
    """The image that setup makes leads to a running container with an IPv4 address, and stops when it is told to."""
    import time

    from openlxd_core.host.lxd import LxdHost
    from tests.support.lxd import LiveLxd

    assert isinstance(live_lxd, LiveLxd)
    tool = busybox.find()
    assert tool is not None
    host = LxdHost(live_lxd.socket)
    held = set(host.names("/1.0/images"))
    aliases = set(host.names("/1.0/images/aliases"))
    fingerprint = ""
    try:
        headers = {"Content-Type": "application/octet-stream"}
        fingerprint = host.call("POST", "/1.0/images", raw=busybox.build(tool), headers=headers)["fingerprint"]
        body = {
            "name": "first-image",
            "source": {"type": "image", "fingerprint": fingerprint},
            "profiles": [],
            "devices": {
                "root": {"type": "disk", "path": "/", "pool": live_lxd.pool},
                "eth0": {"type": "nic", "network": live_lxd.bridge, "name": "eth0"},
            },
        }
        host.call("POST", "/1.0/instances", body)
        host.call("PUT", "/1.0/instances/first-image/state", {"action": "start", "timeout": 30})
        deadline = time.monotonic() + 30
        while "inet" not in {
            found["family"]
            for found in (host.call("GET", "/1.0/instances/first-image/state")["network"] or {}).get(
                "eth0", {"addresses": []}
            )["addresses"]
        }:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        host.call("PUT", "/1.0/instances/first-image/state", {"action": "stop", "timeout": 20})
        assert host.call("GET", "/1.0/instances/first-image")["status"] == "Stopped"
    finally:
        if "first-image" in host.names("/1.0/instances"):
            if host.call("GET", "/1.0/instances/first-image")["status"] != "Stopped":
                host.call("PUT", "/1.0/instances/first-image/state", {"action": "stop", "force": True, "timeout": 20})
            host.call("DELETE", "/1.0/instances/first-image")
        if fingerprint and fingerprint not in held:
            host.call("DELETE", f"/1.0/images/{fingerprint}")
    assert set(host.names("/1.0/images/aliases")) == aliases


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_leaves_nothing_that_the_service_cannot_use() -> None:
    """On a service's state, root acts as the service's account, and hands over what it made before."""
    folder = Path(tempfile.mkdtemp(prefix="olx-owner-"))
    try:
        state = folder / "state"
        state.mkdir()
        (state / "made-by-root").touch()
        os.chown(state, 65534, 65534)
        settings = make_settings(folder)
        hand_over(settings)
        assert (state / "made-by-root").stat().st_uid == 65534
        child = os.fork()
        if child == 0:  # in a process of its own: there is no way back
            try:
                act_as_owner(settings)
                os._exit(0 if (os.geteuid(), os.getegid()) == (65534, 65534) else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        shutil.rmtree(folder)


def test_ones_own_state_is_left_as_it_is(tmp_path: Path) -> None:
    """In a checkout nobody becomes anybody else."""
    settings = make_settings(tmp_path)
    before = os.geteuid()
    act_as_owner(settings)
    hand_over(settings)
    assert os.geteuid() == before
