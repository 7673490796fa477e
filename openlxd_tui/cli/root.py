"""Which commands there are. Each is imported only when it is called.

The list itself is data, so that the documentation's test can read it and ``--help`` speaks the caller's language.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import cyclopts
from cyclopts import App, Parameter

from openlxd_core.domain.errors import BadRequest, OpenLXDError, unusable
from openlxd_core.i18n import N_, Translator, _, set_translator
from openlxd_tui.cli import context, exits

COMMANDS: tuple[tuple[str, str, str], ...] = (
    ("up", "servers:up", N_("Start the SSH console and the API, and keep them running.")),
    ("ssh", "servers:ssh", N_("Run the SSH console alone.")),
    ("api", "servers:api", N_("Run the API alone.")),
    ("tui", "local:tui", N_("Open the admin console here, on this terminal.")),
    ("setup", "machine:setup", N_("Install and prepare LXD on this machine.")),
    ("doctor", "machine:doctor", N_("Check everything the product needs, and say how to mend what is wrong.")),
    ("user add", "users:add", N_("Make an account.")),
    ("user list", "users:list_users", N_("List the accounts.")),
    ("user passwd", "users:passwd", N_("Give an account a new password.")),
    ("user suspend", "users:suspend", N_("Close every door to an account; its containers go on.")),
    ("user activate", "users:activate", N_("Open the doors again.")),
    ("user delete", "users:delete", N_("Delete an account.")),
    ("user quota", "users:quota", N_("Show or change what an account may have.")),
    ("user key api", "keys:api", N_("Make a new API key for an account; the old one is dead at once.")),
    ("user key system", "keys:system", N_("Show or choose the admin that the system API key acts as.")),
    ("user key list", "keys:list_keys", N_("List an account's SSH keys.")),
    ("user key add", "keys:add", N_("Register an SSH public key for an account.")),
    ("user key delete", "keys:delete", N_("Remove an SSH key.")),
    ("container list", "containers:list_containers", N_("List everybody's containers.")),
    ("container adopt", "containers:adopt", N_("Give a container that LXD already holds to an account.")),
    ("container suspend", "containers:suspend", N_("Stop a container and lock its owner out of it.")),
    ("container unsuspend", "containers:unsuspend", N_("End a container's suspension; start it if it ran.")),
    ("image list", "images:list_images", N_("List the images that LXD holds.")),
    ("image remote", "images:remote", N_("List the images that the image servers offer.")),
    ("image import", "images:import_image", N_("Import an image and wait for it.")),
    ("image delete", "images:delete", N_("Delete an image. Containers made from it keep working.")),
    ("db upgrade", "database:upgrade", N_("Bring the database to this version.")),
    ("db backup", "database:backup", N_("Write a copy of the database to a file, also while it is in use.")),
    ("db restore", "database:restore", N_("Put a copy in the database's place. Refused while the servers run.")),
    ("db check", "database:check", N_("Check the database.")),
    ("config show", "config:show", N_("Show every setting in force and where it was said.")),
    ("version", "config:version", N_("Show the version.")),
)
"""Name, ``module:function`` in this package, and what it does."""

GROUPS: dict[str, str] = {
    "user": N_("Accounts, their passwords, quotas and keys."),
    "user key": N_("An account's API key and SSH keys."),
    "container": N_("Containers of all accounts."),
    "image": N_("Images that LXD holds, and those that are offered."),
    "db": N_("The database."),
    "config": N_("The settings."),
}

SUMMARY = N_("OpenLXD: containers for tenants, over SSH, on one LXD host.")


def build(*, print_error: bool = True) -> App:
    """The command line, in the language that is set; mistakes in its use are printed by it unless ``print_error`` is
    False.
    """
    root = App(
        name="openlxd",
        help=_(SUMMARY),
        version=_version,
        help_format="plaintext",
        help_formatter="plain",
        error_formatter=_usage_error,
        exit_on_error=False,
        print_error=print_error,
        help_on_error=False,
        suppress_keyboard_interrupt=False,
        result_action="return_value",
    )
    apps: dict[str, App] = {"": root}
    for name, text in GROUPS.items():
        parent, _space, last = name.rpartition(" ")
        apps[name] = App(name=last, help=_(text))
        apps[parent].command(apps[name])
    for name, target, text in (*COMMANDS, ("_prepare", "servers:prepare", "")):
        parent, _space, last = name.rpartition(" ")
        module, _colon, function = target.partition(":")
        shown = not last.startswith("_")
        apps[parent].command(f"openlxd_tui.cli.{module}:{function}", name=last, help=_(text) or None, show=shown)
    root.meta.default(_launch(root))
    return root


def _launch(root: App) -> Any:
    def launch(
        *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
        config: Annotated[Path | None, Parameter(help=_("Read this settings file."))] = None,
        set_: Annotated[
            list[str] | None, Parameter(name="--set", help=_("A setting for this run, as ssh_port=2022."), negative="")
        ] = None,
        quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], help=_("Say nothing but data."), negative="")] = False,
        lang: Annotated[str | None, Parameter(help=_("The language: en or zh."))] = None,
    ) -> Any:
        del lang  # read before anything could be said
        context.options.config = config
        context.options.quiet = quiet
        context.options.overrides = dict(_setting(text) for text in set_ or ())
        return root(tokens)

    return launch


def _setting(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise BadRequest(N_("Write a setting as name=value, not “{text}”."), text=text[:60])
    return name.strip().lower().removeprefix("openlxd_"), value


def _version() -> str:
    from openlxd_tui.cli.config import product_version

    return product_version()


def _usage_error(error: cyclopts.CycloptsError) -> str:
    return _("Error: {reason}").format(reason=_mistake(error))


def _mistake(error: cyclopts.CycloptsError) -> str:
    return " ".join(str(error).split())


_TAKE_A_VALUE = ("--config", "--set", "--lang")


def _explained(arguments: Sequence[str]) -> list[str]:
    """``help user list`` as ``user list --help``. Raises BadRequest for a command that does not exist."""
    words = list(arguments)
    first = 0
    while first < len(words) and words[first].startswith("-"):
        first += 2 if words[first] in _TAKE_A_VALUE else 1
    if first >= len(words) or words[first] != "help":
        return words
    asked = [word for word in words[first + 1 :] if not word.startswith("-")]
    name = " ".join(asked)
    if name and name not in GROUPS and name not in {known for known, _target, _text in COMMANDS}:
        raise BadRequest(N_("There is no command “{name}”. Try: openlxd --help"), name=name[:60])
    return [*words[:first], *asked, "--help"]


def language(arguments: Sequence[str]) -> str:
    """The language the caller reads: ``--lang``, ``OPENLXD_LANG``, or the terminal's own."""
    for i, argument in enumerate(arguments):
        if argument == "--lang" and i + 1 < len(arguments):
            return arguments[i + 1]
        if argument.startswith("--lang="):
            return argument.removeprefix("--lang=")
    names = ("OPENLXD_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
    return next((os.environ[name] for name in names if os.environ.get(name)), "en")


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit code."""
    set_translator(Translator(language(arguments)))
    json = "--json" in (arguments[: arguments.index("--")] if "--" in arguments else arguments)
    context.options = context.Options(json=json)
    try:
        arguments = _explained(arguments)
    except BadRequest as error:
        context.fail(error)
        return exits.USAGE
    try:
        result = build(print_error=not json).meta(list(arguments))
    except cyclopts.CycloptsError as error:  # it has printed its line
        if json:
            context.fail(BadRequest("{reason}", reason=_mistake(error)))
        return exits.USAGE
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
