"""What a session changes of its account's preferences, written to the database a moment later."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import structlog

from openlxd_core.domain.actor import Actor
from openlxd_core.domain.errors import OpenLXDError
from openlxd_core.domain.preferences import Preferences, TableView

if TYPE_CHECKING:
    from openlxd_core.bootstrap import Core

log = structlog.get_logger(__name__)

LAST_WRITE_SECONDS = 2.0


async def preferences_of(core: Core, actor: Actor) -> Preferences:
    """What the account chose before; nothing where that cannot be read: it must not keep anybody out."""
    try:
        return await core.preferences.get(actor)
    except Exception:
        log.warning("preferences_unread", user=actor.username, exc_info=True)
        return Preferences()


class Choices:
    """Gathers what is chosen; a burst of keys is one write. Two sessions of one account may write at once."""

    def __init__(self, core: Core, actor: Actor) -> None:
        self._core = core
        self._actor = actor
        self._theme: str | None = None
        self._language: str | None = None
        self._tables: dict[str, TableView] = {}

    def note(self, *, theme: str | None = None, language: str | None = None) -> None:
        """Another theme or language."""
        self._theme = theme if theme is not None else self._theme
        self._language = language if language is not None else self._language

    def note_table(self, name: str, view: TableView) -> None:
        """Another view of a table."""
        self._tables[name] = view

    async def write(self) -> None:
        """Write what was noted. A failure is logged only: the screen shows the choice, and nothing else hangs on it."""
        theme, language, tables = self._theme, self._language, self._tables
        if theme is None and language is None and not tables:
            return
        self._theme, self._language, self._tables = None, None, {}
        try:
            await self._core.preferences.update(self._actor, theme=theme, language=language, tables=tables)
        except OpenLXDError as error:
            log.info("preferences_unwritten", user=self._actor.username, reason=str(error))

    async def close(self) -> None:
        """Write what is left as the session ends; not for longer than a moment."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.write(), LAST_WRITE_SECONDS)
