"""The command line of the ``openlxd`` program: options for every command, the table's commands, and how each ends."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import cyclopts
from cyclopts import App, Group, Parameter

from openlxd_core.domain.errors import BadRequest, OpenLXDError, unusable
from openlxd_core.i18n import LANGUAGES, N_, Translator, _, set_translator
from openlxd_tui.cli import context, exits
from openlxd_tui.commands.call import OperationFailed, UsageError
from openlxd_tui.commands.help import GLOBAL_OPTIONS
from openlxd_tui.commands.mistakes import mistake, unknown_command
from openlxd_tui.commands.parsing import add_commands, new_app
from openlxd_tui.commands.table import GROUPS, PROGRAM_PREFIX, Door, verbs_of

SUMMARY = N_("OpenLXD: a multi-tenant hosting console for LXD.")


def build(*, print_error: bool = True) -> App:
    """The command line; mistakes in its use are printed by it unless ``print_error`` is False."""
    root = new_app(
        PROGRAM_PREFIX,
        help=SUMMARY,
        version=_version,
        error_formatter=_usage_error,
        print_error=print_error,
        suppress_keyboard_interrupt=False,
    )
    add_commands(root, Door.PROGRAM)
    root.command("openlxd_tui.cli.servers:prepare", name="_prepare", show=False)
    root.meta.default(_launch(root))
    return root


_GLOBAL = Group(GLOBAL_OPTIONS, sort_key=1)


def _launch(root: App) -> Any:
    def launch(
        *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
        config: Annotated[
            Path | None, Parameter(help=N_("Read this settings file."), metavar="FILE", group=_GLOBAL)
        ] = None,
        set_: Annotated[
            list[str] | None,
            Parameter(
                name="--set",
                help=N_("Override a setting for this run, such as ssh_port=2022."),
                metavar="NAME=VALUE",
                negative="",
                group=_GLOBAL,
            ),
        ] = None,
        quiet: Annotated[
            bool, Parameter(name=["--quiet", "-q"], help=N_("Print results only."), negative="", group=_GLOBAL)
        ] = False,
        lang: Annotated[
            str | None,
            Parameter(help=N_("Language of messages and help."), metavar="|".join(LANGUAGES), group=_GLOBAL),
        ] = None,
    ) -> Any:
        del lang  # read before anything could be said
        context.options.config = config
        context.options.quiet = quiet
        context.options.overrides = dict(_setting(text) for text in set_ or ())
        return _call(root, tokens)

    return launch


def _call(root: App, tokens: Sequence[str]) -> Any:
    """Run one command to its end. Those of both doors get the core; the host's own open it where they need it."""
    function, bound, ignored = root.parse_args(tokens)
    if "at" in ignored:
        from openlxd_tui.cli.doors import call

        return asyncio.run(call(function, bound.args, bound.kwargs))
    result = function(*bound.args, **bound.kwargs)
    return asyncio.run(result) if inspect.iscoroutine(result) else result


def _setting(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise BadRequest(N_("Write a setting as name=value, not “{text}”."), text=text[:60])
    return name.strip().lower().removeprefix("openlxd_"), value


def _version() -> str:
    from openlxd_tui.cli.config import product_version

    return product_version()


def _usage_error(error: cyclopts.CycloptsError) -> str:
    return _("Error: {reason}").format(reason=mistake(error))


_TAKE_A_VALUE = ("--config", "--set", "--lang")


def _explained(arguments: Sequence[str]) -> list[str]:
    """``help user list`` as ``user list --help``. Raises UsageError for a command that does not exist."""
    words = list(arguments)
    first = 0
    while first < len(words) and words[first].startswith("-"):
        first += 2 if words[first] in _TAKE_A_VALUE else 1
    if first >= len(words) or words[first] != "help":
        return words
    asked = [word for word in words[first + 1 :] if not word.startswith("-")]
    name = " ".join(asked)
    known = {*GROUPS, *(verb.name for verb in verbs_of(Door.PROGRAM))}
    if name and name not in known:
        raise UsageError(unknown_command(name, known, "openlxd --help"))
    return [*words[:first], *asked, "--help"]


def _asked_language(arguments: Sequence[str]) -> str | None:
    """What ``--lang`` says, the last one counting; None without it."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    asked = None
    for i, argument in enumerate(own):
        if argument == "--lang" and i + 1 < len(own):
            asked = own[i + 1]
        elif argument.startswith("--lang="):
            asked = argument.removeprefix("--lang=")
    return asked


def language(arguments: Sequence[str]) -> str:
    """The language the caller reads: ``--lang``, ``OPENLXD_LANG``, or the terminal's own."""
    asked = _asked_language(arguments)
    if asked is not None:
        return asked
    names = ("OPENLXD_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
    return next((os.environ[name] for name in names if os.environ.get(name)), "en")


def _check_language(asked: str | None) -> None:
    """Refuse a ``--lang`` that has no translation: a typing error would silently mean English."""
    if asked is not None and asked not in LANGUAGES:
        raise BadRequest(
            N_("“{value}” is not allowed for {name}. Choose from: {choices}"),
            value=asked[:40],
            name="--lang",
            choices=", ".join(LANGUAGES),
        )


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit code."""
    set_translator(Translator(language(arguments)))
    json = "--json" in (arguments[: arguments.index("--")] if "--" in arguments else arguments)
    context.options = context.Options(json=json)
    try:
        _check_language(_asked_language(arguments))
        arguments = _explained(arguments)
    except BadRequest as error:
        context.fail(error)
        return exits.USAGE
    except UsageError as error:
        context.fail(BadRequest("{reason}", reason=str(error)))
        return exits.USAGE
    try:
        result = build(print_error=not json).meta(list(arguments))
    except cyclopts.CycloptsError as error:  # it has printed its line
        if json:
            context.fail(BadRequest("{reason}", reason=mistake(error)))
        return exits.USAGE
    except UsageError as error:
        context.fail(BadRequest("{reason}", reason=str(error)))
        return exits.USAGE
    except OperationFailed as error:
        context.fail(OpenLXDError("{reason}", reason=error.message.text(_)), code=error.code)
        return exits.exit_code_of(error.code)
    except OpenLXDError as error:
        context.fail(error)
        return exits.exit_code(error)
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except BrokenPipeError:  # `openlxd user list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.FAILED
    except OSError as error:
        if error.filename is None:
            raise
        said = unusable(error.filename, error)
        context.fail(said)
        return exits.exit_code(said)
    return result if isinstance(result, int) and not isinstance(result, bool) else exits.DONE
