"""The app of one session: who is here, which screens there are, what is heard from the core, how it ends.

The same app serves a tenant at the SSH door and an admin at the local terminal; the actor makes the difference.
It owns nothing of the core and nothing of the terminal: both are handed in.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import structlog
from rich.console import Console
from textual import events, work
from textual.app import App
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.filter import ANSIToTruecolor, LineFilter, NoColor
from textual.notifications import SeverityLevel
from textual.reactive import Reactive
from textual.theme import Theme
from textual.worker import Worker, get_current_worker

from openlxd_core.domain.actor import Actor
from openlxd_core.domain.container import Container
from openlxd_core.domain.errors import Message, OpenLXDError
from openlxd_core.domain.feed import Change
from openlxd_core.domain.operation import Operation
from openlxd_core.domain.preferences import Preferences, TableView
from openlxd_core.i18n import LANGUAGES, N_, Translator, _, set_translator
from openlxd_tui.address import SshAddress
from openlxd_tui.choices import Choices
from openlxd_tui.formatting import sentence, severity, show
from openlxd_tui.reasons import ADMINS_ONLY
from openlxd_tui.screens import palette_entries
from openlxd_tui.screens.account.page import AccountPage
from openlxd_tui.screens.containers.forwards import ForwardsPage
from openlxd_tui.screens.containers.page import ContainersPage
from openlxd_tui.screens.containers.snapshots import SnapshotsPage
from openlxd_tui.screens.containers.unmanaged import UnmanagedPage
from openlxd_tui.screens.help import HelpPage
from openlxd_tui.screens.images.page import ImagesPage
from openlxd_tui.screens.page import FeedChange, Page
from openlxd_tui.screens.palette import Palette
from openlxd_tui.screens.users.page import UsersPage
from openlxd_tui.session import Session
from openlxd_tui.shells import ShellOpener, ShellResult
from openlxd_tui.terminal import repaint
from openlxd_tui.textual_compat import output_sanitizer
from openlxd_tui.theme import DARK, THEMES, SharedStylesheet, system_variables

if TYPE_CHECKING:
    from openlxd_core.bootstrap import Core

log = structlog.get_logger()
output_sanitizer.install()
repaint.install()

CHOICES_SECONDS = 0.3

_PAGES: dict[str, tuple[str, type[Page]]] = {
    "containers": (N_("Containers"), ContainersPage),
    "account": (N_("Account"), AccountPage),
    "images": (N_("Images"), ImagesPage),
    "help": (N_("Help"), HelpPage),
    "users": (N_("Users"), UsersPage),
}


class _Quiet:
    """A file that swallows what is written to it."""

    def write(self, _text: str) -> None:
        """Nothing."""

    def flush(self) -> None:
        """Nothing."""


class OpenLXDApp(App[None], inherit_bindings=False):
    """One session.

    Args:
        core: the product.
        actor: who is here.
        translator: the session's language, which ctrl+l changes.
        environment: the *client's* environment (``TERM``, ``COLORTERM``, ``NO_COLOR``), never the server's.
        host_shell: lends the terminal to a container's shell.
        driver_class: the terminal; None picks Textual's own for a local one.
        ssh: where the console is reached, for the help.
        preferences: what the account chose before; the language among them is the translator's already.
    """

    TITLE = "OpenLXD"
    theme: Reactive[str] = Reactive(DARK.name)
    CSS_PATH = Path(__file__).with_name("openlxd.tcss")
    ENABLE_COMMAND_PALETTE = False  # ours is lighter, translated, and offers nothing that acts on the server
    HORIZONTAL_BREAKPOINTS = [(0, "-thin"), (14, "-narrow"), (72, "-normal"), (110, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (4, "-tiny"), (9, "-short"), (22, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "go('containers')", N_("Containers"), show=False),
        Binding("2", "go('account')", N_("Account"), show=False),
        Binding("3", "go('images')", N_("Images"), show=False),
        Binding("4", "go('help')", N_("Help"), show=False),
        Binding("5", "go('users')", N_("Users"), show=False),
        Binding("colon,ctrl+p", "palette", N_("Commands")),
        Binding("q", "leave", N_("Quit")),
        Binding("question_mark", "help", N_("Help")),
        Binding("ctrl+l", "language", N_("中文 / English"), show=False, priority=True),
        Binding("ctrl+t", "daylight", N_("Light or dark"), show=False),
        Binding("ctrl+c", "stay", N_("Nothing (never ends your work)"), show=False, priority=True),
        Binding("ctrl+q", "leave", N_("Quit"), show=False),
        Binding("tab", "app.focus_next", N_("Next field"), show=False),
        Binding("shift+tab", "app.focus_previous", N_("Previous field"), show=False),
    ]

    def __init__(
        self,
        core: Core,
        actor: Actor,
        *,
        translator: Translator,
        environment: Mapping[str, str],
        host_shell: ShellOpener,
        driver_class: type[Driver] | None = None,
        host: str = "",
        preferences: Preferences | None = None,
        ssh: SshAddress | None = None,
    ) -> None:
        super().__init__(driver_class=driver_class)
        self.ssh = ssh or SshAddress(host or socket.gethostname(), 2222)
        self.preferences = preferences or Preferences()
        """What the account chose before and in this session."""
        self._choices = Choices(core, actor)
        self.core = core
        self.actor = actor
        self.translator = translator
        self.host = host or socket.gethostname()
        self.farewell: Message | None = None
        """Why the session ended, where it did not end because the person left. Whoever ran the app prints it."""
        self._host_shell = host_shell
        self._task_factory: Any = None
        self._pages_made: dict[str, Page] = {}
        self._help_for: type[Page] = ContainersPage
        """The screen whose keys the help names first: the one that it was called from."""
        self._in_shell = False
        self.asking: dict[Worker[Any], asyncio.Future[Any]] = {}
        """Workers that wait for a dialog's answer."""
        self.animation_level = "none"
        self._use_terminal(environment)
        if self.preferences.theme in THEMES:  # before the first frame, and without the watchers of a change
            self.set_reactive(OpenLXDApp.theme, self.preferences.theme)
            self.update_classes({"-dark-mode": self.current_theme.dark, "-light-mode": not self.current_theme.dark})
        self.stylesheet = SharedStylesheet(variables=self.get_css_variables())

    # The terminal: the client's, not the server's

    def _use_terminal(self, environment: Mapping[str, str]) -> None:
        """Take colours from the client's environment alone; Textual's own answer came from the process's."""
        term = environment.get("TERM", "xterm-256color")
        colours = {key: environment[key] for key in ("COLORTERM",) if key in environment} | {"TERM": term}
        self.console = Console(
            file=cast(Any, _Quiet()),
            markup=False,
            highlight=False,
            emoji=False,
            legacy_windows=False,
            force_terminal=True,
            safe_box=False,
            soft_wrap=False,
            color_system="auto",
            _environ=colours,
        )
        self.no_color = bool(environment.get("NO_COLOR")) or self.console.color_system is None
        self.few_colors = self.no_color or self.console.color_system == "standard"
        """Whether the cursor must be shown by reversing, since greys look alike."""
        filters: list[LineFilter] = [ANSIToTruecolor(self.ansi_theme, enabled=True)]
        if self.no_color:
            filters.append(NoColor())
        self._filters = filters
        self.set_class(self.few_colors, "-few-colors", update=False)
        # Textual sends what is printed while an app runs to that app, for the whole process, and sessions that end
        # out of order leave sys.stdout on a dead one. Nothing of ours prints: leave the streams where they are.
        self._capture_stdout = cast(Any, sys.stdout)
        self._capture_stderr = cast(Any, sys.stderr)

    def _refresh_truecolor_filter(self, theme: Any) -> None:
        """Keep the filters chosen for the client's terminal."""

    def get_theme(self, theme_name: str) -> Theme | None:
        """Our two themes; any other name means the dark one."""
        return THEMES.get(theme_name, DARK)

    @property
    def available_themes(self) -> dict[str, Theme]:
        """Our two themes."""
        return dict(THEMES)

    def get_css_variables(self) -> dict[str, str]:
        """The theme's variables, reckoned once a process."""
        self.theme_variables = system_variables(self.current_theme)
        return self.theme_variables

    def open_url(self, url: str, *, new_tab: bool = True) -> None:
        """Nothing: the browser would open on the server."""

    def deliver_screenshot(self, *_args: Any, **_kwargs: Any) -> str | None:
        """Nothing: the file would land on the server."""
        return None

    def action_suspend_process(self) -> None:
        """Nothing: the process is the server."""

    async def _broker_event(self, event_name: str, event: events.Event, default_namespace: Any) -> bool:
        """Actions hidden in text (``[@click=…]``) are never run: no text of ours carries any."""
        return False

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """A toast; its text is never markup. One that is on the screen already is not shown twice."""
        if self.few_colors:
            message = {"error": "✗ ", "warning": "▲ "}.get(severity, "") + message
        if any(shown.message == message and not shown.has_expired for shown in self._notifications):
            return
        super().notify(message, title=title, severity=severity, timeout=timeout, markup=False)

    # Life and death

    async def run_async(self, **options: Any) -> Any:
        """Run the session. Leaves the loop's task factory as it was: it belongs to the whole process."""
        self._task_factory = asyncio.get_running_loop().get_task_factory()
        try:
            return await super().run_async(**options)
        finally:
            await self._choices.close()

    async def _process_messages(self, *args: Any, **options: Any) -> None:
        loop = asyncio.get_running_loop()
        if loop.get_task_factory() is not self._task_factory:  # Textual made every task of the loop an eager one
            loop.set_task_factory(self._task_factory)
        set_translator(self.translator)
        await super()._process_messages(*args, **options)

    def _handle_exception(self, error: Exception) -> None:
        """A bug ends this one session: logged with its traceback, told in one sentence, locals never shown."""
        log.error("tui.crash", account=self.actor.username, exc_info=error)
        self.farewell = self.farewell or Message(
            N_("An internal error ended this session. Your containers are not affected. Connect again.")
        )
        self._return_code = 1
        if self._exception is None:  # for tests: the pilot raises it again
            self._exception = error
            self._exception_event.set()
        self._close_messages_no_wait()

    def _fatal_error(self) -> None:
        """As any other bug."""
        self._return_code = 1
        self._close_messages_no_wait()

    def _print_error_renderables(self) -> None:
        """Print nothing: it would go to the server's own terminal."""
        self._exit_renderables.clear()

    def end(self, reason: Message) -> None:
        """End the session because the service says so; ``reason`` is what whoever ran the app prints afterwards."""
        if self.farewell is None:
            self.farewell = reason
            self.exit()

    # Screens

    def get_default_screen(self) -> Page:
        """Everybody starts at their containers."""
        return self._page("containers")

    def _page(self, name: str) -> Page:
        page = self._pages_made.get(name)
        if page is None:
            page = self._pages_made[name] = _PAGES[name][1]()
        return page

    def pages(self) -> list[tuple[str, str, str]]:
        """Key, name and title of each screen this actor has."""
        return [
            (str(index), name, title)
            for index, (name, (title, _make)) in enumerate(_PAGES.items(), 1)
            if name != "users" or self.actor.is_admin
        ]

    def go(self, name: str) -> None:
        """Show a screen. The containers stay beneath all others, with their cursor and filter."""
        here = getattr(self.screen, "PAGE", None)
        if here is None or here == name or (name == "users" and not self.actor.is_admin):
            return
        if name == "help":
            self._help_for = type(cast(Page, self.screen))
        if name == "containers":
            self.pop_screen()
        elif here == "containers":
            self.push_screen(_PAGES[name][1]())
        else:
            self.switch_screen(_PAGES[name][1]())

    def begun(self, operation: Operation) -> None:
        """Go to the containers and show an operation on one that another screen began."""
        self.go("containers")
        containers = self._page("containers")
        assert isinstance(containers, ContainersPage)
        containers.take_up(operation)

    def a_container(self) -> str:
        """The name of the container under the cursor of the containers screen, for examples; or an empty string."""
        return (self.containers.table.current_key or "") if self.containers.is_mounted else ""

    def expect_container(self, name: str) -> None:
        """Put the cursor of the containers screen on a container that is about to turn up there."""
        containers = self._page("containers")
        assert isinstance(containers, ContainersPage)
        containers.table.expect(name)

    def on_mount(self) -> None:
        """Listen to the core for as long as the session lasts."""
        self.listen()

    @work(group="feed")
    async def listen(self) -> None:
        """Hand every change to every screen; a screen asks for what it shows of it."""
        async with self.core.feed.subscribe(self.actor) as changes:
            async for change in changes:
                if change.topic == "user":
                    self._hear_account(change)
                for screen in self.screen_stack:
                    if isinstance(screen, Page):
                        screen.post_message(FeedChange(change))

    def _hear_account(self, change: Change) -> None:
        if change.user_id is None or change.user_id != self.actor.user_id:
            return
        if change.verb == "suspended":
            reason = str(change.data.get("reason") or "")
            if reason:
                self.end(Message(N_("Your account was suspended: {reason}"), {"reason": reason}))
            else:
                self.end(Message(N_("Your account was suspended.")))
        elif change.verb == "deleted":
            self.end(Message(N_("Your account was deleted.")))
        elif change.verb == "password":
            self.notify(_(N_("The password of your account was changed.")), severity="warning")

    # Shells

    async def step_into(self, name: str) -> ShellResult:
        """Lend the terminal to the shell of container ``name``; paint nothing meanwhile, everything after."""
        if self._in_shell:
            return ShellResult()
        self._in_shell = True
        self._begin_batch()
        try:
            return await self._host_shell(name)
        except OpenLXDError as error:
            return ShellResult(error=error.message)
        finally:
            self._in_shell = False
            self._end_batch()
            self.refresh(layout=True)  # the screen, if there still is one: the client may have gone meanwhile

    # What was typed ahead

    async def push_screen_wait(self, screen: Any, *, mode: str | None = None) -> Any:
        """As Textual's; a worker that waits for an answer holds no keys up, for they are the answer.

        A dialog that took so long to come that somebody has typed on (see ``HOLD_SECONDS``) does not come any more.
        """
        worker = get_current_worker()
        if self.has_moved_on():
            raise asyncio.CancelledError
        future = self.push_screen(screen, wait_for_dismiss=True, mode=mode)
        self.asking[worker] = future
        try:
            return await asyncio.shield(future)
        finally:
            self.asking.pop(worker, None)

    def has_moved_on(self) -> bool:
        """Whether somebody has typed on because the worker that asks this took too long to open something."""
        settling = getattr(self._driver, "settling", None)
        return settling is not None and settling.has_given_up(get_current_worker())

    def forget_typed(self) -> None:
        """Drop the keys that were typed ahead: what they were meant for did not come."""
        forget = getattr(self._driver, "forget_typed", None)  # only ours keeps them; Textual's own, in tests, does not
        if forget is not None:
            forget()

    @property
    def idle_seconds(self) -> float:
        """How long nothing has been typed here."""
        return getattr(self._driver, "idle_seconds", 0.0)

    def on_input_dropped(self) -> None:
        """Say that keys were lost."""
        self.notify(
            _(
                N_(
                    "The screen did not respond in time, and what you typed meanwhile was discarded. "
                    "Press the key again."
                )
            ),
            severity="warning",
        )

    # What keys do everywhere

    def action_go(self, name: str) -> None:
        """Go to a screen."""
        if getattr(self.screen, "PAGE", None) == name:
            self.notify(_(N_("You are on this screen already.")))
        self.go(name)

    def action_help(self) -> None:
        """Show the help, or leave it."""
        self.go("help" if getattr(self.screen, "PAGE", None) != "help" else "containers")

    def action_leave(self) -> None:
        """End the session; operations go on without it."""
        self.exit()

    def action_stay(self) -> None:
        """Ctrl-C ends nothing; say what does."""
        self.notify(_(N_("Press q to quit. Operations that you started continue.")))

    def action_palette(self) -> None:
        """Every command, container and image, to be searched."""
        self.push_screen(Palette(palette_entries.entries(self)))

    def every_page(self) -> list[tuple[str, type[Page], Callable[[], object] | None]]:
        """Title and type of each screen that this actor has, and what opens it; None where that needs a container."""
        pages: list[tuple[str, type[Page], Callable[[], object] | None]] = [
            (title, _PAGES[name][1], partial(self.go, name)) for _key, name, title in self.pages() if name != "help"
        ]
        pages += [(N_("Snapshots"), SnapshotsPage, None), (N_("Port forwards"), ForwardsPage, None)]
        if self.actor.is_admin:
            pages.append((N_("Unmanaged instances"), UnmanagedPage, self._open_unmanaged))
        return pages

    def _open_unmanaged(self) -> None:
        self.go("containers")
        self.call_after_refresh(self.push_screen, UnmanagedPage())

    def help_pages(self) -> tuple[list[tuple[str, type[Page]]], list[tuple[str, type[Page]]]]:
        """Title and type of each screen for the help: the one that it was opened from, if it is one, and the others."""
        pages: list[tuple[str, type[Page]]] = [
            (N_("Containers"), ContainersPage),
            (N_("Snapshots"), SnapshotsPage),
            (N_("Port forwards"), ForwardsPage),
            (N_("Images"), ImagesPage),
            (N_("Account"), AccountPage),
        ]
        if self.actor.is_admin:
            pages += [(N_("Unmanaged instances"), UnmanagedPage), (N_("Users"), UsersPage)]
        return [p for p in pages if p[1] is self._help_for], [p for p in pages if p[1] is not self._help_for]

    def known_containers(self) -> Iterable[Container]:
        """The containers of the containers page, whatever its filter hides."""
        return self.containers.table.records().values() if self.containers.is_mounted else ()

    @property
    def containers(self) -> ContainersPage:
        """The screen beneath all others."""
        page = self._page("containers")
        assert isinstance(page, ContainersPage)
        return page

    def find_container(self, name: str) -> None:
        """Go to the containers, with the cursor on this one, whatever the filter hid."""
        self.go("containers")
        self.containers.find(name)

    def find_image(self, alias: str) -> None:
        """Go to the images, with the cursor on this one."""
        self.go("images")
        if isinstance(self.screen, ImagesPage):
            self.screen.show(alias)

    def action_language(self) -> None:
        """Speak the next language from here on."""
        languages = list(LANGUAGES)
        self.translator.use(languages[(languages.index(self.translator.language) + 1) % len(languages)])
        self._choices.note(language=self.translator.language)
        self._write_choices()
        for screen in self.screen_stack:
            screen.query("*").refresh(layout=True)
            if isinstance(screen, Page):
                screen.retranslate()

    def action_daylight(self) -> None:
        """Change between the dark theme and the light one."""
        names = list(THEMES)
        self.theme = names[(names.index(self.current_theme.name) + 1) % len(names)]
        self._choices.note(theme=self.theme)
        self._write_choices()

    def choose_view(self, table: str, view: TableView) -> None:
        """Remember how a table is shown: the next screen that has it, and the next session, show it so."""
        self.preferences = self.preferences.with_table(table, view)
        self._choices.note_table(table, view)
        self._write_choices()

    @work(group="choices", exclusive=True)
    async def _write_choices(self) -> None:
        """Write what was chosen, once no more is chosen for a moment."""
        await asyncio.sleep(CHOICES_SECONDS)
        await self._choices.write()

    def watch_theme(self) -> None:
        """What draws itself draws itself anew."""
        if self._running and self._screen_stack:
            for screen in self.screen_stack:
                if isinstance(screen, Page):
                    screen.retranslate()

    async def _check_bindings(self, key: str, priority: bool = False) -> bool:
        """As Textual's; a key whose action is not offered just now says why, instead of doing nothing in silence."""
        done = await super()._check_bindings(key, priority)
        if not done and not priority and (reason := self._why_not(key)) is not None:
            if key != "escape":  # people press it once more than needed; what follows does not count on it
                self.forget_typed()  # the keys after it counted on what it would have done
            self.notify(sentence(reason), severity="warning")
        return done

    def _why_not(self, key: str) -> Message | None:
        """The reason of the first action that this key stands for; None where it stands for none."""
        for namespace, bindings in self.screen._modal_binding_chain:
            for binding in bindings.key_to_bindings.get(key, ()):
                node, action, parameters = self._parse_action(binding.action, namespace)
                explain = getattr(node, "why_not", None)
                if explain is not None and not node.check_action(action, parameters):
                    reason: Message | None = explain(action, parameters)
                    return reason
        return None

    def why_not(self, action: str, parameters: tuple[object, ...]) -> Message:
        """Why an action of the app is not offered."""
        return ADMINS_ONLY

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Tenants have no users screen."""
        if action == "go" and parameters == ("users",):
            return self.actor.is_admin
        return True

    def say(self, message: Message) -> None:
        """A toast with a sentence of the core."""
        self.notify(sentence(message))

    def say_refusal(self, text: str, error: OpenLXDError) -> None:
        """A toast for something that was not done: ``text`` names it, where the core's own sentence does not."""
        self.forget_typed()
        reason = sentence(error.message)
        named = any(str(value) in reason for value in error.message.params.values() if str(value) in text)
        self.notify(reason if named else text, severity=severity(error), timeout=8)

    def say_error(self, error: OpenLXDError) -> None:
        """A toast with an error of the core. Keys typed ahead counted on its success."""
        self.forget_typed()
        show(self, error)


if TYPE_CHECKING:

    def _is_a_session(app: OpenLXDApp) -> Session:
        """The type checker sees here that the app offers all that screens count on."""
        return app
