"""What the pages of one container's things (its snapshots, its port forwards) have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import ClassVar, Generic, TypeVar

from textual import on, work
from textual.message import Message as Event

from openlxd_core.domain.errors import Message, NotFound, OpenLXDError
from openlxd_core.domain.feed import Change
from openlxd_core.domain.operation import Kind, Operation, OperationStatus
from openlxd_core.domain.quota import Quota
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _
from openlxd_core.outcomes import done_text, failed_text, refused_text
from openlxd_tui.formatting import Cell, Piece, bar, load_role, progress_cell, stage_word
from openlxd_tui.screens.confirm import Choice, Confirm
from openlxd_tui.screens.page import Page
from openlxd_tui.widgets.record_table import RecordTable
from openlxd_tui.widgets.text_bar import TextBar

T = TypeVar("T")


class SubpageBar(TextBar):
    """Whose things these are, what runs, and how many of the quota's count are in use."""

    GROUND = "ox-ground"

    def __init__(self, title: str, container: str) -> None:
        super().__init__()
        self._title = title
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
        pieces: list[Piece] = [(" ", "text"), (_(self._title).format(name=clean(self._container, 63)), "accent")]
        if limit:
            full, empty = bar(used / limit, 8)
            tint = load_role(used / limit)
            pieces += [("   ", "text"), (full, tint), (empty, "faint"), (f" {used}/{limit}", "text")]
            pieces += [(" " + _(N_("of your quota")), "quiet")]
        if operation is not None:
            pieces += [("   ", "text"), *progress_cell(operation, 40)]
        return tuple(pieces)


class Subpage(Page, Generic[T]):
    """A table of things of one container; beneath it stands the containers screen."""

    TAB = "containers"
    OPENED_BY: ClassVar[str] = ""
    """The key on the containers screen that opens it for the container under the cursor."""
    TOPICS: ClassVar[frozenset[str]] = frozenset({"container", "operation"})
    """The changes after which it reads its rows anew, where they are about its container."""

    class Loaded(Event):
        """Everything was read."""

        def __init__(
            self, rows: Sequence[object], operation: Operation | None, ended: Sequence[Operation], used: int, limit: int
        ) -> None:
            super().__init__()
            self.rows = rows
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

    async def read(self) -> Sequence[T]:
        """The rows. Raises NotFound where the container has gone."""
        raise NotImplementedError

    def count_of(self, quota: Quota) -> int:
        """The figure of a quota that counts these things."""
        raise NotImplementedError

    @property
    def table(self) -> RecordTable[T]:
        """The rows on the screen."""
        return self.query_one(RecordTable)

    def on_mount(self) -> None:
        """Read."""
        self.table.focus()
        self.load()

    @work(exclusive=True, group="load")
    async def load(self) -> None:
        """Read the rows, what runs on the container, and the quota's count."""
        core, actor = self.session.core, self.session.actor
        try:
            rows = await self.read()
            active = await core.operations.list(actor, active=True)
            ended = [o for o in [await core.operations.get(actor, i) for i in sorted(self._mine)] if o.ended]
            used = limit = 0
            if actor.user_id is not None and not actor.is_admin:
                state = await core.quotas.get(actor)
                used, limit = self.count_of(state.used), self.count_of(state.quota)
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
        self.post_message(self.Loaded(rows, operation, ended, used, limit))

    @on(Loaded)
    def fill_table(self, message: Loaded) -> None:
        """Paint, and say how what was asked for here ended."""
        self._loaded = True
        self._operation = message.operation
        self.table.fill(message.rows)  # type: ignore[arg-type]
        self.query_one(SubpageBar).tell(message.operation, message.used, message.limit)
        for operation in message.ended:
            if operation.id in self._mine:
                self._mine.discard(operation.id)
                if operation.status is OperationStatus.FAILED and operation.error is not None:
                    self.session.notify(failed_text(operation), severity="error", timeout=10)
                else:
                    self.session.notify(done_text(operation))
        self.refresh_bindings()

    def hear(self, change: Change) -> None:
        """This container, one of its things or an operation on it changed."""
        about = change.data.get("target") if change.topic == "operation" else change.key
        if change.topic in ("quota", "resync") or (change.topic in self.TOPICS and about == self.container):
            self.load()

    def busy(self) -> Message | None:
        """That something runs on the container, as the reason why its keys do nothing."""
        if self._operation is None:
            return None
        values = {"name": clean(self.container, 63), "stage": stage_word(self._operation)}
        return Message(N_("{name} is busy ({stage}). Wait until that is done."), values)

    @on(RecordTable.Highlighted)
    def look_at(self) -> None:
        """The keys follow the cursor."""
        self.refresh_bindings()

    def follow(self, operation: Operation) -> None:
        """Say how it ends."""
        self._mine.add(operation.id)
        self.load()

    async def ask(self, question: str, explanation: str, choice: Choice) -> bool:
        """Whether the answer is ``choice``."""
        answer: str | None = await self.app.push_screen_wait(Confirm(question, explanation, [choice]))
        return answer is not None

    async def do(self, kind: Kind, call: Awaitable[Operation], **args: object) -> None:
        """Begin an operation and follow it, or say why it was refused; ``args`` are its arguments, for that."""
        try:
            self.follow(await call)
        except OpenLXDError as error:
            self.session.say_refusal(refused_text(kind, self.container, error.message, **args), error)
