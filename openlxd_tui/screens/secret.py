"""Something that is shown once and never again."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from openlxd_core.i18n import N_, _
from openlxd_tui.screens.dialog import Dialog
from openlxd_tui.widgets.field import Words


class Secret(Dialog[None]):
    """Shows a secret until it is put away. ``c`` asks the terminal to copy it (OSC 52)."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "cancel", N_("Done")),
        Binding("c", "copy", N_("Copy")),
    ]

    def __init__(self, title: str, explanation: str, secret: str) -> None:
        super().__init__()
        self._title = title
        self._explanation = explanation
        self._secret = secret

    def compose(self) -> ComposeResult:
        """Title, explanation, the secret, how to copy it."""
        with VerticalScroll(id="box", classes="-form"):
            yield Words(self._title, "accent", bold=True, classes="title")
            yield Words(self._explanation, "quiet", classes="explanation")
            yield Words(self._secret, "text", bold=True, id="secret")
            yield Words(
                _(N_("c copies it, where your terminal allows that; else select it with Shift and the mouse.")), "quiet"
            )
            yield Words(_(N_("⏎ closes it permanently")), "quiet")

    def action_copy(self) -> None:
        """To the clipboard of the person's terminal."""
        self.app.copy_to_clipboard(self._secret)
        self.session.notify(_(N_("Copied to your terminal's clipboard.")))
