"""The snapshots of one container: take one, put the container back to one, drop one, make an image of one."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message as Event

from openlxd_core.domain.errors import Message, NotFound, OpenLXDError
from openlxd_core.domain.feed import Change
from openlxd_core.domain.operation import Kind, Operation, OperationStatus
from openlxd_core.domain.snapshot import Snapshot
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _
from openlxd_core.outcomes import done_text, failed_text, refused_text
from openlxd_tui.formatting import Cell, Piece, age, bar, load_role, moment, progress_cell, stage_word
from openlxd_tui.reasons import no_row
from openlxd_tui.screens.confirm import Choice, Confirm
from openlxd_tui.screens.containers.forms import PublishForm, SnapshotForm
from openlxd_tui.screens.page import Page
from openlxd_tui.widgets.banner import Banner
from openlxd_tui.widgets.key_bar import KeyBar
from openlxd_tui.widgets.record_table import Column, RecordTable
from openlxd_tui.widgets.text_bar import TextBar
from openlxd_tui.widgets.top_bar import TopBar


class SnapshotBar(TextBar):
    """Whose snapshots these are, what runs, and how many of the quota's count are in use."""

    GROUND = "ox-ground"

    def __init__(self, container: str) -> None:
        super().__init__()
        self._container = container
        self._told: tuple[Operation | None, int, int] = (None, 0, 0)

    def tell(self, operation: Operation | None, used: int, limit: int) -> None:
        """Say this from now on; a limit of 0 says nothing of the quota."""
        if (operation, used, limit) != self._told:
            self._told = (operation, used, limit)
            self.refresh()

    def pieces(self, width: int) -> Cell:
        """Name, operation, count."""
        operation, used, limit = self._told
        pieces: list[Piece] = [(" ", "text"), (_(N_("Snapshots of {name}")).format(name=clean(self._container, 63)),
                                               "accent")]  # fmt: skip
        if limit:
            full, empty = bar(used / limit, 8)
            tint = load_role(used / limit)
            pieces += [("   ", "text"), (full, tint), (empty, "faint"), (f" {used}/{limit}", "text")]
            pieces += [(" " + _(N_("of your quota")), "quiet")]
        if operation is not None:
            pieces += [("   ", "text"), *progress_cell(operation, 40)]
        return tuple(pieces)


