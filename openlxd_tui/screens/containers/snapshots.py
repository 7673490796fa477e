"""The snapshots of one container: take one, put the container back to one, delete one, make an image of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from openlxd_core.domain.errors import Message
from openlxd_core.domain.operation import Kind
from openlxd_core.domain.quota import Quota
from openlxd_core.domain.snapshot import Snapshot
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _
from openlxd_tui.formatting import Cell, age, moment
from openlxd_tui.reasons import no_row
from openlxd_tui.screens.confirm import Choice
from openlxd_tui.screens.containers.forms import PublishForm, SnapshotForm
from openlxd_tui.screens.containers.subpage import Subpage, SubpageBar
from openlxd_tui.widgets.banner import Banner
from openlxd_tui.widgets.key_bar import KeyBar
from openlxd_tui.widgets.record_table import Column, RecordTable
from openlxd_tui.widgets.top_bar import TopBar


class SnapshotsPage(Subpage[Snapshot]):
    """Beneath it stands the containers screen."""

    PAGE = "snapshots"
    OPENED_BY = "v"
    ROW_ACTIONS = frozenset({"restore", "delete", "publish"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "take", N_("Take snapshot")),
        Binding("r,enter", "restore", N_("Restore")),
        Binding("d", "delete", N_("Delete")),
        Binding("P", "publish", N_("Create an image")),
        Binding("escape", "app.go('containers')", N_("Back")),
    ]

    def compose(self) -> ComposeResult:
        """Bar, line, table, keys."""
        yield TopBar()
        yield Banner()
        yield SubpageBar(N_("Snapshots of {name}"), self.container)
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

    async def read(self) -> Sequence[Snapshot]:
        """The container's snapshots."""
        return await self.session.core.snapshots.list(self.session.actor, self.container)

    def count_of(self, quota: Quota) -> int:
        """The snapshots of a quota."""
        return quota.snapshots

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
        if (busy := self.busy()) is not None:
            return busy
        if current is None:
            return no_row(self.table.total, N_("There is no snapshot yet. Press n to take one."))
        return Message(N_("Snapshot {snapshot} is still being taken."), {"snapshot": clean(current.name, 40)})

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

    @work(group="ask")
    async def action_restore(self) -> None:
        """Put the container back to it."""
        if name := self.table.current_key:
            question = _(N_("Restore {name} to snapshot {snapshot}?"))
            sure = await self.ask(
                question.format(name=clean(self.container, 63), snapshot=clean(name, 40)),
                _(N_("Changes made since then are lost. A running container is restarted.")),
                Choice("restore", N_("Restore"), "y", danger=True),
            )
            if sure:
                service = self.session.core.snapshots
                await self.do(Kind.RESTORE, service.restore(self.session.actor, self.container, name), snapshot=name)

    @work(group="ask")
    async def action_delete(self) -> None:
        """Delete it."""
        if name := self.table.current_key:
            sure = await self.ask(
                _(N_("Delete the snapshot {snapshot}?")).format(snapshot=clean(name, 40)),
                _(N_("The container itself is not affected.")),
                Choice("delete", N_("Delete"), "y", danger=True),
            )
            if sure:
                service = self.session.core.snapshots
                await self.do(
                    Kind.SNAPSHOT_DELETE, service.delete(self.session.actor, self.container, name), snapshot=name
                )


def _state(snapshot: Snapshot) -> Cell:
    if snapshot.ready:
        return (("● ", "good"), (_(N_("ready")), "good"))
    return (("◐ ", "busy"), (_(N_("being taken")), "busy"))
