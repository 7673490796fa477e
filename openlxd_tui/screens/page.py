"""What all pages have in common."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.message import Message as Event
from textual.screen import Screen

from openlxd_core.domain.errors import Message
from openlxd_core.domain.feed import Change
from openlxd_core.i18n import N_, _
from openlxd_tui.reasons import NOT_NOW
from openlxd_tui.screens.choose_columns import ColumnsDialog
from openlxd_tui.session import Session, session_of
from openlxd_tui.widgets.banner import Banner
from openlxd_tui.widgets.pane import Pane
from openlxd_tui.widgets.record_table import RecordTable


class FeedChange(Event):
    """Something changed in the core; sent to every screen."""

    bubble = False

    def __init__(self, change: Change) -> None:
        super().__init__()
        self.change = change


class Page(Screen[None], inherit_bindings=False):
    """A screen one can go to by its key."""

    PAGE: ClassVar[str] = ""
    """Its name in the app's list."""
    ROW_ACTIONS: ClassVar[frozenset[str]] = frozenset()
    """The actions that act on the row under the cursor."""
    TAB: ClassVar[str] = ""
    """The screen that it belongs to, where it has no key of its own."""

    @property
    def session(self) -> Session:
        """The session that this belongs to."""
        return session_of(self)

    def on_mount(self) -> None:
        """Show the tables as the account chose before. Textual calls this beside the page's own ``on_mount``."""
        for table in self.query(RecordTable):
            if table.id and (view := self.session.preferences.tables.get(table.id)) is not None:
                table.show_as(view)

    @on(RecordTable.Arranged)
    def remember_view(self, message: RecordTable.Arranged) -> None:
        """The account chose another order."""
        if message.table.id:
            self.session.choose_view(message.table.id, message.table.view)

    @on(RecordTable.ColumnsWanted)
    def choose_columns(self, message: RecordTable.ColumnsWanted) -> None:
        """Open the dialog in which the columns of a table are chosen."""
        self.app.push_screen(ColumnsDialog(message.titles, message.shown, message.table.show_columns))

    def retranslate(self) -> None:
        """Draw everything in the language and theme that hold now."""
        for table in self.query(RecordTable):
            table.repaint()
        self.refresh(layout=True)

    def why_not(self, action: str, parameters: tuple[object, ...]) -> Message:
        """Why an action of this screen is not offered just now, shown when its key is pressed anyway."""
        return NOT_NOW

    def action_scroll_details(self, by: int) -> None:
        """Scroll the pane of details, where this screen has one."""
        for pane in self.query(Pane):
            if not pane.size.height:
                self.session.notify(_(N_("The details are not shown.")))
            elif not pane.scroll_lines(by):
                self.session.notify(_(N_("The details have no more lines.")))

    def on_feed_change(self, message: FeedChange) -> None:
        """Every screen shows whether LXD answers; the rest is each one's own."""
        if message.change.topic in ("lxd", "resync"):
            for banner in self.query(Banner):
                banner.look()
        self.hear(message.change)

    def hear(self, change: Change) -> None:
        """React to a change of the core; does nothing unless a page overrides it."""
