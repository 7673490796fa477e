"""Choose one of many: type to narrow, arrows, Enter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _
from openlxd_tui.formatting import matches
from openlxd_tui.screens.dialog import Dialog
from openlxd_tui.widgets.field import Words
from openlxd_tui.widgets.marked_options import MarkedOptions
from openlxd_tui.widgets.paint import style_for
from openlxd_tui.widgets.text_input import TextInput


class Chooser(Dialog[str | None]):
    """Closes with the value that was chosen; an empty one stands for all of them."""

    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, title: str, values: Sequence[str], current: str = "") -> None:
        super().__init__()
        self._title = title
        self._values = ["", *values]
        self._current = current
        self._shown: list[str] = []

    def compose(self) -> ComposeResult:
        """Title, where one types, what fits."""
        with Vertical(id="box", classes="-palette"):
            yield Words(self._title, "accent", bold=True)
            yield TextInput(placeholder=_(N_("Type to narrow")), compact=True)
            yield MarkedOptions(compact=True, markup=False)

    def on_mount(self) -> None:
        """Begin at the value in force."""
        self.query_one(Input).focus()
        self._find("")
        if self._current in self._shown:
            self.query_one(OptionList).highlighted = self._shown.index(self._current)

    @on(Input.Changed)
    def find(self, event: Input.Changed) -> None:
        """What fits."""
        self._find(event.value.strip())

    def _find(self, wish: str) -> None:
        self._shown = [value for value in self._values if (not wish or (value and matches(wish, (value,))))]
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(Option(self._label(value)) for value in self._shown)
        options.highlighted = 0 if self._shown else None

    def _label(self, value: str) -> Text:
        here = value == self._current
        label = Text(" ● " if here else "   ", style_for(self.app, "accent"))
        label.append(clean(value, 80) or _(N_("All")), style_for(self.app, "accent" if here else "text"))
        return label

    def on_key(self, event: events.Key) -> None:
        """Arrows walk the list while one types."""
        options = self.query_one(OptionList)
        moves = {
            "down": options.action_cursor_down,
            "up": options.action_cursor_up,
        }
        if move := moves.get(event.key):
            event.stop()
            event.prevent_default()
            move()

    @on(Input.Submitted)
    def take_highlighted(self) -> None:
        """Enter."""
        index = self.query_one(OptionList).highlighted
        if index is not None and index < len(self._shown):
            self.dismiss(self._shown[index])

    @on(OptionList.OptionSelected)
    def take_clicked(self, event: OptionList.OptionSelected) -> None:
        """A click."""
        self.dismiss(self._shown[event.option_index])
