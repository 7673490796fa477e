"""The README's pictures."""

from __future__ import annotations

import re

import pytest

from tests.tui.pictures import HOME


@pytest.mark.parametrize("name", ["containers", "images"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_pictures_are_small_and_ask_nobody_for_fonts(name: str, language: str) -> None:
    """``python -m tests.tui.pictures`` renews them; they hold no address but SVG's own name."""
    svg = (HOME / f"{name}-{language}.svg").read_text()
    assert len(svg) < 80_000
    assert set(re.findall(r"https?://[^\"' )<]+", svg)) <= {"http://www.w3.org/2000/svg"}
    assert "@font-face" not in svg
