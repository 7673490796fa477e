"""What one chooses is there at the next login."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from openlxd_core.bootstrap import open_core
from openlxd_core.domain.container import State
from openlxd_core.domain.operation import Kind
from openlxd_core.domain.preferences import Preferences, TableView
from openlxd_core.i18n import Translator
from openlxd_core.lxd.simulated import SimulatedLxd
from openlxd_tui.app import OpenLXDApp
from openlxd_tui.choices import preferences_of
from openlxd_tui.screens.users.page import UsersPage
from openlxd_tui.theme import DARK, LIGHT
from openlxd_tui.widgets.record_table import RecordTable
from tests.support.core import add_user, make_settings
from tests.tui.conftest import MakeApp
from tests.tui.fakes import ADMIN, ALICE, FakeCore, FakeShell, a_busy_day, container, operation
from tests.tui.test_containers import page, screen_text, until


def app_with(core: FakeCore, preferences: Preferences) -> OpenLXDApp:
    """A session of alice's."""
    return OpenLXDApp(
        core,  # type: ignore[arg-type]
        ALICE,
        translator=Translator("en"),
        environment={"TERM": "xterm-256color", "COLORTERM": "truecolor"},
        host_shell=FakeShell(),
        host="host1",
        preferences=preferences,
    )


def drawn(app: OpenLXDApp) -> str:
    """The screen with its colours."""
    return "".join(strip.render(app.console) for strip in app.screen._compositor.render_strips())


async def test_the_first_frame_has_the_theme_that_was_chosen(core: FakeCore) -> None:
    """A session that begins in the light theme looks as one that was changed to it; no frame before is dark."""
    a_busy_day(core)
    begun, changed = app_with(core, Preferences(LIGHT.name)), app_with(core, Preferences())
    dark = "48;2;28;28;28"
    async with begun.run_test(size=(100, 24)) as pilot:
        assert dark not in drawn(begun), "the very first frame"
        await until(pilot, lambda: "blog" in screen_text(begun))
        await pilot.pause(0.1)
        light = drawn(begun)
        assert "-light-mode" in begun.classes
    async with changed.run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: "blog" in screen_text(changed))
        assert dark in drawn(changed)
        await pilot.press("ctrl+t")
        await pilot.pause(0.1)
        assert drawn(changed) == light
    assert app_with(core, Preferences("of-tomorrow")).theme == DARK.name


async def test_theme_language_and_order_are_written(core: FakeCore, make_app: MakeApp) -> None:
    """Each choice is kept for the account, a burst of keys as one; what was not touched is not written."""
    core.add(container("web1"), container("web2", cpu=2))
    app = make_app()
    async with app.run_test(size=(140, 24)) as pilot:
        await until(pilot, lambda: page(app).table.rows)
        assert core.preferences.chosen == {}
        await pilot.press("ctrl+t", "ctrl+l", "o", "o", "O")
        await until(pilot, lambda: core.preferences.chosen)
        chosen = core.preferences.chosen[2]
        assert (chosen.theme, chosen.language) == (LIGHT.name, "zh")
        table = page(app).table
        assert dict(chosen.tables) == {"containers": TableView(table.sort_key, table.reverse)}
        assert table.sort_key != "name"


@pytest.mark.parametrize(
    ("view", "found"),
    [
        (TableView("image", True), ("image", True)),
        (TableView("name", False), ("name", False)),
        (TableView("column-of-tomorrow", True), ("name", False)),
        (TableView("", True), ("name", False)),
        (TableView(), ("name", False)),
    ],
)
async def test_a_table_comes_back_in_its_order(core: FakeCore, view: TableView, found: tuple[str, bool]) -> None:
    """The order that was left is the order that is found; one that is not possible any more changes nothing."""
    a_busy_day(core)
    app = app_with(core, Preferences().with_table("containers", view))
    async with app.run_test(size=(140, 24)) as pilot:
        await until(pilot, lambda: page(app).table.rows)
        table = page(app).table
        assert (table.sort_key, table.reverse) == found


