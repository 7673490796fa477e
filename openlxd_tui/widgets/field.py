"""One field of a form: its name, where one types, and what is to be said beside it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input

from openlxd_core.domain.errors import Message
from openlxd_core.domain.text import clean
from openlxd_tui.formatting import Tint
from openlxd_tui.widgets.paint import style_for
from openlxd_tui.widgets.pick_list import PickList
from openlxd_tui.widgets.text_input import Paste, TextInput, exact_line, one_line


class Words(Widget):
    """A few words in one colour; never markup."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "Words { height: auto; width: 1fr; }"

    def __init__(
        self,
        text: str = "",
        tint: Tint = "text",
        *,
        bold: bool = False,
        id: str | None = None,  # noqa: A002 - Textual's own name
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.text = text
        self.tint: Tint = tint
        self._bold = bold

    def say(self, text: str, tint: Tint | None = None) -> None:
        """Say something else."""
        tint = tint or self.tint
        if (text, tint) != (self.text, self.tint):
            self.text, self.tint = text, tint
            self.refresh(layout=True)

    def render(self) -> Text:
        """The words."""
        return Text(self.text, style_for(self.app, self.tint, bold=self._bold), overflow="fold")


class Field(Container):
    """A name, an input and a note; the note stands beneath where the terminal is narrow."""

    DEFAULT_CSS = """
    Field {
        layout: horizontal; height: auto; margin: 0 0 1 0;
        .field--name { width: 14; height: 1; }
        .field--note { width: 1fr; height: auto; margin: 0 0 0 1; }
        Input { width: 26; }
        Select { width: 26; }
    }
    """

    def __init__(
        self,
        name: str,
        label: str,
        *,
        value: str = "",
        hint: str = "",
        placeholder: str = "",
        secret: bool = False,
        options: Sequence[tuple[str, str]] | None = None,
        prompt: str = "",
        limit: int = 200,
        paste: Paste | None = None,
        input_class: type[TextInput] = TextInput,
    ) -> None:
        super().__init__(id=f"field-{name}")
        self.field = name
        self._label = label
        self._hint = hint
        self._options = options
        self._prompt = prompt
        self._initial = value
        self._placeholder = placeholder
        self._secret = secret
        self._limit = limit
        self._input_class = input_class
        self._paste = paste or (exact_line if secret else one_line)
        self.refused: Message | None = None
        """What a service said of the value that stands here; forgotten when that is edited."""

    def compose(self) -> ComposeResult:
        """Name, input, note."""
        yield Words(self._label, "quiet", classes="field--name")
        if self._options is None:
            yield self._input_class(
                self._initial,
                paste=self._paste,
                complain=self.object_to,
                placeholder=self._placeholder,
                password=self._secret,
                compact=True,
                id=self.field,
                max_length=self._limit,
            )
        else:
            yield PickList(
                [(Content(clean(label, 120)), value) for label, value in self._options],
                prompt=self._prompt,
                compact=True,
                id=self.field,
                value=self._initial if self._initial else PickList.NULL,
                allow_blank=not self._initial,
            )
        yield Words(self._hint, "quiet", classes="field--note")

    @property
    def value(self) -> str:
        """What was typed or chosen."""
        if self._options is None:
            return self.query_one(Input).value
        chosen = self.query_one(PickList).value
        return chosen if isinstance(chosen, str) else ""

    def note(self, text: str, tint: Tint = "quiet") -> None:
        """Say something beside the field."""
        self.query_one(".field--note", Words).say(text, tint)

    def object_to(self, text: str) -> None:
        """Say what is wrong with it, behind a mark that reads without colour."""
        self.note(f"✗ {text}", "bad")

    def suggest(self, placeholder: str) -> None:
        """Show an example while nothing is typed."""
        self.query_one(Input).placeholder = placeholder

    def content(self) -> None:
        """Nothing is wrong; say the hint again."""
        self.note(self._hint, "quiet")

    def hint(self, text: str) -> None:
        """Another hint from now on."""
        self._hint = text
