"""How tables are sorted, and how what is new is found in them."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from textual.widgets import Input

from openlxd_core.domain.container import State
from openlxd_core.domain.quota import Quota
from openlxd_tui.screens.account.page import AccountPage
from openlxd_tui.screens.containers.create import CreateForm
from openlxd_tui.screens.containers.forms import SnapshotForm
from openlxd_tui.screens.containers.snapshots import SnapshotsPage
from openlxd_tui.screens.images.page import ImagesPage
from openlxd_tui.screens.secret import Secret
from openlxd_tui.screens.users.page import UsersPage
from openlxd_tui.widgets.columns import Column
from openlxd_tui.widgets.record_table import RecordTable
from tests.tui.conftest import MakeApp
from tests.tui.fake_images import NOW
from tests.tui.fakes import ADMIN, FakeCore, a_busy_day, container, usage
from tests.tui.test_account import KEY
from tests.tui.test_containers import page, screen_text, until


def names(table: RecordTable[Any]) -> list[str]:
    """The keys of what is shown, in order."""
    return [table._key(row) for row in table.rows]


def titles(table: RecordTable[Any]) -> str:
    """The line of titles."""
    return "".join(text for text, _tint in table._titles())


def busy(core: FakeCore, **cpu: float) -> None:
    """Let containers use so much CPU."""
    core.lxd_status.figures = {name: usage(percent) for name, percent in cpu.items()}


async def test_a_list_sorted_by_use_follows_the_figures(core: FakeCore, make_app: MakeApp) -> None:
    """Each sample brings the rows into order; the cursor stays on its container, and the stopped ones at the end."""
    core.add(container("off", State.STOPPED), *(container(name) for name in "abc"))
    busy(core, a=3, b=90, c=40)
    app = make_app()
    async with app.run_test(size=(100, 20)) as pilot:
        table = page(app).table
        await until(pilot, lambda: len(table.rows) == 4)
        table._sort_by("cpu")
        assert names(table) == ["b", "c", "a", "off"]
        assert "CPU ▾" in titles(table), "the largest comes first"
        table.seek("a")
        await pilot.pause()
        busy(core, a=99, b=1, c=40)
        page(app).measure_use()
        assert names(table) == ["a", "c", "b", "off"]
        assert table.current_key == "a"
        await pilot.press("O")
        assert names(table) == ["b", "c", "a", "off"]
        assert "CPU ▴" in titles(table), "the smallest comes first"
        assert table.current_key == "a"


async def test_figures_that_keep_the_order_move_nothing(core: FakeCore, make_app: MakeApp) -> None:
    """Where the order stays, a sample repaints the lines that differ and no others."""
    core.add(*(container(f"c{index}") for index in range(6)))
    app = make_app()
    async with app.run_test(size=(100, 20)) as pilot:
        table = page(app).table
        await until(pilot, lambda: len(table.rows) == 6)
        busy(core, c1=50, c2=40)
        page(app).measure_use()
        table._sort_by("cpu")
        await until(pilot, lambda: len(table._drawn) == 6)
        arranged: list[bool] = []
        original = table._arrange
        table._arrange = lambda **more: (arranged.append(True), original(**more))[1]  # type: ignore[method-assign, func-returns-value]
        drawn: list[int] = []
        render = table.render_line
        table.render_line = lambda y: (drawn.append(y), render(y))[1]  # type: ignore[method-assign, func-returns-value]
        busy(core, c1=50, c2=41)
        page(app).measure_use()
        await until(pilot, lambda: "41%" in screen_text(app))
        assert arranged == []
        assert set(drawn) == {2}


async def test_a_new_order_does_not_scroll(core: FakeCore, make_app: MakeApp) -> None:
    """While figures move, the view stays where it is as long as the cursor's row is in it."""
    core.add(*(container(f"c{index:03}") for index in range(200)))
    random.seed(7)
    app = make_app()
    async with app.run_test(size=(100, 24)) as pilot:
        table = page(app).table
        await until(pilot, lambda: len(table.rows) == 200)
        figures = {f"c{index:03}": 1.0 + index / 10 for index in range(200)}
        busy(core, **figures)
        page(app).measure_use()
        table._sort_by("cpu")
        table.move_to(100)
        key, top = table.current_key, table.scroll_offset.y
        assert top > 0
        for _sample in range(20):
            moving = {name: value for name, value in figures.items() if name != key}
            a, b = random.sample(list(moving), 2)
            figures[a], figures[b] = figures[b], figures[a]
            busy(core, **figures)
            page(app).measure_use()
            await pilot.pause()
            assert (table.current_key, table.scroll_offset.y) == (key, top)
        figures[str(key)] = 100.0
        busy(core, **figures)
        page(app).measure_use()
        assert (table.current_key, table.cursor, table.scroll_offset.y) == (key, 0, 0), "keys never act out of sight"


