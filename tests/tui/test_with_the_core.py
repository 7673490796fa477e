"""The screens on the real services, with the simulated LXD beneath: what the fakes promise is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from openlxd_core.bootstrap import open_core
from openlxd_core.domain.actor import Role
from openlxd_core.i18n import Translator, set_translator
from openlxd_tui.app import OpenLXDApp
from openlxd_tui.widgets.text_input import TextInput
from tests.support.core import add_user, make_settings
from tests.support.faulty_lxd import FaultyLxd
from tests.tui.fakes import FakeShell
from tests.tui.test_containers import page, screen_text, until


@pytest.mark.slow
async def test_a_container_comes_up_is_entered_and_goes(tmp_path: Path) -> None:
    """Created, seen running with its address, entered, deleted, all by keys; the neighbour sees none of it."""
    async with open_core(make_settings(tmp_path), lxd=FaultyLxd()) as core:
        alice, bob = await add_user(core, "alice"), await add_user(core, "bob")
        shell = FakeShell()
        environment = {"TERM": "xterm-256color"}
        app = OpenLXDApp(core, alice, translator=Translator("en"), environment=environment, host_shell=shell)
        other = OpenLXDApp(core, bob, translator=Translator("en"), environment=environment, host_shell=shell)
        async with app.run_test(size=(140, 30)) as pilot, other.run_test(size=(140, 30)) as neighbour:
            await until(pilot, lambda: "No containers yet." in screen_text(app))
            await pilot.press("n")
            await until(pilot, lambda: app.screen is not page(app) and "left of" in screen_text(app))
            await pilot.press(*"web1", "enter")
            await until(pilot, lambda: "● running" in screen_text(app))
            await until(pilot, lambda: re.search(r"web1 .*10\.\d+\.\d+\.\d+", screen_text(app)))
            await until(pilot, lambda: page(app).table.current_key == "web1" and not page(app)._operations)
            await pilot.press("enter")
            await until(pilot, lambda: shell.asked == ["web1"])
            await neighbour.pause()
            assert "No containers yet." in screen_text(other)
            await pilot.press("d", *"web1", "enter")
            await until(pilot, lambda: "No containers yet." in screen_text(app))
        assert await core.containers.list(alice) == []


@pytest.mark.slow
async def test_suspension_reaches_an_open_session(tmp_path: Path) -> None:
    """An admin suspends from the users screen, and the tenant's session ends with the reason."""
    async with open_core(make_settings(tmp_path), lxd=FaultyLxd()) as core:
        alice, boss = await add_user(core, "alice"), await add_user(core, "boss", role=Role.ADMIN)
        environment = {"TERM": "xterm-256color"}
        shell = FakeShell()
        app = OpenLXDApp(core, alice, translator=Translator("en"), environment=environment, host_shell=shell)
        admin = OpenLXDApp(core, boss, translator=Translator("zh"), environment=environment, host_shell=shell)
        async with app.run_test() as tenant, admin.run_test(size=(120, 30)) as pilot:
            await pilot.press("5")
            await until(pilot, lambda: "alice" in screen_text(admin))
            await pilot.press("s")
            await until(pilot, lambda: "停用 alice" in screen_text(admin) and isinstance(admin.focused, TextInput))
            await pilot.press(*"Unpaid", "enter")
            await until(tenant, lambda: not app.is_running)
            set_translator(admin.translator)  # a pilot paints in this task, which the sessions' languages do not reach
            await until(pilot, lambda: "已停用" in screen_text(admin))
            set_translator(app.translator)
        assert app.farewell is not None
        assert app.farewell.text() == "Your account was suspended: Unpaid"
