"""``ssh openlxd@host COMMAND``: what a session was opened for is found in the table of commands and done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from openlxd_core import shapes
from openlxd_core.domain.container import check_name
from openlxd_core.domain.errors import BadRequest, Message, NotFound, OpenLXDError, ValidationFailed
from openlxd_core.domain.exits import DONE, USAGE, exit_code, exit_code_of
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _
from openlxd_tui.commands.call import Call, OperationFailed, UsageError
from openlxd_tui.commands.consoles import in_container
from openlxd_tui.commands.help import overview
from openlxd_tui.commands.mistakes import unknown_word
from openlxd_tui.commands.parsing import HELP_WIDTH, split, ssh_commands
from openlxd_tui.commands.table import Door

if TYPE_CHECKING:
    from openlxd_tui.ssh.protocols import CommandSession

BROKEN = Message(N_("An internal error ended this session. Connect again."))


class SessionOutput:
    """A session's standard output and error."""

    def __init__(self, session: CommandSession) -> None:
        self._session = session
        self._moving = False

    @property
    def watched(self) -> bool:
        """Whether the client has a terminal that can move its cursor."""
        return self._session.has_terminal and self._session.kind.draws

    @property
    def width(self) -> int:
        """Columns of the terminal, or of a page."""
        return self._session.size[0] if self._session.has_terminal else HELP_WIDTH

    def data(self, text: str) -> None:
        """Print lines of the answer."""
        self._session.say(text)

    say = data

    def say_error(self, text: str) -> None:
        """Print one sentence on standard error."""
        self._session.say_error(text)

    def progress(self, text: str) -> None:
        """Replace the line that moves; it is as wide as the window at most, or it would leave a trail of lines."""
        if not self.watched or not (text or self._moving):
            return
        self._moving = bool(text)
        line = clean(text, max(1, self.width - 1))
        self._session.write(b"\r\x1b[K" + line.encode())

    async def drain(self) -> None:
        """Return when the client has room for more."""
        await self._session.drain()


async def dispatch(session: CommandSession, line: str | None, container: str) -> int:
    """Do what a session was opened for, and return its exit status."""
    json = bool(line) and not container and ssh_commands().wants_json(line or "")
    try:
        if container:  # openlxd+web1@host: this connection is that container's
            argv = None if line is None else ["sh", "-c", line]
            return await in_container(session, check_name(container), argv)
        if line is None or not line.strip():
            return await _nothing_asked(session)
        return await _run_line(session, line, json)
    except OpenLXDError as error:
        fields = error.fields if isinstance(error, ValidationFailed) else None
        _say_failure(session, json, error.code, error.message, fields)
        return exit_code(error)
    except OperationFailed as error:
        _say_failure(session, json, error.code, error.message)
        return exit_code_of(error.code)
    except UsageError as error:
        _say_failure(session, json, BadRequest.code, Message("{reason}", {"reason": str(error)}))
        return USAGE
    except Exception:
        if json:
            _say_failure(session, json, OpenLXDError.code, BROKEN)
        raise


def _say_failure(
    session: CommandSession, json: bool, code: str, message: Message, fields: Mapping[str, Message] | None = None
) -> None:
    """One sentence on standard error, or REST's failure on standard output, where a program reads the answer."""
    if json:
        session.say(shapes.encode(shapes.failure(code, message, fields)))
    else:
        session.say_error(clean(message.text(_)))


async def _nothing_asked(session: CommandSession) -> int:
    if not session.has_terminal:
        session.say(overview())
        return DONE
    if not session.kind.draws:
        session.say_error(
            _("Your terminal cannot show the console. Use a command instead, such as: ssh {name}@… help").format(
                name="openlxd"
            )
        )
        return USAGE
    return await session.run_app()


async def _run_line(session: CommandSession, line: str, json: bool) -> int:
    commands, words = ssh_commands(), split(line)
    verb = commands.find(words)
    out = SessionOutput(session)
    if verb is not None:
        parsed = commands.parse(verb, words)
        if parsed.function is None:
            session.say(shapes.encode(commands.record(verb)) if json else commands.help(verb, out.width))
            return DONE
        call = Call(session.core, session.actor, out, Door.SSH, session)
        return await parsed.function(*parsed.args, **(parsed.kwargs or {}), at=call)
    name = words[0] if words else ""
    if len(words) == 1:
        try:
            wanted = check_name(name)
            await session.core.containers.get(session.actor, wanted)
        except (ValidationFailed, NotFound):
            pass
        else:
            return await in_container(session, wanted, None)
    raise UsageError(unknown_word(name, commands.names, "ssh openlxd@… help"))
