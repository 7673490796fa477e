"""``--help``, in the caller's language.

cyclopts prints it in English only (its formatter holds the words), so this module has a formatter of its own. Help
texts are marked with ``N_`` where they stand and translated here, when they are shown: the modules that hold them are
imported once, whatever language is asked for, and by SSH many languages share them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from openlxd_core.i18n import N_, _
from openlxd_tui.commands.table import Door, verbs_of

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
    """Usage, description, example and tables of a help page as plain text; cyclopts calls it in that order."""

    def __init__(self, example: str = "") -> None:
        self._example = example

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
        if self._example:
            _print(console, _("Example: {command}").format(command=self._example), "")

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


def overview() -> str:
    """What ``ssh openlxd@HOST help`` prints."""
    rows = [(verb.line, _(verb.about)) for verb in verbs_of(Door.SSH)]
    width = max(cell_len(line) for line, _about in rows)
    return "\n".join(
        [
            _("Usage: ssh [-t] openlxd@HOST [COMMAND]"),
            "",
            _("With a terminal and no command, the console opens. Without a terminal, use these commands:"),
            "",
            *(f"  {line}{' ' * (width - cell_len(line))}  {about}" for line, about in rows),
            "",
            _("Run “COMMAND --help” for details. “ssh -t openlxd@HOST NAME” opens a shell in NAME."),
        ]
    )
