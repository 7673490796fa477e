"""Every command that works just now, found by typing a part of its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.dom import DOMNode
from textual.fuzzy import Matcher
from textual.screen import Screen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from openlxd_core.i18n import N_, _
from openlxd_tui.screens.page import Dialog
from openlxd_tui.widgets.lines import key_name
from openlxd_tui.widgets.paint import style_for
from openlxd_tui.widgets.text_input import TextInput


@dataclass(frozen=True)
class Command:
    """One command."""

    key: str
    words: str
    action: str
    node: DOMNode


_NOT_HERE = ("palette", "stay", "app.focus_next", "app.focus_previous", "move(", "page(", "jump(")


class Palette(Dialog[None]):
    """Type, choose, Enter."""

    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, screen: Screen[Any]) -> None:
        super().__init__()
        seen: dict[str, Command] = {}
        # what the screen can do comes first, then what works everywhere, then what tables can do
        order = {type(screen): 0, type(screen.app): 1}
        for active in sorted(screen.active_bindings.values(), key=lambda a: order.get(type(a.node), 2)):
            binding = active.binding
            if active.enabled and binding.description and not binding.action.startswith(_NOT_HERE):
                command = Command(binding.key, _(binding.description), binding.action, active.node)
                seen.setdefault(binding.action, command)
        self._commands = list(seen.values())
        self._shown: list[Command] = []

    def compose(self) -> ComposeResult:
        """Where one types, and what fits."""
        with Vertical(id="box", classes="-palette"):
            yield TextInput(placeholder=_(N_("What do you want to do?")), compact=True)
            yield OptionList(compact=True, markup=False)

    def on_mount(self) -> None:
        """Everything, at first."""
        self.query_one(Input).focus()
        self._find("")

    @on(Input.Changed)
    def find(self, event: Input.Changed) -> None:
        """What fits."""
        self._find(event.value.strip())

    def _find(self, wish: str) -> None:
        scored = [(1.0, command) for command in self._commands]
        if wish:
            matcher = Matcher(wish)
            scored = [(matcher.match(command.words), command) for command in self._commands]
            scored = sorted((pair for pair in scored if pair[0] > 0), key=lambda pair: -pair[0])
        self._shown = [command for _score, command in scored]
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(Option(self._label(command)) for command in self._shown)
        options.highlighted = 0 if self._shown else None

    def _label(self, command: Command) -> Text:
        label = Text()
        name = key_name(command.key)
        label.append(" " * max(0, 6 - cell_len(name)) + name + "  ", style_for(self.app, "accent"))
        label.append(command.words, style_for(self.app, "text"))
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
    async def run_highlighted(self) -> None:
        """Enter."""
        index = self.query_one(OptionList).highlighted
        if index is not None and index < len(self._shown):
            await self._run(self._shown[index])

    @on(OptionList.OptionSelected)
    async def run_clicked(self, event: OptionList.OptionSelected) -> None:
        """A click."""
        await self._run(self._shown[event.option_index])

    async def _run(self, command: Command) -> None:
        self.dismiss(None)
        self.app.call_later(self.app.run_action, command.action, command.node)
