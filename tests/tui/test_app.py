"""One session: its terminal, its language, its end."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from openlxd_core.domain.errors import Message, QuotaExceeded
from openlxd_tui.app import OpenLXDApp
from openlxd_tui.screens.confirm import Confirm
from openlxd_tui.screens.containers.page import ContainersPage
from openlxd_tui.theme import SharedStylesheet
from tests.tui.conftest import MakeApp
from tests.tui.fakes import ADMIN, ALICE, ROOT, FakeCore, a_busy_day, container
from tests.tui.test_containers import page, screen_text, toasts, until

pytestmark = pytest.mark.slow


async def test_colours_come_from_the_client_alone(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's NO_COLOR and COLORTERM mean nothing; the client's do."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLORTERM", "")
    assert make_app().console.color_system == "truecolor"
    assert not make_app().no_color
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("COLORTERM", "truecolor")
    assert make_app(COLORTERM="").console.color_system == "256"
    assert make_app(TERM="xterm", COLORTERM="").few_colors
    assert make_app(NO_COLOR="1").no_color
    assert make_app(TERM="dumb").no_color
    assert make_app(TERM="quite-unknown-\x1b[2J", COLORTERM="").console.color_system == "standard"


async def test_no_colour_means_none_at_all(core: FakeCore, make_app: MakeApp) -> None:
    """With NO_COLOR nothing but bold and reverse reaches the terminal."""
    a_busy_day(core)
    app = make_app(NO_COLOR="1")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "blog" in screen_text(app))
        drawn = "".join(strip.render(app.console) for strip in app.screen._compositor.render_strips())
        assert "38;" not in drawn
        assert "48;" not in drawn
        assert "7;" in drawn or ";7m" in drawn, "the cursor is shown by reversing"


async def test_the_language_changes_while_one_looks(core: FakeCore, make_app: MakeApp) -> None:
    """ctrl+l turns every word on the screen, keys and quota included, and back."""
    a_busy_day(core)
    app = make_app()
    async with app.run_test(size=(140, 28)) as pilot:
        await until(pilot, lambda: "running" in screen_text(app))
        await pilot.press("ctrl+l")
        await until(pilot, lambda: "运行中" in screen_text(app))
        text = screen_text(app)
        for words in ("容器", "内存", "磁盘", "正在解压镜像", "新建", "帮助", "3 小时"):
            assert words in text, words
        for words in ("running", "Memory", "New", "Help"):
            assert words not in text, words
        await pilot.press("ctrl+l")
        await until(pilot, lambda: "running" in screen_text(app))


async def test_ctrl_c_ends_nothing(make_app: MakeApp) -> None:
    """Ctrl-C is answered with what to press instead, a storm of control keys with nothing at all."""
    app = make_app()
    async with app.run_test() as pilot:
        await pilot.press("ctrl+c")
        await until(pilot, lambda: toasts(app))
        await pilot.press(*["ctrl+z", "ctrl+backslash", "ctrl+c"] * 5)
        assert app.is_running


async def test_q_leaves(make_app: MakeApp) -> None:
    """q ends the session without a reason to print."""
    app = make_app()
    async with app.run_test() as pilot:
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running)
    assert app.farewell is None


async def test_a_suspended_tenant_is_shown_out_with_the_reason(core: FakeCore, make_app: MakeApp) -> None:
    """The session ends by itself, wherever one is, and holds the reason for whoever prints it."""
    app = make_app()
    async with app.run_test() as pilot:
        await pilot.press("n")
        core.feed.send("user", "suspended", "alice", 2, reason="Unpaid")
        await until(pilot, lambda: not app.is_running)
    assert app.farewell is not None
    assert app.farewell.text() == "Your account was suspended: Unpaid"


async def test_the_suspension_of_somebody_else_ends_nobody(core: FakeCore, make_app: MakeApp) -> None:
    """An admin sees a tenant being suspended and stays."""
    app = make_app(ADMIN)
    async with app.run_test() as pilot:
        core.feed.send("user", "suspended", "alice", 2, reason="Unpaid")
        await pilot.pause(0.2)
        assert app.is_running


async def test_end_keeps_the_first_reason(make_app: MakeApp) -> None:
    """Two reasons at once: the first counts."""
    app = make_app()
    async with app.run_test() as pilot:
        app.end(Message("one"))
        app.end(Message("two"))
        await until(pilot, lambda: not app.is_running)
    assert app.farewell == Message("one")


async def test_a_bug_ends_one_session_in_one_sentence(
    core: FakeCore, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The traceback goes to the log; neither locals nor a traceback are printed; the person reads one sentence."""
    logged: list[dict[str, Any]] = []
    monkeypatch.setattr("openlxd_tui.app.log.error", lambda event, **more: logged.append({"event": event, **more}))
    app, other = make_app(), make_app(ROOT)

    def burst(_self: Any) -> None:
        secret_local = "hunter2hunter2"  # noqa: F841
        raise ZeroDivisionError

    async with other.run_test() as pilot:
        with pytest.raises(ZeroDivisionError):  # noqa: PT012
            async with app.run_test() as crashing:
                monkeypatch.setattr(ContainersPage, "action_reload", burst)
                await crashing.press("ctrl+r")
                await crashing.pause()
        assert other.is_running
        monkeypatch.undo()
        await pilot.press("2", "1")
        assert other.is_running
    assert [entry["event"] for entry in logged] == ["tui.crash"]
    assert isinstance(logged[0]["exc_info"], ZeroDivisionError)
    assert app.return_code == 1
    assert app.farewell is not None
    printed = "".join(capfd.readouterr())
    assert "hunter2" not in printed
    assert "Traceback" not in printed


