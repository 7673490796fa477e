"""Protocols between the parts of the SSH server, so that their modules import in one direction only.

``protocols <- apps, commands <- session <- auth <- server`` (read "<-" as "is imported by"). The server holds
connections, a connection holds sessions, a session runs an app or a command; each also has to reach back, and does so
through the protocols here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from openlxd_tui.terminal.ports import Terminal

if TYPE_CHECKING:
    from openlxd_core.bootstrap import Core
    from openlxd_core.domain.actor import Actor
    from openlxd_core.domain.errors import Message
    from openlxd_core.domain.preferences import Preferences
    from openlxd_core.i18n import Translator

_T = TypeVar("_T")


class SignedInTerminal(Terminal, Protocol):
    """The terminal of a session whose account has signed in."""

    @property
    def core(self) -> Core:
        """The services; every call takes the actor first."""

    @property
    def actor(self) -> Actor:
        """The account that is signed in."""


class CommandSession(SignedInTerminal, Protocol):
    """A session as commands see it: the account, where output goes, and the terminal if there is one."""

    @property
    def has_terminal(self) -> bool:
        """Whether the client asked for a terminal (``ssh -t``)."""

    @property
    def ending(self) -> bool:
        """Whether the session ends because the service says so, and not by itself."""

    def say(self, text: str) -> None:
        """Write lines of text to standard output."""

    def say_error(self, text: str) -> None:
        """Write lines of text to standard error."""

    async def drain(self) -> None:
        """Return when the client has room for more."""

    async def run_app(self) -> int:
        """Run the console's app on the terminal until it ends; the exit status."""


class AppSession(SignedInTerminal, Protocol):
    """A session as the app on its terminal sees it."""

    @property
    def translator(self) -> Translator:
        """The session's language."""

    @property
    def preferences(self) -> Preferences:
        """What the account chose before."""

    @property
    def local_address(self) -> Any:
        """The socket address that the client connected to."""

    def farewell(self, reason: Message) -> None:
        """Say ``reason`` when the app has ended, unless there is a reason already."""


class SessionConnection(Protocol):
    """A connection as its sessions see it."""

    @property
    def container(self) -> str:
        """The container that every session of the connection goes to (``openlxd+web1@host``), or an empty string."""

    def session_closed(self, session: Any) -> None:
        """Remove a closed session from the connection."""


class SessionTimes(Protocol):
    """Records when sessions begin and end, to time the garbage collector's rounds by it."""

    def began(self, session: object) -> None:
        """A session has opened."""

    def ended(self, session: object) -> None:
        """A session is over."""


class SessionHost(Protocol):
    """The server as its sessions see it."""

    @property
    def core(self) -> Core:
        """The product."""

    @property
    def make_app(self) -> Callable[[Any], Any]:
        """Creates the app of a session."""

    @property
    def slow_seconds(self) -> float:
        """How long a client may leave unread what we sent before it is dropped."""

    @property
    def memory(self) -> SessionTimes:
        """Frees what ended sessions leave."""

    def keep(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """Start a task and keep a reference to it until it is done; asyncio alone holds only a weak one."""
