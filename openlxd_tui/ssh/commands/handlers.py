"""What ``ssh openlxd@host COMMAND`` does: a table of commands, and what stands for a session without one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from openlxd_core import shapes
from openlxd_core.domain.container import Container, check_name
from openlxd_core.domain.errors import (
    BadRequest,
    Conflict,
    Message,
    NotFound,
    OpenLXDError,
    ValidationFailed,
)
from openlxd_core.domain.operation import Operation, OperationStatus
from openlxd_core.domain.text import clean
from openlxd_core.domain.units import format_mib
from openlxd_core.i18n import N_, _
from openlxd_core.outcomes import done_text
from openlxd_tui.cli import exits
from openlxd_tui.ssh.commands.parser import (
    Command,
    HelpWanted,
    UsageError,
    Words,
    overview,
    split,
    take_apart,
    wants_json,
)
from openlxd_tui.terminal.relay import RESET_TERMINAL, Relay, escape_filter_for

if TYPE_CHECKING:
    from openlxd_tui.ssh.protocols import CommandSession

_WAIT_SECONDS_MAX = 86_400.0
BROKEN = Message(N_("An internal error ended this session. Connect again."))


async def dispatch(session: CommandSession, line: str | None, container: str) -> int:
    """Do what a session was opened for, and return its exit status."""
    json = bool(line) and not container and wants_json(line or "", COMMANDS)
    try:
        if container:  # openlxd+web1@host: this connection is that container's
            argv = None if line is None else ["sh", "-c", line]
            return await _in_container(session, check_name(container), argv)
        if line is None or not line.strip():
            return await _nothing_asked(session)
        return await _run_line(session, line)
    except OpenLXDError as error:
        fields = error.fields if isinstance(error, ValidationFailed) else None
        _say_failure(session, json, error.code, error.message, fields)
        return exits.exit_code(error)
    except UsageError as error:
        _say_failure(session, json, BadRequest.code, Message(str(error).replace("{", "{{").replace("}", "}}")))
        return exits.USAGE
    except Exception:
        if json:
            _say_failure(session, json, OpenLXDError.code, BROKEN)
        raise


def _say_failure(
    session: CommandSession, json: bool, code: str, message: Message, fields: Mapping[str, Message] | None = None
) -> None:
    """One sentence on standard error, or REST's failure on standard output, where a program reads the answer."""
    if json:
        _print_json(session, shapes.failure(code, message, fields))
    else:
        session.say_error(clean(message.text(_)))


async def _nothing_asked(session: CommandSession) -> int:
    if not session.has_terminal:
        session.say(overview(COMMANDS))
        return exits.DONE
    if not session.kind.draws:
        session.say_error(
            _("Your terminal cannot show the console. Use a command instead, such as: ssh {name}@… help").format(
                name="openlxd"
            )
        )
        return exits.USAGE
    return await session.run_app()


async def _run_line(session: CommandSession, line: str) -> int:
    words = split(line)
    name = words[0] if words else ""
    command = COMMANDS.get(name)
    if command is not None:
        try:
            found = take_apart(name, command, words[1:])
        except HelpWanted:
            return _explain(session, name, wants_json(line, COMMANDS))
        return await command.run(session, found)
    if len(words) == 1:
        try:
            wanted = check_name(name)
            await session.core.containers.get(session.actor, wanted)
        except (ValidationFailed, NotFound):
            pass
        else:
            return await _in_container(session, wanted, None)
    raise UsageError(
        _("There is no command or container “{name}”. Try: ssh {user}@… help").format(
            name=clean(name, 60), user="openlxd"
        )
    )


# what the commands do


async def _help(session: CommandSession, words: Words) -> int:
    if words.rest:
        return _explain(session, words.rest[0], words.json)
    if words.json:
        _print_json(session, {name: command.record() for name, command in COMMANDS.items()})
    else:
        session.say(overview(COMMANDS))
    return exits.DONE


