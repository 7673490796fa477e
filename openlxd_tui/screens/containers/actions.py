"""What can be done with the container under the cursor: the keys, the questions, the calls.

Which action is offered follows from the container's state; whether it is allowed, the services say.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, ClassVar

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
from openlxd_tui.screens.confirm import Confirm, TypeToConfirm
from openlxd_tui.screens.containers.create import CreateForm, worth_offering
from openlxd_tui.screens.containers.forms import PublishForm, ReinstallForm, snapshots_text
from openlxd_tui.screens.containers.forwards import ForwardsPage
from openlxd_tui.screens.containers.resize import ResizeForm
from openlxd_tui.screens.containers.snapshots import SnapshotsPage
from openlxd_tui.screens.containers.suspend import SuspendContainerForm
from openlxd_tui.screens.containers.unmanaged import UnmanagedPage
from openlxd_tui.screens.containers.verbs import STATES, VERBS
from openlxd_tui.screens.page import Page
from openlxd_tui.widgets.record_table import RecordTable


def _act_by(action: str) -> Callable[[ContainerActions], Any]:
    """The method behind the key of an action in the table: ask its question, if it has one, and start it."""
    verb = VERBS[action]

    @work(group="ask")
    async def act(self: ContainerActions) -> None:
        name = self.table.current_key
        if name is None:
            return
        answer: str | None = action
        if verb.question:
            question = Confirm(_(verb.question).format(name=clean(name, 63)), _(verb.explanation), list(verb.choices))
            answer = await self.app.push_screen_wait(question)
        if answer:
            core, actor = self.session.core, self.session.actor
            self._begin_operation(verb.kind, name, partial(verb.call, core.containers, actor, name, answer))

    return act


class ContainerActions(Page):
    """The actions of the containers screen, which brings the table."""

    ROW_ACTIONS = frozenset(STATES)
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
        Binding("f", "forwards", N_("Port forwards")),
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
        needs = STATES.get(action)
        if needs is None:
            return True
        container = self.table.current if self.is_mounted else None
        if container is None:
            return False
        if action in ("suspend", "unsuspend"):  # also while another operation is under way, which it waits for
            return self.session.actor.is_admin and container.suspended is (action == "unsuspend")
        if container.name in self._operations and action not in ("shell", "delete", "snapshots", "forwards"):
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
    async def _begin_operation(self, kind: Kind, name: str, call: Callable[[], Awaitable[Operation]]) -> None:
        try:
            operation = await call()
        except OpenLXDError as error:
            self.session.say_refusal(refused_text(kind, name, error.message), error)
            return
        self.follow(operation)

    def follow(self, operation: Operation) -> None:
        """Take note of an operation that this session started."""
        self._mine.add(operation.id)

    action_start = _act_by("start")
    action_stop = _act_by("stop")
    action_restart = _act_by("restart")
    action_pause = _act_by("pause")
    action_resume = _act_by("resume")
    action_retry = _act_by("retry")
    action_unsuspend = _act_by("unsuspend")

    @work(group="ask")
    async def action_suspend(self) -> None:
        """Stop it, keep its owner out of it, and say why."""
        container = self.table.current
        if container is None:
            return
        operation = await self.app.push_screen_wait(SuspendContainerForm(container))
        if operation is not None:
            self.follow(operation)

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
            self._begin_operation(
                Kind.DELETE, name, partial(self.session.core.containers.delete, self.session.actor, name)
            )

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

    def action_forwards(self) -> None:
        """Its port forwards."""
        if name := self.table.current_key:
            self.app.push_screen(ForwardsPage(name))

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
