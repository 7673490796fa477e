"""What the client's terminal can do, judged from the little it says: TERM, the environment, the window size.

Everything here is pure. Nothing a client sends is believed beyond a list: a strange TERM means few colours,
a window of 65535×65535 means the largest that we draw (that size blocked every session for 18 s when measured).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

MIN_SIZE = (20, 5)
MAX_SIZE = (500, 200)
_DEFAULT_SIZE = (80, 24)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,63}")
_CANNOT_DRAW = frozenset({"dumb", "unknown", "network", "emacs", "lpr", "glasstty", "vanilla"})
_MONOCHROME = re.compile(r"vt\d+|xterm-mono|ansi-m|.*-m")
_TRUE_COLOUR = re.compile(r"xterm-(kitty|ghostty|direct|wezterm)|alacritty|foot|wezterm|contour|.*-(direct|truecolor)")
_FEW_COLOURS = re.compile(
    r"(xterm|screen|tmux|linux|rxvt|ansi|cygwin|putty|konsole|vte|eterm|gnome|st|ms-terminal|mintty|iterm2?)"
    r"([.-][A-Za-z0-9.+-]+)?"
)
_COPIED = ("LANG", "LC_ALL", "LC_MESSAGES", "NO_COLOR", "COLORTERM", "TZ")
"""The client's variables that mean something to a session. No other is kept, and none reaches our own environment."""


class Colours(IntEnum):
    """How many colours a terminal shows."""

    NONE = 0
    STANDARD = 16
    INDEXED = 256
    TRUE = 1 << 24


@dataclass(frozen=True)
class TerminalKind:
    """A terminal as far as it matters to us."""

    name: str
    """A TERM value that is safe to hand to a container."""
    colours: Colours
    draws: bool
    """Whether it can show more than lines of text."""


def clamp_size(width: int, height: int) -> tuple[int, int]:
    """A window that can be drawn; a client that does not know its own size gets 80×24."""
    if width <= 0 or height <= 0:
        width, height = _DEFAULT_SIZE
    return (
        min(max(width, MIN_SIZE[0]), MAX_SIZE[0]),
        min(max(height, MIN_SIZE[1]), MAX_SIZE[1]),
    )


def client_environment(sent: Mapping[bytes, bytes]) -> dict[str, str]:
    """The few variables that a session reads, out of what the client sent."""
    found: dict[str, str] = {}
    for name in _COPIED:
        value = sent.get(name.encode())
        if value is not None and len(value) <= 64 and value.isascii():
            text = value.decode("ascii")
            if text.isprintable():
                found[name] = text
    return found