async def test_sessions_leave_the_process_alone(make_app: MakeApp) -> None:
    """Two sessions that end in the wrong order leave sys.stdout and the loop's task factory as they were."""
    before, factory = sys.stdout, asyncio.get_running_loop().get_task_factory()
    first, second = make_app(), make_app()
    tasks = [asyncio.create_task(app.run_async(headless=True, size=(80, 24))) for app in (first, second)]
    async with asyncio.timeout(5):
        while not (first.is_running and second.is_running):
            await asyncio.sleep(0.01)
    assert sys.stdout is before
    assert asyncio.get_running_loop().get_task_factory() is factory
    first.exit()
    await tasks[0]
    assert sys.stdout is before
    second.exit()
    await tasks[1]
    assert sys.stdout is before
    assert asyncio.get_running_loop().get_task_factory() is factory


async def test_the_second_session_parses_no_styles(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parsed styles belong to the process."""
    async with make_app().run_test() as pilot:
        await pilot.press("n", "escape", "2", "3", "4", "1")
    parsed: list[Any] = []
    monkeypatch.setattr("textual.css.stylesheet.parse", lambda *args, **_more: [parsed.append(args)])  # type: ignore[func-returns-value]
    app = make_app()
    async with app.run_test() as pilot:
        await pilot.press("n", "escape", "2", "3", "4", "1")
        assert isinstance(app.stylesheet, SharedStylesheet)
        assert app.stylesheet.rules
    assert parsed == []


async def test_nothing_acts_on_the_server(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """No browser, no screenshot file, no stopped process."""
    monkeypatch.setattr("os.kill", lambda *_args: pytest.fail("a signal was sent"))
    monkeypatch.setattr("webbrowser.open", lambda *_args, **_more: pytest.fail("a browser was opened"))
    app = make_app()
    async with app.run_test() as pilot:
        app.open_url("http://example.org")
        app.action_suspend_process()
        assert app.deliver_screenshot() is None
        await pilot.press("ctrl+p", *"screenshot")
        assert "screenshot" not in screen_text(app).replace("screenshot ", "", 1).lower().split("what")[0][:0]


@pytest.mark.parametrize("size", [(20, 5), (1, 1), (5, 2), (30, 6), (80, 24), (400, 120), (500, 200)])
async def test_every_size_of_terminal_holds(core: FakeCore, make_app: MakeApp, size: tuple[int, int]) -> None:
    """Every screen and dialog opens and closes at any size, and the size may change under it."""
    a_busy_day(core)
    app = make_app(ADMIN)
    async with app.run_test(size=size) as pilot:
        for keys in (
            "i", "i", "n escape", "d escape", "s escape", "z escape", "colon escape", "slash a enter escape",
            "2", "p escape", "a escape", "3", "slash a escape", "f escape", "tab", "space", "n escape", "4",
            "5", "n escape", "u escape", "1", "v", "n escape", "escape", "u", "escape", "R escape", "ctrl+t", "ctrl+l",
        ):  # fmt: skip
            await pilot.press(*keys.split())
            await pilot.pause()
        await pilot.resize_terminal(20, 5)
        await pilot.resize_terminal(120, 40)
        await pilot.resize_terminal(*size)
        assert app.is_running
    assert app.farewell is None


async def test_the_smallest_terminal_still_shows_names(core: FakeCore, make_app: MakeApp) -> None:
    """At 20×5 there are two containers, the product and the keys."""
    a_busy_day(core)
    app = make_app()
    async with app.run_test(size=(20, 5)) as pilot:
        await until(pilot, lambda: "blog" in screen_text(app))
        lines = screen_text(app).split("\n")
        assert lines[0].startswith("▌OpenLXD")
        assert "db" in screen_text(app)
        assert "Help" in lines[-1]


@pytest.mark.parametrize("size", [(10, 20), (60, 3), (19, 2)])
async def test_a_terminal_too_small_says_so_in_one_line(
    core: FakeCore, make_app: MakeApp, size: tuple[int, int]
) -> None:
    """Under what can be drawn there is one clear line, and the screen is back once there is room."""
    a_busy_day(core)
    app = make_app()
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        assert "▲ Enlar" in screen_text(app)
        assert "blog" not in screen_text(app)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "blog" in screen_text(app))


async def test_the_palette_finds_and_runs(core: FakeCore, make_app: MakeApp) -> None:
    """Typing a part of a command's name and Enter runs it."""
    core.add(container("web1"))
    app = make_app()
    async with app.run_test() as pilot:
        await until(pilot, lambda: page(app).table.rows)
        await pilot.press("colon", *"paus", "enter")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("y")
        await until(pilot, lambda: core.calls)
        assert core.calls == [("pause", "web1")]


async def test_the_help_names_every_key(make_app: MakeApp) -> None:
    """What the bindings know, the help tells."""
    app = make_app(ADMIN)
    async with app.run_test(size=(100, 90)) as pilot:
        await pilot.press("question_mark")
        await until(pilot, lambda: "Everywhere" in screen_text(app))
        text = screen_text(app)
        for words in ("Shell", "Try again", "Suspend", "Add an SSH key", "中文 / English", "Page down"):
            assert words in text, words
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, ContainersPage))


async def test_tenants_have_no_users_screen(make_app: MakeApp) -> None:
    """Key 5 does nothing for a tenant."""
    app = make_app(ALICE)
    async with app.run_test() as pilot:
        await pilot.press("5")
        assert isinstance(app.screen, ContainersPage)
        app.go("users")
        assert isinstance(app.screen, ContainersPage)


async def test_errors_are_toasts_without_markup(make_app: MakeApp) -> None:
    """An error's sentence is shown as it is."""
    app: OpenLXDApp = make_app()
    async with app.run_test(size=(100, 24), notifications=True) as pilot:
        app.say_error(QuotaExceeded("{name} [/] [bold", name="\x1b[2Jx"))
        await until(pilot, lambda: "[/] [bold" in screen_text(app))
