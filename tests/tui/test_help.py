"""The help: this screen's keys first, and the ssh line as it has to be typed."""

from __future__ import annotations

import pytest

from openlxd_core.settings import Settings
from openlxd_tui.address import SshAddress, address_of_connection, address_of_settings
from tests.tui.conftest import MakeApp
from tests.tui.fakes import ADMIN, FakeCore, container
from tests.tui.test_containers import page, screen_text, until


@pytest.mark.parametrize(
    ("keys", "first"),
    [
        ((), "Shell"),
        (("2",), "Change password"),
        (("3",), "Import"),
        (("5",), "Set password"),
        (("v",), "Take snapshot"),
    ],
)
async def test_this_screens_keys_come_first(
    core: FakeCore, make_app: MakeApp, keys: tuple[str, ...], first: str
) -> None:
    """Whichever screen ? is pressed on: on a small terminal its keys are what one sees, with their words."""
    core.add(container("web1"))
    app = make_app(ADMIN)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: page(app).table.rows)
        for key in (*keys, "question_mark"):
            await pilot.press(key)
            await pilot.pause()
        await until(pilot, lambda: "Help" in screen_text(app) and first in screen_text(app))
        assert "Everywhere" not in screen_text(app).split(first)[0]


async def test_the_ssh_line_can_be_copied(core: FakeCore, make_app: MakeApp) -> None:
    """Host, port and one of one's own containers stand in it."""
    core.add(container("shop"))
    app = make_app()
    app.ssh = SshAddress("203.0.113.5", 2222)
    async with app.run_test(size=(100, 60)) as pilot:
        await until(pilot, lambda: page(app).table.rows)
        await pilot.press("question_mark")
        await until(pilot, lambda: "In your own terminal" in screen_text(app))
        for line in (
            "ssh -p 2222 openlxd@203.0.113.5  ",
            "ssh -t -p 2222 openlxd@203.0.113.5 shop  ",
            "ssh -p 2222 openlxd@203.0.113.5 exec shop -- ls  ",
        ):
            assert line in screen_text(app)


@pytest.mark.parametrize(
    ("local", "line"),
    [
        (("203.0.113.5", 2222), "ssh -p 2222 openlxd@203.0.113.5"),
        (("203.0.113.5", 22), "ssh openlxd@203.0.113.5"),
        (("::ffff:203.0.113.5", 22, 0, 0), "ssh openlxd@203.0.113.5"),
        (("2001:db8::1", 2222, 0, 0), "ssh -p 2222 openlxd@2001:db8::1"),
        (("fe80::1%eth0", 22, 0, 2), "ssh openlxd@fe80::1%eth0"),
        (None, "ssh -p 2200 openlxd@host.example.org"),
        ("/run/openlxd.sock", "ssh -p 2200 openlxd@host.example.org"),
    ],
)
def test_the_address_is_the_one_that_the_client_reached(local: object, line: str) -> None:
    """Whatever kind of socket the connection came over; where it does not tell, the settings do."""
    settings = Settings(ssh_port=2200, public_address="host.example.org")
    assert address_of_connection(local, settings).command() == line


def test_the_local_console_tells_where_the_service_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address of its own, else the public one, else the host's name; nothing in it acts on the terminal."""
    monkeypatch.setattr("socket.gethostname", lambda: "host1")
    assert address_of_settings(Settings(ssh_host="192.0.2.9", ssh_port=22)).command() == "ssh openlxd@192.0.2.9"
    assert address_of_settings(Settings(ssh_host="::", ssh_port=22)).host == "host1"
    assert address_of_settings(Settings(ssh_host="0.0.0.0", public_address="192.0.2.8")).host == "192.0.2.8"
    assert "\x1b" not in SshAddress("\x1b[2Jx", 22).command()
