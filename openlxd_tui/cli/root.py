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
from cyclopts import App, Group, Parameter

from openlxd_core.domain.errors import BadRequest, OpenLXDError, unusable
from openlxd_core.i18n import LANGUAGES, N_, Translator, _, set_translator
from openlxd_tui.cli import context, exits
from openlxd_tui.cli.help import GLOBAL_OPTIONS, HelpFormatter, mistake

COMMANDS: tuple[tuple[str, str, str], ...] = (
    ("up", "servers:up", N_("Start the SSH console and the API, and restart either one if it exits.")),
    ("ssh", "servers:ssh", N_("Run only the SSH console.")),
    ("api", "servers:api", N_("Run only the API.")),
    ("tui", "local:tui", N_("Open the admin console in this terminal.")),
    ("setup", "machine:setup", N_("Install and configure LXD on this machine.")),
    ("doctor", "machine:doctor", N_("Check the installation and tell how to fix problems.")),
    ("user add", "users:add", N_("Create an account. Its API key is printed once.")),
    ("user list", "users:list_users", N_("List accounts.")),
    ("user passwd", "users:passwd", N_("Set an account's password. Its sessions and tokens end.")),
    ("user suspend", "users:suspend", N_("Suspend an account. Its containers keep running.")),
    ("user activate", "users:activate", N_("Reactivate a suspended account.")),
    ("user delete", "users:delete", N_("Delete an account. Refused while it owns containers.")),
    ("user quota", "users:quota", N_("Show or change an account's quota.")),
    ("user key api", "keys:api", N_("Create a new API key for an account. The old key stops working immediately.")),
    ("user key system", "keys:system", N_("Show or change the admin account that the system API key uses.")),
    ("user key list", "keys:list_keys", N_("List an account's SSH keys.")),
    ("user key add", "keys:add", N_("Add an SSH public key to an account.")),
    ("user key delete", "keys:delete", N_("Delete an SSH key.")),
    ("container list", "containers:list_containers", N_("List the containers of all accounts.")),
    ("container adopt", "containers:adopt", N_("Assign an existing LXD container to an account.")),
    ("container suspend", "containers:suspend", N_("Suspend a container: stop it and block its owner's access.")),
    (
        "container unsuspend",
        "containers:unsuspend",
        N_("Unsuspend a container. It is started if it was running before."),
    ),
    ("image list", "images:list_images", N_("List the images on this host.")),
    ("image remote", "images:remote", N_("List the images that the image servers offer.")),
    ("image import", "images:import_image", N_("Import an image and wait until it is done.")),
    ("image delete", "images:delete", N_("Delete an image. Containers created from it keep working.")),
    ("db upgrade", "database:upgrade", N_("Migrate the database to this version. A backup is made first.")),
    ("db backup", "database:backup", N_("Back up the database to a file, also while the servers run.")),
    ("db restore", "database:restore", N_("Restore the database from a backup. Refused while the servers run.")),
    ("db check", "database:check", N_("Check the integrity of the database.")),
    ("config show", "config:show", N_("Show every setting with its value and source.")),
    ("version", "config:version", N_("Show the version.")),
)
"""Name, ``module:function`` in this package, and what it does."""

GROUPS: dict[str, str] = {
    "user": N_("Manage accounts, passwords, quotas and keys."),
    "user key": N_("Manage API keys and SSH keys."),
    "container": N_("Manage the containers of all accounts."),
    "image": N_("Manage images."),
    "db": N_("Manage the database."),
    "config": N_("Show the configuration."),
}

SUMMARY = N_("OpenLXD: a multi-tenant hosting console for LXD.")


def build(*, print_error: bool = True) -> App:
    """The command line, in the language that is set; mistakes in its use are printed by it unless ``print_error`` is
    False.
    """
    root = App(
        name="openlxd",
        help=_(SUMMARY),
        version=_version,
        help_format="plaintext",
        help_formatter=HelpFormatter(),
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
    return _("Error: {reason}").format(reason=mistake(error))


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
    try:
        result = build(print_error=not json).meta(list(arguments))
    except cyclopts.CycloptsError as error:  # it has printed its line
        if json:
            context.fail(BadRequest("{reason}", reason=mistake(error)))
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
