"""What the client's side of a session offers, and who may read from it: nothing here knows SSH."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    pass
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openlxd_tui.terminal.capabilities import TerminalKind


class Sink(Protocol):
    """Whoever has the terminal at the moment: an app's driver, or a container's shell."""

    def data(self, data: bytes) -> None:
        """The client typed this."""

    def resized(self, width: int, height: int) -> None:
        """The window has another size now."""

    def drained(self) -> None:
        """What was written has gone out, after a time when it had not."""


class Terminal(Protocol):
    """The client's terminal at the other end of a channel."""

    @property
    def kind(self) -> TerminalKind:
        """What it can show."""

    @property
    def size(self) -> tuple[int, int]:
        """The window, in columns and rows."""

    @property
    def congested(self) -> bool:
        """Whether the client reads more slowly than we write; ``drained`` is called when that is over."""

    def write(self, data: bytes, *, error: bool = False) -> None:
        """Send output; nothing happens once the client has gone."""

    @property
    def room(self) -> int:
        """Bytes of frames that may be written now."""

    def want_room(self) -> None:
        """Have the sink's ``drained`` called once there is room for more."""

    def attach(self, sink: Sink) -> None:
        """Give input and window sizes to ``sink`` from now on."""

    def detach(self, sink: Sink) -> None:
        """Stop doing so, if ``sink`` is the one."""

    def unread(self, data: bytes) -> None:
        """Return input that nobody took: the next sink gets it first."""

    def pause_input(self) -> None:
        """Ask the client to wait."""

    def resume_input(self) -> None:
        """Let it send again."""


class Port(Protocol):
    """The client's side of a pipe: its terminal, or its plain streams."""

    @property
    def congested(self) -> bool:
        """Whether the client reads more slowly than we write."""

    def write(self, data: bytes, *, error: bool = False) -> None:
        """Send output."""

    def attach(self, sink: Any) -> None:
        """Give input to ``sink``."""

    def detach(self, sink: Any) -> None:
        """Stop doing so."""

    def pause_input(self) -> None:
        """Ask the client to wait."""

    def resume_input(self) -> None:
        """Let it send again."""


CURRENT_TERMINAL: ContextVar[Terminal] = ContextVar("openlxd_terminal")
"""The terminal of the session that this task belongs to: Textual makes its driver itself."""