def language_of(environment: Mapping[str, str]) -> str:
    """The language a client asks for, in POSIX's order."""
    return next((environment[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environment.get(name)), "")


def judge_terminal(term: str | None, environment: Mapping[str, str]) -> TerminalKind:
    """What to expect of the terminal that calls itself ``term``."""
    name = term or ""
    if not _NAME.fullmatch(name):
        # Escape codes, four kilobytes, nothing at all: somebody's terminal is broken or hostile.
        return TerminalKind("xterm", Colours.NONE, draws=bool(name))
    lowered = name.lower()
    if lowered in _CANNOT_DRAW:
        return TerminalKind("dumb", Colours.NONE, draws=False)
    if environment.get("NO_COLOR"):
        colours = Colours.NONE
    elif environment.get("COLORTERM", "").lower() in ("truecolor", "24bit") or _TRUE_COLOUR.fullmatch(lowered):
        colours = Colours.TRUE
    elif "256color" in lowered:
        colours = Colours.INDEXED
    elif _MONOCHROME.fullmatch(lowered):
        colours = Colours.NONE
    elif _FEW_COLOURS.fullmatch(lowered):
        colours = Colours.STANDARD
    else:
        return TerminalKind("xterm", Colours.NONE, draws=True)
    return TerminalKind(name, colours, draws=True)


# Every app renders true colour, and what a terminal cannot show is brought down here, on the way out. It cannot
# be done inside the app: rich caches a style's codes with the style, and styles are shared by every session.

_SGR = re.compile(r"\x1b\[([0-9;]+)m")


def recolour(colours: Colours) -> Callable[[str], str] | None:
    """The function that makes output fit for ``colours``; None where nothing needs to be done."""
    if colours is Colours.TRUE:
        return None
    convert = {Colours.INDEXED: _to_indexed, Colours.STANDARD: _to_standard, Colours.NONE: _to_monochrome}[colours]
    return lambda text: _SGR.sub(lambda match: convert(match[1]), text)


@lru_cache(4096)
def _to_indexed(codes: str) -> str:
    return _rewrite(codes, lambda ground, rgb: f"{ground};5;{_nearest_indexed(rgb)}")


@lru_cache(4096)
def _to_standard(codes: str) -> str:
    chosen: dict[int, int] = {}

    def one(ground: int, rgb: tuple[int, int, int]) -> str:
        chosen[ground] = index = _nearest_standard(rgb)
        return _standard_code(ground, index)

    shown = _rewrite(codes, one)
    if 38 in chosen and chosen[38] == chosen.get(48):
        # Sixteen colours have three greys: quiet text on a raised ground may come out as the ground itself.
        readable = 0 if _brightness(_STANDARD[chosen[48]]) > 110 else 15
        return f"{shown}\x1b[{_standard_code(38, readable)}m"
    return shown


def _standard_code(ground: int, index: int) -> str:
    return str(ground - 8 + index if index < 8 else ground + 52 + index - 8)


@lru_cache(4096)
def _to_monochrome(codes: str) -> str:
    def one(ground: int, rgb: tuple[int, int, int]) -> str:
        # A cursor bar is told from the rest by its background alone: show the bright ones reversed.
        return "7" if ground == 48 and _brightness(rgb) > 85 else ""

    return _rewrite(codes, one, keep_plain_colours=False)


def _rewrite(
    codes: str, convert: Callable[[int, tuple[int, int, int]], str], *, keep_plain_colours: bool = True
) -> str:
    parts = codes.split(";")
    kept: list[str] = []
    at = 0
    while at < len(parts):
        part = parts[at]
        if part in ("38", "48") and parts[at + 1 : at + 2] == ["2"] and len(parts) >= at + 5:
            red, green, blue = (min(255, int(value or 0)) for value in parts[at + 2 : at + 5])
            kept.append(convert(int(part), (red, green, blue)))
            at += 5
        elif part in ("38", "48") and parts[at + 1 : at + 2] == ["5"] and len(parts) >= at + 3:
            if keep_plain_colours:
                kept.extend(parts[at : at + 3])
            at += 3
        else:
            plain_colour = part.isdigit() and (30 <= int(part) <= 49 or 90 <= int(part) <= 107)
            if keep_plain_colours or not plain_colour:
                kept.append(part)
            at += 1
    shown = ";".join(filter(None, kept))
    return f"\x1b[{shown}m" if shown else ""


def _brightness(rgb: tuple[int, int, int]) -> float:
    return 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]


_LEVELS = (0, 95, 135, 175, 215, 255)


@lru_cache(4096)
def _nearest_indexed(rgb: tuple[int, int, int]) -> int:
    """The nearest of the 6×6×6 cube and the 24 greys."""
    cube = tuple(min(range(6), key=lambda i: abs(_LEVELS[i] - value)) for value in rgb)
    grey = min(23, max(0, round((sum(rgb) / 3 - 8) / 10)))
    candidates = (
        (16 + 36 * cube[0] + 6 * cube[1] + cube[2], tuple(_LEVELS[i] for i in cube)),
        (232 + grey, (8 + 10 * grey,) * 3),
    )
    return min(candidates, key=lambda candidate: _distance(rgb, candidate[1]))[0]


_STANDARD = (
    (0, 0, 0), (170, 0, 0), (0, 170, 0), (170, 85, 0), (0, 0, 170), (170, 0, 170), (0, 170, 170), (170, 170, 170),
    (85, 85, 85), (255, 85, 85), (85, 255, 85), (255, 255, 85), (85, 85, 255), (255, 85, 255), (85, 255, 255),
    (255, 255, 255),
)  # fmt: skip


@lru_cache(4096)
def _nearest_standard(rgb: tuple[int, int, int]) -> int:
    return min(range(16), key=lambda i: _distance(rgb, _STANDARD[i]))


def _distance(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
