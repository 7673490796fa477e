"""Choose which columns a table shows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from openlxd_core.i18n import N_, _
from openlxd_tui.screens.dialog import Dialog
from openlxd_tui.widgets.field import Words
from openlxd_tui.widgets.marked_options import MarkedOptions
from openlxd_tui.widgets.paint import style_for


class ColumnsDialog(Dialog[None]):
    """Each column with a mark; Space and Enter change it at once, Esc closes."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("space", "change", N_("Show or hide"), show=False)]

    def __init__(
        self, titles: Sequence[tuple[str, str]], shown: Collection[str], apply: Callable[[set[str]], None]
    ) -> None:
        super().__init__()
        self._titles = titles
        self._shown = set(shown)
        self._apply = apply

    def compose(self) -> ComposeResult:
        """Title, columns, keys."""
        with Vertical(id="box", classes="-palette"):
            yield Words(_(N_("Columns")), "accent", bold=True)
            yield MarkedOptions(compact=True, markup=False)
            yield Words(_(N_("space shows or hides   esc back")), "quiet")

    def on_mount(self) -> None:
        """Every column, the cursor on the first."""
        self._list(0)
        self.query_one(OptionList).focus()

    def _list(self, at: int) -> None:
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(Option(self._label(key, title)) for key, title in self._titles)
        options.highlighted = at

    def _label(self, key: str, title: str) -> Text:
        here = key in self._shown
        label = Text(f"  {'●' if here else '○'} ", style_for(self.app, "accent" if here else "quiet"))
        label.append(_(title), style_for(self.app, "text" if here else "quiet"))
        return label

    @on(OptionList.OptionSelected)
    def action_change(self) -> None:
        """Show the column under the cursor, or hide it."""
        at = self.query_one(OptionList).highlighted
        if at is not None:
            self._shown ^= {self._titles[at][0]}
            self._apply(set(self._shown))
            self._list(at)
