"""What every screen and every dialog has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual import on
from textual.binding import Binding, BindingType
from textual.message import Message as Event
from textual.screen import ModalScreen, Screen

from openlxd_core.domain.errors import Message
from openlxd_core.domain.feed import Change
from openlxd_core.i18n import N_, _
from openlxd_tui.reasons import NOT_NOW
from openlxd_tui.widgets.banner import Banner
from openlxd_tui.widgets.pane import Pane
from openlxd_tui.widgets.record_table import RecordTable

if TYPE_CHECKING:
    from openlxd_tui.app import OpenLXDApp

Result = TypeVar("Result")


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
    def session(self) -> OpenLXDApp:
        """The app, by its own type."""
        return cast("OpenLXDApp", self.app)

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

    def retranslate(self) -> None:
        """Draw everything in the language and theme that hold now."""
        for table in self.query(RecordTable):
            table.repaint()
        self.refresh(layout=True)

    def why_not(self, action: str, parameters: tuple[object, ...]) -> Message:
        """Why an action of this screen is not offered just now, for whoever presses its key all the same."""
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
        """A change of the core; by default nobody here cares."""


class Dialog(ModalScreen[Result], inherit_bindings=False):
    """A question in front of a screen. Esc takes it away with None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", N_("Back")),
        Binding("tab", "app.focus_next", N_("Next field"), show=False),
        Binding("shift+tab", "app.focus_previous", N_("Previous field"), show=False),
    ]

    @property
    def session(self) -> OpenLXDApp:
        """The app, by its own type."""
        return cast("OpenLXDApp", self.app)

    def action_cancel(self) -> None:
        """Away, with nothing done."""
        self.dismiss(None)
