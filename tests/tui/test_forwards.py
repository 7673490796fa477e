"""Port forwards by keys, on the real services with the simulated LXD beneath."""

from __future__ import annotations

from pathlib import Path

import pytest

from openlxd_core.bootstrap import open_core
from openlxd_core.domain.actor import SYSTEM
from openlxd_core.i18n import Translator
from openlxd_tui.app import OpenLXDApp
from tests.support.core import add_user, finish, make_settings
from tests.support.faulty_lxd import FaultyLxd
from tests.tui.fakes import FakeShell
from tests.tui.test_containers import page, screen_text, until


@pytest.mark.slow
async def test_a_forward_is_made_restored_and_deleted(tmp_path: Path) -> None:
    """A bad port is told beside its field; one that lxc removed is shown as missing and restored, and deleted."""
    lxd = FaultyLxd()
    async with open_core(make_settings(tmp_path), lxd=lxd) as core:
        alice = await add_user(core, "alice")
        await finish(core, await core.containers.create(alice, "web1", "debian/12", 1, 64, 128))
        app = OpenLXDApp(
            core, alice, translator=Translator("en"), environment={"TERM": "xterm-256color"}, host_shell=FakeShell()
        )
        async with app.run_test(size=(120, 30)) as pilot:
            await until(pilot, lambda: "web1" in screen_text(app) and page(app).table.current_key == "web1")
            await pilot.press("f")
            await until(pilot, lambda: "No port forwards yet." in screen_text(app))
            await pilot.press("n")
            await until(pilot, lambda: "Forward a port to web1" in screen_text(app))
            await pilot.press(*"70000", "enter")
            await until(pilot, lambda: "✗ A port is a number" in screen_text(app))
            assert await core.forwards.list(alice) == []
            await pilot.press("ctrl+u", *"80", "tab", *"20080", "enter")
            await until(pilot, lambda: "198.51.100.7:20080" in screen_text(app) and "● active" in screen_text(app))
            held = [rule for forward in await lxd.forwards() for rule in forward.rules]
            assert [(rule.first, rule.target_first) for rule in held] == [(20080, 80)]
            await lxd.change_forward("198.51.100.7", remove=held)
            await until(pilot, lambda: "missing in LXD" in screen_text(app))
            await pilot.press("r")
            await until(pilot, lambda: "● active" in screen_text(app) and not app.screen._operation)
            await pilot.press("d")
            await until(pilot, lambda: "Delete the forward of port 20080?" in screen_text(app))
            await pilot.press("y")
            await until(pilot, lambda: "No port forwards yet." in screen_text(app))
        assert await core.forwards.list(SYSTEM) == []
        assert await lxd.forwards() == []
