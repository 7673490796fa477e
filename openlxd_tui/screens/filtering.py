"""A screen whose table is narrowed while one types: ``/`` opens the line, Enter keeps it, Esc shows all again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from textual import on
from textual.widgets import Input

from openlxd_core.domain.errors import Message
from openlxd_core.i18n import N_, _
from openlxd_tui.formatting import Cell, matches
from openlxd_tui.screens.page import Page
from openlxd_tui.widgets.filter_input import FilterInput
from openlxd_tui.widgets.quota_meter import QuotaMeter
from openlxd_tui.widgets.record_table import RecordTable

NO_MATCH = (N_("Nothing matches the filter."), N_("shows all again"))


class Filtering(Page):
    """What such screens have in common. Each has keys for ``filter`` and ``clear``, and says what finds a record."""

    FILTER_TEXT: ClassVar[str] = ""
    """What the empty line says."""

    @property
    def table(self) -> RecordTable[Any]:
        """The table."""
        raise NotImplementedError

    def words(self, record: Any) -> Iterable[str]:
        """What a record can be found by."""
        raise NotImplementedError

    def nothing_matches(self) -> tuple[Cell, ...]:
        """What stands in a table whose filter lets nothing through."""
        return (((_(NO_MATCH[0]), "quiet"),), (("esc", "accent"), ("  " + _(NO_MATCH[1]), "quiet")))

    async def action_filter(self) -> None:
        """Type to narrow the table."""
        if not self.query("#filter"):
            await self.mount(FilterInput(_(self.FILTER_TEXT)), before=self.query_one(QuotaMeter))
        # at once: what is typed right after the slash is the filter, not keys that act
        self.screen.set_focus(self.query_one("#filter"))

    @on(Input.Changed, "#filter")
    def narrow(self, event: Input.Changed) -> None:
        """Show what matches."""
        wish = event.value
        self.table.narrow((lambda record: matches(wish, self.words(record))) if wish.strip() else None)

    @on(Input.Submitted, "#filter")
    def keep_filter(self) -> None:
        """Back to the table, with the filter kept."""
        if not self.query_one("#filter", Input).value.strip():
            self.action_clear()
        self.table.focus()

    def action_focus_table(self) -> None:
        """From the filter into the rows."""
        self.table.focus()

    def action_clear(self) -> None:
        """All rows again."""
        self.query("#filter").remove()
        self.table.narrow(None)
        self.table.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The filter's keys only where they mean something."""
        if action == "filter":
            return not self.query("#filter:focus")
        if action == "clear":
            return bool(self.query("#filter"))
        return super().check_action(action, parameters)

    def why_not(self, action: str, parameters: tuple[object, ...]) -> Message:
        """Without a filter there is none to clear."""
        if action == "clear":
            return Message(N_("No filter is set. Press q to quit."))
        return super().why_not(action, parameters)
