"""The accounts, for admins: who there is, what they may have, who is kept out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message as Event

from openlxd_core.domain.account import AccountStatus, User
from openlxd_core.domain.actor import Role
from openlxd_core.domain.errors import Message, OpenLXDError
from openlxd_core.domain.feed import Change
from openlxd_core.domain.quota import Quota
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _
from openlxd_tui.present import ROLE_WORDS, Cell, Tint, account_cell, age
from openlxd_tui.reasons import no_row
from openlxd_tui.screens.confirm import Choice, Confirm, TypeToConfirm
from openlxd_tui.screens.page import Page
from openlxd_tui.screens.secret import Secret
from openlxd_tui.screens.user_forms import NewUserForm, QuotaForm, SetPasswordForm, SuspendForm
from openlxd_tui.widgets.lines import Banner, KeyBar, TopBar
from openlxd_tui.widgets.quota_meter import QuotaMeter
from openlxd_tui.widgets.record_table import Column, RecordTable


class UsersPage(Page):
    """Screen 5."""

    PAGE = "users"
    ROW_ACTIONS = frozenset({"quota", "suspend", "activate", "password", "api_key", "delete"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "add", N_("New")),
        Binding("u,enter", "quota", N_("Quota")),
        Binding("s", "suspend", N_("Suspend")),
        Binding("S", "activate", N_("Activate")),
        Binding("p", "password", N_("Set password")),
        Binding("K", "api_key", N_("New API key")),
        Binding("d", "delete", N_("Delete")),
        Binding("escape", "app.go('containers')", N_("Back")),
    ]

    class Loaded(Event):
        """The accounts were read."""

        def __init__(self, users: Sequence[User], held: Mapping[int, int]) -> None:
            super().__init__()
            self.users = users
            self.held = held

    class Measured(Event):
        """One account's quota was read."""

        def __init__(self, user_id: int, quota: Quota, used: Quota) -> None:
            super().__init__()
            self.user_id = user_id
            self.quota = quota
            self.used = used

    def __init__(self) -> None:
        super().__init__()
        self._held: Mapping[int, int] = {}
        self._loaded = False

    def compose(self) -> ComposeResult:
        """Bar, table, the quota of whom the cursor stands on, keys."""
        yield TopBar()
        yield Banner()
        yield RecordTable[User](
            self._columns(), lambda user: user.username, sort_by="username", empty=self._empty, id="users"
        )
        yield QuotaMeter()
        yield KeyBar()

    def _columns(self) -> list[Column[User]]:
        return [
            Column("username", N_("User name"), lambda u, _w: ((clean(u.username, 64), "text"),), 12, 0, 2, 32,
                   fair=18, sort=lambda u: u.username),
            Column("state", N_("State"), lambda u, _w: account_cell(u), 11, 1, sort=lambda u: u.status.value),
            Column("role", N_("Role"), lambda u, _w: ((_(ROLE_WORDS[u.role]), _role_tint(u)),), 7, 3,
                   sort=lambda u: u.role.value),
            Column("held", N_("Containers"), lambda u, _w: ((str(self._held.get(u.id, 0)), "text"),), 10, 2,
                   align="right", sort=lambda u: self._held.get(u.id, 0), largest_first=True),
            Column("email", N_("Email"), lambda u, _w: ((clean(u.email, 255), "quiet"),), 16, 4, 3, 50,
                   sort=lambda u: u.email),
            Column("reason", N_("Reason"), lambda u, _w: ((clean(u.suspended_reason, 200), "warn"),), 12, 6, 2, 60),
            Column("age", N_("Age"), lambda u, _w: ((age(u.created_at), "quiet"),), 6, 5, align="right",
                   sort=lambda u: -u.created_at.timestamp()),
        ]  # fmt: skip

    def _empty(self) -> Sequence[Cell]:
        if not self._loaded:
            return (((_(N_("Reading…")), "faint"),),)
        return (((_(N_("No accounts yet.")), "text"),), (("n", "accent"), ("  " + _(N_("adds one")), "quiet")))

    @property
    def table(self) -> RecordTable[User]:
        """The accounts."""
        return self.query_one("#users", RecordTable)

    def on_mount(self) -> None:
        """Read."""
        self.table.focus()
        self.load()

    @work(exclusive=True, group="load")
    async def load(self) -> None:
        """Read the accounts and how many containers each holds."""
        core, actor = self.session.core, self.session.actor
        try:
            users = await core.accounts.list(actor)
            containers = await core.containers.list(actor)
        except OpenLXDError as error:
            self.session.say_error(error)
            return
        held: dict[int, int] = {}
        for container in containers:
            if container.user_id is not None:
                held[container.user_id] = held.get(container.user_id, 0) + 1
        self.post_message(self.Loaded(users, held))

    @on(Loaded)
    def fill_table(self, message: Loaded) -> None:
        """Paint. Deleted accounts keep their row in the database and are not shown."""
        self._held, self._loaded = message.held, True
        self.table.fill(user for user in message.users if user.status is not AccountStatus.DELETED)
        self.look_at()

    def hear(self, change: Change) -> None:
        """Accounts, quotas or containers changed."""
        if change.topic in ("user", "quota", "container", "resync"):
            self.load()

    @on(RecordTable.Highlighted)
    def look_at(self, _message: RecordTable.Highlighted | None = None) -> None:
        """Read the quota of the account under the cursor."""
        self.refresh_bindings()
        if (user := self.table.current) is not None:
            self.measure(user.id)

    @work(exclusive=True, group="quota")
    async def measure(self, user_id: int) -> None:
        """What the account may have and what it has."""
        try:
            state = await self.session.core.quotas.get(self.session.actor, user_id)
        except OpenLXDError:
            return  # the meter keeps what it showed
        self.post_message(self.Measured(user_id, state.quota, state.used))

    @on(Measured)
    def fill_meter(self, message: Measured) -> None:
        """Paint, if the cursor still stands there."""
        user = self.table.current
        if user is not None and user.id == message.user_id:
            self.query_one(QuotaMeter).measure(message.quota, message.used)

    # What can be done

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what makes sense for the account under the cursor."""
        if action in ("quota", "suspend", "activate", "password", "delete", "api_key"):
            user = self.table.current if self.is_mounted else None
            if user is None:
                return False
            if action == "suspend":
                return user.status is AccountStatus.ACTIVE
            if action == "activate":
                return user.status is AccountStatus.SUSPENDED
        return True

    def why_not(self, action: str, parameters: tuple[object, ...]) -> Message:
        """There is no account under the cursor, or it is active, or suspended, already."""
        user = self.table.current
        if user is None:
            return no_row(self.table.total, N_("There is no account here. Press n to add one."))
        known = {"name": clean(user.username, 64)}
        if action == "suspend":
            return Message(N_("{name} is suspended already. Press S to activate the account."), known)
        return Message(N_("{name} is active. Only a suspended account can be activated."), known)

    @work(group="ask")
    async def action_add(self) -> None:
        """Make an account, and show its API key once."""
        user = await self.app.push_screen_wait(NewUserForm())
        if user is not None:
            await self._show_key(_(N_("API key of {name}")).format(name=user.username), user.api_key)
            self.table.expect(user.username)
            self.session.notify(_(N_("{name} can log in now.")).format(name=user.username))
            self.load()

    @work(group="ask")
    async def action_quota(self) -> None:
        """Change what the account may have."""
        user = self.table.current
        if user is None:
            return
        try:
            state = await self.session.core.quotas.get(self.session.actor, user.id)
        except OpenLXDError as error:
            self.session.say_error(error)
            return
        if await self.app.push_screen_wait(QuotaForm(user, state.quota, state.used)):
            self._say(N_("The quota of {name} was changed."), user)
            self.measure(user.id)

    def _say(self, template: str, user: User) -> None:
        self.session.notify(_(template).format(name=clean(user.username, 64)))

    @work(group="ask")
    async def action_suspend(self) -> None:
        """Keep the account out, and say why."""
        user = self.table.current
        if user is None:
            return
        done = await self.app.push_screen_wait(SuspendForm(user))
        if done:
            self._say(N_("Account {name} was suspended."), user)
            self.load()

    @work(group="ask")
    async def action_activate(self) -> None:
        """Let the account in again."""
        if user := self.table.current:
            try:
                await self.session.core.accounts.activate(self.session.actor, user.id)
            except OpenLXDError as error:
                self.session.say_error(error)
            else:
                self._say(N_("Account {name} was activated."), user)
            self.load()

    @work(group="ask")
    async def action_password(self) -> None:
        """Set another password."""
        user = self.table.current
        if user is None:
            return
        done = await self.app.push_screen_wait(SetPasswordForm(user))
        if done:
            self.session.notify(_(N_("{name} has a new password.")).format(name=user.username))

    @work(group="ask")
    async def action_api_key(self) -> None:
        """Make a new API key for the account and show it once."""
        user = self.table.current
        if user is None:
            return
        sure = await self.app.push_screen_wait(
            Confirm(
                _(N_("Make a new API key for {name}?")).format(name=user.username),
                _(N_("The old one stops working at once, wherever it is in use.")),
                [Choice("make", N_("Make it"), "y")],
            )
        )
        if not sure:
            return
        try:
            secret = await self.session.core.accounts.regenerate_key(self.session.actor, user.id)
        except OpenLXDError as error:
            self.session.say_error(error)
            return
        await self._show_key(_(N_("New API key of {name}")).format(name=user.username), secret)

    async def _show_key(self, title: str, key: str) -> None:
        explanation = _(N_("It is shown this once. Send it as X-API-Key; we keep only its fingerprint."))
        await self.app.push_screen_wait(Secret(title, explanation, key))

    @work(group="ask")
    async def action_delete(self) -> None:
        """Delete the account, and its containers where that was said."""
        user = self.table.current
        if user is None:
            return
        held = self._held.get(user.id, 0)
        if held:
            explanation = _(
                N_("The account and its {count} containers, with all that is on their disks, are gone for good.")
            )
        else:
            explanation = _(N_("The account can no longer log in. Its name and email address can be used again."))
        sure = await self.app.push_screen_wait(
            TypeToConfirm(
                _(N_("Delete {name}?")).format(name=user.username),
                explanation.format(count=held),
                user.username,
            )
        )
        if sure:
            try:
                await self.session.core.accounts.delete(self.session.actor, user.id, containers=held > 0)
            except OpenLXDError as error:
                self.session.say_error(error)
            else:
                self._say(N_("Account {name} was deleted."), user)
            self.load()


def _role_tint(user: User) -> Tint:
    return "accent" if user.role is Role.ADMIN else "quiet"
