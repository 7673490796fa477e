"""Every key there is, read from the bindings themselves, and how things work in a few lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widget import Widget

from openlxd_core.i18n import N_, _
from openlxd_tui.screens.page import Page
from openlxd_tui.session import Session, session_of
from openlxd_tui.widgets.banner import Banner
from openlxd_tui.widgets.key_bar import KeyBar, key_name
from openlxd_tui.widgets.paint import style_for, width_of
from openlxd_tui.widgets.record_table import RecordTable
from openlxd_tui.widgets.top_bar import TopBar

if TYPE_CHECKING:
    from textual.dom import DOMNode

WORDS: tuple[str, ...] = (
    N_("A container is a small Linux machine of your own. You start, stop and delete it here, and you are root in it."),
    N_("Long operations continue on their own. You can quit, and see the result when you come back."),
    N_("Type exit or press Ctrl-D in a shell to come back here."),
)


class Keys(Widget):
    """The help's text."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "Keys { height: auto; padding: 1 2; }"

    def _sections(self) -> list[tuple[str, type[DOMNode]]]:
        """The page that the help was opened from, what holds in every table and everywhere, then the other pages."""
        here, others = self.session.help_pages()
        return [*here, (N_("In a table"), RecordTable), (N_("Everywhere"), type(self.app)), *others]

    @property
    def session(self) -> Session:
        """The session that this belongs to."""
        return session_of(self)

    def _ssh_lines(self) -> list[tuple[str, str]]:
        """What to type in one's own terminal, with a container that is there."""
        name = self.session.a_container() or "web1"
        ssh = self.session.ssh
        return [
            (ssh.command(), _(N_("this console"))),
            (ssh.command(name, terminal=True), _(N_("a shell in a container"))),
            (ssh.command("exec", name, "--", "ls"), _(N_("one command in it"))),
            (ssh.command("help"), _(N_("every command"))),
        ]

    def render(self) -> Text:
        """The keys of the screen that one came from, the way here from one's own terminal, then everything else."""
        text = Text(end="", overflow="fold")
        for number, (title, node) in enumerate(self._sections()):
            text.append("\n" * (number > 0))
            self._section(text, title, node)
            if number == 0:
                text.append("\n" + _(N_("In your own terminal")) + "\n", style_for(self.app, "accent", bold=True))
                for line, words in self._ssh_lines():
                    text.append(line, style_for(self.app, "cool"))
                    text.append("  " + words + "\n", style_for(self.app, "quiet"))
        text.append("\n" + _(N_("How it works")) + "\n", style_for(self.app, "accent", bold=True))
        for words in WORDS:
            text.append(_(words) + "\n", style_for(self.app, "text"))
        return text

    def _section(self, text: Text, title: str, node: type[DOMNode]) -> None:
        columns = 2 if self.size.width >= 90 else 1
        text.append(_(title) + "\n", style_for(self.app, "accent", bold=True))
        lines = self._lines(node, admin=self.session.actor.is_admin)
        half = -(-len(lines) // columns)
        for index in range(half):
            for keys, words in lines[index::half]:
                text.append(" " * max(0, 12 - width_of(((keys, "text"),))) + keys + "  ", style_for(self.app, "cool"))
                pad = max(1, 34 - width_of(((words, "text"),))) if columns > 1 else 0
                text.append(words + " " * pad, style_for(self.app, "quiet"))
            text.append("\n")

    @staticmethod
    def _lines(node: type[DOMNode], *, admin: bool) -> list[tuple[str, str]]:
        lines: dict[str, list[str]] = {}
        bindings = [b for kind in reversed(node.__mro__) for b in own_bindings(kind)]
        for binding in bindings:
            if isinstance(binding, Binding) and binding.description and (admin or not is_admins(binding)):
                keys = [key_name(key.strip()) for key in binding.key.split(",")]
                lines.setdefault(_(binding.description), []).extend(keys)
        return [(" ".join(dict.fromkeys(keys)), words) for words, keys in lines.items()]


_ADMINS = ("unmanaged", "suspend", "unsuspend", "pin", "unpin", "hide", "unhide")


def is_admins(binding: Binding) -> bool:
    """Whether a binding is for admins only, and is not to be shown to tenants."""
    return "users" in binding.action or binding.action in _ADMINS


def own_bindings(kind: type) -> list[BindingType]:
    """The bindings that one class of ours adds to those of the classes above it."""
    return list(vars(kind).get("BINDINGS", ())) if kind.__module__.startswith("openlxd_tui") else []


class HelpPage(Page):
    """Screen 3."""

    PAGE = "help"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "app.go('containers')", N_("Back")),
        Binding("down,j", "scroll(1)", N_("Down"), show=False),
        Binding("up,k", "scroll(-1)", N_("Up"), show=False),
        Binding("pagedown,space", "scroll(10)", N_("Page down"), show=False),
        Binding("pageup", "scroll(-10)", N_("Page up"), show=False),
    ]

    def compose(self) -> ComposeResult:
        """Bar, text, keys."""
        yield TopBar()
        yield Banner()
        with VerticalScroll(id="help", can_focus=False):
            yield Keys()
        yield KeyBar()

    def action_scroll(self, by: int) -> None:
        """Up or down."""
        self.query_one("#help").scroll_relative(y=by, animate=False)

    def retranslate(self) -> None:
        """The text too."""
        super().retranslate()
        self.query_one(Keys).refresh(layout=True)
