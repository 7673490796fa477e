"""What ``ssh openlxd@host COMMAND`` does: a table of commands, and what stands for a session without one."""

from __future__ import annotations

import json
import shlex
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from openlxd_core.domain.container import Container, check_name
from openlxd_core.domain.errors import (
    Conflict,
    Forbidden,
    LxdUnavailable,
    NotFound,
    OpenLXDError,
    QuotaExceeded,
    StorageUnavailable,
    Unauthenticated,
    ValidationFailed,
)
from openlxd_core.domain.operation import Operation, OperationStatus
from openlxd_core.domain.text import clean
from openlxd_core.domain.units import format_mib
from openlxd_core.i18n import N_, _
from openlxd_tui.ssh.shell import RESET_TERMINAL, Pipe, wall_for

if TYPE_CHECKING:
    from openlxd_tui.ssh.session import ConsoleSession

DONE, FAILED, USAGE = 0, 1, 2
TIMED_OUT = 124
"""As timeout(1) says it: the time is over, and what was waited for goes on."""
_STATUS: tuple[tuple[type[OpenLXDError], int], ...] = (
    (ValidationFailed, USAGE),
    (NotFound, 3),
    (Forbidden, 4),
    (Unauthenticated, 4),
    (QuotaExceeded, 5),
    (Conflict, 6),
    (LxdUnavailable, 7),
    (StorageUnavailable, 9),
)
_WAIT_SECONDS_MAX = 86_400.0
_COMMAND_MAX = 64 * 1024


class UsageError(Exception):
    """The words cannot be understood; the sentence says which."""


@dataclass
class Words:
    """The words after a command's name, taken apart: ``--name value``, ``--flag`` and the rest in order."""

    rest: list[str]
    options: dict[str, str]
    flags: set[str]

    @property
    def json(self) -> bool:
        """Whether the answer is for a program."""
        return "json" in self.flags


@dataclass(frozen=True)
class Command:
    """One line of the table."""

    run: Callable[[ConsoleSession, Words], Awaitable[int]]
    usage: str
    about: str
    arguments: tuple[int, int]
    """The least and the most words it takes besides options."""
    options: frozenset[str] = frozenset()
    flags: frozenset[str] = frozenset({"json"})