class SnapshotsPage(Page):
    """Beneath it stands the containers screen."""

    PAGE = "snapshots"
    ROW_ACTIONS = frozenset({"restore", "delete", "publish"})
    TAB = "containers"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "take", N_("Take snapshot")),
        Binding("r,enter", "restore", N_("Restore")),
        Binding("d", "delete", N_("Delete")),
        Binding("P", "publish", N_("Create an image")),
        Binding("escape", "app.go('containers')", N_("Back")),
    ]

    class Loaded(Event):
        """Everything was read."""

        def __init__(
            self, snapshots: Sequence[Snapshot], operation: Operation | None, ended: Sequence[Operation],
            used: int, limit: int,
        ) -> None:  # fmt: skip
            super().__init__()
            self.snapshots = snapshots
            self.operation = operation
            self.ended = ended
            self.used = used
            self.limit = limit

    def __init__(self, container: str) -> None:
        super().__init__()
        self.container = container
        self._loaded = False
        self._mine: set[str] = set()
        self._operation: Operation | None = None

    def compose(self) -> ComposeResult:
        """Bar, line, table, keys."""
        yield TopBar()
        yield Banner()
        yield SnapshotBar(self.container)
        yield RecordTable[Snapshot](
            self._columns(), lambda snapshot: snapshot.name, sort_by="created", empty=self._empty, id="snapshots"
        )
        yield KeyBar()

    @staticmethod
    def _columns() -> list[Column[Snapshot]]:
        return [
            Column("name", N_("Name"), lambda s, _w: ((clean(s.name, 40), "text"),), 16, 0, 2, 40,
                   fair=24, sort=lambda s: s.name),
            Column("state", N_("State"), lambda s, _w: _state(s), 14, 2),
            Column("created", N_("Taken"), lambda s, _w: ((moment(s.created_at), "quiet"),), 16, 3,
                   sort=lambda s: s.created_at.timestamp(), largest_first=True),
            Column("age", N_("Age"), lambda s, _w: ((age(s.created_at), "quiet"),), 8, 1, align="right",
                   sort=lambda s: -s.created_at.timestamp()),
        ]  # fmt: skip

    def _empty(self) -> Sequence[Cell]:
        if not self._loaded:
            return (((_(N_("Reading…")), "faint"),),)
        return (
            ((_(N_("No snapshots yet.")), "text"),),
            ((_(N_("A snapshot saves the container's current state, to be restored later.")), "quiet"),),
            (("n", "accent"), ("  " + _(N_("takes a snapshot")), "quiet")),
        )

    @property
    def table(self) -> RecordTable[Snapshot]:
        """The snapshots."""
        return self.query_one("#snapshots", RecordTable)

    def on_mount(self) -> None:
        """Read."""
        self.table.focus()
        self.load()

    @work(exclusive=True, group="load")
    async def load(self) -> None:
        """Read the snapshots, what runs on the container, and the quota's count."""
        core, actor = self.session.core, self.session.actor
        try:
            snapshots = await core.snapshots.list(actor, self.container)
            active = await core.operations.list(actor, active=True)
            ended = [o for o in [await core.operations.get(actor, i) for i in sorted(self._mine)] if o.ended]
            used = limit = 0
            if actor.user_id is not None and not actor.is_admin:
                state = await core.quotas.get(actor)
                used, limit = state.used.snapshots, state.quota.snapshots
        except NotFound:
            self.session.notify(
                _(N_("{name} no longer exists.")).format(name=clean(self.container, 63)), severity="warning"
            )
            self.session.go("containers")
            return
        except OpenLXDError as error:
            self.session.say_error(error)
            return
        operation = next((o for o in active if o.target == self.container), None)
        self.post_message(self.Loaded(snapshots, operation, ended, used, limit))

    @on(Loaded)
    def fill_table(self, message: Loaded) -> None:
        """Paint, and say how what was asked for here ended."""
        self._loaded = True
        self._operation = message.operation
        self.table.fill(message.snapshots)
        self.query_one(SnapshotBar).tell(message.operation, message.used, message.limit)
        for operation in message.ended:
            if operation.id in self._mine:
                self._mine.discard(operation.id)
                if operation.status is OperationStatus.FAILED and operation.error is not None:
                    self.session.notify(failed_text(operation), severity="error", timeout=10)
                else:
                    self.session.notify(done_text(operation))
        self.refresh_bindings()

    def hear(self, change: Change) -> None:
        """This container, or an operation on it, changed."""
        about = change.key if change.topic == "container" else change.data.get("target")
        if change.topic in ("quota", "resync") or (
            change.topic in ("container", "operation") and about == self.container
        ):
            self.load()

    # What can be done

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what makes sense for the snapshot under the cursor."""
        if action in ("take", "restore", "delete", "publish"):
            if not self.is_mounted or self._operation is not None:
                return False
            current = self.table.current
            return action == "take" or (current is not None and (current.ready or action == "delete"))
        return True

    def why_not(self, action: str, parameters: tuple[object, ...]) -> Message:
        """Something runs on the container, or there is no snapshot under the cursor, or it is not ready."""
        current = self.table.current
        if self._operation is not None:
            values = {"name": clean(self.container, 63), "stage": stage_word(self._operation)}
            return Message(N_("{name} is busy ({stage}). Wait until that is done."), values)
        if current is None:
            return no_row(self.table.total, N_("There is no snapshot yet. Press n to take one."))
        return Message(N_("Snapshot {snapshot} is still being taken."), {"snapshot": clean(current.name, 40)})

    @on(RecordTable.Highlighted)
    def look_at(self) -> None:
        """The keys follow the cursor."""
        self.refresh_bindings()

    def follow(self, operation: Operation) -> None:
        """Say how it ends."""
        self._mine.add(operation.id)
        self.load()

    @work(group="ask")
    async def action_take(self) -> None:
        """Take one; the cursor goes to it."""
        operation = await self.app.push_screen_wait(SnapshotForm(self.container))
        if operation is not None:
            self.table.expect(str(operation.args.get("snapshot", "")))
            self.follow(operation)

    @work(group="ask")
    async def action_publish(self) -> None:
        """Make an image of it."""
        if name := self.table.current_key:
            operation = await self.app.push_screen_wait(PublishForm(self.container, name))
            if operation is not None:
                self.follow(operation)

    async def _ask(self, question: str, explanation: str, choice: Choice) -> bool:
        answer: str | None = await self.app.push_screen_wait(Confirm(question, explanation, [choice]))
        return answer is not None

    async def _do(self, kind: Kind, snapshot: str, call: Awaitable[Operation]) -> None:
        try:
            self.follow(await call)
        except OpenLXDError as error:
            self.session.say_refusal(refused_text(kind, self.container, error.message, snapshot=snapshot), error)

    @work(group="ask")
    async def action_restore(self) -> None:
        """Put the container back to it."""
        if name := self.table.current_key:
            sure = await self._ask(
                _(N_("Restore {name} to snapshot {snapshot}?")).format(
                    name=clean(self.container, 63), snapshot=clean(name, 40)
                ),
                _(N_("Changes made since then are lost. A running container is restarted.")),
                Choice("restore", N_("Restore"), "y", danger=True),
            )
            if sure:
                await self._do(
                    Kind.RESTORE,
                    name,
                    self.session.core.snapshots.restore(self.session.actor, self.container, name),
                )

    @work(group="ask")
    async def action_delete(self) -> None:
        """Drop it."""
        if name := self.table.current_key:
            sure = await self._ask(
                _(N_("Delete the snapshot {snapshot}?")).format(snapshot=clean(name, 40)),
                _(N_("The container itself is not affected.")),
                Choice("delete", N_("Delete"), "y", danger=True),
            )
            if sure:
                await self._do(
                    Kind.SNAPSHOT_DELETE,
                    name,
                    self.session.core.snapshots.delete(self.session.actor, self.container, name),
                )


def _state(snapshot: Snapshot) -> Cell:
    if snapshot.ready:
        return (("● ", "good"), (_(N_("ready")), "good"))
    return (("◐ ", "busy"), (_(N_("being taken")), "busy"))