def _explain(session: CommandSession, name: str, json: bool) -> int:
    command = COMMANDS.get(name)
    if command is None:
        raise UsageError(
            _("There is no command “{name}”. Try: ssh {user}@… help").format(name=clean(name, 60), user="openlxd")
        )
    if json:
        _print_json(session, command.record())
    else:
        session.say(command.help())
    return exits.DONE


async def _whoami(session: CommandSession, words: Words) -> int:
    actor = session.actor
    if words.json:
        _print_json(session, shapes.user(await session.core.accounts.get(actor)))
    else:
        session.say(actor.username)
    return exits.DONE


async def _list(session: CommandSession, words: Words) -> int:
    containers = await session.core.containers.list(session.actor)
    if words.json:
        _print_json(session, [shapes.container(container) for container in containers])
        return exits.DONE
    heads = [_("NAME"), _("STATE"), _("IPV4"), _("IPV6"), _("CPU"), _("MEMORY"), _("DISK"), _("IMAGE")]
    rows = [
        [c.name, _state(c), c.ipv4, c.ipv6, str(c.cpu), format_mib(c.memory_mib), format_mib(c.disk_mib), c.image]
        for c in containers
    ]
    if session.actor.is_admin:
        heads.insert(1, _("OWNER"))
        for row, container in zip(rows, containers, strict=True):
            row.insert(1, container.owner)
    session.say(_table([heads, *rows]))
    await session.drain()
    return exits.DONE


def _state(container: Container) -> str:
    return f"{container.status.value} ({_('suspended')})" if container.suspended else container.status.value


async def _info(session: CommandSession, words: Words) -> int:
    container = await session.core.containers.get(session.actor, words.rest[0])
    record = shapes.container(container)
    if words.json:
        _print_json(session, record)
    else:
        session.say(_table([[f"{key}:", "" if value is None else str(value)] for key, value in record.items()]))
    return exits.DONE


def _power(verb: str) -> Callable[[CommandSession, Words], Awaitable[int]]:
    async def run(session: CommandSession, words: Words) -> int:
        act = getattr(session.core.containers, verb)
        options = {"force": True} if "force" in words.flags else {}
        return await _follow(session, words, await act(session.actor, words.rest[0], **options))

    return run


async def _create(session: CommandSession, words: Words) -> int:
    operation = await session.core.containers.create(
        session.actor,
        words.rest[0],
        words.rest[1],
        words.options.get("cpu", "1"),
        words.options.get("memory", "512MiB"),
        words.options.get("disk", "5GiB"),
    )
    return await _follow(session, words, operation)


async def _resize(session: CommandSession, words: Words) -> int:
    wanted = {key: words.options[key] for key in ("cpu", "memory", "disk") if key in words.options}
    if not wanted:
        raise UsageError(_("Usage: {usage}").format(usage=COMMANDS["resize"].usage))
    operation = await session.core.containers.resize(session.actor, words.rest[0], **wanted)
    return await _follow(session, words, operation)


async def _wait(session: CommandSession, words: Words) -> int:
    name = words.rest[0]
    seconds = _seconds(words.options.get("timeout", "600"))
    container = await session.core.containers.get(session.actor, name)
    if container.operation_id:
        operation = await session.core.operations.wait(session.actor, container.operation_id, seconds)
        return _outcome(session, words, operation, waited=True)
    if words.json:
        _print_json(session, shapes.container(container))
    return exits.DONE


async def _follow(session: CommandSession, words: Words, operation: Operation) -> int:
    """Wait for what was begun, unless the caller does not want to."""
    waited = "no-wait" not in words.flags
    if waited:
        seconds = _seconds(words.options.get("timeout", "600"))
        operation = await session.core.operations.wait(session.actor, operation.id, seconds)
    return _outcome(session, words, operation, waited=waited)


