"""The bars above the images screen's tables: tabs with the age of the catalogue, and the filters in force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from textual import events
from textual.message import Message

from openlxd_core.domain.image import CatalogueState
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _
from openlxd_tui.formatting import Cell, Piece, Tint, age
from openlxd_tui.widgets.paint import fit, width_of
from openlxd_tui.widgets.text_bar import Notice, TextBar

PANES: tuple[tuple[str, str], ...] = (("offers", N_("Catalogue")), ("images", N_("On this host")))
"""The panes and their titles."""
CHIPS: tuple[tuple[str, str, str], ...] = (
    ("f", "distribution", N_("Distribution")),
    ("r", "release", N_("Release")),
    ("a", "architecture", N_("Architecture")),
    ("v", "variant", N_("Variant")),
)
"""Key, name and title of each filter."""
SHORT_TITLE = 8
"""The cells that a filter's title keeps where there is not enough room for all."""
UNAVAILABLE = "unavailable"
"""The name of the last chip, which shows what cannot be had here."""


@dataclass(frozen=True)
class Tally:
    """How many rows a list shows, and of how many."""

    shown: int
    total: int

    def __str__(self) -> str:
        return str(self.total) if self.shown == self.total else f"{self.shown}/{self.total}"


def freshness(state: CatalogueState | None, *, servers: bool) -> tuple[str, Tint]:
    """How fresh the catalogue is, and what is the matter where something is."""
    if not servers:
        return _(N_("No image server is set.")), "warn"
    if state is None:
        return _(N_("Reading…")), "faint"
    if state.stale:
        if state.fetched_at is None:
            return "▲ " + _(N_("not loaded")), "bad"
        return "▲ " + _(N_("read {age} ago")).format(age=age(state.fetched_at)), "warn"
    if state.fetched_at is None:
        return _(N_("Querying the image servers…")), "busy"
    words = _(N_("read {age} ago")).format(age=age(state.fetched_at))
    return (f"{words} ↻" if state.refreshing else words), "quiet"


class TabBar(TextBar):
    """The two panes with how much each holds, and how fresh the catalogue is."""

    GROUND = "ox-ground"

    class Chosen(Message):
        """A pane's title was clicked."""

        def __init__(self, pane: str) -> None:
            super().__init__()
            self.pane = pane

    def __init__(self) -> None:
        super().__init__()
        nothing = Tally(0, 0)
        self._told: tuple[str, Tally, Tally, CatalogueState | None, bool] = ("offers", nothing, nothing, None, True)

    def tell(self, pane: str, offers: Tally, images: Tally, state: CatalogueState | None, *, servers: bool) -> None:
        """Say this from now on."""
        self._told = (pane, offers, images, state, servers)
        self.refresh()

    def _tabs(self) -> Cell:
        pane, offers, images, _state, _servers = self._told
        pieces: list[Piece] = []
        for (name, title), count in zip(PANES, (offers, images), strict=True):
            here = name == pane
            pieces += [("▐" if here else " ", "accent"), (_(title), "accent" if here else "quiet")]
            pieces += [(f" {count}", "text" if here else "faint"), ("▌" if here else " ", "accent")]
        return tuple(pieces)

    def pieces(self, width: int) -> Cell:
        """Titles to the left, freshness to the right; that gives way."""
        tabs = self._tabs()
        room = width - width_of(tabs) - 3
        if room < 8:
            return fit(tabs, width)
        words, tint = freshness(self._told[3], servers=self._told[4])
        return (*tabs, ("  ", "text"), *fit(((words, tint),), room, "right"))

    def on_click(self, event: events.Click) -> None:
        """A click on a title."""
        left = 0
        for index, (text, _tint) in enumerate(self._tabs()):
            left += cell_len(text)
            if event.x < left:
                self.post_message(self.Chosen(PANES[index // 4][0]))
                return


class StaleNotice(Notice):
    """Why the catalogue is an old one; takes no room while it is fresh."""

    GROUND = "ox-ground"

    def __init__(self) -> None:
        super().__init__()
        self._reason = ""

    def tell(self, state: CatalogueState | None) -> None:
        """Show the reason of this state, where it has one and an old copy is shown."""
        reason = state.reason if state is not None and state.stale and state.fetched_at else ""
        if reason != self._reason:
            self._reason = reason
            self.set_class(bool(reason), "-shown")
            self.refresh(layout=True)

    def pieces(self, width: int) -> Cell:
        """An old copy is in use, and why."""
        return (
            (" ▲ ", "warn"),
            (_(N_("The catalogue may be out of date: {reason}")).format(reason=clean(self._reason, 500)), "warn"),
        )


class FilterBar(TextBar):
    """The filters in force, each behind its key."""

    GROUND = "ox-ground"

    class Chosen(Message):
        """A chip was clicked."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self) -> None:
        super().__init__()
        self._values: dict[str, str] = {}
        self._kept_back, self._shown = 0, False

    def tell(self, values: dict[str, str], kept_back: int, *, shown: bool) -> None:
        """Show these values (an empty one means all), and how many cannot be had; whether those are ``shown``."""
        self._values, self._kept_back, self._shown = dict(values), kept_back, shown
        self.refresh()

    def _chips(self, *, titles: bool) -> Sequence[tuple[str, Cell]]:
        chips: list[tuple[str, Cell]] = []
        for key, name, title in CHIPS:
            value = self._values.get(name, "")
            pieces: list[Piece] = [(f" {key} ", "accent")]
            if titles:
                pieces.append((_(title), "quiet"))
            elif not value:
                word: Cell = ((_(title), "quiet"),)
                pieces += fit(word, min(SHORT_TITLE, width_of(word)))
            if value:
                pieces.append((f" {clean(value, 24)} " if titles else f"{clean(value, 24)} ", "accent"))
                pieces.append(("✕ ", "faint"))
            else:
                pieces.append((" ", "text"))
            chips.append((name, tuple(pieces)))
        if self._kept_back:
            tail: list[Piece] = [(" u ", "accent")]
            tail.append((_(N_("Unavailable")) + " ", "quiet") if titles else ("✗", "faint"))
            tail.append((f"{self._kept_back} ", "accent" if self._shown else "faint"))
            tail += [("✕ ", "faint")] if self._shown else []
            chips.append((UNAVAILABLE, tuple(tail)))
        return chips

    def _laid_out(self, width: int) -> Sequence[tuple[str, Cell]]:
        chips = self._chips(titles=True)
        return chips if sum(width_of(cell) for _name, cell in chips) <= width else self._chips(titles=False)

    def pieces(self, width: int) -> Cell:
        """Titles give way before values do."""
        return tuple(piece for _name, cell in self._laid_out(width) for piece in cell)

    def on_click(self, event: events.Click) -> None:
        """A click on a chip."""
        left = 0
        for name, cell in self._laid_out(self.size.width):
            left += width_of(cell)
            if event.x < left:
                self.post_message(self.Chosen(name))
                return
