"""shell and exec: the session's own input and output joined with a command in a container."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from openlxd_core.i18n import N_
from openlxd_tui.commands.arguments import Name
from openlxd_tui.commands.call import At
from openlxd_tui.terminal.relay import RESET_TERMINAL, Relay, escape_filter_for

Command = Annotated[str, Parameter(help=N_("Command to run."), allow_leading_hyphen=True)]
Arguments = Annotated[str, Parameter(help=N_("Its arguments."), allow_leading_hyphen=True)]


async def shell(name: Name, /, *, at: At) -> int:
    """Open a shell; its exit status is the command's."""
    return await in_container(at.session, name, None)


async def exec_in(name: Name, command: Command, /, *arguments: Arguments, at: At) -> int:
    """Run a command; its exit status is the command's."""
    return await in_container(at.session, name, [command, *arguments])


async def in_container(session: Any, name: str, argv: Sequence[str] | None) -> int:
    """Join the session with a shell or a command in a container; its exit status is ours."""
    terminal = session.size if session.has_terminal else None
    command = await session.core.consoles.open(
        session.actor, name, argv, terminal=terminal, term=session.kind.name if session.kind.draws else "dumb"
    )
    try:
        escape_filter = escape_filter_for(session.actor) if session.has_terminal else None
        return await Relay(command, session, escape_filter=escape_filter).run()
    finally:
        if session.ending and session.has_terminal:
            session.write(RESET_TERMINAL)
