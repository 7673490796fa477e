"""The bar at the top: the product, the screens with their keys, and the account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual import events

from openlxd_core.domain.text import clean
from openlxd_core.i18n import _
from openlxd_tui.formatting import Cell, Piece
from openlxd_tui.widgets.paint import fit, width_of
from openlxd_tui.widgets.text_bar import TextBar

if TYPE_CHECKING:
    pass


class TopBar(TextBar):
    """The product, the screens with their keys, and who is here."""

    def pieces(self, width: int) -> Cell:
        """On a narrow line the names of the other screens go first, then the host."""
        active = getattr(self.screen, "TAB", "") or getattr(self.screen, "PAGE", "")
        brand: Cell = (("▌", "accent"), ("OpenLXD", "text"))
        tabs = self.session.pages()
        account, host = clean(self.session.actor.username, 32), clean(self.session.host, 40)
        long_who: Cell = ((f"{account}", "accent"), (f" @ {host} ", "quiet"))
        short_who: Cell = ((f"{account} ", "accent"),)
        for who, names in ((long_who, True), (short_who, True), (long_who, False), (short_who, False)):
            left = (*brand, *self._tabs(tabs, active, names, plain=self.session.few_colors))
            room = width - width_of(left) - width_of(who)
            if room >= 1:
                return (*left, (" " * room, "text"), *who)
        return fit((*brand, (" ", "text"), *short_who), width)

    @staticmethod
    def _tabs(tabs: list[tuple[str, str, str]], active: str, names: bool, *, plain: bool) -> Cell:
        pieces: list[Piece] = [("  ", "text")]
        for key, page, title in tabs:
            here = page == active
            if here or names:
                marked = here and plain  # where colours cannot tell which one is open
                pieces.append((f"[{key} " if marked else f" {key} ", "accent" if here else "faint"))
                pieces += [(_(title), "accent" if here else "quiet"), ("]" if marked else " ", "text")]
        return tuple(pieces)

    def on_click(self, event: events.Click) -> None:
        """A click on a screen's name goes there."""
        left = 0
        active = getattr(self.screen, "PAGE", "")
        cell = self.pieces(self.size.width)
        titles = {_(title): page for _key, page, title in self.session.pages()}
        for text, _tint in cell:
            left += cell_len(text)
            if event.x < left:
                if (page := titles.get(text)) and page != active:
                    self.session.go(page)
                return