async def test_rows_that_come_above_a_scrolled_view_do_not_move_it(core: FakeCore, make_app: MakeApp) -> None:
    """What is read stays on its line when something is created or deleted further up."""
    core.add(*(container(f"c{index:03}", State.STOPPED) for index in range(100)))
    app = make_app()
    async with app.run_test(size=(100, 24)) as pilot:
        table = page(app).table
        await until(pilot, lambda: len(table.rows) == 100)
        table.move_to(60)
        line = table.cursor - table.scroll_offset.y
        core.add(container("aaa"), container("aab"))
        core.feed.send("container", "created", "aaa")
        core.feed.send("container", "created", "aab")
        await until(pilot, lambda: len(table.rows) == 102)
        assert (table.current_key, table.cursor - table.scroll_offset.y) == ("c060", line)


@pytest.mark.parametrize("reverse", [False, True])
async def test_what_has_no_value_comes_last_either_way(core: FakeCore, make_app: MakeApp, reverse: bool) -> None:
    """Without an address, a figure or a date a row stands at the end; equal rows stand in the order of their names."""
    core.add(
        container("x", State.STOPPED), container("b", ipv4="10.0.0.9"), container("a", ipv4="10.0.0.10"),
        container("y", State.STOPPED),
    )  # fmt: skip
    app = make_app()
    async with app.run_test(size=(100, 24)) as pilot:
        table = page(app).table
        await until(pilot, lambda: len(table.rows) == 4)
        table._sort_by("ipv4")
        if reverse:
            table.action_sort_turn()
        assert names(table) == (["a", "b", "x", "y"] if reverse else ["b", "a", "x", "y"])


SCREENS: dict[str, tuple[type, str, tuple[str, ...]]] = {
    "containers": (object, "#containers", ()),
    "users": (UsersPage, "#users", ("5",)),
    "offers": (ImagesPage, "#offers", ("3",)),
    "images": (ImagesPage, "#images", ("3", "tab")),
    "snapshots": (SnapshotsPage, "#snapshots", ("v",)),
    "account": (AccountPage, "#keys", ("2",)),
}


@pytest.mark.parametrize("screen", SCREENS)
async def test_the_arrow_points_the_way_that_the_values_run(core: FakeCore, make_app: MakeApp, screen: str) -> None:
    """In every table: ▴ has the smallest value at the top, ▾ the largest, as file managers and monitors show it."""
    a_busy_day(core)
    core.images.open()
    core.snapshots.add("blog", "one", days=3)
    core.snapshots.add("blog", "two", days=2)
    _page, name, keys = SCREENS[screen]
    app = make_app(ADMIN)
    async with app.run_test(size=(200, 50)) as pilot:
        await until(pilot, lambda: page(app).table.rows)
        await pilot.press(*keys)
        await until(pilot, lambda: app.screen.query(name))
        table: RecordTable[Any] = app.screen.query_one(name, RecordTable)
        await until(pilot, lambda: table.rows or screen == "account")
        for column in [c for c in table.columns if c.sort]:
            table._sort_by(column.key)
            for _turn in range(2):
                text = titles(table)
                assert ("▾" in text) is table.reverse
                assert ("▴" in text) is not table.reverse
                values = [v for v in map(column.sort, table.rows) if v is not None]  # type: ignore[arg-type]
                assert values == sorted(values, reverse=table.reverse), column.key
                table.action_sort_turn()


def test_ages_and_dates_of_one_thing_run_against_each_other() -> None:
    """The youngest is the smallest age and the latest date: ▴ on Age and ▾ on Taken show the same order."""
    columns: dict[str, Column[Any]] = {column.key: column for column in SnapshotsPage._columns()}
    old = type("S", (), {"created_at": NOW - timedelta(days=9)})
    new = type("S", (), {"created_at": NOW})
    assert columns["age"].sort is not None
    assert columns["created"].sort is not None
    assert columns["age"].sort(new) < columns["age"].sort(old)
    assert columns["created"].sort(new) > columns["created"].sort(old)


# What is new


