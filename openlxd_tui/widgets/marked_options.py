"""Lists of options whose chosen one is told by a mark where colours cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.text import Text
from textual.content import Content
from textual.visual import VisualType
from textual.widgets import OptionList
from textual.widgets._select import SelectOverlay

if TYPE_CHECKING:
    _Base = OptionList
else:
    _Base = object


class _Marking(_Base):
    """Textual leaves ``text-style`` out of how it draws an option, so that it cannot be reversed there."""

    _marked: tuple[int, VisualType] | None = None

    def watch_highlighted(self, highlighted: int | None) -> None:
        """Move the mark."""
        super().watch_highlighted(highlighted)
        if not getattr(self.app, "few_colors", False):
            return
        if self._marked is not None and self._marked[0] < self.option_count:
            self.replace_option_prompt_at_index(*self._marked)
        self._marked = None
        if highlighted is not None and highlighted < self.option_count:
            prompt = self.get_option_at_index(highlighted).prompt
            self._marked = highlighted, prompt
            self.replace_option_prompt_at_index(highlighted, _with_mark(prompt))

    def clear_options(self) -> Self:
        """Other options: the mark goes with the old ones."""
        self._marked = None
        self.highlighted = None
        return super().clear_options()


def _with_mark(prompt: VisualType) -> VisualType:
    if isinstance(prompt, Text) and prompt.plain.startswith(" "):
        return Text.assemble("▸", prompt[1:], no_wrap=True)  # in place of the space: nothing else moves
    return Content.assemble("▸ ", prompt) if isinstance(prompt, Content) else f"▸ {prompt}"


class MarkedOptions(_Marking, OptionList):
    """A list of its own."""


class MarkedOverlay(_Marking, SelectOverlay):
    """The list that a Select opens."""
