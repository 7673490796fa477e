"""Reading the words of a command, through cyclopts, for both doors."""

from __future__ import annotations

import io
import shlex
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import cyclopts
from cyclopts import App, Parameter
from rich.console import Console

from openlxd_core.i18n import _
from openlxd_tui.commands.call import UsageError
from openlxd_tui.commands.help import HelpFormatter
from openlxd_tui.commands.mistakes import ssh_mistake
from openlxd_tui.commands.table import GROUPS, PROGRAM_PREFIX, Door, Verb, verbs_of

LINE_MAX = 64 * 1024
"""Characters of one command line."""
WORDS_MAX = 100
"""Words that cyclopts is given: it takes 30 µs for each, and all sessions wait meanwhile."""
RELAYED_MAX = 1000
"""Words of a command that runs in a container."""
GROUPED = "*"
"""cyclopts' name of a parameter that stands for several options, each of which it lists as well."""
HELP_WIDTH = 100
"""Columns of a help page where there is no terminal."""


@dataclass(frozen=True)
class Parsed:
    """A command and the values for it; or what ``--help`` asks for."""

    verb: Verb
    function: Callable[..., Coroutine[Any, Any, int]] | None
    """None where the help is wanted."""
    args: Sequence[Any] = ()
    kwargs: dict[str, Any] | None = None


def add_commands(root: App, door: Door) -> None:
    """Give ``root`` the commands of ``door``, each imported when it is called or explained."""
    apps: dict[str, App] = {"": root}
    verbs = verbs_of(door)
    for name, text in GROUPS.items():
        if any(verb.name.startswith(f"{name} ") for verb in verbs):
            parent, _space, last = name.rpartition(" ")
            apps[name] = App(name=last, help=text, default_parameter=_REPEATED)
            apps[parent].command(apps[name])
    for verb in verbs:
        parent, _space, last = verb.name.rpartition(" ")
        options: dict[str, Any] = {"help_formatter": HelpFormatter(verb.call(door))}
        if door & Door.SSH:
            options["usage"] = verb.line
        elif verb.usage:
            options["usage"] = f"{PROGRAM_PREFIX} {verb.line}"
        apps[parent].command(verb.target, name=last, help=verb.about, **options)


_REPEATED = Parameter(allow_repeating=True)
"""Of an option that is given twice the last counts, as scripts expect that append to a command."""


def new_app(name: str, **options: Any) -> App:
    """An app of cyclopts that neither exits nor answers by itself."""
    return App(
        name=name,
        help_format="plaintext",
        help_formatter=HelpFormatter(),
        default_parameter=_REPEATED,
        exit_on_error=False,
        help_on_error=False,
        result_action="return_value",
        **options,
    )


class SshCommands:
    """The words that can follow ``ssh openlxd@HOST``.

    One object serves every session: reading is one call without an ``await``, and each text is translated when it is
    shown. cyclopts is never given a first word that is not a command (it reserves some for itself), and a console in
    memory, so that nothing it says could reach this process's own output.
    """

    def __init__(self) -> None:
        self._verbs = {verb.name: verb for verb in verbs_of(Door.SSH)}
        self._app = new_app("openlxd", version_flags=[], print_error=False)
        add_commands(self._app, Door.SSH)

    def find(self, words: Sequence[str]) -> Verb | None:
        """The command that ``words`` begin with."""
        for length in (2, 1):
            verb = self._verbs.get(" ".join(words[:length])) if len(words) >= length else None
            if verb is not None:
                return verb
        return None

    @property
    def names(self) -> Iterable[str]:
        """Every command."""
        return self._verbs

    def wants_json(self, line: str) -> bool:
        """Whether the answer to ``line``, and be it that it cannot be understood, is for a program."""
        try:
            words = shlex.split(line)
        except ValueError:
            words = line.split()
        verb = self.find(words)
        if verb is not None and (verb.relays or verb.terminal):
            return False  # its words are the container's
        return "--json" in (words[: words.index("--")] if "--" in words else words)

    def parse(self, verb: Verb, words: Sequence[str]) -> Parsed:
        """The values for ``verb``, which ``words`` begin with. Raises UsageError."""
        own, inner = relayed(verb, words) if verb.relays else (list(words), [])
        usage = _("Usage: {usage}").format(usage=verb.line)
        if len(own) > WORDS_MAX or len(inner) > RELAYED_MAX:
            raise UsageError(usage)
        tokens = [*own, "--", *inner[:2]] if inner else own
        nowhere = Console(file=io.StringIO())
        try:
            function, bound, _ignored = self._app.parse_args(tokens, console=nowhere, error_console=nowhere)
        except cyclopts.CycloptsError as error:
            raise UsageError(ssh_mistake(error, verb.name, verb.line)) from None
        if isinstance(getattr(function, "__self__", None), App):
            return Parsed(verb, None)
        return Parsed(verb, function, (*bound.args, *inner[2:]), bound.kwargs)

    def help(self, verb: Verb, width: int = HELP_WIDTH) -> str:
        """What ``COMMAND --help`` prints."""
        written = io.StringIO()
        console = Console(file=written, width=width, color_system=None, force_terminal=False)
        self._app.help_print(verb.name.split(), console=console)
        return written.getvalue().rstrip("\n")

    def record(self, verb: Verb) -> dict[str, Any]:
        """The same for a program."""
        options = {}
        app = self._app
        for word in verb.name.split():
            app = app[word]
        for argument in app.assemble_argument_collection(parse_docstring=False):
            if argument.parse and argument.index is None and argument.name != GROUPED:
                metavar = argument.parameter.metavar
                written = " ".join([*argument.names, *([metavar] if metavar else [])])
                text = argument.parameter.help
                options[written] = _(text) if text else ""
        return {
            "usage": verb.line,
            "about": _(verb.about),
            "options": options,
            "example": verb.call(Door.SSH),
        }


@cache
def ssh_commands() -> SshCommands:
    """The one object that reads what comes by SSH."""
    return SshCommands()


def split(line: str) -> list[str]:
    """The words of a command line, as a shell would see them. Raises UsageError."""
    if len(line) > LINE_MAX:
        raise UsageError(_("This command is too long."))
    try:
        return shlex.split(line)
    except ValueError:
        raise UsageError(_("The quotes in this command do not match.")) from None


def relayed(verb: Verb, words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words of the command itself, and those that belong to the command inside.

    They begin behind ``--``, or with the first word behind the first argument that is no option: ``exec web1 tar
    --help`` asks tar.
    """
    start = len(verb.name.split())
    named = False
    for i in range(start, len(words)):
        word = words[i]
        if word == "--":
            return list(words[:i]), list(words[i + 1 :])
        if named and not word.startswith("--"):
            return list(words[:i]), list(words[i:])
        named = named or not word.startswith("-")
    return list(words), []
