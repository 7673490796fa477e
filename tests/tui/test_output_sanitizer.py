"""No control character of any data reaches a terminal."""

from __future__ import annotations

import re

import pytest
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from openlxd_core.domain.container import Container
from openlxd_core.domain.text import is_harmful
from openlxd_tui.app import OpenLXDApp
from openlxd_tui.textual_compat.output_sanitizer import without_harm
from tests.tui.conftest import MakeApp
from tests.tui.fakes import FakeCore, container, image

pytestmark = pytest.mark.slow

HOSTILE = (
    "\x1b]0;owned\x07", "\x1b[2J", "\x9b31m",
    "\x90$q\x9c", "a\rb", "a\nb", "\x00", "\x7f", "\u202eevil", "\u2066x\u2069",
    "\u200b", "[/]", "[/", "[bold", "[@click=app.leave]x[/]", "[link=http://x]y", "\ud800", "e" + "\u0301" * 200,
)  # fmt: skip


def test_every_harmful_character_is_dropped_and_no_other() -> None:
    """What the core calls harmful never gets through; letters of every script do."""
    for code in (*range(0x3100), *range(0xD7FF, 0xE001), *range(0xFE00, 0x10000), 0xE0001, 0xE0041, 0x1F600):
        character = chr(code)
        assert without_harm(f"a{character}b") == ("ab" if is_harmful(character) else f"a{character}b"), hex(code)


def test_a_strip_cannot_carry_escape_codes_or_links() -> None:
    """Text loses its control codes on the way out, and a style's link is not written."""
    console = OpenLXDApp.__new__(OpenLXDApp)
    console._color_system = None  # type: ignore[attr-defined]
    strip = Strip([Segment("a\x1b]52;c;x\x07b", Style(bold=True, link="\x1b]0;x\x07")), Segment("\x9b2J", None)])
    drawn = strip.render(console)  # type: ignore[arg-type]
    assert "]8;" not in drawn
    assert re.sub(r"\x1b\[[\d;]*m", "", drawn) == "a]52;c;xb2J"


def _hostile(index: int, words: str) -> Container:
    return container(f"{words}{index}", image=words, owner=words, ipv4=words, ipv6=words, suspended_by="")


@pytest.mark.parametrize("key", ["", "i", "d", "s", "z", "n", "slash", "colon"])
async def test_hostile_names_act_on_nothing(core: FakeCore, make_app: MakeApp, key: str) -> None:
    """Names and descriptions full of escape codes and markup are drawn as plain text, in every dialog."""
    core.add(*(_hostile(index, words) for index, words in enumerate(HOSTILE)))
    core.aliases = [image("debian/12", words) for words in HOSTILE]
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        for _row in range(4):
            if key:
                await pilot.press(key)
                await pilot.pause()
            drawn = "".join(strip.render(app.console) for strip in app.screen._compositor.render_strips())
            plain = re.sub(r"\x1b\[[\d;]*m", "", drawn)
            assert not any(is_harmful(character) for character in plain), repr(plain[:200])
            await pilot.press("escape", "down", "down", "down", "down")
        app.notify("[/] \x1b[2J [@click=app.leave]x")
        await pilot.pause()
        assert app.is_running
    assert app.farewell is None


async def test_a_click_on_markup_in_a_name_runs_nothing(core: FakeCore, make_app: MakeApp) -> None:
    """``[@click=app.leave]`` in a name is only letters."""
    core.add(container("[@click=app.leave]quit me"))
    app = make_app()
    async with app.run_test(size=(120, 30)) as pilot:
        for x in range(1, 30, 4):
            await pilot.click(offset=(x, 2))
            await pilot.click(offset=(90, x // 3))
        assert app.is_running
