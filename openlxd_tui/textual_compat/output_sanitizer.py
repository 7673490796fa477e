"""The last wall before the terminal: nothing that came from data may act on it.

Data is refused at the door, cleaned where it is read and shown without markup. Should all of that fail once, this
module still holds. Textual hands every line it draws to ``Strip.render``, which joins the text and the escape codes
of its styles; :func:`install` puts a version in its place that drops control characters (ESC and with it CSI, OSC
and DCS, the C1 codes, bidi and zero-width marks) from the text, and hyperlinks from the styles. The codes that
Textual itself writes (colours, cursor moves) are added around the text and are not touched.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from typing import Any, cast

from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style
from textual.strip import Strip

from openlxd_core.domain.text import is_harmful


def _harmful_class() -> str:
    """A regular expression's character class of everything :func:`is_harmful` knows, as ranges."""
    ranges: list[list[int]] = []
    # every harmful character lies in the first plane or among the tags of plane 14
    for code in (*range(0x10000), *range(0xE0000, min(0xE1000, sys.maxunicode))):
        if not is_harmful(chr(code)) or unicodedata.category(chr(code)) == "Cs":
            continue
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges)


_HARMFUL = re.compile(f"[{_harmful_class()}\ud800-\udfff]")


def without_harm(text: str) -> str:
    """``text`` without anything that could act on a terminal; most text is returned as it is."""
    return text if text.isascii() and text.isprintable() else _HARMFUL.sub("", text)


def _guarded_render(strip: Strip, console: Console) -> str:
    """What ``Strip.render`` does, for text that nobody can trust."""
    cached = strip._render_cache
    if cached is None:
        color_system = cast(Any, console)._color_system or ColorSystem.TRUECOLOR
        parts = []
        for text, style, _control in strip._segments:
            safe = without_harm(text)
            if style is None:
                parts.append(safe)
            else:
                parts.append(_render_style(style, safe, color_system))
        cached = strip._render_cache = "".join(parts)
    return cached


def _render_style(style: Style, text: str, color_system: ColorSystem) -> str:
    """As Textual's, but a style's hyperlink never reaches the terminal."""
    ansi = style._ansi
    if ansi is None:
        ansi = Strip.render_ansi(style, color_system)
    return f"\x1b[{ansi}m{text}\x1b[0m" if ansi else text


def install() -> None:
    """Install the sanitizer for every app of this process. Safe to call again."""
    Strip.render = _guarded_render  # type: ignore[method-assign, assignment]
