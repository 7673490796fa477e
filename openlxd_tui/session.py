"""The Protocol of a console session: what the app offers screens and widgets, so that none of them imports the app.

:class:`~openlxd_tui.app.OpenLXDApp` imports every screen to open it. A screen that imported the app, be it for its type
alone, would be an import cycle, and no part of the console could be read or tested without all the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from textual.dom import DOMNode
    from textual.notifications import SeverityLevel

    from openlxd_core.bootstrap import Core
    from openlxd_core.domain.actor import Actor
    from openlxd_core.domain.container import Container
    from openlxd_core.domain.errors import OpenLXDError
    from openlxd_core.domain.operation import Operation
    from openlxd_core.domain.preferences import Preferences, TableView
    from openlxd_tui.address import SshAddress
    from openlxd_tui.shells import ShellResult


class Session(Protocol):
    """One person's session at the console."""

    @property
    def core(self) -> Core:
        """The services; every call takes the actor first."""

    @property
    def actor(self) -> Actor:
        """The account that is signed in, or the local administrator."""

    @property
    def host(self) -> str:
        """The name of the host, for the top bar."""

    @property
    def ssh(self) -> SshAddress:
        """User, host and port of this console for `ssh`, shown in examples."""

    @property
    def preferences(self) -> Preferences:
        """What the account chose before and in this session."""

    @property
    def few_colors(self) -> bool:
        """Whether the terminal has sixteen colours or none: states are then told by marks, the cursor by reversing."""

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last key press."""

    # Messages

    @property
    def notify(self) -> Notify:
        """Show a toast; its text is never markup."""

    def say_error(self, error: OpenLXDError) -> None:
        """Show an error of the core as a toast, and drop the keys typed ahead: they counted on its success."""

    def say_refusal(self, text: str, error: OpenLXDError) -> None:
        """Show why something was not done: the core's sentence where it names the thing, else ``text``, which does."""

    def forget_typed(self) -> None:
        """Drop the keys typed ahead: what they were meant for did not come."""

    # Navigation

    def go(self, name: str) -> None:
        """Show a page by its name (``containers``, ``images`` …)."""

    def begun(self, operation: Operation) -> None:
        """Go to the containers and follow an operation there that another screen began."""

    def expect_container(self, name: str) -> None:
        """Put the cursor of the containers page on a container that is about to appear there."""

    def find_container(self, name: str) -> None:
        """Go to the containers, with the cursor on this one; a filter that hides it is cleared."""

    def find_image(self, alias: str) -> None:
        """Go to the images, with the cursor on this one."""

    async def step_into(self, name: str) -> ShellResult:
        """Lend the terminal to the shell of container ``name`` until that ends."""

    # Pages and records

    def pages(self) -> list[tuple[str, str, str]]:
        """Key, name and title of each page that this actor may open."""

    def every_page(self) -> Sequence[tuple[str, type[DOMNode], Callable[[], object] | None]]:
        """Title and type of each screen that this actor has, and what opens it; None where that needs a container."""

    def help_pages(self) -> tuple[Sequence[tuple[str, type[DOMNode]]], Sequence[tuple[str, type[DOMNode]]]]:
        """Title and type of each screen for the help: the one that it was opened from, if it is one, and the others."""

    def known_containers(self) -> Iterable[Container]:
        """The containers that the containers page shows or hides by its filter; none before it was opened."""

    def a_container(self) -> str:
        """The name of the container under the cursor of the containers page, for examples; or an empty string."""

    def choose_view(self, table: str, view: TableView) -> None:
        """Remember how a table is shown, for the next screen that has it and for the next session."""


class Notify(Protocol):
    """Shows a toast."""

    def __call__(
        self, message: str, *, severity: SeverityLevel = "information", timeout: float | None = None
    ) -> None: ...


def session_of(node: DOMNode) -> Session:
    """The session that a screen or a widget belongs to: its app."""
    return cast(Session, cast(Any, node).app)
