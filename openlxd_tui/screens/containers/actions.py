"""What can be done with the container under the cursor: the keys, the questions, the calls.

Which action is offered follows from the container's state; whether it is allowed, the services say.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType

from openlxd_core.domain.container import Container, State
from openlxd_core.domain.errors import Message, OpenLXDError
from openlxd_core.domain.operation import Kind, Operation
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _
from openlxd_core.outcomes import refused_text
from openlxd_tui.formatting import sentence
from openlxd_tui.reasons import ADMINS_ONLY, container_reason, no_row
from openlxd_tui.screens.confirm import Choice, Confirm, TypeToConfirm
from openlxd_tui.screens.containers.create import CreateForm, worth_offering
from openlxd_tui.screens.containers.forms import PublishForm, ReinstallForm, snapshots_text
from openlxd_tui.screens.containers.resize import ResizeForm
from openlxd_tui.screens.containers.snapshots import SnapshotsPage
from openlxd_tui.screens.containers.suspend import SuspendContainerForm
from openlxd_tui.screens.containers.unmanaged import UnmanagedPage
from openlxd_tui.screens.page import Page
from openlxd_tui.widgets.record_table import RecordTable

_ANY = frozenset(State)
_NEEDS: dict[str, frozenset[State]] = {
    "shell": frozenset({State.RUNNING, State.STOPPED, State.FROZEN}),
    "start": frozenset({State.STOPPED}),
    "stop": frozenset({State.RUNNING, State.FROZEN}),
    "restart": frozenset({State.RUNNING}),
    "pause": frozenset({State.RUNNING}),
    "resume": frozenset({State.FROZEN}),
    "retry": frozenset({State.ERROR, State.MISSING}),
    "resize": frozenset({State.RUNNING, State.STOPPED, State.FROZEN}),
    "snapshots": frozenset({State.RUNNING, State.STOPPED, State.FROZEN}),
    "reinstall": frozenset({State.RUNNING, State.STOPPED, State.FROZEN}),
    "publish": frozenset({State.STOPPED}),
    "suspend": _ANY,
    "unsuspend": _ANY,
    "delete": _ANY - {State.DELETING, State.CREATING},
}
"""In which states an action is offered; the services judge again."""


class ContainerActions(Page):
    """The actions of the containers screen, which brings the table."""

    ROW_ACTIONS = frozenset(_NEEDS)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,e", "shell", N_("Shell")),
        Binding("n", "create", N_("New")),
        Binding("S", "start", N_("Start")),
        Binding("s", "stop", N_("Stop")),
        Binding("r", "restart", N_("Restart")),
        Binding("p", "pause", N_("Pause")),
        Binding("p", "resume", N_("Resume")),
        Binding("t", "retry", N_("Try again")),
        Binding("z", "resize", N_("Resize")),
        Binding("d", "delete", N_("Delete")),
        Binding("v", "snapshots", N_("Snapshots")),
        Binding("R", "reinstall", N_("Reinstall")),
        Binding("P", "publish", N_("Create an image")),
        Binding("x", "suspend", N_("Suspend"), show=False),
        Binding("x", "unsuspend", N_("Unsuspend"), show=False),
        Binding("u", "unmanaged", N_("Unmanaged instances"), show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._operations: dict[str, Operation] = {}
        self._mine: set[str] = set()

    @property
    def table(self) -> RecordTable[Container]:
        """The table."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what makes sense for the container under the cursor is offered."""
        if action == "unmanaged":
            return self.session.actor.is_admin
        needs = _NEEDS.get(action)
        if needs is None:
            return True
        container = self.table.current if self.is_mounted else None
        if container is None:
            return False
        if action in ("suspend", "unsuspend"):  # also while another operation is under way, which it waits for
            return self.session.actor.is_admin and container.suspended is (action == "unsuspend")
        if container.name in self._operations and action not in ("shell", "delete", "snapshots"):
            return False
        return container.status in needs

    def why_not(self, action: str, parameters: tuple[object, ...]) -> Message:
        """Why nothing can be done with the container under the cursor, or not this."""
        if action in ("unmanaged", "suspend", "unsuspend") and not self.session.actor.is_admin:
            return ADMINS_ONLY
        container = self.table.current
        if container is None:
            return no_row(self.table.total, N_("There is no container yet. Press n to create one."))
        return container_reason(action, container, self._operations.get(container.name))

    @work(group="act")
    async def _act(self, kind: Kind, call: Callable[[str], Awaitable[Operation]], name: str) -> None:
        try:
            operation = await call(name)
        except OpenLXDError as error:
            self.session.say_refusal(refused_text(kind, name, error.message), error)
            return
        self.follow(operation)

    def follow(self, operation: Operation) -> None:
        """Take note of an operation that this session started."""
        self._mine.add(operation.id)

    def action_start(self) -> None:
        """Start it."""
        if name := self.table.current_key:
            self._act(Kind.START, lambda name: self.session.core.containers.start(self.session.actor, name), name)

    @work(group="ask")
    async def action_pause(self) -> None:
        """Freeze its processes where they are."""
        name = self.table.current_key
        if name is None:
            return
        answer = await self.app.push_screen_wait(
            Confirm(
                _(N_("Pause {name}?")).format(name=clean(name, 63)),
                _(N_("Its processes are frozen until you resume it.")),
                [Choice("pause", N_("Pause"), "y")],
            )
        )
        if answer:
            self._act(Kind.PAUSE, lambda name: self.session.core.containers.pause(self.session.actor, name), name)

    def action_resume(self) -> None:
        """Let them go on."""
        if name := self.table.current_key:
            self._act(Kind.RESUME, lambda name: self.session.core.containers.resume(self.session.actor, name), name)

    def action_retry(self) -> None:
        """Try a failed create once more."""
        if name := self.table.current_key:
            self._act(Kind.CREATE, lambda name: self.session.core.containers.retry(self.session.actor, name), name)

    @work(group="ask")
    async def action_stop(self) -> None:
        """Stop it: gently, or by force where that is asked for."""
        name = self.table.current_key
        if name is None:
            return
        answer = await self.app.push_screen_wait(
            Confirm(
                _(N_("Stop {name}?")).format(name=clean(name, 63)),
                _(N_("It is shut down cleanly, or stopped by force after 30 seconds.")),
                [Choice("stop", N_("Stop"), "y"), Choice("force", N_("Force stop now"), "f", danger=True)],
            )
        )
        if answer:
            actor, core = self.session.actor, self.session.core
            self._act(Kind.STOP, lambda name: core.containers.stop(actor, name, force=answer == "force"), name)

    @work(group="ask")
    async def action_restart(self) -> None:
        """Stop it and start it again."""
        name = self.table.current_key
        if name is None:
            return
        answer = await self.app.push_screen_wait(
            Confirm(
                _(N_("Restart {name}?")).format(name=clean(name, 63)),
                _(N_("Everything that runs in it is stopped first.")),
                [Choice("restart", N_("Restart"), "y")],
            )
        )
        if answer:
            self._act(Kind.RESTART, lambda name: self.session.core.containers.restart(self.session.actor, name), name)

    @work(group="ask")
    async def action_suspend(self) -> None:
        """Stop it, keep its owner out of it, and say why."""
        container = self.table.current
        if container is None:
            return
        operation = await self.app.push_screen_wait(SuspendContainerForm(container))
        if operation is not None:
            self.follow(operation)

    def action_unsuspend(self) -> None:
        """Let its owner in again."""
        if name := self.table.current_key:
            actor, core = self.session.actor, self.session.core
            self._act(Kind.UNSUSPEND, lambda name: core.containers.unsuspend(actor, name), name)

    @work(group="ask")
    async def action_delete(self) -> None:
        """Delete it, after its name was typed."""
        name = self.table.current_key
        if name is None:
            return

        async def snapshots() -> str:
            return snapshots_text(await self.session.core.snapshots.list(self.session.actor, name))

        sure = await self.app.push_screen_wait(
            TypeToConfirm(
                _(N_("Delete {name}?")).format(name=clean(name, 63)),
                _(N_("This permanently deletes the container and everything on its disk.")),
                clean(name, 63),
                more=snapshots,
            )
        )
        if sure:
            self._act(Kind.DELETE, lambda name: self.session.core.containers.delete(self.session.actor, name), name)

    @work(group="ask")
    async def action_create(self) -> None:
        """Make a new one."""
        try:
            images = await self.session.core.images.list(self.session.actor)
        except OpenLXDError as error:
            self.session.say_error(error)
            return
        offers = worth_offering(self.session.core.images.offers(self.session.actor))
        operation = await self.app.push_screen_wait(CreateForm(images, offers))
        if operation is not None:
            self.take_up(operation)

    def take_up(self, operation: Operation) -> None:
        """Show an operation on a container that was begun here or on another screen, with the cursor on it."""
        self.table.expect(operation.target)
        self.follow(operation)

    @work(group="ask")
    async def action_resize(self) -> None:
        """Change its limits."""
        container = self.table.current
        if container is None:
            return
        operation = await self.app.push_screen_wait(ResizeForm(container))
        if operation is not None:
            self.follow(operation)

    def action_snapshots(self) -> None:
        """Its snapshots."""
        if name := self.table.current_key:
            self.app.push_screen(SnapshotsPage(name))

    def action_unmanaged(self) -> None:
        """The instances of LXD that nobody here owns."""
        self.app.push_screen(UnmanagedPage())

    @work(group="ask")
    async def action_reinstall(self) -> None:
        """Make it anew from an image."""
        container = self.table.current
        if container is None:
            return
        try:
            images = await self.session.core.images.list(self.session.actor)
            snapshots = await self.session.core.snapshots.list(self.session.actor, container.name)
        except OpenLXDError as error:
            self.session.say_refusal(refused_text(Kind.REINSTALL, container.name, error.message, image="…"), error)
            return
        offers = worth_offering(self.session.core.images.offers(self.session.actor))
        operation = await self.app.push_screen_wait(ReinstallForm(container, images, offers, snapshots))
        if operation is not None:
            self.follow(operation)

    @work(group="ask")
    async def action_publish(self) -> None:
        """Make a private image of it."""
        container = self.table.current
        if container is None:
            return
        operation = await self.app.push_screen_wait(PublishForm(container.name))
        if operation is not None:
            self.follow(operation)

    @work(group="shell", exclusive=True)
    async def action_shell(self) -> None:
        """Step into it."""
        container = self.table.current
        if container is None:
            return
        if container.status is not State.RUNNING and not container.suspended:  # the service says that it is suspended
            self.session.notify(_(N_("Only a running container has a shell. Press S to start it.")), severity="warning")
            return
        result = await self.session.step_into(container.name)
        if result.error is not None:
            self.session.forget_typed()  # it was meant for the shell
            self.session.notify(sentence(result.error), severity="error", timeout=10)
