"""Questions before something is done that cannot be undone, or that ends somebody's work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Input

from openlxd_core.domain.errors import OpenLXDError
from openlxd_core.i18n import N_, _
from openlxd_tui.formatting import sentence
from openlxd_tui.screens.dialog import Dialog
from openlxd_tui.widgets.field import Words
from openlxd_tui.widgets.text_input import TextInput


@dataclass(frozen=True)
class Choice:
    """One way to say yes."""

    name: str
    label: str
    """Marked for the catalogue."""
    key: str
    danger: bool = False


class Confirm(Dialog[str | None]):
    """A question with a button for each way to say yes; closes with the name of the one taken."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "cancel", N_("Back"), show=False),
        Binding("left,up,h,k", "app.focus_previous", N_("Previous"), show=False),
        Binding("right,down,l,j", "app.focus_next", N_("Next"), show=False),
    ]

    def __init__(self, question: str, explanation: str, choices: Sequence[Choice]) -> None:
        super().__init__()
        self._question = question
        self._explanation = explanation
        self._choices = choices

    def compose(self) -> ComposeResult:
        """Question, explanation, buttons."""
        with VerticalScroll(id="box", can_focus=False):
            yield Words(self._question, "accent", bold=True, classes="title")
            yield Words(self._explanation, "quiet", classes="explanation")
            with Horizontal(classes="buttons"):
                for choice in self._choices:
                    label = f"{choice.key}  {_(choice.label)}"
                    button = Button(Content(label), id=choice.name, compact=True)
                    button.variant = "error" if choice.danger else "primary"
                    yield button
                yield Button(Content("esc  " + _(N_("Cancel"))), id="cancel", compact=True)

    def on_mount(self) -> None:
        """The mildest yes stands ready."""
        self.query(Button).first().focus()

    def on_key(self, event: events.Key) -> None:
        """Each choice has its key."""
        for choice in self._choices:
            if event.key == choice.key:
                event.stop()
                self.dismiss(choice.name)

    @on(Button.Pressed)
    def answer(self, event: Button.Pressed) -> None:
        """A button."""
        self.dismiss(None if event.button.id == "cancel" else event.button.id)


class TypeToConfirm(Dialog[bool | None]):
    """Delete only after its name was typed: no single key loses anybody's data."""

    def __init__(
        self,
        question: str,
        explanation: str,
        name: str,
        action: str = N_("Delete"),
        *,
        more: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        super().__init__()
        self._more = more
        self._question = question
        self._explanation = explanation
        self._name_to_type = name
        self.add_class("-danger")
        self._action = action

    def compose(self) -> ComposeResult:
        """Question, explanation, where one types, buttons."""
        with VerticalScroll(id="box", can_focus=False):
            yield Words(self._question, "bad", bold=True, classes="title")
            yield Words(self._explanation, "quiet", classes="explanation", id="explanation")
            prompt = _(N_("Type {name} to go on.")).format(name=self._name_to_type)
            yield Words(prompt, "text", id="prompt")
            yield TextInput(placeholder=self._name_to_type, id="typed", compact=True)
            with Horizontal(classes="buttons"):
                label = Content(_(self._action))
                yield Button(label, id="yes", variant="error", disabled=True, compact=True)
                yield Button(Content(_(N_("Cancel"))), id="cancel", compact=True)
                yield Words(_(N_("⏎ done   esc back")), "quiet", classes="keys")

    def on_mount(self) -> None:
        """Begin to type at once; what has to be read first is added when it is there."""
        self.query_one(Input).focus()
        if self._more is not None:
            self._explain(self._more)

    @work(group="explain")
    async def _explain(self, more: Callable[[], Awaitable[str]]) -> None:
        explanation = self.query_one("#explanation", Words)
        try:
            text = await more()
        except OpenLXDError as error:
            text = sentence(error.message)
        explanation.say(" ".join(filter(None, (self._explanation, text))))

    @on(Input.Changed)
    def compare(self, event: Input.Changed) -> None:
        """The button works once the name is there."""
        self.query_one("#yes", Button).disabled = event.value.strip() != self._name_to_type
        self.query_one("#prompt", Words).say(_(N_("Type {name} to go on.")).format(name=self._name_to_type), "text")

    @on(Input.Submitted)
    def agree(self, event: Input.Submitted) -> None:
        """Enter counts only with the right name."""
        event.stop()
        if event.value.strip() == self._name_to_type:
            self.dismiss(True)
        else:
            prompt = _(N_("Type {name} to go on.")).format(name=self._name_to_type)
            self.query_one("#prompt", Words).say(f"✗ {prompt}", "bad")

    @on(Button.Pressed)
    def answer(self, event: Button.Pressed) -> None:
        """A button."""
        self.dismiss(True if event.button.id == "yes" else None)
