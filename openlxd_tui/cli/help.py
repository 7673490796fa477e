"""``--help`` and mistakes in usage, in the caller's language.

cyclopts prints both in English only (its formatter and its exceptions hold the words), so this module has a
formatter of its own and words each kind of mistake. Help texts are marked with ``N_`` where they stand and translated
here, when they are shown: the modules that hold them are imported once, whatever language is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cyclopts
from rich.cells import cell_len

from openlxd_core.i18n import N_, _

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions

GLOBAL_OPTIONS = N_("Global options")
"""The group of what every command takes."""
_ARGUMENTS = N_("Arguments")
_TITLES = {"Commands": N_("Commands"), "Parameters": N_("Options"), "Arguments": _ARGUMENTS}
_CYCLOPTS = (N_("Display this message and exit."), N_("Display application version."))
"""cyclopts' own sentences about --help and --version, named here for the catalogues."""
_LABEL_WIDTH_MAX = 34


class HelpFormatter:
    """Usage, description and tables of a help page as plain text; cyclopts calls it in that order."""

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:
        """The usage line; placeholders that stand for themselves are translated, names of arguments are not."""
        placeholders = {"COMMAND": _("COMMAND"), "[OPTIONS]": _("[OPTIONS]"), "[ARGS]": _("[ARGS]"),
                        "[ARGS...]": _("[ARGS...]")}  # fmt: skip
        words = (placeholders.get(word, word) for word in _plain(usage).split())
        _print(console, _("Usage: {usage}").format(usage=" ".join(words)), "")

    def render_description(self, console: Console, options: ConsoleOptions, description: Any) -> None:
        """What the command does."""
        text = _(_plain(description))
        if text:
            _print(console, text, "")

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """One table of commands, or one of arguments and one of options."""
        title = _plain(panel.title)
        if panel.format == "command":
            _print_table(console, _TITLES.get(title, title), panel.entries)
            return
        positional = [entry for entry in panel.entries if entry.positional_label]
        others = [entry for entry in panel.entries if not entry.positional_label]
        _print_table(console, _ARGUMENTS, positional)
        _print_table(console, _TITLES.get(title, title), others)


def _print_table(console: Console, title: str, entries: Sequence[HelpEntry]) -> None:
    from rich.text import Text

    if not entries:
        return
    rows = [(_label(entry), Text(_meaning(entry))) for entry in entries]
    width = min(_LABEL_WIDTH_MAX, max(cell_len(label) for label, _meant in rows))
    _print(console, f"{_(title)}{_(':')}")
    for label, meaning in rows:
        wrapped = [line.plain.rstrip() for line in meaning.wrap(console, max(20, console.width - width - 4))]
        for i, line in enumerate(wrapped or [""]):
            left = label if i == 0 else ""
            _print(console, f"  {left}{' ' * (width - cell_len(left))}  {line}".rstrip())
    _print(console, "")


def _plain(text: Any) -> str:
    """Text of cyclopts, rich or our own without its styles."""
    if text is None:
        return ""
    if not hasattr(text, "plain") and hasattr(text, "primary_renderable"):
        text = text.primary_renderable
    return str(getattr(text, "plain", text) or "").strip()


def _print(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _label(entry: HelpEntry) -> str:
    if entry.positional_label:  # its --name works, too, and says nothing more
        return entry.positional_label
    return ", ".join(entry.display_labels_with_metavar)


def _meaning(entry: HelpEntry) -> str:
    parts = [_(_plain(entry.description))]
    if entry.choices:
        parts.append(_("[choices: {choices}]").format(choices=", ".join(entry.choices)))
    if entry.default not in (None, "", '""', "False", "None"):
        parts.append(_("[default: {value}]").format(value=entry.default))
    if entry.required:
        parts.append(_("[required]"))
    return " ".join(filter(None, parts))


def mistake(error: cyclopts.CycloptsError) -> str:
    """What is wrong with the words of a command, in one sentence."""
    name = _name(error)
    if isinstance(error, cyclopts.UnknownCommandError) and error.unused_tokens:
        return _("There is no command “{name}”. Try: {help}").format(name=error.unused_tokens[0], help=_help(error))
    if isinstance(error, cyclopts.MissingArgumentError):
        return _("{name} is missing. Try: {help}").format(name=name, help=_help(error))
    if isinstance(error, cyclopts.CoercionError) and error.token is not None:
        choices = error.argument.get_choices() if error.argument is not None else None
        if choices:
            return _("“{value}” is not allowed for {name}. Choose from: {choices}").format(
                value=error.token.value, name=name, choices=", ".join(choices)
            )
        return _("“{value}” is not allowed for {name}. Try: {help}").format(
            value=error.token.value, name=name, help=_help(error)
        )
    token = getattr(error, "token", None)
    if isinstance(error, cyclopts.UnknownOptionError) and token is not None:
        return _("There is no option “{name}”. Try: {help}").format(
            name=token.keyword or token.value, help=_help(error)
        )
    if isinstance(error, cyclopts.UnusedCliTokensError) and error.unused_tokens:
        return _("Unexpected argument “{name}”. Try: {help}").format(name=error.unused_tokens[0], help=_help(error))
    return " ".join(str(error).split())


def _name(error: cyclopts.CycloptsError) -> str:
    """The option as it was written, or the argument as the usage line calls it."""
    token = getattr(error, "token", None)
    keyword = getattr(error, "keyword", None) or (token.keyword if token is not None else None)
    if keyword:
        return str(keyword)
    argument = error.argument
    if argument is None:
        return ""
    return argument.name.lstrip("-").upper() if argument.index is not None else argument.name


def _help(error: cyclopts.CycloptsError) -> str:
    return " ".join(["openlxd", *(error.command_chain or ()), "--help"])
