"""What an account prefers in the terminal UI: theme, language, and how each table is sorted and which columns it shows.

Preferences come from the account's own sessions and go into its next one, through another version of the program
perhaps: what is written is checked strictly, what is read leniently (anything unknown is left out).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from openlxd_core.domain.errors import ValidationFailed
from openlxd_core.i18n import LANGUAGES, N_

BYTES_MAX = 4096
"""Maximum bytes of one account's preferences in the database, as JSON."""
TABLES_MAX = 16
COLUMNS_MAX = 32
_KEY = re.compile(r"[a-z0-9][a-z0-9_.-]{0,31}")


@dataclass(frozen=True)
class TableView:
    """How one table is shown."""

    sort: str | None = None
    """A column's key; an empty string keeps the order in which rows come; None is the table's own choice."""
    reverse: bool = False
    columns: tuple[str, ...] | None = None
    """The columns shown; empty for the default."""


@dataclass(frozen=True)
class Preferences:
    """Everything that is remembered for one account. Empty values mean the default."""

    theme: str = ""
    language: str = ""
    tables: Mapping[str, TableView] = field(default_factory=lambda: MappingProxyType({}))

    def with_table(self, name: str, view: TableView) -> Preferences:
        """The same, with another view of one table."""
        return Preferences(self.theme, self.language, MappingProxyType({**self.tables, name: view}))

    def to_json(self) -> dict[str, Any]:
        """The plain form that is stored; defaults are left out."""
        tables = {name: _view_to_json(view) for name, view in self.tables.items()}
        known: dict[str, Any] = {"theme": self.theme, "language": self.language, "tables": tables}
        return {name: value for name, value in known.items() if value}


def _view_to_json(view: TableView) -> dict[str, Any]:
    known: dict[str, Any] = {"sort": view.sort, "reverse": view.reverse or None, "columns": view.columns}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in known.items() if v is not None}


def check_preferences(preferences: Preferences) -> dict[str, Any]:
    """The stored form of preferences. Raises ValidationFailed for invalid names and for too much data."""
    names = [preferences.theme, *preferences.tables]
    for view in preferences.tables.values():
        names += [view.sort or "", *(view.columns or ())]
    fits = len(preferences.tables) <= TABLES_MAX and all(
        len(view.columns or ()) <= COLUMNS_MAX for view in preferences.tables.values()
    )
    known = preferences.language in ("", *LANGUAGES) and "" not in preferences.tables
    stored = preferences.to_json()
    if not (fits and known and all(not n or (isinstance(n, str) and _KEY.fullmatch(n)) for n in names)):
        raise ValidationFailed.of("preferences", N_("These preferences cannot be stored."))
    if len(json.dumps(stored)) > BYTES_MAX:
        raise ValidationFailed.of(
            "preferences", N_("Preferences take at most {limit} bytes for one account."), limit=BYTES_MAX
        )
    return stored


def read_preferences(stored: Any) -> Preferences:
    """Preferences from the database; invalid or unknown values are dropped."""
    if not isinstance(stored, dict):
        return Preferences()
    tables = stored.get("tables")
    views = {
        name: _read_view(view)
        for name, view in list((tables if isinstance(tables, dict) else {}).items())[:TABLES_MAX]
        if _KEY.fullmatch(name) and isinstance(view, dict)
    }
    theme, language = _name(stored.get("theme")), stored.get("language")
    return Preferences(theme or "", language if language in LANGUAGES else "", MappingProxyType(views))


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) and (not value or _KEY.fullmatch(value)) else None


def _read_view(view: Mapping[str, Any]) -> TableView:
    columns = view.get("columns")
    chosen = tuple(filter(None, map(_name, columns[:COLUMNS_MAX]))) if isinstance(columns, list) else None
    return TableView(_name(view.get("sort")), view.get("reverse") is True, chosen or None)
