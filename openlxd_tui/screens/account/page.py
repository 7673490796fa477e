"""The account: who one is, what one may have, and the secrets that open the door."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message as Event
from textual.widget import Widget

from openlxd_core.domain.account import SshKey, User
from openlxd_core.domain.errors import Message, NotFound, OpenLXDError
from openlxd_core.domain.feed import Change
from openlxd_core.domain.quota import Quota
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _
from openlxd_tui.formatting import ROLE_WORDS, Cell, account_cell, age, moment
from openlxd_tui.reasons import NOT_NOW
from openlxd_tui.screens.account.forms import KeyForm, PasswordForm
from openlxd_tui.screens.confirm import Choice, Confirm
from openlxd_tui.screens.page import Page
from openlxd_tui.screens.secret import Secret
from openlxd_tui.widgets.banner import Banner
from openlxd_tui.widgets.key_bar import KeyBar
from openlxd_tui.widgets.paint import style_for, width_of
from openlxd_tui.widgets.quota_meter import QuotaMeter
from openlxd_tui.widgets.record_table import Column, RecordTable
from openlxd_tui.widgets.top_bar import TopBar


class WhoAmI(Widget):
    """Name, address, role and age of the account."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "WhoAmI { height: auto; padding: 1 2 1 2; background: $ox-ground; }"

    def __init__(self) -> None:
        super().__init__()
        self._user: User | None = None
        self._local = False

    def tell(self, user: User | None) -> None:
        """Speak of this user; None is the local admin, who has no account."""
        self._user, self._local = user, user is None
        self.refresh(layout=True)

    def render(self) -> Text:
        """Label and value, line by line."""
        text = Text(end="", overflow="fold")
        if self._local:
            text.append(_(N_("You are root on this host and act as an admin. You have no account of your own here.")))
            return text
        if (user := self._user) is None:
            text.append(_(N_("Reading…")), style_for(self.app, "faint"))
            return text
        never_shown = _(N_("not shown yet; press K to create a new one"))
        key: Cell = ((_(N_("set")), "good"),) if user.api_key_shown else ((never_shown, "faint"),)
        facts: list[tuple[str, Cell]] = [
            (N_("User name"), ((clean(user.username, 64), "accent"),)),
            (N_("Email"), ((clean(user.email, 255), "text"),)),
            (N_("Role"), ((_(ROLE_WORDS[user.role]), "text"),)),
            (N_("State"), account_cell(user)),
            (N_("API key"), key),
            (N_("Since"), ((moment(user.created_at), "text"),)),
        ]
        for index, (label, cell) in enumerate(facts):
            title = _(label)
            text.append("\n" if index else "")
            text.append(title + " " * max(1, 12 - width_of(((title, "quiet"),))), style_for(self.app, "quiet"))
            for part, tint in cell:
                text.append(part, style_for(self.app, tint))
        return text


