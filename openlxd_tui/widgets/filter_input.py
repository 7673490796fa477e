"""Where one types to narrow a table."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from openlxd_core.i18n import N_
from openlxd_tui.widgets.text_input import TextInput


class FilterInput(TextInput):
    """Where one types to narrow the table."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", N_("Keep the filter")),
        Binding("escape", "screen.clear", N_("Show all")),
        Binding("down", "screen.focus_table", N_("Down"), show=False),
    ]

    def __init__(self, placeholder: str) -> None:
        super().__init__(placeholder=placeholder, id="filter", compact=True)
