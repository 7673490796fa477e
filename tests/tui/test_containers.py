"""The containers screen, driven key by key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, Input

from openlxd_core.domain.actor import Actor
from openlxd_core.domain.container import State
from openlxd_core.domain.errors import Busy, Message, QuotaExceeded
from openlxd_core.domain.feed import LxdState
from openlxd_core.domain.operation import Kind
from openlxd_core.domain.quota import Quota
from openlxd_tui.app import OpenLXDApp
from openlxd_tui.screens.containers.create import CreateForm
from openlxd_tui.screens.containers.page import ContainersPage
from openlxd_tui.shells import ShellResult
from openlxd_tui.widgets.field import Field, Words
from openlxd_tui.widgets.record_table import RecordTable
from tests.tui.conftest import MakeApp
from tests.tui.fake_images import NOW
from tests.tui.fakes import ADMIN, ALICE, ROOT, FakeCore, FakeShell, a_busy_day, container, operation, usage


def page(app: OpenLXDApp) -> ContainersPage:
    """The containers screen."""
    found = app.screen_stack[0]
    assert isinstance(found, ContainersPage)
    return found


def screen_text(app: OpenLXDApp) -> str:
    """What can be read on the terminal."""
    return "\n".join(strip.text.rstrip() for strip in app.screen._compositor.render_strips())


async def until(pilot: Pilot[None], holds: Callable[[], Any]) -> None:
    """Wait for a condition, not for a time."""
    async with asyncio.timeout(5):
        while not holds():
            await pilot.pause()
            await asyncio.sleep(0.01)


def toasts(app: OpenLXDApp) -> list[str]:
    """What was said."""
    return [notification.message for notification in app._notifications]


async def test_a_newcomer_is_told_what_to_press(make_app: MakeApp) -> None:
    """An empty list names the key that makes the first container."""
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "No containers yet." in screen_text(app))
        assert "n  makes your first one" in screen_text(app)


async def test_a_tenant_sees_state_address_use_and_quota(core: FakeCore, make_app: MakeApp) -> None:
    """One look answers what runs, where, and how much is left."""
    a_busy_day(core)
    app = make_app()
    async with app.run_test(size=(140, 30)) as pilot:
        await until(pilot, lambda: "10.77.0.40" in screen_text(app))
        text = screen_text(app)
        for words in ("● running", "○ stopped", "✗ error", "Unpacking the image 42%", "214M / 1 GiB", "5/8", "alice"):
            assert words in text, words
        assert "Owner" not in text


async def test_an_admin_sees_whose_each_container_is(core: FakeCore, make_app: MakeApp) -> None:
    """The admin's table holds everybody's containers and their owners."""
    core.add(container("shop", user_id=9, owner="carol"))
    app = make_app(ROOT)
    async with app.run_test(size=(120, 24)) as pilot:
        await until(pilot, lambda: "carol" in screen_text(app))
        assert "Owner" in screen_text(app)
        assert "Users" in screen_text(app)


async def test_changes_appear_by_themselves_and_the_cursor_stays(core: FakeCore, make_app: MakeApp) -> None:
    """A row turns up, changes and goes with the feed; the cursor stays with its container, in its place."""
    core.add(*(container(f"c{index:03}", State.STOPPED) for index in range(200)))
    app = make_app()
    async with app.run_test(size=(100, 20)) as pilot:
        table = page(app).table
        await until(pilot, lambda: len(table.rows) == 200)
        table.seek("c100")
        await pilot.pause()
        top = table.scroll_offset.y
        core.change("c099", status=State.RUNNING, ipv4="10.77.0.9")
        await until(pilot, lambda: "10.77.0.9" in screen_text(app))
        assert (table.current_key, table.scroll_offset.y) == ("c100", top)
        core.add(container("a-first"))
        core.feed.send("container", "created", "a-first")
        await until(pilot, lambda: len(table.rows) == 201)
        assert table.current_key == "c100"
        del core.rows["c150"]
        core.feed.send("container", "deleted", "c150")
        await until(pilot, lambda: len(table.rows) == 200)
        assert table.current_key == "c100"


async def test_a_change_of_one_row_repaints_no_other(core: FakeCore, make_app: MakeApp) -> None:
    """Nothing flickers: only the line that differs is drawn again."""
    core.add(*(container(f"c{index}") for index in range(10)))
    app = make_app()
    async with app.run_test(size=(100, 20)) as pilot:
        table = page(app).table
        await until(pilot, lambda: len(table.rows) == 10 and len(table._drawn) == 10)
        drawn: list[int] = []
        original = table.render_line
        table.render_line = lambda y: (drawn.append(y), original(y))[1]  # type: ignore[method-assign, func-returns-value]
        core.lxd_status.figures = {"c4": usage(55.0, 300)}
        page(app).measure_use()
        await until(pilot, lambda: "300M" in screen_text(app))
        drawn.clear()
        core.lxd_status.figures = {"c4": usage(55.0, 301)}
        page(app).measure_use()
        await until(pilot, lambda: drawn)
        assert set(drawn) == {5}
        drawn.clear()
        page(app).measure_use()
        await pilot.pause()
        assert drawn == []


async def test_usage_is_sampled_only_while_somebody_looks(core: FakeCore, make_app: MakeApp) -> None:
    """The poller runs for the containers screen in view, and for no other."""
    app = make_app()
    async with app.run_test() as pilot:
        assert core.lxd_status.watchers == 1
        await pilot.press("2")
        await until(pilot, lambda: core.lxd_status.watchers == 0)
        await pilot.press("escape")
        await until(pilot, lambda: core.lxd_status.watchers == 1)
    assert core.lxd_status.watchers == 0


@pytest.mark.parametrize(
    ("state", "keys", "call"),
    [
        (State.STOPPED, "S", ("start", "web1")),
        (State.RUNNING, "s y", ("stop", "web1", ("force", False))),
        (State.RUNNING, "s f", ("stop", "web1", ("force", True))),
        (State.RUNNING, "r y", ("restart", "web1")),
        (State.RUNNING, "p y", ("pause", "web1")),
        (State.FROZEN, "p", ("resume", "web1")),
        (State.ERROR, "t", ("retry", "web1")),
        (State.STOPPED, "d w e b 1 enter", ("delete", "web1")),
    ],
)
async def test_keys_do_what_they_say(
    core: FakeCore, make_app: MakeApp, state: State, keys: str, call: tuple[Any, ...]
) -> None:
    """Each action reaches the service, by its key, for the container under the cursor."""
    core.add(container("web1", state))
    app = make_app()
    async with app.run_test() as pilot:
        await until(pilot, lambda: page(app).table.rows)
        for key in keys.split():
            await pilot.press(key)
            await pilot.pause()
        await until(pilot, lambda: core.calls)
        assert core.calls == [call]
        await until(pilot, lambda: "web1" in page(app)._operations)


@pytest.mark.parametrize(
    "keys", ["s escape", "s n", "r escape", "p", "p escape", "d escape", "d w e b enter", "d enter", "S", "t"]
)
async def test_nothing_is_lost_by_a_key_too_many(core: FakeCore, make_app: MakeApp, keys: str) -> None:
    """A question taken back, or a name not fully typed, does nothing; what makes no sense is not offered."""
    core.add(container("web1"))
    app = make_app()
    async with app.run_test() as pilot:
        await until(pilot, lambda: page(app).table.rows)
        for key in keys.split():
            await pilot.press(key)
            await pilot.pause()
        assert core.calls == []


async def test_an_operation_shows_how_far_it_is_and_how_it_ended(core: FakeCore, make_app: MakeApp) -> None:
    """Progress stands in the row; success and failure of what this session started are said."""
    core.add(container("web1", State.STOPPED), container("web2", State.STOPPED))
    app = make_app()
    async with app.run_test(size=(100, 20)) as pilot:
        await until(pilot, lambda: page(app).table.rows)
        await pilot.press("d", *"web1", "enter")
        await until(pilot, lambda: core.under_way)
        op = next(iter(core.under_way.values()))
        core.run(operation("web1", Kind.DELETE, id=op.id, stage="delete", progress=60))
        await until(pilot, lambda: "Deleting 60%" in screen_text(app))
        core.finish(op, Message("LXD refused: {reason}", {"reason": "it is busy"}))
        await until(pilot, lambda: toasts(app))
        assert toasts(app) == ["Container web1 could not be deleted: LXD refused: it is busy"]
        assert "Deleting" not in screen_text(app).split("web2")[0].split("Name")[1]


async def test_errors_of_the_service_are_said(core: FakeCore, make_app: MakeApp) -> None:
    """A refusal is one sentence."""
    core.add(container("web1", State.STOPPED))
    core.fails = Busy("Another operation on {name} is in progress. Wait until it is done.", name="web1")
    app = make_app(language="zh")
    async with app.run_test() as pilot:
        await until(pilot, lambda: page(app).table.rows)
        await pilot.press("S")
        await until(pilot, lambda: toasts(app))
        assert toasts(app) == ["web1 上有另一个操作正在进行，请等待它完成。"]


async def test_the_filter_narrows_and_gives_way(core: FakeCore, make_app: MakeApp) -> None:
    """``/`` narrows while one types, Enter keeps it, Esc shows all again."""
    a_busy_day(core)
    app = make_app()
    async with app.run_test(size=(100, 24)) as pilot:
        table = page(app).table
        await until(pilot, lambda: len(table.rows) == 6)
        await pilot.press("slash", *"ubuntu")
        await until(pilot, lambda: [c.name for c in table.rows] == ["lab", "web1"])
        await pilot.press("enter", "down")
        assert table.has_focus
        assert table.current_key == "web1"
        await pilot.press("escape")
        await until(pilot, lambda: len(table.rows) == 6)
        assert table.current_key == "web1"
        await pilot.press("slash", *"zzz")
        await until(pilot, lambda: "Nothing matches the filter." in screen_text(app))


async def test_the_create_form_checks_as_one_types(core: FakeCore, make_app: MakeApp) -> None:
    """Each mistake is named beside its field, the quota included, before anything is asked of the service."""
    core.quota_of[2] = Quota(3, 4, 2048, 10240)
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, CreateForm))
        form = app.screen
        await until(pilot, lambda: "2 GiB left of 2 GiB" in screen_text(app))

        def note(name: str) -> str:
            return form.query_one(f"#field-{name}", Field).query_one(".field--note", Words).text

        await pilot.press(*"Web1")
        assert "lower-case" in note("name")
        form.query_one("#cpu", Input).value = "0"
        form.query_one("#memory", Input).value = "2 bananas"
        form.query_one("#disk", Input).value = "11GiB"
        await until(pilot, lambda: "left of your quota" in note("disk"))
        assert "not a whole number" in note("cpu")
        assert "“2 bananas” is not a size" in note("memory")
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert "Debian" in note("image")
        assert core.calls == []


async def test_without_an_image_the_form_says_where_there_are_some(core: FakeCore, make_app: MakeApp) -> None:
    """Nothing can be created from nothing, and the tenant reads which key leads to images."""
    core.aliases = []
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("n")
        await until(pilot, lambda: "Press Esc, then 3" in screen_text(app))
        await pilot.press(*"web1", "ctrl+s")
        await until(pilot, lambda: "Choose an image." in screen_text(app))
        assert core.calls == []


async def test_creating_leads_to_a_row_with_the_cursor_on_it(core: FakeCore, make_app: MakeApp) -> None:
    """A form that is right closes, and the new row is found with its progress."""
    core.add(container("aaa"))
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: page(app).table.rows)
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, CreateForm))
        form = app.screen
        await pilot.pause()
        await pilot.press(*"web1")
        assert form.query_one("#image").value == "debian/12"  # type: ignore[attr-defined]
        await pilot.press("enter")
        await until(pilot, lambda: core.calls)
        assert core.calls == [("create", "web1", "debian/12", "1", "512MiB", "5GiB", None)]
        await until(pilot, lambda: page(app).table.current_key == "web1")
        await until(pilot, lambda: "Unpacking the image" in screen_text(app))
        core.change("web1", status=State.RUNNING, ipv4="10.77.0.50")
        core.finish(next(iter(core.under_way.values())))
        await until(pilot, lambda: toasts(app))
        assert toasts(app) == ["Container web1 was created."]
        assert "10.77.0.50" in screen_text(app)


async def test_what_the_service_refuses_stays_in_the_form(core: FakeCore, make_app: MakeApp) -> None:
    """A refusal after all the checks is said in the form, with everything typed still there."""
    core.fails = QuotaExceeded("Your quota allows {limit} containers, and all are in use.", limit=3)
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, CreateForm))
        await pilot.pause()
        await pilot.press(*"web1")
        app.screen.query_one("#submit", Button).press()
        await until(pilot, lambda: "Your quota allows 3 containers" in screen_text(app))
        assert app.screen.query_one("#name", Input).value == "web1"


async def test_the_shell_is_lent_the_terminal(core: FakeCore, make_app: MakeApp, shell: FakeShell) -> None:
    """Enter steps into a running container, and comes back to the list."""
    core.add(container("web1"), container("web2", State.STOPPED))
    app = make_app()
    async with app.run_test() as pilot:
        await until(pilot, lambda: page(app).table.rows)
        await pilot.press("enter")
        await until(pilot, lambda: shell.asked)
        assert shell.asked == ["web1"]
        shell.result = ShellResult(error=Message("The shell ended unexpectedly."))
        await pilot.press("e")
        await until(pilot, lambda: toasts(app))
        assert toasts(app) == ["The shell ended unexpectedly."]
        assert app._batch_count == 0
        await pilot.press("down", "enter")
        await until(pilot, lambda: len(toasts(app)) == 2)
        assert shell.asked == ["web1", "web1"]


@pytest.mark.parametrize(("actor", "sees"), [(ADMIN, True), (ALICE, False)])
async def test_an_unreachable_lxd_is_seen_by_everybody(
    core: FakeCore, make_app: MakeApp, actor: Actor, sees: bool
) -> None:
    """The banner comes and goes with LXD; its reason is for admins."""
    core.lxd_status.state = LxdState(True, "lxd", "5.0.2", "", NOW)
    app = make_app(actor)
    async with app.run_test(size=(140, 24)) as pilot:
        assert "unreachable" not in screen_text(app)
        core.lxd_status.state = LxdState(False, "lxd", "5.0.2", "Connection refused", NOW)
        core.feed.send("lxd", "updated", "", None)
        await until(pilot, lambda: "LXD is unreachable" in screen_text(app))
        assert ("Connection refused" in screen_text(app)) is sees
        core.lxd_status.state = LxdState(True, "lxd", "5.0.2", "", NOW)
        core.feed.send("lxd", "updated", "", None)
        await until(pilot, lambda: "LXD is unreachable" not in screen_text(app))


@pytest.mark.parametrize(("chosen", "says"), [(True, "OPENLXD_LXD=simulated asks"), (False, "No LXD was found")])
async def test_the_banner_says_why_containers_are_simulated(
    core: FakeCore, make_app: MakeApp, chosen: bool, says: str
) -> None:
    """Because the settings ask for it, or because there is no LXD."""
    core.lxd_status.state = LxdState(True, "simulated", "5.0.2", "", NOW, chosen)
    app = make_app(ADMIN)
    async with app.run_test(size=(80, 24)):
        assert says in screen_text(app)


async def test_a_thousand_rows_scroll(core: FakeCore, make_app: MakeApp) -> None:
    """Ends, pages and sorting work on a long list, which is never drawn whole."""
    core.add(*(container(f"c{index:04}", cpu=1) for index in range(1500)))
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        table: RecordTable[Any] = page(app).table
        await until(pilot, lambda: len(table.rows) == 1500)
        await pilot.press("G")
        assert table.current_key == "c1499"
        assert "c1499" in screen_text(app)
        await pilot.press("g", "pagedown", "j", "k")
        assert table.cursor == table.size.height - 2
        await pilot.press("O")
        assert table.rows[0].name == "c1499"
        assert len(table._drawn) <= 30
