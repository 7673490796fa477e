"""Sixteen colours, none, a VT100: what is disabled, focused, an example, an error or open differs without colours."""

from __future__ import annotations

import itertools
import re

import pytest
from textual.widgets import Button, Input

from openlxd_core.domain.errors import QuotaExceeded
from openlxd_core.domain.preferences import Preferences
from openlxd_core.i18n import Translator
from openlxd_tui.app import OpenLXDApp
from openlxd_tui.screens.confirm import Confirm, TypeToConfirm
from openlxd_tui.screens.containers.create import CreateForm
from openlxd_tui.screens.palette import Palette
from openlxd_tui.terminal.app_colours import app_environment, paint_true_colours
from openlxd_tui.terminal.capabilities import judge_terminal, recolour
from openlxd_tui.theme import DARK, LIGHT
from openlxd_tui.widgets.pick_list import PickList
from tests.tui.fakes import ALICE, FakeCore, FakeShell, a_busy_day
from tests.tui.test_containers import page, screen_text, until

pytestmark = pytest.mark.slow

TERMINALS = [("xterm", {}), ("linux", {}), ("xterm-256color", {"NO_COLOR": "1"}), ("vt100", {})]
THEMES = (DARK.name, LIGHT.name)
_SGR = re.compile(r"\x1b\[([0-9;]*)m")


def session(core: FakeCore, term: str, environment: dict[str, str], theme: str) -> tuple[OpenLXDApp, str]:
    """An app as the SSH console makes it for this terminal."""
    kind = judge_terminal(term, environment)
    app = OpenLXDApp(
        core,  # type: ignore[arg-type]
        ALICE,
        translator=Translator("en"),
        environment=app_environment(kind.colours),
        host_shell=FakeShell(),
        host="host1",
        preferences=Preferences(theme),
    )
    paint_true_colours(app)
    return app, term


def sent(app: OpenLXDApp, term: str, environment: dict[str, str]) -> list[str]:
    """The lines as the terminal gets them."""
    convert = recolour(judge_terminal(term, environment).colours)
    assert convert is not None
    return [convert(strip.render(app.console)) for strip in app.screen._compositor.render_strips()]


def without_colours(lines: list[str]) -> str:
    """The same for an eye that tells no colours apart: text, bold, italic, dim, underlined and reversed."""

    def keep(found: re.Match[str]) -> str:
        attributes = [code for code in found[1].split(";") if code in ("1", "2", "3", "4", "7")]
        return f"\x1b[{';'.join(attributes)}m" if attributes else "\x1b[m"

    return re.sub(r"(?:\x1b\[m)+", "\x1b[m", _SGR.sub(keep, "\n".join(lines)))


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("term", "environment"), TERMINALS)
async def test_states_differ_by_more_than_colour(
    core: FakeCore, term: str, environment: dict[str, str], theme: str
) -> None:
    """Each pair of states that a person must tell apart looks different with every colour taken away."""
    a_busy_day(core)
    app, _term = session(core, term, environment, theme)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:

        async def shape() -> str:
            await pilot.pause()
            await pilot.pause(0.05)
            return without_colours(sent(app, term, environment))

        await until(pilot, lambda: page(app).table.rows)
        assert "[1 Containers]" in screen_text(app), "the open screen"
        first = await shape()
        await pilot.press("down")
        assert await shape() != first, "the row under the cursor"
        await pilot.press("up", "d")
        await until(pilot, lambda: isinstance(app.screen, TypeToConfirm))
        disabled, example = await shape(), screen_text(app)
        assert "‹blog›" in example, "an example is not a value"
        assert "|  Delete  |" not in example, "what is disabled has no edges"
        await pilot.press(*"blog")
        assert "|  Delete  |" in screen_text(app)
        enabled = await shape()
        assert disabled != enabled
        await pilot.press("tab")
        assert app.focused is app.screen.query_one("#yes", Button)
        assert await shape() != enabled, "the focus"
        await pilot.press("escape", "s")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        shapes = [await shape()]
        for _step in range(2):
            await pilot.press("right")
            shapes.append(await shape())
        assert all(one != other for one, other in itertools.combinations(shapes, 2)), "each button with the focus"
        await pilot.press("escape", "colon")
        await until(pilot, lambda: isinstance(app.screen, Palette))
        chosen = await shape()
        assert re.search(r"▸[^\n]*Shell", screen_text(app)), "the chosen command"
        await pilot.press("down")
        assert await shape() != chosen
        assert re.search(r"▸[^\n]*New", screen_text(app))
        assert not re.search(r"▸[^\n]*Shell", screen_text(app))
        await pilot.press(*"sto")
        assert re.search(r"▸[^\n]*Stop", screen_text(app)), "it moves with what typing leaves"
        await pilot.press("escape", "n")
        await until(pilot, lambda: isinstance(app.screen, CreateForm) and "‹alice-1›" in screen_text(app))
        shapes = []
        for _field in range(5):
            shapes.append(await shape())
            await pilot.press("down")
        assert all(one != other for one, other in itertools.combinations(shapes, 2)), "each field with the focus"
        app.screen.query_one("#image", PickList).focus()
        await pilot.press("space")
        await until(pilot, lambda: "▸ debian/12" in screen_text(app))
        await pilot.press("down")
        await until(pilot, lambda: "▸ ubuntu/24.04" in screen_text(app) and "▸ debian" not in screen_text(app))
        await pilot.press("escape")
        app.screen.query_one("#cpu", Input).value = "x"
        await pilot.pause()
        assert "✗ " in screen_text(app), "an error"
        await pilot.press("escape")
        app.say_error(QuotaExceeded("Too much."))
        await until(pilot, lambda: "▲ Too much." in screen_text(app))


def test_quiet_text_on_a_raised_ground_stays_readable() -> None:
    """Two greys that are one of the sixteen colours do not become text on itself, in either theme."""
    convert = recolour(judge_terminal("xterm", {}).colours)
    assert convert is not None
    for ink, ground, found in (("118;118;118", "58;58;58", "97"), ("176;176;176", "208;208;208", "30")):
        assert convert(f"\x1b[38;2;{ink};48;2;{ground}mx").endswith(f"\x1b[{found}mx")


@pytest.mark.parametrize("theme", THEMES)
async def test_no_text_has_the_colour_of_its_ground(core: FakeCore, theme: str) -> None:
    """Brought down to sixteen colours, nothing that is written vanishes."""
    a_busy_day(core)
    app, term = session(core, "xterm", {}, theme)
    async with app.run_test(size=(100, 28)) as pilot:
        await until(pilot, lambda: page(app).table.rows)
        for keys in ((), ("d",), ("escape", "n"), ("escape", "colon"), ("escape", "3"), ("2",), ("4",)):
            await pilot.press(*keys)
            await pilot.pause(0.05)
            for line in sent(app, term, {}):
                ink = ground = None
                for codes, text in re.findall(r"((?:\x1b\[[0-9;]*m)*)([^\x1b]*)", line):
                    for code in re.findall(r"\d+", codes):
                        number = int(code)
                        if number == 0:
                            ink = ground = None
                        elif 30 <= number <= 37 or 90 <= number <= 97:
                            ink = number
                        elif 40 <= number <= 47 or 100 <= number <= 107:
                            ground = number - 10
                    words = text.strip("─━▌▐▎▏▔▁│╭╮╰╯ ")
                    assert not words or ink is None or ink != ground, (words, codes)