class AccountPage(Page):
    """Screen 2."""

    PAGE = "account"
    ROW_ACTIONS = frozenset({"delete_key"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "password", N_("Change password")),
        Binding("a", "add_key", N_("Add an SSH key")),
        Binding("d", "delete_key", N_("Delete the key")),
        Binding("K", "api_key", N_("New API key")),
        Binding("escape", "app.go('containers')", N_("Back")),
    ]

    class Loaded(Event):
        """The account was read."""

        def __init__(self, user: User | None, keys: Sequence[SshKey], quota: tuple[Quota, Quota] | None) -> None:
            super().__init__()
            self.user = user
            self.keys = keys
            self.quota = quota

    def __init__(self) -> None:
        super().__init__()
        self._user: User | None = None
        self._loaded = False

    def compose(self) -> ComposeResult:
        """Bar, account, quota, keys."""
        yield TopBar()
        yield Banner()
        yield WhoAmI()
        yield RecordTable[SshKey](_KEY_COLUMNS, lambda key: str(key.id), sort_by="name", empty=self._empty, id="keys")
        yield QuotaMeter()
        yield KeyBar()

    def _empty(self) -> Sequence[Cell]:
        if not self._loaded:
            return (((_(N_("Reading…")), "faint"),),)
        if self._user is None:
            return ()
        return (
            ((_(N_("No SSH keys yet.")), "text"),),
            (("a", "accent"), ("  " + _(N_("adds one, so that you log in without a password")), "quiet")),
        )

    @property
    def table(self) -> RecordTable[SshKey]:
        """The keys."""
        return self.query_one("#keys", RecordTable)

    def on_mount(self) -> None:
        """Read."""
        self.table.focus()
        self.load()

    @work(exclusive=True, group="load")
    async def load(self) -> None:
        """Read the account, its keys and its quota."""
        core, actor = self.session.core, self.session.actor
        user: User | None = None
        keys: Sequence[SshKey] = ()
        quota = None
        if actor.user_id is not None:
            try:
                user = await core.accounts.get(actor)
                keys = await core.keys.list(actor)
                if not actor.is_admin:
                    state = await core.quotas.get(actor)
                    quota = (state.quota, state.used)
            except NotFound:
                pass
            except OpenLXDError as error:
                self.session.say_error(error)
                return
        self.post_message(self.Loaded(user, keys, quota))

    @on(Loaded)
    def show_account(self, message: Loaded) -> None:
        """Paint."""
        self._user, self._loaded = message.user, True
        self.query_one(WhoAmI).tell(message.user)
        self.table.fill(message.keys)
        if message.quota is not None:
            self.query_one(QuotaMeter).measure(*message.quota)
        self.refresh_bindings()

    def hear(self, change: Change) -> None:
        """Keys, quota or the account itself changed."""
        if change.topic in ("key", "user", "quota", "container", "resync"):
            self.load()

    def retranslate(self) -> None:
        """The account's words, too."""
        super().retranslate()
        self.query_one(WhoAmI).refresh(layout=True)

    @on(RecordTable.Highlighted)
    def look(self) -> None:
        """There may be a key to delete now."""
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The local admin has no account to change."""
        if action in ("password", "add_key", "api_key"):
            return self._user is not None
        if action == "delete_key":
            return self.is_mounted and self.table.current is not None
        return True

    def why_not(self, action: str, parameters: tuple[object, ...]) -> Message:
        """The local admin has no account; there may be no key."""
        if self._loaded and self._user is None:
            return Message(N_("You are root on this host and have no account of your own here."))
        return Message(N_("There is no SSH key yet. Press a to add one.")) if self._loaded else NOT_NOW

    @work(group="ask")
    async def action_password(self) -> None:
        """Change the password."""
        if await self.app.push_screen_wait(PasswordForm()):
            self.session.notify(_(N_("Your password is changed.")))

    @work(group="ask")
    async def action_add_key(self) -> None:
        """Add a public key."""
        key = await self.app.push_screen_wait(KeyForm())
        if key is not None:
            self._say(N_("SSH key {name} was added."), key)
            self.table.expect(str(key.id))
            self.load()

    def _say(self, template: str, key: SshKey) -> None:
        self.session.notify(_(template).format(name=clean(key.name, 60) or clean(key.fingerprint, 60)))

    @work(group="ask")
    async def action_delete_key(self) -> None:
        """Delete the key under the cursor."""
        key = self.table.current
        if key is None:
            return
        sure = await self.app.push_screen_wait(
            Confirm(
                _(N_("Delete the key {name}?")).format(name=clean(key.name, 60) or key.fingerprint),
                _(N_("It can no longer be used to log in. Open sessions are not affected.")),
                [Choice("delete", N_("Delete"), "y", danger=True)],
            )
        )
        if sure:
            try:
                await self.session.core.keys.delete(self.session.actor, key.id)
            except OpenLXDError as error:
                self.session.say_error(error)
            else:
                self._say(N_("SSH key {name} was deleted."), key)
            self.load()

    @work(group="ask")
    async def action_api_key(self) -> None:
        """Make a new API key and show it once."""
        sure = await self.app.push_screen_wait(
            Confirm(
                _(N_("Create a new API key?")),
                _(N_("The old key stops working immediately, everywhere it is used.")),
                [Choice("make", N_("Create key"), "y")],
            )
        )
        if not sure:
            return
        try:
            secret = await self.session.core.accounts.regenerate_key(self.session.actor)
        except OpenLXDError as error:
            self.session.say_error(error)
            return
        await self.app.push_screen_wait(
            Secret(
                _(N_("Your new API key")),
                _(N_("It is shown only once. Send it as X-API-Key. OpenLXD stores only its SHA-256 hash.")),
                secret,
            )
        )
        self.load()


def _last_used(key: SshKey) -> Cell:
    if key.last_used_at is None:
        return ((_(N_("never")), "faint"),)
    return ((age(key.last_used_at), "text"),)


_KEY_COLUMNS: list[Column[SshKey]] = [
    Column(
        "name",
        N_("SSH key"),
        lambda k, _w: ((clean(k.name, 60) or "–", "text"),),
        12,
        0,
        2,
        30,
        fair=16,
        sort=lambda k: k.name,
    ),
    Column("type", N_("Type"), lambda k, _w: ((clean(k.public_key.split(" ")[0], 40), "quiet"),), 12, 3, 1, 20),
    Column(
        "fingerprint", N_("Fingerprint"), lambda k, _w: ((clean(k.fingerprint, 60), "text"),), 20, 1, 3, 50, fair=50
    ),
    Column("used", N_("Last used"), lambda k, _w: _last_used(k), 9, 2, align="right"),
]
