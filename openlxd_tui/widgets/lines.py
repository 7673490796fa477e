"""Widgets of one drawn line: the top bar, the banner, the key bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from rich.cells import cell_len
from textual import events
from textual.geometry import Size
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _
from openlxd_tui.present import Cell, Piece, Tint
from openlxd_tui.widgets.paint import fit, strip_of, width_of
from openlxd_tui.widgets.wrap import wrap

if TYPE_CHECKING:
    from openlxd_tui.app import OpenLXDApp


class Line(Widget):
    """One line that draws itself from what is true when it is drawn."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "Line { height: 1; width: 1fr; }"
    GROUND = "ox-raised"

    @property
    def session(self) -> OpenLXDApp:
        """The app, by its own type."""
        return cast("OpenLXDApp", self.app)

    def pieces(self, width: int) -> Cell:
        """What stands on the line."""
        raise NotImplementedError

    def render_line(self, y: int) -> Strip:
        """The line."""
        return strip_of(self.app, self.pieces(self.size.width), self.size.width, on=self.GROUND)


class Sentence(Line):
    """A sentence that takes as many lines as it needs, up to ``max-height``, and none while there is none."""

    DEFAULT_CSS = "Sentence { display: none; height: auto; max-height: 6; &.-shown { display: block; } }"

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """One line, or more where one is too narrow."""
        return len(self._wrapped(width))

    def _wrapped(self, width: int) -> list[Cell]:
        return wrap(self.pieces(width), max(1, width), indent=3)

    def render_line(self, y: int) -> Strip:
        """One of the lines; what does not fit into the last is cut."""
        width, lines = self.size.width, self._wrapped(self.size.width)
        last = y == self.size.height - 1 and y < len(lines) - 1
        cell = (*fit(lines[y], width - 1), ("…", "text")) if last else lines[y] if y < len(lines) else ()
        return strip_of(self.app, cell, width, on=self.GROUND)


class TopBar(Line):
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


class Banner(Sentence):
    """What everybody must know now: LXD is away, or nothing here is real."""

    def on_mount(self) -> None:
        """Show it at once where there is something to show."""
        self.look()

    def look(self) -> None:
        """Look again whether there is something to say."""
        self.set_class(bool(self.words()), "-shown")
        self.refresh(layout=True)

    def words(self) -> tuple[str, Tint] | None:
        """The sentence and its weight."""
        if self.screen.has_class("-thin") or self.screen.has_class("-flat"):
            return _(N_("Enlarge the terminal")), "warn"
        state = self.session.core.lxd_status.state
        if not state.reachable and (state.reason or state.kind):
            text = _(N_("LXD is unreachable. Containers go on running; changes wait until it is back."))
            if self.session.actor.is_admin and state.reason:
                text += f" ({clean(state.reason, 120)})"
            return text, "bad"
        if state.kind == "simulated" and state.chosen:
            return _(N_("Simulated containers, as OPENLXD_LXD=simulated asks: nothing here is real.")), "warn"
        if state.kind == "simulated":
            return _(N_("Simulated: nothing here is real. No LXD was found on this host.")), "warn"
        return None

    def pieces(self, width: int) -> Cell:
        """The sentence behind its mark."""
        words = self.words()
        return ((" ▲ ", words[1]), (words[0], words[1])) if words else ()


KEY_NAMES = {
    "enter": "⏎", "ctrl+r": "^r", "ctrl+t": "^t", "ctrl+n": "^n",
    "escape": "esc", "slash": "/", "question_mark": "?", "colon": ":", "ctrl+p": "^p", "ctrl+l": "^l",
    "ctrl+c": "^c", "ctrl+q": "^q", "ctrl+s": "^s", "ctrl+d": "^d", "ctrl+u": "^u", "up": "↑", "down": "↓",
    "pageup": "pgup", "pagedown": "pgdn", "delete": "del", "space": "␣", "tab": "tab",
}  # fmt: skip
"""How keys are written for people."""


def key_name(key: str) -> str:
    """A key as the key bar and the help show it."""
    return KEY_NAMES.get(key, key)


class KeyBar(Line):
    """The keys that do something just now."""

    _drawn: Cell = ()

    def on_mount(self) -> None:
        """Draw again whenever the keys change."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, _screen: Screen[object]) -> None:
        """Draw again if the keys differ from those that are shown."""
        if self.pieces(self.size.width) != self._drawn:
            self.refresh()

    def keys(self) -> list[tuple[str, str, str]]:
        """Key, description and action of every binding to be shown."""
        shown: dict[str, tuple[str, str, str]] = {}
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if binding.show and active.enabled and binding.action not in shown:
                shown[binding.action] = (binding.key, binding.description, binding.action)
        return list(shown.values())

    def _laid_out(self, width: int) -> list[tuple[str, Cell]]:
        keys = self.keys()
        tail = [k for k in keys if k[2] in ("app.help", "help")]
        laid: list[tuple[str, Cell]] = []
        end = [(action, self._key(key, text)) for key, text, action in tail]
        room = width - 1 - sum(width_of(cell) for _action, cell in end)
        for key, text, action in keys:
            if (key, text, action) in tail:
                continue
            cell = self._key(key, text)
            if width_of(cell) > room:
                break
            laid.append((action, cell))
            room -= width_of(cell)
        return laid + end

    @staticmethod
    def _key(key: str, text: str) -> Cell:
        return ((f" {key_name(key)} ", "accent"), (_(text) + " ", "quiet"))

    def pieces(self, width: int) -> Cell:
        """As many as fit; help always does."""
        return tuple(piece for _action, cell in self._laid_out(width) for piece in cell)

    def render_line(self, y: int) -> Strip:
        """The line, noted, so that the same keys are not drawn again."""
        self._drawn = self.pieces(self.size.width)
        return strip_of(self.app, self._drawn, self.size.width, on=self.GROUND)

    async def on_click(self, event: events.Click) -> None:
        """A click does what the key does."""
        left = 0
        for action, cell in self._laid_out(self.size.width):
            left += width_of(cell)
            if event.x < left:
                keys = {binding[2]: binding[0] for binding in self.keys()}
                self.app.simulate_key(keys[action])
                return
