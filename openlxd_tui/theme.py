"""The palette, light and dark, and a stylesheet that sessions share.

The colours are charcoal and jade. Each was chosen to lie on, or next to, one of xterm's 256 colours: most
clients of the SSH console announce no more than those, and the console is to look the same there. Text stands at
7:1 or better on the background, the quiet text at 4.5:1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textual.css.model import RuleSet
from textual.css.stylesheet import CssSource, Stylesheet
from textual.css.types import CSSLocation
from textual.theme import Theme

ROLES: dict[str, dict[str, str]] = {
    "openlxd-dark": {
        "text": "#dadada", "quiet": "#9e9e9e", "faint": "#767676",
        "good": "#5fd7af", "warn": "#ffd787", "bad": "#ff8787", "busy": "#ffd787",
        "accent": "#5fd7af", "cool": "#87afff",
    },
    "openlxd-light": {
        "text": "#262626", "quiet": "#585858", "faint": "#808080",
        "good": "#00705f", "warn": "#875f00", "bad": "#af0000", "busy": "#875f00",
        "accent": "#00705f", "cool": "#005faf",
    },
}  # fmt: skip
"""By theme: the value of each colour role that :mod:`openlxd_tui.formatting` names."""


def _variables(
    roles: Mapping[str, str], ground: str, raised: str, cursor: str, line: str, on_accent: str
) -> dict[str, str]:
    named = {f"ox-{name}": value for name, value in roles.items()}
    return named | {
        "ox-ground": ground,
        "ox-raised": raised,
        "ox-cursor": cursor,
        "ox-line": line,
        "ox-on-accent": on_accent,
        "border": roles["accent"],
        "border-blurred": line,
        "input-cursor-background": roles["accent"],
        "input-cursor-foreground": on_accent,
        "input-selection-background": cursor,
        "block-cursor-background": roles["accent"],
        "block-cursor-foreground": on_accent,
        "block-cursor-text-style": "bold",
        "scrollbar": line,
        "scrollbar-hover": roles["quiet"],
        "scrollbar-active": roles["accent"],
        "scrollbar-background": ground,
        "scrollbar-background-hover": ground,
        "scrollbar-background-active": ground,
        "scrollbar-corner-color": ground,
    }


DARK = Theme(
    name="openlxd-dark",
    primary="#5fd7af",
    secondary="#87afff",
    accent="#5fd7af",
    success="#5fd7af",
    warning="#ffd787",
    error="#ff8787",
    foreground="#dadada",
    background="#1c1c1c",
    surface="#262626",
    panel="#303030",
    dark=True,
    variables=_variables(ROLES["openlxd-dark"], "#1c1c1c", "#262626", "#3a3a3a", "#444444", "#121212"),
)
LIGHT = Theme(
    name="openlxd-light",
    primary="#00705f",
    secondary="#005faf",
    accent="#00705f",
    success="#00705f",
    warning="#875f00",
    error="#af0000",
    foreground="#262626",
    background="#f4f4f2",
    surface="#e9e9e6",
    panel="#e0e0dc",
    dark=False,
    variables=_variables(ROLES["openlxd-light"], "#f4f4f2", "#e9e9e6", "#d0d0d0", "#c6c6c6", "#ffffff"),
)
THEMES = {theme.name: theme for theme in (DARK, LIGHT)}

_system_variables: dict[str, dict[str, str]] = {}


def system_variables(theme: Theme) -> dict[str, str]:
    """The CSS variables of ``theme``; Textual's colour arithmetic for it is done once a process."""
    if theme.name not in _system_variables:
        _system_variables[theme.name] = {**theme.to_color_system().generate(), **theme.variables}
    return _system_variables[theme.name]


class SharedStylesheet(Stylesheet):
    """A stylesheet whose parsed rules belong to the process: the second session parses nothing.

    Rule sets are read-only once parsed, and depend on nothing but their source and the theme's variables.
    """

    _parsed: ClassVar[dict[tuple[Any, ...], list[RuleSet]]] = {}
    _tokens: ClassVar[dict[tuple[tuple[str, str], ...], Any]] = {}

    def __init__(self, *, variables: dict[str, str] | None = None) -> None:
        super().__init__(variables=variables)
        self._fingerprint = tuple(sorted(self._variables.items()))

    def set_variables(self, variables: dict[str, str]) -> None:
        """Take another theme's variables."""
        super().set_variables(variables)
        self._fingerprint = tuple(sorted(variables.items()))

    @property
    def _variable_tokens(self) -> Any:
        tokens = self._tokens.get(self._fingerprint)
        if tokens is None:
            tokens = self._tokens[self._fingerprint] = super()._variable_tokens
        return tokens

    def _parse_rules(
        self,
        css: str,
        read_from: CSSLocation,
        is_default_rules: bool = False,
        tie_breaker: int = 0,
        scope: str = "",
    ) -> list[RuleSet]:
        key = (css, read_from, is_default_rules, tie_breaker, scope, self._fingerprint)
        rules = self._parsed.get(key)
        if rules is None:
            rules = self._parsed[key] = super()._parse_rules(css, read_from, is_default_rules, tie_breaker, scope)
            self._parse_cache.clear()
        return rules

    def reparse(self) -> None:
        """Take the rules anew; with the shared rules at hand that is a walk over a list."""
        self._require_parse = True
        self._rules_map = None
        self.parse()

    def read(self, filename: Any) -> None:
        """Read a file of rules, once a process."""
        path = str(filename)
        source = _FILES.get(path)
        if source is None:
            super().read(filename)
            _FILES[path] = self.source[(path, "")]
        else:
            self.source[(path, "")] = source
            self._require_parse = True


_FILES: dict[str, CssSource] = {}
