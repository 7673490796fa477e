"""Open registration is a decision: setup asks for it, doctor and the start tell of it."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import stat
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from openlxd_api.server import serve
from openlxd_core.domain.errors import ConfigurationError
from openlxd_core.host.settings_file import set_value
from openlxd_core.settings import Settings
from tests.cli.conftest import Openlxd
from tests.support.core import make_settings


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def no_lxd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nothing is installed by these tests; the settings file is the test's own, on a public address."""
    ready = SimpleNamespace(kind="lxd", version="5.0.2", socket=Path("/nonexistent"))
    monkeypatch.setattr("openlxd_core.host.setup.set_up", lambda _settings, _say: ready)
    monkeypatch.setenv("OPENLXD_API_HOST", "0.0.0.0")
    file = tmp_path / "openlxd.toml"
    file.write_text("# ours\nssh_port = 2022")
    return file


@pytest.mark.parametrize(("answer", "kept"), [("\n", "off"), ("y\n", "off"), ("n\n", "on"), ("否\n", "on")])
def test_setup_asks_once(
    openlxd: Openlxd, no_lxd: Path, monkeypatch: pytest.MonkeyPatch, answer: str, kept: str
) -> None:
    """Enter closes registration; the answer is kept with the rest of the file, and the question does not come again."""
    from openlxd_tui.cli.root import run

    monkeypatch.delenv("OPENLXD_SSH_PORT")
    monkeypatch.setattr("sys.stdin", _Terminal(answer))
    assert run(["--config", str(no_lxd), "setup"]) == 0
    assert tomllib.loads(no_lxd.read_text()) == {"ssh_port": 2022, "registration": kept}
    assert no_lxd.read_text().startswith("# ours\n")
    monkeypatch.setattr("sys.stdin", _Terminal("nobody reads this\n"))
    assert run(["--config", str(no_lxd), "setup"]) == 0
    assert tomllib.loads(no_lxd.read_text())["registration"] == kept


def test_without_a_terminal_setup_tells_and_changes_nothing(openlxd: Openlxd, no_lxd: Path) -> None:
    """A script is not stopped by a question, and learns how to decide."""
    before = no_lxd.read_bytes()
    ran = openlxd("--config", str(no_lxd), "setup")
    assert ran.code == 0
    assert "openlxd setup --registration off" in ran.err
    assert no_lxd.read_bytes() == before
    ran = openlxd("--config", str(no_lxd), "setup", "--registration", "off")
    assert ran.code == 0
    assert tomllib.loads(no_lxd.read_text())["registration"] == "off"
    assert openlxd("--config", str(no_lxd), "setup", "--registration", "maybe").code == 2


def test_a_variable_that_overrules_the_file_is_named(
    openlxd: Openlxd, no_lxd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise registration would seem closed and stay open."""
    monkeypatch.setenv("OPENLXD_REGISTRATION", "on")
    ran = openlxd("--config", str(no_lxd), "setup", "--registration", "off")
    assert "OPENLXD_REGISTRATION" in ran.err


@pytest.mark.parametrize(
    ("values", "public"),
    [
        ({}, True),
        ({"api_host": "127.0.0.1"}, False),
        ({"api_host": "::1"}, False),
        ({"api_host": "127.0.0.1", "trusted_proxies": "127.0.0.1"}, True),
        ({"registration": "off"}, False),
        ({"registration": "off", "trusted_proxies": "127.0.0.1"}, False),
    ],
)
def test_what_counts_as_public(values: dict[str, Any], public: bool) -> None:
    """An address beyond this machine, or a proxy in front."""
    assert Settings(**values).registration_is_public is public


def test_the_doctor_tells_of_open_registration(openlxd: Openlxd, monkeypatch: pytest.MonkeyPatch) -> None:
    """A note with its mend while it is open to the network, all right otherwise."""
    monkeypatch.setenv("OPENLXD_IMAGES_URL", "off")

    def level() -> tuple[str, str]:
        found = next(line for line in openlxd("doctor", "--json").data if line["check"] == "registration")
        return found["level"], found["mend"]

    assert level() == ("ok", "")
    monkeypatch.setenv("OPENLXD_API_HOST", "0.0.0.0")
    assert level() == ("warning", "To close it: openlxd setup --registration off")
    monkeypatch.setenv("OPENLXD_REGISTRATION", "off")
    assert level() == ("ok", "")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", 'registration = "off"\n'),
        ('registration = "on"  # why\nlog = "json"\n', 'registration = "off"\nlog = "json"\n'),
        ("log = 'json'", "log = 'json'\nregistration = \"off\"\n"),
        ("# registration = \"on\"\n", "# registration = \"on\"\nregistration = \"off\"\n"),
        ("ssh_port = 1\n[table]\n", 'ssh_port = 1\nregistration = "off"\n[table]\n'),
    ],
)  # fmt: skip
def test_one_setting_changes_and_the_rest_stays(tmp_path: Path, before: str, after: str) -> None:
    """Comments, order and other settings are the operator's."""
    file = tmp_path / "etc" / "openlxd.toml"
    if before:
        file.parent.mkdir()
        file.write_text(before)
        file.chmod(0o640)
    set_value(file, "registration", "off")
    assert file.read_text() == after
    assert stat.S_IMODE(file.stat().st_mode) == (0o640 if before else 0o644)
    assert os.listdir(file.parent) == [file.name]


@pytest.mark.parametrize(
    "broken", ["registration = [\n  'on',\n]\n", "this is no toml\n", "a = '''\nregistration = 1\n'''\n"]
)
def test_a_file_that_cannot_be_changed_safely_is_left_alone(tmp_path: Path, broken: str) -> None:
    """What does not read back as the wanted value is not written."""
    file = tmp_path / "openlxd.toml"
    file.write_text(broken)
    with pytest.raises(ConfigurationError, match=r"openlxd\.toml"):
        set_value(file, "registration", "off")
    assert file.read_text() == broken


@pytest.mark.parametrize(("registration", "warned"), [("on", True), ("off", False)])
async def test_the_start_of_the_api_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registration: str, warned: bool
) -> None:
    """Under systemd, too, where nobody sees what `openlxd up` prints."""
    settings = make_settings(tmp_path, registration=registration, trusted_proxies="127.0.0.1", api_tls="off")
    loop = asyncio.get_running_loop()
    with capture_logs() as logs:
        serving = asyncio.create_task(serve(settings))
        async with asyncio.timeout(20):
            while not any(entry["event"] == "listening" for entry in logs):
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.05)
            os.kill(os.getpid(), signal.SIGTERM)
            await serving
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)
    assert ("registration_open" in [entry["event"] for entry in logs]) is warned
