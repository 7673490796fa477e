"""A line of text to type or paste into. What is pasted is taken whole, or refused in words: never cut in silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual import events
from textual._context import active_app
from textual.widgets import Input

from openlxd_core.domain.errors import Message, ValidationFailed
from openlxd_core.domain.ssh_key import join_public_key
from openlxd_core.i18n import N_
from openlxd_tui.formatting import sentence

Paste = Callable[[str], str]
"""Makes one line of what was pasted. Raises ValidationFailed with the reason where that cannot be done."""


def one_line(text: str) -> str:
    """The pasted line, without the spaces and blank lines around it."""
    return exact_line(text).strip()


def exact_line(text: str) -> str:
    """The pasted line as it is, for passwords: spaces may belong to it. Blank lines around it are dropped."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1:
        raise ValidationFailed.of("", N_("You pasted {count} lines, and this takes one. Nothing was pasted."),
                                  count=len(lines))  # fmt: skip
    return lines[0] if lines else ""


def prose(text: str) -> str:
    """The pasted lines as one, for text that people read."""
    return " ".join(text.split())


class TextInput(Input):
    """Textual's Input takes the first line of a paste and drops the rest, and drops all of it past the length."""

    def __init__(
        self,
        *arguments: Any,
        paste: Paste = one_line,
        complain: Callable[[str], None] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._paste = paste
        self._complain = complain  # shows why something was not taken; None shows a toast

    def validate_placeholder(self, text: str) -> str:
        """Where colours cannot tell an example from a value, marks do."""
        app = active_app.get(None)
        plain = bool(getattr(app, "few_colors", False))
        return f"‹{text}›" if plain and text and not text.startswith("‹") else text

    def _on_paste(self, event: events.Paste) -> None:
        event.prevent_default()  # Input's own handler would run next
        self._take(event, self._paste)

    def _take(self, event: events.Paste, read: Paste) -> None:
        event.stop()
        try:
            text = read(event.text)
        except ValidationFailed as error:
            self.refuse(next(iter(error.fields.values()), error.message))
            return
        if not text:
            self.refuse(Message(N_("The clipboard contains no text.")))
            return
        start, end = sorted(self.selection)
        if self.max_length and len(self.value) - (end - start) + len(text) > self.max_length:
            self.refuse(
                Message(
                    N_("What you pasted is too long: at most {limit} characters are allowed. Nothing was pasted."),
                    {"limit": self.max_length},
                )
            )
            return
        self.replace(text, start, end)

    def restricted(self) -> None:
        """Say why a typed character was not taken; Textual rings the bell."""
        self.refuse(Message(N_("At most {limit} characters are allowed."), {"limit": self.max_length}))

    def refuse(self, message: Message) -> None:
        """Say why something was not taken: beside the field, or as a toast where there is no field around it."""
        if self._complain is not None:
            self._complain(sentence(message))
        else:
            self.app.notify(sentence(message), severity="warning")


class KeyInput(TextInput):
    """Takes an SSH public key, however a terminal wrapped it. A key that is pasted replaces what stood there."""

    def _on_paste(self, event: events.Paste) -> None:
        event.prevent_default()  # the handlers of both classes above would run next
        self._take(event, self._read_key)

    def _read_key(self, text: str) -> str:
        key = join_public_key(text)
        if key is None:
            return one_line(text)
        self.select_all()
        return key
