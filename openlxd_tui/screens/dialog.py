"""What all dialogs have in common."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from openlxd_core.i18n import N_
from openlxd_tui.session import Session, session_of

Result = TypeVar("Result")


class Dialog(ModalScreen[Result], inherit_bindings=False):
    """A modal question over a page. Esc closes it with the result None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", N_("Back")),
        Binding("tab", "app.focus_next", N_("Next field"), show=False),
        Binding("shift+tab", "app.focus_previous", N_("Previous field"), show=False),
    ]

    @property
    def session(self) -> Session:
        """The session that this belongs to."""
        return session_of(self)

    def action_cancel(self) -> None:
        """Close the dialog without doing anything."""
        self.dismiss(None)
