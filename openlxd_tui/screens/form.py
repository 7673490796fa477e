"""A dialog with fields: checked as one types, and told beside the field what the service says."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar, TypeVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.dom import DOMNode
from textual.widgets import Button, Input, Select

from openlxd_core.domain.errors import Message, OpenLXDError, ValidationFailed
from openlxd_core.i18n import N_, _
from openlxd_tui.formatting import sentence
from openlxd_tui.screens.dialog import Dialog
from openlxd_tui.widgets.field import Field, Words

Result = TypeVar("Result")


class Form(Dialog[Result]):
    """Ask for values, check them, hand them to the core, and close with what the core answers."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "submit", N_("Done")),
        Binding("down", "app.focus_next", N_("Next field"), show=False),
        Binding("up", "app.focus_previous", N_("Previous field"), show=False),
    ]
    TITLE_TEXT: ClassVar[str] = ""
    SUBMIT_TEXT: ClassVar[str] = N_("Save")
    WIDE: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self._touched: set[str] = set()
        self._busy = False

    # What a form brings

    def title_text(self) -> str:
        """The lines above the fields."""
        return _(self.TITLE_TEXT)

    def explanation_text(self) -> str:
        """What one has to know before, above the fields; most forms need nothing."""
        return ""

    def fields(self) -> Sequence[Field]:
        """The fields, in order."""
        raise NotImplementedError

    def check(self, values: Mapping[str, str]) -> Mapping[str, Message]:
        """What is wrong with what was typed so far, by field."""
        raise NotImplementedError

    async def send(self, values: Mapping[str, str]) -> Result:
        """Ask the core. Its errors are shown."""
        raise NotImplementedError

    # The dialog

    def compose(self) -> ComposeResult:
        """Title, fields, what went wrong, buttons."""
        with VerticalScroll(id="box", classes="-form", can_focus=False):
            yield Words(self.title_text(), "accent", bold=True, classes="title")
            if explanation := self.explanation_text():
                yield Words(explanation, "quiet", classes="explanation")
            yield from self.fields()
            yield Words("", "bad", id="wrong")
            with Horizontal(classes="buttons"):
                yield Button(Content(_(self.SUBMIT_TEXT)), id="submit", variant="primary", compact=True)
                yield Button(Content(_(N_("Cancel"))), id="cancel", compact=True)
                yield Words(_(N_("⏎ done   esc back")), "quiet", classes="keys")

    def on_mount(self) -> None:
        """Begin at the first field."""
        self.query(Field).first().query_one("Input, Select").focus()

    def field(self, name: str) -> Field:
        """One field."""
        return self.query_one(f"#field-{name}", Field)

    def values(self) -> dict[str, str]:
        """What was typed, by field."""
        return {field.field: field.value for field in self.query(Field)}

    @on(Input.Changed)
    @on(Select.Changed)
    def follow_edit(self, event: Input.Changed | Select.Changed) -> None:
        """Say what is wrong with the fields that were touched; what a service said of a value goes with the value."""
        widget = event.control
        field = self._field_of(widget)
        if field is None or (isinstance(event, Input.Changed) and not event.value and field.field not in self._touched):
            return
        self._touched.add(field.field)
        field.refused = None
        self.query_one("#wrong", Words).say("")
        self.judge(self._touched)

    @staticmethod
    def _field_of(widget: DOMNode | None) -> Field | None:
        nodes = widget.ancestors_with_self if widget is not None else ()
        return next((node for node in nodes if isinstance(node, Field)), None)

    def judge(self, names: Collection[str]) -> bool:
        """Show what is wrong with these fields, and nothing of the others; whether all fields are right."""
        wrong = self.check(self.values())
        for field in self.query(Field):
            fault = wrong.get(field.field) if field.field in names else None
            if (fault := fault or field.refused) is not None:
                field.object_to(sentence(fault))
            else:
                field.content()
        return not wrong

    @on(Input.Submitted)
    def submit_by_enter(self, event: Input.Submitted) -> None:
        """Enter stays on a value that is wrong, sends a form that is complete, and otherwise goes to the next field."""
        event.stop()
        field = self._field_of(event.input)
        wrong = self.check(self.values())
        if field is not None and field.field in wrong:
            self._touched.add(field.field)
            self.judge(self._touched)
        elif wrong and not self._is_last(event.input):
            self.focus_next()
        else:
            self.action_submit()

    def _is_last(self, field: Input) -> bool:
        return field.id == list(self.query(Field))[-1].field

    @on(Button.Pressed, "#submit")
    def action_submit(self) -> None:
        """Check everything, then ask the core."""
        names = {field.field for field in self.query(Field)}
        self._touched |= names
        if not self.judge(names):
            self.session.forget_typed()  # it was meant for what a complete form leads to
            self._go_to(self.check(self.values()))
            return
        if not self._busy:
            self._send()

    def _go_to(self, names: Collection[str]) -> None:
        """Put the cursor in the first of these fields."""
        first = next((field for field in self.query(Field) if field.field in names), None)
        if first is not None:
            first.query_one("Input, Select").focus()

    @on(Button.Pressed, "#cancel")
    def leave(self) -> None:
        """Away, with nothing done."""
        self.action_cancel()

    @work(group="send")
    async def _send(self) -> None:
        self._busy = True
        wrong = self.query_one("#wrong", Words)
        wrong.say(_(N_("One moment…")), "quiet")
        try:
            result = await self.send(self.values())
        except ValidationFailed as error:
            self.session.forget_typed()
            wrong.say("")
            known = {field.field for field in self.query(Field)}
            for name, message in error.fields.items():
                if name in known:
                    self.field(name).refused = message
            self.judge(self._touched)
            self._go_to(error.fields.keys() & known)
            if not error.fields.keys() & known:
                wrong.say(f"✗ {sentence(error.message)}", "bad")
        except OpenLXDError as error:
            self.session.forget_typed()
            wrong.say(f"✗ {sentence(error.message)}", "bad")
        else:
            self.dismiss(result)
        finally:
            self._busy = False


def faults(*checks: tuple[object, ...]) -> dict[str, Message]:
    """Run checks, each a function and its arguments, and gather what is wrong by field."""
    wrong: dict[str, Message] = {}
    for function, *arguments in checks:
        assert callable(function)
        try:
            function(*arguments)
        except ValidationFailed as error:
            wrong.update(error.fields)
    return wrong