def _outcome(session: CommandSession, words: Words, operation: Operation, *, waited: bool) -> int:
    """Print how ``operation`` stands; the exit status."""
    timed_out = waited and not operation.ended
    if operation.status in (OperationStatus.FAILED, OperationStatus.CANCELLED):
        reason = operation.error or Message(N_("This was cancelled."))
        _say_failure(session, words.json, operation.error_code or Conflict.code, reason)
        return exits.exit_code_of(operation.error_code)
    if words.json:
        _print_json(session, shapes.operation(operation))
    elif timed_out:
        session.say_error(
            _("{name}: still in progress ({progress} %) when the wait ended. The operation continues.").format(
                name=operation.target, progress=operation.progress
            )
        )
    elif not operation.ended:
        session.say(_("{name}: in progress ({progress} %).").format(name=operation.target, progress=operation.progress))
    else:
        session.say(done_text(operation))
    return exits.TIMED_OUT if timed_out else exits.DONE


async def _shell(session: CommandSession, words: Words) -> int:
    return await _in_container(session, words.rest[0], None)


async def _exec(session: CommandSession, words: Words) -> int:
    return await _in_container(session, words.rest[0], words.rest[1:])


async def _in_container(session: CommandSession, name: str, argv: Sequence[str] | None) -> int:
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


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= _WAIT_SECONDS_MAX:
        raise UsageError(_("“{value}” is not a number of seconds.").format(value=clean(text, 40)))
    return seconds


def _table(rows: Sequence[Sequence[str]]) -> str:
    shown = [[clean(cell, 80) or "-" for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*shown, strict=True)]
    return "\n".join(
        "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    )


def _print_json(session: CommandSession, value: Any) -> None:
    session.say(shapes.encode(value))


_POWER = frozenset({"json", "no-wait"})
_TIMEOUT = frozenset({"timeout"})

COMMANDS: dict[str, Command] = {
    "help": Command(_help, "help [COMMAND]", N_("this text, or that of one command"), (0, 1)),
    "whoami": Command(_whoami, "whoami", N_("the account you are signed in to"), (0, 0)),
    "list": Command(_list, "list", N_("your containers"), (0, 0)),
    "info": Command(_info, "info NAME", N_("one container"), (1, 1)),
    "create": Command(
        _create,
        "create NAME IMAGE [--cpu N] [--memory SIZE] [--disk SIZE]",
        N_("make a container and start it"),
        (2, 2),
        frozenset({"cpu", "memory", "disk", "timeout"}),
        _POWER | {"wait"},
    ),
    "start": Command(_power("start"), "start NAME", N_("start it"), (1, 1), _TIMEOUT, _POWER | {"wait"}),
    "stop": Command(_power("stop"), "stop NAME [--force]", N_("stop it"), (1, 1), _TIMEOUT, _POWER | {"wait", "force"}),
    "restart": Command(_power("restart"), "restart NAME", N_("restart it"), (1, 1), _TIMEOUT, _POWER | {"wait"}),
    "pause": Command(_power("pause"), "pause NAME", N_("pause it"), (1, 1), _TIMEOUT, _POWER | {"wait"}),
    "resume": Command(_power("resume"), "resume NAME", N_("resume it"), (1, 1), _TIMEOUT, _POWER | {"wait"}),
    "resize": Command(
        _resize,
        "resize NAME [--cpu N] [--memory SIZE] [--disk SIZE]",
        N_("change its limits; a disk only grows"),
        (1, 1),
        frozenset({"cpu", "memory", "disk", "timeout"}),
        _POWER | {"wait"},
    ),
    "retry": Command(
        _power("retry"),
        "retry NAME",
        N_("retry a container that could not be created"),
        (1, 1),
        _TIMEOUT,
        _POWER | {"wait"},
    ),
    "delete": Command(
        _power("delete"), "delete NAME", N_("delete it and everything in it"), (1, 1), _TIMEOUT, _POWER | {"wait"}
    ),
    "wait": Command(
        _wait, "wait NAME [--timeout SECONDS]", N_("wait until the operation in progress is done"), (1, 1), _TIMEOUT
    ),
    "shell": Command(_shell, "shell NAME", N_("a shell in it (with ssh -t)"), (1, 1), flags=frozenset()),
    "exec": Command(_exec, "exec NAME [--] COMMAND…", N_("run a command in it"), (2, 1000), flags=frozenset()),
}
"""Every command, in the order of the help."""
