"""For admins: the instances of LXD that no account owns, and giving one to somebody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message as Event

from openlxd_core.domain.account import AccountStatus, User
from openlxd_core.domain.container import Container, State
from openlxd_core.domain.errors import Message, OpenLXDError
from openlxd_core.domain.feed import Change
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _
from openlxd_tui.formatting import STATES, Cell
from openlxd_tui.reasons import NOTHING_HERE
from openlxd_tui.screens.form import Form
from openlxd_tui.screens.page import Page
from openlxd_tui.widgets.banner import Banner
from openlxd_tui.widgets.field import Field
from openlxd_tui.widgets.key_bar import KeyBar
from openlxd_tui.widgets.record_table import Column, RecordTable
from openlxd_tui.widgets.top_bar import TopBar


class UnmanagedInstance(Protocol):
    """An instance that no account owns, as the core tells of it."""

    @property
    def project(self) -> str:
        """LXD's project."""

    @property
    def name(self) -> str:
        """Its name there."""

    @property
    def status(self) -> State:
        """What it does."""

    @property
    def image(self) -> str:
        """What it was made from."""

    @property
    def owner_hint(self) -> str:
        """The user id that its own mark names, or an empty string."""


class AdoptForm(Form[Container | None]):
    """Whose it is from now on."""

    SUBMIT_TEXT: ClassVar[str] = N_("Hand over")

    def __init__(self, instance: UnmanagedInstance, users: Sequence[User]) -> None:
        super().__init__()
        self._instance = instance
        self._users = users

    def title_text(self) -> str:
        """Which instance."""
        return _(N_("Hand {name} over to")).format(name=clean(self._instance.name, 63))

    def fields(self) -> Sequence[Field]:
        """The accounts; the one that the instance's own mark names stands ready."""
        names = [user.username for user in self._users]
        marked = next((u.username for u in self._users if str(u.id) == self._instance.owner_hint), "")
        return [
            Field("user", _(N_("User name")), options=[(name, name) for name in names],
                  value=marked or next(iter(names), ""), prompt=_(N_("no account yet")),
                  hint=_(N_("It keeps running where it is, and counts against the user's quota."))),
        ]  # fmt: skip

    def check(self, values: Mapping[str, str]) -> Mapping[str, Message]:
        """Somebody it must be."""
        return {} if values["user"] else {"user": Message(N_("Enter the owner of the container."))}

    async def send(self, values: Mapping[str, str]) -> Container | None:
        """Ask the core."""
        return await self.session.core.containers.adopt(
            self.session.actor, self._instance.project, self._instance.name, values["user"]
        )


class UnmanagedPage(Page):
    """Beneath it stands the containers screen."""

    PAGE = "unmanaged"
    ROW_ACTIONS = frozenset({"adopt"})
    TAB = "containers"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a,enter", "adopt", N_("Hand over to a user")),
        Binding("ctrl+r", "reload", N_("Refresh")),
        Binding("escape", "app.go('containers')", N_("Back")),
    ]

    class Loaded(Event):
        """The instances were read."""

        def __init__(self, instances: Sequence[UnmanagedInstance]) -> None:
            super().__init__()
            self.instances = instances

    def __init__(self) -> None:
        super().__init__()
        self._loaded = False

    def compose(self) -> ComposeResult:
        """Bar, table, keys."""
        yield TopBar()
        yield Banner()
        yield RecordTable[UnmanagedInstance](
            self._columns(), lambda i: f"{i.project}/{i.name}", sort_by="name", empty=self._empty, id="unmanaged"
        )
        yield KeyBar()

    @staticmethod
    def _columns() -> list[Column[UnmanagedInstance]]:
        return [
            Column("name", N_("Name"), lambda i, _w: ((clean(i.name, 63), "text"),), 14, 0, 2, 40,
                   fair=20, sort=lambda i: i.name),
            Column("state", N_("State"), lambda i, _w: _state(i), 11, 1, sort=lambda i: i.status.value),
            Column("project", N_("Project"), lambda i, _w: ((clean(i.project, 63), "quiet"),), 12, 2, 1, 30,
                   sort=lambda i: i.project),
            Column("image", N_("Image"), lambda i, _w: ((clean(i.image, 100), "quiet"),), 16, 3, 2, 50,
                   sort=lambda i: i.image),
        ]  # fmt: skip

    def _empty(self) -> Sequence[Cell]:
        if not self._loaded:
            return (((_(N_("Reading…")), "faint"),),)
        return (
            ((_(N_("Every LXD instance has an owner.")), "text"),),
            ((_(N_("Instances created outside OpenLXD are listed here, to be handed over to users.")), "quiet"),),
            (("esc", "accent"), ("  " + _(N_("goes back")), "quiet")),
        )

    @property
    def table(self) -> RecordTable[UnmanagedInstance]:
        """The instances."""
        return self.query_one("#unmanaged", RecordTable)

    def on_mount(self) -> None:
        """Read."""
        self.table.focus()
        self.load()

    @work(exclusive=True, group="load")
    async def load(self) -> None:
        """Ask LXD."""
        try:
            instances = await self.session.core.containers.unmanaged(self.session.actor)
        except OpenLXDError as error:
            self.session.say_error(error)
            return
        self.post_message(self.Loaded(instances))

    @on(Loaded)
    def fill_table(self, message: Loaded) -> None:
        """Paint."""
        self._loaded = True
        self.table.fill(message.instances)
        self.table.refresh()
        self.refresh_bindings()

    def hear(self, change: Change) -> None:
        """A container came or went, or LXD is back."""
        if (change.topic == "container" and change.verb in ("created", "deleted")) or change.topic in (
            "lxd", "resync",
        ):  # fmt: skip
            self.load()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There must be something to hand over."""
        return action != "adopt" or (self.is_mounted and self.table.current is not None)

    def why_not(self, action: str, parameters: tuple[object, ...]) -> Message:
        """There is no instance to hand over."""
        return NOTHING_HERE

    def action_reload(self) -> None:
        """Ask LXD again."""
        self.session.notify(_(N_("Refreshing from LXD…")))
        self.load()

    @work(group="ask")
    async def action_adopt(self) -> None:
        """Give the instance under the cursor to an account."""
        instance = self.table.current
        if instance is None:
            return
        try:
            users = await self.session.core.accounts.list(self.session.actor)
        except OpenLXDError as error:
            self.session.say_error(error)
            return
        active = [user for user in users if user.status is not AccountStatus.DELETED]
        container = await self.app.push_screen_wait(AdoptForm(instance, active))
        if container is not None:
            self.session.expect_container(container.name)
            self.session.notify(
                _(N_("{name} belongs to {owner} now.")).format(
                    name=clean(container.name, 63), owner=clean(container.owner, 32)
                )
            )
            self.load()


def _state(instance: UnmanagedInstance) -> Cell:
    face = STATES[instance.status]
    return ((f"{face.mark} ", face.role), (_(face.word), face.role))
