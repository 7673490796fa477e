"""The accounts, for admins: who there is, what they may have, who is kept out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message as Event

from openlxd_core.domain.account import AccountStatus, User
from openlxd_core.domain.errors import Message, OpenLXDError
from openlxd_core.domain.feed import Change
from openlxd_core.domain.quota import Quota
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _
from openlxd_core.services.quotas import QuotaState
from openlxd_tui.formatting import ROLE_WORDS, Cell, account_cell
from openlxd_tui.reasons import no_row
from openlxd_tui.screens.confirm import Choice, Confirm, TypeToConfirm
from openlxd_tui.screens.filtering import Filtering
from openlxd_tui.screens.secret import Secret
from openlxd_tui.screens.users.columns import user_columns
from openlxd_tui.screens.users.forms import NewUserForm, QuotaForm, SetPasswordForm, SuspendForm
from openlxd_tui.widgets.banner import Banner
from openlxd_tui.widgets.key_bar import KeyBar
from openlxd_tui.widgets.quota_meter import QuotaMeter
from openlxd_tui.widgets.record_table import RecordTable
from openlxd_tui.widgets.top_bar import TopBar


class UsersPage(Filtering):
    """Screen 5."""

    PAGE = "users"
    ROW_ACTIONS = frozenset({"quota", "suspend", "activate", "password", "api_key", "delete"})
    FILTER_TEXT = N_("Filter by name, email address, state or role")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "add", N_("New")),
        Binding("u,enter", "quota", N_("Quota")),
        Binding("s", "suspend", N_("Suspend")),
        Binding("S", "activate", N_("Activate")),
        Binding("p", "password", N_("Set password")),
        Binding("K", "api_key", N_("New API key")),
        Binding("d", "delete", N_("Delete")),
        Binding("slash", "filter", N_("Filter")),
        Binding("escape", "clear", N_("Back")),
    ]

    class Loaded(Event):
        """The accounts were read."""

        def __init__(self, users: Sequence[User], quotas: Mapping[int, QuotaState]) -> None:
            super().__init__()
            self.users = users
            self.quotas = quotas

    def __init__(self) -> None:
        super().__init__()
        self._quotas: Mapping[int, QuotaState] = {}
        self._loaded = False

    def compose(self) -> ComposeResult:
        """Bar, table, the quota of whom the cursor stands on, keys."""
        yield TopBar()
        yield Banner()
        yield RecordTable[User](
            user_columns(self._measured), lambda user: user.username, sort_by="username", empty=self._empty, id="users"
        )
        yield QuotaMeter()
        yield KeyBar()

    def _measured(self, user: User) -> tuple[Quota, Quota] | None:
        state = self._quotas.get(user.id)
        return (state.quota, state.used) if state is not None else None

    def words(self, record: User) -> Iterable[str]:
        """What an account is found by: its state and role in English and as they are shown."""
        state = "".join(text for text, _tint in account_cell(record))
        role = _(ROLE_WORDS[record.role])
        return (record.username, record.email, record.status.value, state, record.role.value, role)

    def _empty(self) -> Sequence[Cell]:
        if not self._loaded:
            return (((_(N_("Reading…")), "faint"),),)
        if self.table.total:
            return self.nothing_matches()
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
        """Read the accounts, their quotas and what is used of them."""
        core, actor = self.session.core, self.session.actor
        try:
            users = await core.accounts.list(actor)
            quotas = await core.quotas.list(actor)
        except OpenLXDError as error:
            self.session.say_error(error)
            return
        self.post_message(self.Loaded(users, quotas))

    @on(Loaded)
    def fill_table(self, message: Loaded) -> None:
        """Paint. Deleted accounts keep their row in the database and are not shown."""
        self._quotas, self._loaded = message.quotas, True
        self.table.fill(user for user in message.users if user.status is not AccountStatus.DELETED)
        if self.table.hides_expected:  # the account just added is seen, whatever the filter says
            super().action_clear()
        self.look_at()

    def hear(self, change: Change) -> None:
        """Accounts, quotas or containers changed."""
        if change.topic in ("user", "quota", "container", "resync"):
            self.load()

    @on(RecordTable.Highlighted)
    def look_at(self, _message: RecordTable.Highlighted | None = None) -> None:
        """Show the quota of the account under the cursor."""
        self.refresh_bindings()
        user = self.table.current
        measured = self._measured(user) if user is not None else None
        if measured is not None:
            self.query_one(QuotaMeter).measure(*measured)

    def action_clear(self) -> None:
        """All accounts again; without a filter, back to the containers."""
        if self.query("#filter"):
            super().action_clear()
        else:
            self.session.go("containers")

    # What can be done

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what makes sense for the account under the cursor."""
        if action == "clear":
            return True
        if action in ("quota", "suspend", "activate", "password", "delete", "api_key"):
            user = self.table.current if self.is_mounted else None
            if user is None:
                return False
            if action == "suspend":
                return user.status is AccountStatus.ACTIVE
            if action == "activate":
                return user.status is AccountStatus.SUSPENDED
        return super().check_action(action, parameters)

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
            self.table.expect(user.username)
            await self._show_key(_(N_("API key of {name}")).format(name=user.username), user.api_key)
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
            self.load()

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
                _(N_("Create a new API key for {name}?")).format(name=user.username),
                _(N_("The old key stops working immediately, everywhere it is used.")),
                [Choice("make", N_("Create key"), "y")],
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
        explanation = _(N_("It is shown only once. Send it as X-API-Key. OpenLXD stores only its SHA-256 hash."))
        await self.app.push_screen_wait(Secret(title, explanation, key))

    @work(group="ask")
    async def action_delete(self) -> None:
        """Delete the account, and its containers where that was said."""
        user = self.table.current
        if user is None:
            return
        try:
            containers = await self.session.core.containers.list(self.session.actor)
        except OpenLXDError as error:
            self.session.say_error(error)
            return
        held = sum(container.user_id == user.id for container in containers)
        if held:
            explanation = _(
                N_("This permanently deletes the account, its {count} containers and everything on their disks.")
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