async def test_screens_that_are_left_come_back_in_their_order(core: FakeCore, make_app: MakeApp) -> None:
    """Within one session too: the users screen is made anew each time."""
    app = make_app(ADMIN)
    async with app.run_test(size=(140, 24)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: "alice@" in screen_text(app))
        await pilot.press("o", "O")
        assert isinstance(app.screen, UsersPage)
        before = app.screen.query_one(RecordTable)
        left = before.sort_key, before.reverse
        await pilot.press("1", "5")
        await until(pilot, lambda: "alice@" in screen_text(app))
        after = app.screen.query_one(RecordTable)
        assert after is not before
        assert (after.sort_key, after.reverse) == left


async def test_the_last_choice_is_written_as_the_session_ends(tmp_path: Path) -> None:
    """A theme changed, and q at once: the next session has it; a neighbour's has not."""
    async with open_core(make_settings(tmp_path), lxd=SimulatedLxd()) as core:
        alice, bob = await add_user(core, "alice"), await add_user(core, "bob")
        app = OpenLXDApp(core, alice, translator=Translator("en"), environment={}, host_shell=FakeShell())

        async def leave_at_once(pilot: Pilot[None]) -> None:
            await pilot.press("ctrl+t", "q")

        await app.run_async(headless=True, auto_pilot=leave_at_once)
        assert await preferences_of(core, alice) == Preferences(LIGHT.name)
        assert await preferences_of(core, bob) == Preferences()


async def test_preferences_that_cannot_be_read_keep_nobody_out(core: FakeCore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that fails just then costs the choices, not the login."""

    async def fail(_actor: object) -> Preferences:
        raise RuntimeError("disk I/O error")

    monkeypatch.setattr(core.preferences, "get", fail)
    assert await preferences_of(core, ALICE) == Preferences()  # type: ignore[arg-type]


async def test_columns_are_chosen_and_come_back(core: FakeCore, make_app: MakeApp) -> None:
    """C lists the columns; hidden ones are gone at once and in the next session, whatever then is wide enough."""
    a_busy_day(core)
    app = make_app()
    async with app.run_test(size=(160, 30)) as pilot:
        await until(pilot, lambda: page(app).table.rows)
        assert "IPv6" in screen_text(app)
        await pilot.press("C")
        await until(pilot, lambda: "space shows or hides" in screen_text(app))
        assert "○" not in screen_text(app).split("Columns")[1].split("space")[0].replace("○ stopped", "")
        await pilot.press("space", "down", "enter", "escape")
        table = page(app).table
        first, second = (column.key for column in table._hideable()[:2])
        await until(pilot, lambda: core.preferences.chosen)
        view = core.preferences.chosen[2].tables["containers"]
        assert view.columns is not None
        assert {first, second}.isdisjoint(view.columns)
        titles = {column.key: column.title for column in table.columns}
        head = screen_text(app).splitlines()[1]
        assert titles[first] not in head
        assert "Name" in head
        assert "State" in head
        await pilot.press("C", "space", "escape")
        assert titles[first] in screen_text(app).splitlines()[1]
    again = app_with(core, Preferences().with_table("containers", view))
    async with again.run_test(size=(160, 30)) as pilot:
        await until(pilot, lambda: page(again).table.rows)
        head = screen_text(again).splitlines()[1]
        assert titles[first] not in head
        assert titles[second] not in head
        assert "State" in head
        core.change("mail", status=State.RUNNING)
        core.run(operation("mail", Kind.STOP))
        await until(pilot, lambda: "◐" in screen_text(again))  # progress is drawn across what is left


async def test_columns_of_another_version_harm_nothing(core: FakeCore) -> None:
    """Names that are no columns show and hide nothing; the name and the state stay."""
    a_busy_day(core)
    app = app_with(core, Preferences().with_table("containers", TableView(columns=("of-tomorrow",))))
    async with app.run_test(size=(160, 30)) as pilot:
        await until(pilot, lambda: page(app).table.rows)
        head = screen_text(app).splitlines()[1]
        assert "Name" in head
        assert "State" in head
        assert "IPv4" not in head
