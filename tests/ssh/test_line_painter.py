"""Lines that are painted without Textual's compositor: the client sees what a whole repaint would show."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from textual.screen import Screen as TextualScreen

from openlxd_core.domain.container import Usage
from openlxd_tui.phases import GROUP, next_phase, until
from openlxd_tui.ssh.apps import make_console_app
from tests.ssh.rig import Screen, open_screen, running
from tests.ssh.test_slow_lines import agrees, painted_whole, session_of

KEYS = ["j", "k", "i", "o", "O", "G", "g", "d", "\x1b", "?", "\x1b", "/", "w", "\r", ":", "\x1b", "\x14", "C", "\x1b"]


async def _many(rig: Any, monkeypatch: pytest.MonkeyPatch, count: int) -> dict[str, Usage]:
    """``count`` containers in place of alice's one, and their figures."""
    listed = await rig.core.containers.list(rig.alice)
    old = listed[0].created_at - timedelta(days=9)
    many = [replace(listed[0], id=100 + n, name=f"web{n:02}", created_at=old) for n in range(count)]

    async def list_many(*_arguments: Any, **_options: Any) -> Any:
        return many

    monkeypatch.setattr(rig.core.containers, "list", list_many)
    figures = {one.name: Usage(3.0, 100.0, 50.0, 10_000, 20_000, 12) for one in many}
    monkeypatch.setattr(rig.core.lxd_status, "usage", lambda _actor, _containers: dict(figures))
    return figures


async def test_a_tick_paints_its_lines_and_asks_the_compositor_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The figures of one row change: its line and the details' lines are drawn, and no other."""
    async with running(tmp_path, make_app=make_console_app) as rig, rig.connect() as connection:
        figures = await _many(rig, monkeypatch, 23)
        screen = await open_screen(connection, size=(132, 40))
        await screen.reads("web00", "web22", "3.0")
        app = session_of(rig)._app
        page = app.screen
        page._ticker.stop()
        await asyncio.sleep(0.3)
        rounds: list[Any] = []
        refresh = TextualScreen._compositor_refresh
        monkeypatch.setattr(TextualScreen, "_compositor_refresh", lambda self: (rounds.append(self), refresh(self)))
        drawn: list[int] = []
        paint = app._driver.paint_strip
        monkeypatch.setattr(app._driver, "paint_strip", lambda x, y, strip: (drawn.append(y), paint(x, y, strip)))
        figures["web00"] = Usage(9.0, 111.0, 50.0, 10_000, 20_000, 12)
        with app._context():
            page.measure_use()
        await screen.reads("111M")
        await asyncio.sleep(0.1)
        assert rounds == []
        assert len(drawn) == 3, drawn  # the row, and the details' CPU and memory
        await agrees(screen, app)
        assert screen.terminal.cells == painted_whole(app).cells


async def shows_a_whole_repaint(screen: Screen, app: Any) -> None:
    """Wait until the client shows what Textual would paint as a whole; fail with the cells that differ."""
    for _time in range(100):
        whole = painted_whole(app)
        differing = [
            (y, x, ours, theirs)
            for y, (mine, other) in enumerate(zip(screen.terminal.cells, whole.cells, strict=True))
            for x, (ours, theirs) in enumerate(zip(mine, other, strict=True))
            if ours != theirs
        ]
        if not differing:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{app.screen_stack}\n{screen.terminal.text}\nbut\n{whole.text}\n{differing[:9]}")


@pytest.mark.slow
@pytest.mark.parametrize("size", [(132, 40), (80, 24), (40, 12)])
async def test_whatever_covers_the_lines_the_client_sees_a_whole_repaint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    """Random figures beneath dialogs, the palette, the help, toasts, other orders, themes and sizes."""
    chance = random.Random(size[0])
    async with running(tmp_path, make_app=make_console_app) as rig, rig.connect() as connection:
        figures = await _many(rig, monkeypatch, 30)
        screen = await open_screen(connection, size=size)
        await screen.reads("web00")
        app = session_of(rig)._app
        page = app.screen
        page._ticker.stop()
        for step in range(60):
            for name in chance.sample(sorted(figures), 5):
                figures[name] = Usage(
                    chance.choice([0.0, 7.5, 99.9, 100.0]), chance.choice([5.0, 99.0, 511.0]), 50.0,
                    chance.randrange(10**9), 20_000, 12,
                )  # fmt: skip
            if app.screen is page:  # out of view it has no ticks
                with app._context():
                    page.measure_use()
            await asyncio.sleep(0.03)
            screen.type(chance.choice(KEYS).encode())
            if step % 10 == 9:
                app.notify("a toast " * chance.randint(1, 9))
            if step % 20 == 19:
                await shows_a_whole_repaint(screen, app)


async def test_a_toast_over_the_rows_is_not_painted_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every figure changes beneath it; what it covers stays covered."""
    async with running(tmp_path, make_app=make_console_app) as rig, rig.connect() as connection:
        figures = await _many(rig, monkeypatch, 30)
        screen = await open_screen(connection, size=(80, 24))
        await screen.reads("web00")
        app = session_of(rig)._app
        page = app.screen
        page._ticker.stop()
        app.notify("\n".join(["covered"] * 12), timeout=60)
        await screen.reads("covered")
        await asyncio.sleep(0.3)
        for cpu in (11.0, 22.0, 33.0):
            for name in figures:
                figures[name] = Usage(cpu, 100.0, 50.0, 10_000, 20_000, 12)
            with app._context():
                page.measure_use()
            await screen.reads(f"{cpu:.0f}%")
            await agrees(screen, app)
            assert screen.terminal.text.count("covered") == 12
            assert screen.terminal.cells == painted_whole(app).cells


def test_sessions_tick_in_groups_that_lie_apart() -> None:
    """Of a thousand sessions no more than two groups fall due within 10 ms of a period of three seconds."""
    moments = sorted(until(next_phase(), 3.0, 100.0) for _session in range(1000))
    assert all(0 < moment <= 3.0 for moment in moments)
    busiest = max(sum(1 for other in moments if 0 <= other - moment < 0.01) for moment in moments)
    assert GROUP <= busiest <= 2 * GROUP
