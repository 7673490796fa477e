"""The words of a command sent by SSH: taken apart, and explained by ``help``."""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _

if TYPE_CHECKING:
    from openlxd_tui.ssh.protocols import CommandSession

_COMMAND_MAX = 64 * 1024
_HELP = ("--help", "-h")

OPTIONS: Mapping[str, tuple[str, str]] = {
    "cpu": ("--cpu N", N_("how many CPUs")),
    "memory": ("--memory SIZE", N_("how much memory, such as 512MiB or 2GiB")),
    "disk": ("--disk SIZE", N_("how large a disk, such as 10GiB")),
    "force": ("--force", N_("at once, without asking the system inside to shut down")),
    "wait": ("--wait", N_("wait until it is done; this is the default")),
    "no-wait": ("--no-wait", N_("return as soon as it is begun")),
    "timeout": ("--timeout SECONDS", N_("how long to wait (600); exit status 124 when that is over")),
    "json": ("--json", N_("answer in JSON, failures too")),
}
"""Every option and flag that a command may take: how it is written, and what it does."""


class UsageError(Exception):
    """The words cannot be understood; the sentence says which."""


class HelpWanted(Exception):
    """``--help`` stands among the words."""


@dataclass
class Words:
    """The words after a command's name: ``--name value``, ``--flag`` and the rest in order."""

    rest: list[str]
    options: dict[str, str]
    flags: set[str]

    @property
    def json(self) -> bool:
        """Whether the answer is for a program."""
        return "json" in self.flags


@dataclass(frozen=True)
class Command:
    """One line of the table of commands."""

    run: Callable[[CommandSession, Words], Awaitable[int]]
    usage: str
    about: str
    arguments: tuple[int, int]
    """The least and the most words it takes besides options."""
    options: frozenset[str] = frozenset()
    flags: frozenset[str] = frozenset({"json"})

    def help(self) -> str:
        """What ``--help`` shows."""
        lines = [_("Usage: {usage}").format(usage=self.usage), "", f"  {_(self.about)}"]
        taken = [(written, _(text)) for name, (written, text) in OPTIONS.items() if name in self.options | self.flags]
        if taken:
            lines += ["", _("Options:"), *_columns(taken)]
        return "\n".join(lines)

    def record(self) -> dict[str, Any]:
        """The same for programs."""
        taken = {written: _(text) for name, (written, text) in OPTIONS.items() if name in self.options | self.flags}
        return {"usage": self.usage, "about": _(self.about), "options": taken}


def split(line: str) -> list[str]:
    """The words of a command line, as a shell would see them. Raises UsageError."""
    if len(line) > _COMMAND_MAX:
        raise UsageError(_("This command is too long."))
    try:
        return shlex.split(line)
    except ValueError:
        raise UsageError(_("The quotes in this command do not match.")) from None


def wants_json(line: str, commands: Mapping[str, Command]) -> bool:
    """Whether the answer to ``line``, and be it that it cannot be understood, is for a program."""
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    command = commands.get(words[0]) if words else None
    if command is not None and "json" not in command.flags:
        return False  # exec: its words are the container's
    ours = words[: words.index("--")] if "--" in words else words
    return "--json" in ours


def take_apart(name: str, command: Command, words: Sequence[str]) -> Words:
    """The words behind ``name``. Raises UsageError, HelpWanted."""
    found = Words([], {}, set())
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if word == "--" or (name == "exec" and found.rest and not word.startswith("--")):
            found.rest.extend(waiting if word == "--" else [word, *waiting])
            break
        if word in _HELP:
            raise HelpWanted
        if not word.startswith("--"):
            found.rest.append(word)
            continue
        option, equals, value = word[2:].partition("=")
        if option in command.flags and not equals:
            found.flags.add(option)
        elif option in command.options and (equals or waiting):
            found.options[option] = value if equals else waiting.pop(0)
        else:
            raise UsageError(_("{name} does not accept {word}.").format(name=name, word=clean(word, 60)))
    low, high = command.arguments
    if not low <= len(found.rest) <= high:
        raise UsageError(_("Usage: {usage}").format(usage=command.usage))
    return found


def overview(commands: Mapping[str, Command]) -> str:
    """The text of ``help``."""
    return "\n".join(
        [
            _("Usage: ssh [-t] openlxd@HOST [COMMAND]"),
            "",
            _("With a terminal and no command, the console opens. Without a terminal, use these commands:"),
            "",
            *_columns([(command.usage, _(command.about)) for command in commands.values()]),
            "",
            _("Run “COMMAND --help” for details. “ssh -t openlxd@HOST NAME” opens a shell in NAME."),
        ]
    )


def _columns(rows: Sequence[tuple[str, str]]) -> list[str]:
    width = max(cell_len(left) for left, _right in rows)
    return [f"  {left}{' ' * (width - cell_len(left))}  {right}" for left, right in rows]
