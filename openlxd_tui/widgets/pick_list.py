"""A list to choose from that is closed until it is asked for."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Select
from textual.widgets._select import SelectCurrent

from openlxd_core.i18n import N_
from openlxd_tui.widgets.marked_options import MarkedOverlay


class PickList(Select[str], inherit_bindings=False):
    """A Select whose up and down belong to the form while it is closed: they go to the next field, as everywhere.

    Textual's own opens on them, so that whoever walks through a form with the arrows is caught in every list.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "show_overlay", N_("Open the list"), show=False),
        Binding("right", "choose(1)", N_("Next choice"), show=False),
        Binding("left", "choose(-1)", N_("Previous choice"), show=False),
    ]

    def compose(self) -> ComposeResult:
        """As Textual's, with a list whose chosen line has a mark where colours cannot tell it."""
        yield SelectCurrent(self.prompt)
        yield MarkedOverlay(type_to_search=self._type_to_search).data_bind(compact=Select.compact)

    def action_choose(self, by: int) -> None:
        """The next or the previous choice, without opening the list."""
        values = [value for _label, value in self._options if isinstance(value, str)]
        if not values:
            self.app.bell()
            return
        at = values.index(self.value) if self.value in values else -1 if by > 0 else 0
        self.value = values[(at + by) % len(values)]
