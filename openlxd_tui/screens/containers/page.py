"""The containers: a live table, what the cursor stands on, what the quota leaves, and what can be done.

A worker waits for the core and posts what it got; a handler paints. Changes of the feed are gathered for a moment
and fetched together; figures of use are read while this screen is in view, and only cells that differ repaint.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container as Box
from textual.message import Message
from textual.timer import Timer

from openlxd_core.domain.container import Container, State, Usage
from openlxd_core.domain.errors import NotFound, OpenLXDError
from openlxd_core.domain.feed import Change
from openlxd_core.domain.operation import Operation, OperationStatus
from openlxd_core.domain.quota import Quota
from openlxd_core.i18n import N_, _
from openlxd_core.outcomes import done_text, failed_text
from openlxd_tui.formatting import Cell, progress_cell, state_cell
from openlxd_tui.phases import next_phase, until
from openlxd_tui.screens.containers.actions import ContainerActions
from openlxd_tui.screens.containers.columns import container_columns
from openlxd_tui.screens.containers.details import Details
from openlxd_tui.screens.filtering import Filtering
from openlxd_tui.textual_compat.held_paint import HeldPaint
from openlxd_tui.widgets.banner import Banner
from openlxd_tui.widgets.key_bar import KeyBar
from openlxd_tui.widgets.quota_meter import QuotaMeter
from openlxd_tui.widgets.record_table import RecordTable, Span
from openlxd_tui.widgets.top_bar import TopBar

USAGE_SECONDS = 3.0
IDLE_SECONDS, IDLE_TICKS = 300.0, 5
"""Where nothing was typed for so long, only one tick of so many is shown: nobody may be looking."""
GATHER_SECONDS = 0.05
FIRST_READ_SECONDS = 0.05
"""How long the first frame waits for what is read, before it says that it is being read."""
LIST_FROM = 20
"""From so many changed containers on, one list costs less than asking for each."""


class ContainersPage(Filtering, ContainerActions, HeldPaint):
    """Where everybody starts."""

    PAGE = "containers"
    FILTER_TEXT = N_("Filter by name, state, address, image or owner")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", N_("Filter")),
        Binding("i", "details", N_("Details")),
        Binding("J,shift+down", "scroll_details(1)", N_("Scroll the details down"), show=False),
        Binding("K,shift+up", "scroll_details(-1)", N_("Scroll the details up"), show=False),
        Binding("escape", "clear", N_("Clear the filter"), show=False),
        Binding("ctrl+r", "reload", N_("Refresh"), show=False),
    ]

    class Loaded(Message):
        """Everything was read."""

        def __init__(self, containers: Sequence[Container], operations: Sequence[Operation]) -> None:
            super().__init__()
            self.containers = containers
            self.operations = operations

    class Fetched(Message):
        """Some containers and operations were refreshed."""

        def __init__(
            self, containers: Sequence[Container], gone: Sequence[str], operations: Sequence[Operation]
        ) -> None:
            super().__init__()
            self.containers = containers
            self.gone = gone
            self.operations = operations

    class Measured(Message):
        """The quota was read."""

        def __init__(self, quota: Quota, used: Quota) -> None:
            super().__init__()
            self.quota = quota
            self.used = used

    def __init__(self) -> None:
        super().__init__()
        self._usage: Mapping[str, Usage] = {}
        self._dirty_names: set[str] = set()
        self._dirty_operations: set[str] = set()
        self._details_wanted: bool | None = None
        self._loaded = False
        self._view = ExitStack()
        self._ticker: Timer | None = None
        self._ticks = 0
        self._phase = next_phase()

    def compose(self) -> ComposeResult:
        """Bar, banner, table and pane, meter, keys."""
        self.place_details()  # while there are no widgets yet whose styles depend on it: 3 ms less
        yield TopBar()
        yield Banner()
        with Box(id="body"):
            yield RecordTable[Container](
                container_columns(self._usage_of, owner=self.session.actor.is_admin),
                lambda container: container.name,
                sort_by="name",
                span=self._span,
                empty=self._empty,
                id="containers",
            )
            yield Details(id="details")
        yield QuotaMeter()
        yield KeyBar()

    @property
    def table(self) -> RecordTable[Container]:
        """The table."""
        return self.query_one("#containers", RecordTable)

    def _usage_of(self, container: Container) -> Usage | None:
        return self._usage.get(container.name) if container.status is State.RUNNING else None

    def _span(self, container: Container) -> Span | None:
        operation = self._operations.get(container.name)
        if operation is None:
            return None
        return Span("state", "ipv6", lambda width: progress_cell(operation, width))

    def _empty(self) -> Sequence[Cell]:
        if not self._loaded:
            return (((_(N_("Reading…")), "faint"),),)
        if self.table.total:
            return self.nothing_matches()
        return (
            ((_(N_("No containers yet.")), "text"),),
            (("", "text"),),
            (("n", "accent"), ("  " + _(N_("makes your first one")), "quiet")),
            (("?", "accent"), ("  " + _(N_("shows every key")), "quiet")),
        )

    # Reading

    def on_mount(self) -> None:
        """Lay out for this terminal, then read."""
        self.hold_paint(FIRST_READ_SECONDS)
        self.table.focus()
        self.load()

    def on_screen_resume(self) -> None:
        """In view: figures of use are wanted."""
        if self._ticker is None:
            self._view.enter_context(self.session.core.lxd_status.watching())
            wait = until(self._phase, USAGE_SECONDS, asyncio.get_running_loop().time())
            self._ticker = self.set_timer(wait, self._start_ticking)

    def _start_ticking(self) -> None:
        self._ticker = self.set_interval(USAGE_SECONDS, self.measure_use)
        self.measure_use()

    def on_screen_suspend(self) -> None:
        """Out of view: nobody looks."""
        if self._ticker is not None:
            self._ticker.stop()
            self._ticker = None
            self._view.close()

    def on_unmount(self) -> None:
        """The session ends."""
        self._view.close()

    @work(exclusive=True, group="load")
    async def load(self) -> None:
        """Read everything."""
        core, actor = self.session.core, self.session.actor
        try:
            containers = await core.containers.list(actor)
            operations = await core.operations.list(actor, active=True)
        except OpenLXDError as error:
            self.release_paint()
            self.session.say_error(error)
            return
        self.post_message(self.Loaded(containers, operations))
        await self._read_quota()

    async def _read_quota(self) -> None:
        if self.session.actor.user_id is None or self.session.actor.is_admin:
            return
        try:
            state = await self.session.core.quotas.get(self.session.actor)
        except OpenLXDError:
            return  # the meter keeps what it showed; the next change asks again
        self.post_message(self.Measured(state.quota, state.used))

    @on(Loaded)
    def fill_table(self, message: Loaded) -> None:
        """Show everything that was read."""
        self._loaded = True
        self._operations = {o.target: o for o in message.operations if not o.ended}
        self.table.fill(message.containers)
        self._sum_up()
        self.measure_use()
        self.look_at()
        self.release_paint()

    @on(Measured)
    def fill_meter(self, message: Measured) -> None:
        """Show what is used of the quota."""
        self.query_one(QuotaMeter).measure(message.quota, message.used)

    def _sum_up(self) -> None:
        if self.session.actor.is_admin:
            self.query_one(QuotaMeter).sum_up(self.table.records().values())

    def hear(self, change: Change) -> None:
        """Note what changed, and fetch it in a moment together with what else changes."""
        match change.topic:
            case "container":
                self._dirty_names.add(change.key)
            case "operation":
                self._dirty_operations.add(change.key)
            case "quota" | "user":
                self._dirty_names.add("")
            case "resync":
                self.load()
                return
            case _:
                return
        self.fetch()

    def fetch(self) -> None:
        """Start fetching, unless that is under way."""
        if not any(worker.group == "fetch" and not worker.is_finished for worker in self.workers):
            self._fetch()

    @work(group="fetch")
    async def _fetch(self) -> None:
        core, actor = self.session.core, self.session.actor
        while self._dirty_names or self._dirty_operations:
            await asyncio.sleep(GATHER_SECONDS)
            names, self._dirty_names = self._dirty_names, set()
            ids, self._dirty_operations = self._dirty_operations, set()
            try:
                containers, gone = await self._fetch_containers(names - {""})
                operations = []
                for operation_id in ids:
                    try:
                        operations.append(await core.operations.get(actor, operation_id))
                    except NotFound:
                        continue
            except OpenLXDError as error:
                self.session.say_error(error)
                return
            self.post_message(self.Fetched(containers, gone, operations))
            if names:
                await self._read_quota()

    async def _fetch_containers(self, names: set[str]) -> tuple[Sequence[Container], Sequence[str]]:
        core, actor = self.session.core, self.session.actor
        if len(names) >= LIST_FROM:
            containers = await core.containers.list(actor)
            known = {container.name for container in containers}
            return containers, [name for name in names if name not in known]
        found, gone = [], []
        for name in names:
            try:
                found.append(await core.containers.get(actor, name))
            except NotFound:
                gone.append(name)
        return found, gone

    @on(Fetched)
    def renew_rows(self, message: Fetched) -> None:
        """Paint what changed, and say how operations of this session ended."""
        for operation in message.operations:
            self._take(operation)
        for name in message.gone:
            self._operations.pop(name, None)
            self.table.drop(name)
        self.table.put(*message.containers)
        if self.table.hides_expected:  # what was just created is seen, whatever the filter says
            self.action_clear()
        self._sum_up()
        self.look_at()

    def _take(self, operation: Operation) -> None:
        if not operation.ended:
            self._operations[operation.target] = operation
            return
        known = self._operations.get(operation.target)
        if known is not None and known.id == operation.id:
            del self._operations[operation.target]
        if operation.id not in self._mine:
            return
        self._mine.discard(operation.id)
        if operation.status is OperationStatus.FAILED and operation.error is not None:
            self.session.notify(failed_text(operation), severity="error", timeout=10)
        elif operation.status is OperationStatus.DONE:
            self.session.notify(done_text(operation))

    def measure_use(self) -> None:
        """Read the newest figures; repaint the cells that differ, and ages now and then."""
        self._ticks += 1
        if self._ticks % IDLE_TICKS and self.session.idle_seconds >= IDLE_SECONDS:
            return
        usage = self.session.core.lxd_status.usage(self.session.actor, self.table.records().values())
        if usage != self._usage or self._ticks % 10 == 0:
            self._usage = dict(usage)
            self.table.touch()
            self._tell_pane().touch()  # one look at the clock for the ages of both

    # The cursor and the pane

    @on(RecordTable.Highlighted)
    def look_at(self, _message: RecordTable.Highlighted | None = None) -> None:
        """Tell the pane and the key bar what the cursor stands on."""
        self._tell_pane()
        self.refresh_bindings()

    def _tell_pane(self) -> Details:
        container = self.table.current
        pane = self.query_one(Details)
        if container is None:
            pane.tell(None, None, None)
        else:
            pane.tell(container, self._usage_of(container), self._operations.get(container.name))
        return pane

    @on(RecordTable.Selected)
    def open_selected(self) -> None:
        """A second click is Enter."""
        self.action_shell()

    def on_resize(self) -> None:
        """Another size may have room for the pane, or no longer."""
        self.place_details()

    def place_details(self) -> None:
        """Beside the table where it is wide, beneath it where that was asked for, away where there is no room."""
        width, height = self.app.size
        beside = width >= 118
        fits = beside or height >= 20
        wanted = beside if self._details_wanted is None else self._details_wanted
        self.set_class(wanted and fits, "-details")
        self.set_class(not beside, "-below")
        self.set_class(width >= 140, "-roomy")

    def action_details(self) -> None:
        """Show the pane or put it away."""
        self._details_wanted = not self.has_class("-details")
        self.place_details()
        if self._details_wanted and not self.has_class("-details"):
            self.session.notify(_(N_("The terminal is too small for the details.")), severity="warning")

    def retranslate(self) -> None:
        """The pane too."""
        super().retranslate()
        self.query_one(Details).say()

    def words(self, record: Container) -> Iterable[str]:
        """What a container is found by."""
        c = record
        return (c.name, c.ipv4, c.ipv6, c.image, c.owner, *_state_words(c))

    def follow(self, operation: Operation) -> None:
        """Show an operation that this session started, and say how it ends."""
        super().follow(operation)
        self._dirty_names.add(operation.target)
        self._dirty_operations.add(operation.id)
        self.fetch()

    def find(self, name: str) -> None:
        """Put the cursor on a container; a filter that hides it is cleared."""
        if all(container.name != name for container in self.table.rows):
            self.action_clear()
        self.table.expect(name)

    def action_reload(self) -> None:
        """Read everything again."""
        self.session.notify(_(N_("Refreshing the containers…")))
        self.load()


def _state_words(container: Container) -> tuple[str, str]:
    """A state as LXD calls it and as the session's language does."""
    return container.status.value, "".join(text for text, _tint in state_cell(container))
