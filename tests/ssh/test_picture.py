"""The difference between two pictures, cell by cell: whatever changes, a terminal ends up with the newest one."""

from __future__ import annotations

import random

import pytest
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from openlxd_tui.terminal.capabilities import Colours, recolour
from openlxd_tui.terminal.picture import Picture
from tests.support.vt import VirtualTerminal

WIDTH, HEIGHT = 24, 6
STYLES = [
    None, Style.parse("red"), Style.parse("bold #10a0ff on #202020"), Style.parse("on #202020"),
    Style.parse("#ffffff on #404040"), Style.parse("reverse"), Style.parse("italic underline green on blue"),
]  # fmt: skip
LETTERS = ["a", "b", " ", "-", "容", "器", "é", "e\u0301", "▎", "\x1b", "\u202e", "😀"]


def strip_of(pick: random.Random, width: int) -> Strip:
    """A random piece of a line, exactly ``width`` cells wide."""
    segments: list[Segment] = []
    strip = Strip(segments)
    while strip.cell_length < width:
        segments.append(Segment("".join(pick.choices(LETTERS, k=pick.randint(1, 5))), pick.choice(STYLES)))
        strip = Strip(segments)
    return strip.adjust_cell_length(width)


def send(picture: Picture, terminal: VirtualTerminal, colours: Colours = Colours.TRUE) -> int:
    """Bring the terminal up to date; how many bytes that took."""
    text = "".join(picture.line(y) for y in picture.dirty) + picture.rest_pen()
    convert = recolour(colours)
    data = (convert(text) if convert else text).encode()
    terminal.feed(data)
    return len(data)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("colours", [Colours.TRUE, Colours.STANDARD, Colours.NONE])
def test_a_terminal_shows_the_newest_picture(seed: int, colours: Colours) -> None:
    """Random whole pictures and pieces, wide and combining characters and what must never reach a terminal: after any
    of them the screen is as if the newest picture had been painted from nothing."""
    pick = random.Random(seed)
    picture, terminal = Picture(WIDTH, HEIGHT), VirtualTerminal(WIDTH, HEIGHT)
    for _ in range(25):
        if pick.random() < 0.2:
            lines = [[strip_of(pick, 10), strip_of(pick, WIDTH - 10)] for _ in range(HEIGHT)]
            picture.take(LayoutUpdate(list(lines), Region(0, 0, WIDTH, HEIGHT)))
        else:
            y, x = pick.randrange(HEIGHT), pick.randrange(WIDTH - 1)
            end = pick.randint(x + 1, WIDTH)
            chops = [{x: strip_of(pick, end - x)} if line == y else {} for line in range(HEIGHT)]
            ends = [[end] if line == y else [] for line in range(HEIGHT)]
            picture.take(ChopsUpdate(chops, [(y, x, end)], ends))
        if pick.random() < 0.1:
            terminal.resize(WIDTH, HEIGHT)
            picture.forget_shown()
        if pick.random() < 0.7:  # the others are left out, as on a slow line
            send(picture, terminal, colours)
    send(picture, terminal, colours)
    fresh = Picture(WIDTH, HEIGHT)
    fresh._wanted = list(picture._wanted)
    fresh.forget_shown()
    afresh = VirtualTerminal(WIDTH, HEIGHT)
    send(fresh, afresh, colours)
    assert terminal.cells == afresh.cells
    assert send(picture, terminal, colours) == 0


def test_one_figure_costs_a_few_bytes() -> None:
    """A digit that changes is sent alone; the same line again is not sent at all."""
    picture, terminal = Picture(80, 1), VirtualTerminal(80, 1)

    def line(figure: str) -> LayoutUpdate:
        return LayoutUpdate([[Strip([Segment(f"web1 running {figure:>6} and so on", STYLES[2])])]], Region(0, 0, 80, 1))

    picture.take(line("3.0"))
    send(picture, terminal)
    picture.take(line("3.0"))
    assert send(picture, terminal) == 0
    picture.take(line("3.1"))
    assert 0 < send(picture, terminal) < 60
    assert "web1 running    3.1 and" in terminal.text