async def test_a_snapshot_just_taken_is_under_the_cursor(core: FakeCore, make_app: MakeApp) -> None:
    """It turns up with the cursor on it, wherever the order puts it."""
    a_busy_day(core)
    for index in range(8):
        core.snapshots.add("blog", f"s{index:02}", days=index + 1)
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: page(app).table.rows)
        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.screen, SnapshotsPage) and len(app.screen.table.rows) == 8)
        table = app.screen.table  # type: ignore[attr-defined]
        await pilot.press("end", "n")
        await until(pilot, lambda: isinstance(app.screen, SnapshotForm))
        await pilot.pause()
        await pilot.press(*"fresh", "enter")
        await until(pilot, lambda: len(table.rows) == 9)
        assert table.current_key == "fresh"
        assert "fresh" in screen_text(app)


@pytest.mark.slow
async def test_a_container_just_created_is_found_behind_a_filter(core: FakeCore, make_app: MakeApp) -> None:
    """A filter that would hide it goes away."""
    core.quota_of[2] = Quota(100, 100, 100_000, 1_000_000)
    core.add(*(container(f"c{index:03}") for index in range(60)))
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        table = page(app).table
        await until(pilot, lambda: len(table.rows) == 60)
        await pilot.press("slash", *"c01", "enter")
        await until(pilot, lambda: len(table.rows) == 10)
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, CreateForm))
        await pilot.pause()
        await pilot.press(*"web1", "enter")
        await until(pilot, lambda: table.current_key == "web1")
        assert len(table.rows) == 61
        assert not page(app).query("#filter")


async def test_who_moves_on_is_not_called_back(core: FakeCore, make_app: MakeApp) -> None:
    """A record that comes late does not take the cursor from somebody who has moved it meanwhile."""
    core.add(*(container(f"c{index}") for index in range(5)))
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        table = page(app).table
        await until(pilot, lambda: len(table.rows) == 5)
        table.expect("web1")
        await pilot.press("down")
        core.add(container("web1"))
        core.feed.send("container", "created", "web1")
        await until(pilot, lambda: len(table.rows) == 6)
        assert table.current_key == "c1"
        table.expect("web2")
        core.add(container("web2"))
        core.feed.send("container", "created", "web2")
        await until(pilot, lambda: table.current_key == "web2")
        table.move_to(0)
        core.change("web2", cpu=2)
        await until(pilot, lambda: table.records()["web2"].cpu == 2)
        assert table.current_key == "c0", "it is found once, not for ever"


@pytest.mark.slow
async def test_a_user_and_a_key_just_added_are_under_the_cursor(core: FakeCore, make_app: MakeApp) -> None:
    """In the lists of accounts and of SSH keys, too."""
    core.users |= {n: replace(core.users[2], id=n, username=f"user{n}", email=f"u{n}@example.org") for n in (5, 6)}
    app = make_app(ADMIN)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: isinstance(app.screen, UsersPage) and app.screen.table.rows)
        table = app.screen.table  # type: ignore[attr-defined]
        await pilot.press("n")
        await until(pilot, lambda: app.screen.query("#field-username"))
        await pilot.pause()
        await pilot.press(*"zoe", "tab", *"zoe@example.org", "tab", *"long enough", "tab", *"long enough", "ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, Secret))
        await pilot.press("escape")
        await until(pilot, lambda: table.current_key == "zoe")
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, AccountPage) and app.screen._loaded)
        for number in (1, 2):
            await pilot.press("a")
            await until(pilot, lambda: app.screen.query("#field-public_key"))
            await pilot.pause()
            app.screen.query_one("#public_key", Input).insert_text_at_cursor(KEY)
            await pilot.press("tab", *f"key{3 - number}", "ctrl+s")
            await until(pilot, lambda: isinstance(app.screen, AccountPage))
            await until(pilot, lambda: len(core.ssh_keys) == len(app.screen.table.rows))  # type: ignore[attr-defined]
            assert app.screen.table.current.name == f"key{3 - number}"  # type: ignore[attr-defined]


async def test_an_imported_image_is_under_the_cursor_of_this_host(core: FakeCore, make_app: MakeApp) -> None:
    """Tab after an import leads to its row."""
    core.images.open()
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, ImagesPage) and app.screen._ready and app.screen._local)
        images = app.screen
        assert isinstance(images, ImagesPage)
        images.offers.seek("rockylinux/9")
        await pilot.press("i")
        await until(pilot, lambda: len(images.images.rows) == 4)
        await pilot.press("tab")
        assert images.images.current_key == "rockylinux/9"