def exit_status(error: OpenLXDError) -> int:
    """The exit status that tells a script what happened."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), FAILED)


async def dispatch(session: ConsoleSession, line: str | None, container: str) -> int:
    """Do what a session was opened for, and return its exit status."""
    try:
        if container:  # openlxd+web1@host: this connection is that container's
            argv = None if line is None else ["sh", "-c", line]
            return await _in_container(session, check_name(container), argv)
        if line is None or not line.strip():
            return await _nothing_asked(session)
        return await _run_line(session, line)
    except OpenLXDError as error:
        session.say_error(clean(error.message.text(_)))
        return exit_status(error)
    except UsageError as error:
        session.say_error(clean(str(error)))
        return USAGE


async def _nothing_asked(session: ConsoleSession) -> int:
    if not session.has_terminal:
        session.say(usage())
        return DONE
    if not session.kind.draws:
        session.say_error(
            _("Your terminal cannot show the console. Use a command instead, such as: ssh {name}@… help").format(
                name="openlxd"
            )
        )
        return USAGE
    return await session.run_app()


async def _run_line(session: ConsoleSession, line: str) -> int:
    if len(line) > _COMMAND_MAX:
        raise UsageError(_("This command is too long."))
    try:
        words = shlex.split(line)
    except ValueError:
        raise UsageError(_("The quotes in this command do not match.")) from None
    name = words[0] if words else ""
    command = COMMANDS.get(name)
    if command is not None:
        return await command.run(session, _take_apart(name, command, words[1:]))
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


def _take_apart(name: str, command: Command, words: Sequence[str]) -> Words:
    found = Words([], {}, set())
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if word == "--" or (name == "exec" and found.rest and not word.startswith("--")):
            found.rest.extend(waiting if word == "--" else [word, *waiting])
            break
        if not word.startswith("--"):
            found.rest.append(word)
            continue
        if word == "--help":
            raise UsageError(_("Usage: {usage}").format(usage=command.usage))
        option, equals, value = word[2:].partition("=")
        if option in command.flags and not equals:
            found.flags.add(option)
        elif option in command.options and (equals or waiting):
            found.options[option] = value if equals else waiting.pop(0)
        else:
            raise UsageError(_("{name} does not take {word}.").format(name=name, word=clean(word, 60)))
    low, high = command.arguments
    if not low <= len(found.rest) <= high:
        raise UsageError(_("Usage: {usage}").format(usage=command.usage))
    return found


def usage() -> str:
    """The text of ``help``."""
    width = max(cell_len(command.usage) for command in COMMANDS.values())
    lines = [_("Usage: ssh [-t] openlxd@HOST [COMMAND]"), ""]
    lines.append(_("With a terminal and no command the console opens. Without a terminal these commands do:"))
    lines.append("")
    lines.extend(
        f"  {command.usage}{' ' * (width - cell_len(command.usage))}  {_(command.about)}"
        for command in COMMANDS.values()
    )
    lines.append("")
    lines.append(_("With --json a command that prints answers in JSON. “ssh -t openlxd@HOST NAME” is NAME's shell."))
    return "\n".join(lines)


# what the commands do


async def _help(session: ConsoleSession, words: Words) -> int:
    if words.json:
        _print_json(session, {name: {"usage": c.usage, "about": _(c.about)} for name, c in COMMANDS.items()})
    else:
        session.say(usage())
    return DONE


async def _whoami(session: ConsoleSession, words: Words) -> int:
    actor = session.actor
    if words.json:
        _print_json(session, {"username": actor.username, "role": actor.role.value, "user_id": actor.user_id})
    else:
        session.say(actor.username)
    return DONE


async def _list(session: ConsoleSession, words: Words) -> int:
    containers = await session.core.containers.list(session.actor)
    if words.json:
        _print_json(session, [_record(container) for container in containers])
        return DONE
    heads = [_("NAME"), _("STATE"), _("IPV4"), _("IPV6"), _("CPU"), _("MEMORY"), _("DISK"), _("IMAGE")]
    rows = [
        [c.name, c.status.value, c.ipv4, c.ipv6, str(c.cpu), format_mib(c.memory_mib), format_mib(c.disk_mib), c.image]
        for c in containers
    ]
    if session.actor.is_admin:
        heads.insert(1, _("OWNER"))
        for row, container in zip(rows, containers, strict=True):
            row.insert(1, container.owner)
    session.say(_table([heads, *rows]))
    await session.drain()
    return DONE


async def _info(session: ConsoleSession, words: Words) -> int:
    container = await session.core.containers.get(session.actor, words.rest[0])
    record = _record(container)
    if words.json:
        _print_json(session, record)
    else:
        session.say(_table([[f"{key}:", str(value)] for key, value in record.items()]))
    return DONE


def _power(verb: str) -> Callable[[ConsoleSession, Words], Awaitable[int]]:
    async def run(session: ConsoleSession, words: Words) -> int:
        act = getattr(session.core.containers, verb)
        options = {"force": True} if "force" in words.flags else {}
        return await _follow(session, words, await act(session.actor, words.rest[0], **options))

    return run


async def _create(session: ConsoleSession, words: Words) -> int:
    operation = await session.core.containers.create(
        session.actor,
        words.rest[0],
        words.rest[1],
        words.options.get("cpu", "1"),
        words.options.get("memory", "512MiB"),
        words.options.get("disk", "5GiB"),
    )
    return await _follow(session, words, operation)


async def _resize(session: ConsoleSession, words: Words) -> int:
    wanted = {key: words.options[key] for key in ("cpu", "memory", "disk") if key in words.options}
    if not wanted:
        raise UsageError(_("Usage: {usage}").format(usage=COMMANDS["resize"].usage))
    operation = await session.core.containers.resize(session.actor, words.rest[0], **wanted)
    return await _follow(session, words, operation)


async def _wait(session: ConsoleSession, words: Words) -> int:
    name = words.rest[0]
    seconds = _seconds(words.options.get("timeout", "600"))
    container = await session.core.containers.get(session.actor, name)
    if container.operation_id:
        operation = await session.core.operations.wait(session.actor, container.operation_id, seconds)
        return _outcome(session, words, operation, waited=True)
    if words.json:
        _print_json(session, _record(container))
    return DONE


async def _follow(session: ConsoleSession, words: Words, operation: Operation) -> int:
    """Wait for what was begun, unless the caller does not want to."""
    waited = "no-wait" not in words.flags
    if waited:
        seconds = _seconds(words.options.get("timeout", "600"))
        operation = await session.core.operations.wait(session.actor, operation.id, seconds)
    return _outcome(session, words, operation, waited=waited)


def _outcome(session: ConsoleSession, words: Words, operation: Operation, *, waited: bool) -> int:
    """Print how ``operation`` stands; the exit status."""
    timed_out = waited and not operation.ended
    failed = operation.status in (OperationStatus.FAILED, OperationStatus.CANCELLED)
    reason = clean(operation.error.text(_)) if operation.error is not None else ""
    if words.json:
        _print_json(
            session,
            {
                "operation_id": operation.id,
                "kind": operation.kind.value,
                "name": operation.target,
                "status": operation.status.value,
                "progress": operation.progress,
                "error": operation.error_code,
                "message": reason,
            },
        )
    elif failed:
        session.say_error(reason or _("This has failed."))
    elif timed_out:
        session.say_error(
            _("{name}: still under way ({progress} %) when the time was over. It goes on.").format(
                name=operation.target, progress=operation.progress
            )
        )
    elif not operation.ended:
        session.say(_("{name}: under way ({progress} %).").format(name=operation.target, progress=operation.progress))
    else:
        session.say(_("{name}: done.").format(name=operation.target))
    if not failed:
        return TIMED_OUT if timed_out else DONE
    return next((status for kind, status in _STATUS if kind.code == operation.error_code), FAILED)


async def _shell(session: ConsoleSession, words: Words) -> int:
    return await _in_container(session, words.rest[0], None)


async def _exec(session: ConsoleSession, words: Words) -> int:
    return await _in_container(session, words.rest[0], words.rest[1:])


async def _in_container(session: ConsoleSession, name: str, argv: Sequence[str] | None) -> int:
    """Join the session with a shell or a command in a container; its exit status is ours."""
    terminal = session.size if session.has_terminal else None
    command = await session.core.consoles.open(
        session.actor, name, argv, terminal=terminal, term=session.kind.name if session.kind.draws else "dumb"
    )
    try:
        wall = wall_for(session.actor) if session.has_terminal else None
        return await Pipe(command, session, wall=wall).run()
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


def _record(container: Container) -> Mapping[str, Any]:
    return {
        "name": container.name,
        "owner": container.owner,
        "status": container.status.value,
        "image": clean(container.image),
        "architecture": container.architecture,
        "cpu": container.cpu,
        "memory_mb": container.memory_mib,
        "disk_mb": container.disk_mib,
        "ipv4": container.ipv4,
        "ipv6": container.ipv6,
        "operation_id": container.operation_id,
        "error": clean(container.error.text(_)) if container.error is not None else "",
        "created_at": container.created_at.isoformat(),
    }


def _table(rows: Sequence[Sequence[str]]) -> str:
    shown = [[clean(cell, 80) or "-" for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*shown, strict=True)]
    return "\n".join(
        "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    )


def _print_json(session: ConsoleSession, value: Any) -> None:
    session.say(json.dumps(value, ensure_ascii=False, indent=2))


_POWER = frozenset({"json", "no-wait"})
_TIMEOUT = frozenset({"timeout"})

COMMANDS: dict[str, Command] = {
    "help": Command(_help, "help", N_("this text"), (0, 1)),
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
    "resume": Command(_power("resume"), "resume NAME", N_("let it go on"), (1, 1), _TIMEOUT, _POWER | {"wait"}),
    "resize": Command(
        _resize,
        "resize NAME [--cpu N] [--memory SIZE] [--disk SIZE]",
        N_("change its limits; a disk only grows"),
        (1, 1),
        frozenset({"cpu", "memory", "disk", "timeout"}),
        _POWER | {"wait"},
    ),
    "retry": Command(
        _power("retry"), "retry NAME", N_("make one again that could not be made"), (1, 1), _TIMEOUT, _POWER | {"wait"}
    ),
    "delete": Command(
        _power("delete"), "delete NAME", N_("delete it and everything in it"), (1, 1), _TIMEOUT, _POWER | {"wait"}
    ),
    "wait": Command(
        _wait, "wait NAME [--timeout SECONDS]", N_("wait until what is under way is done"), (1, 1), _TIMEOUT
    ),
    "shell": Command(_shell, "shell NAME", N_("a shell in it (with ssh -t)"), (1, 1), flags=frozenset()),
    "exec": Command(_exec, "exec NAME [--] COMMAND…", N_("run a command in it"), (2, 1000), flags=frozenset()),
}
"""Every command, in the order of the help."""
