"""The README's pictures."""

from __future__ import annotations

import html
import re

import pytest

from tests.tui.pictures import HOME, README, draw, lighten


@pytest.mark.parametrize("name", ["containers", "images"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_pictures_are_small_and_ask_nobody_for_fonts(name: str, language: str) -> None:
    """``python -m tests.tui.pictures`` renews them; they hold no address but SVG's own name."""
    svg = (HOME / f"{name}-{language}.svg").read_text()
    assert len(svg) < 80_000
    assert set(re.findall(r"https?://[^\"' )<]+", svg)) <= {"http://www.w3.org/2000/svg"}
    assert "@font-face" not in svg


def _words(svg: str) -> list[str]:
    """The text of a picture, line by line; class names and lengths change with the version of Rich."""
    return [html.unescape(text).replace("\xa0", " ") for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]


@pytest.mark.parametrize("name", ["containers", "images"])
@pytest.mark.parametrize("language", ["en", "zh"])
async def test_pictures_show_what_the_console_says_now(name: str, language: str) -> None:
    """A changed word or column reaches the README's pictures, too."""
    shown = _words((HOME / f"{name}-{language}.svg").read_text())
    assert len(shown) > 40
    assert shown == _words(lighten(await draw(README[f"{name}-readme"], language)))
