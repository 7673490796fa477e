"""Everything that can be done and gone to, found by typing a part of its name.

The list has one order, which typing only thins out: what the screen does, what works everywhere, what other screens
do, containers, images. Nothing changes its place between two keys, so that the eye can stay on it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.dom import DOMNode
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from openlxd_core.domain.errors import OpenLXDError
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _
from openlxd_tui.screens.dialog import Dialog
from openlxd_tui.widgets.key_bar import key_name
from openlxd_tui.widgets.marked_options import MarkedOptions
from openlxd_tui.widgets.paint import style_for
from openlxd_tui.widgets.text_input import TextInput

SHOWN_MOST = 100
"""Options in the list at once; typing on thins out the rest."""


@dataclass(frozen=True)
class Entry:
    """One line of the palette."""

    key: str
    words: str
    run: Callable[[], Awaitable[object] | None]
    where: str = ""
    """The screen that it belongs to, or what kind of thing it is."""
    offered: bool = True
    """Whether it can act just now; one that cannot says why when it is chosen."""
    only_typed: bool = False
    """Shown once something was typed: there may be thousands."""

    @property
    def text(self) -> str:
        """What typing is compared with."""
        return f"{self.words} {self.where}".casefold()


_NOT_HERE = ("palette", "stay", "app.focus_next", "app.focus_previous", "move(", "page(", "jump(", "scroll(")


def narrow(entries: Sequence[Entry], wish: str) -> list[Entry]:
    """The entries that hold every word of ``wish``, in their order; where none does, its letters in their order."""
    parts = wish.casefold().split()
    if not parts:
        return [entry for entry in entries if not entry.only_typed][:SHOWN_MOST]
    found = [entry for entry in entries if all(part in entry.text for part in parts)]
    return (found or [entry for entry in entries if _holds_letters(entry.text, "".join(parts))])[:SHOWN_MOST]


def _holds_letters(text: str, letters: str) -> bool:
    rest = iter(text)
    return all(letter in rest for letter in letters)


def bindings_of(node: DOMNode) -> list[Binding]:
    """What can be done at a node, once for each action."""
    seen: dict[str, Binding] = {}
    for several in node._bindings.key_to_bindings.values():
        for binding in several:
            if binding.description and not binding.action.startswith(_NOT_HERE):
                seen.setdefault(binding.action, binding)
    return list(seen.values())


class Palette(Dialog[None]):
    """Type, choose, Enter."""

    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, entries: Sequence[Entry]) -> None:
        super().__init__()
        self._entries = list(entries)
        self._shown: list[Entry] = []

    def compose(self) -> ComposeResult:
        """Where one types, and what fits."""
        with Vertical(id="box", classes="-palette"):
            yield TextInput(placeholder=_(N_("What do you want to do?")), compact=True)
            yield MarkedOptions(compact=True, markup=False)

    def on_mount(self) -> None:
        """Everything, at first."""
        self.query_one(Input).focus()
        self._find("")
        self.find_images()

    @work(group="images")
    async def find_images(self) -> None:
        """Images come last, so that they may turn up while one types without moving anything."""
        session = self.session
        try:
            held = [image.alias for image in await session.core.images.list(session.actor)]
            offered = [offer.alias for offer in session.core.images.offers(session.actor) if offer.published]
        except OpenLXDError:
            return  # the commands are there all the same
        kind = _(N_("image"))
        for alias in dict.fromkeys([*held, *sorted(offered)]):
            self._entries.append(Entry("", clean(alias, 100), _calling(session.find_image, alias), kind, True, True))
        if self.query_one(Input).value.strip():
            self._find(self.query_one(Input).value)

    @on(Input.Changed)
    def find(self, event: Input.Changed) -> None:
        """What fits."""
        self._find(event.value)

    def _find(self, wish: str) -> None:
        self._shown = narrow(self._entries, wish)
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(Option(self._label(entry)) for entry in self._shown)
        options.highlighted = 0 if self._shown else None

    def _label(self, entry: Entry) -> Text:
        label = Text(no_wrap=True, overflow="ellipsis")
        name = key_name(entry.key)
        label.append(" " * max(1, 6 - cell_len(name)) + name + "  ", style_for(self.app, "accent"))
        label.append(entry.words, style_for(self.app, "text" if entry.offered else "quiet"))
        if not entry.offered:
            label.append(" " + _(N_("(not now)")), style_for(self.app, "quiet"))
        if entry.where:
            label.append("  " + entry.where, style_for(self.app, "quiet"))
        return label

    def on_key(self, event: events.Key) -> None:
        """Arrows walk the list while one types."""
        options = self.query_one(OptionList)
        moves = {
            "down": options.action_cursor_down,
            "up": options.action_cursor_up,
            "ctrl+n": options.action_cursor_down,
        }
        if move := moves.get(event.key):
            event.stop()
            event.prevent_default()
            move()

    @on(Input.Submitted)
    def run_highlighted(self) -> None:
        """Enter."""
        index = self.query_one(OptionList).highlighted
        if index is not None and index < len(self._shown):
            self._run(self._shown[index])

    @on(OptionList.OptionSelected)
    def run_clicked(self, event: OptionList.OptionSelected) -> None:
        """A click."""
        self._run(self._shown[event.option_index])

    def _run(self, entry: Entry) -> None:
        self.dismiss(None)
        self.app.call_later(entry.run)


def _calling(call: Callable[[str], Awaitable[object] | None], value: str) -> Callable[[], Awaitable[object] | None]:
    return lambda: call(value)


def container_entries(names: Iterable[tuple[str, str]], go: Callable[[str], None]) -> list[Entry]:
    """An entry for each container, by name: its name and its state."""
    kind = _(N_("container"))
    return [Entry("", clean(name, 63), _calling(go, name), f"{kind} · {state}") for name, state in sorted(names)]
