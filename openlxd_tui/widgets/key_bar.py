"""The bar at the bottom: the keys that do something now, and how keys are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import events
from textual.screen import Screen
from textual.strip import Strip

from openlxd_core.i18n import _
from openlxd_tui.formatting import Cell
from openlxd_tui.widgets.paint import strip_of, width_of
from openlxd_tui.widgets.text_bar import TextBar

if TYPE_CHECKING:
    pass


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


class KeyBar(TextBar):
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
