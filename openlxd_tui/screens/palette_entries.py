"""What the palette offers: the commands of the screen in view, of the app, and of every other screen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from textual.binding import Binding

from openlxd_core.domain.errors import Message
from openlxd_core.i18n import N_, _
from openlxd_tui.formatting import STATES, sentence
from openlxd_tui.reasons import NOT_NOW
from openlxd_tui.screens.help import is_admins, own_bindings
from openlxd_tui.screens.page import Page
from openlxd_tui.screens.palette import Entry, bindings_of, container_entries
from openlxd_tui.session import session_of
from openlxd_tui.widgets.key_bar import key_name

if TYPE_CHECKING:
    from textual.app import App
    from textual.dom import DOMNode

OFFERED_SECONDS = 1.0
"""How long a screen may take to read what an action of the palette acts on."""
_TRY_SECONDS = 0.05


def entries(app: App[None]) -> list[Entry]:
    """Everything, in the order in which it is shown."""
    screen, session = app.screen, session_of(app)
    nodes = [screen, app, *([app.focused] if app.focused is not None else [])]
    found = [_here(app, node, binding) for node in nodes for binding in bindings_of(node) if _may(app, binding)]
    for title, kind, opener in session.every_page():
        if type(screen) is not kind:
            found += _elsewhere(app, title, kind, opener)
    rows = session.known_containers()
    return found + container_entries([(c.name, _(STATES[c.status].word)) for c in rows], session.find_container)


def reason_of(node: DOMNode, action: str, parameters: tuple[object, ...]) -> Message:
    """Why an action is not offered, as its screen or the app says; a general reason where neither says any."""
    explain = getattr(node, "why_not", None)
    reason: Message = explain(action, parameters) if explain is not None else NOT_NOW
    return reason


def _may(app: App[None], binding: Binding) -> bool:
    return session_of(app).actor.is_admin or not is_admins(binding)


def _here(app: App[None], node: DOMNode, binding: Binding) -> Entry:
    target, name, parameters = app._parse_action(binding.action, node)
    offered = bool(target.check_action(name, parameters))

    async def run() -> None:
        if not await app.run_action(binding.action, node):
            app.notify(sentence(reason_of(target, name, parameters)), severity="warning")

    return Entry(binding.key, _(binding.description), run, "", offered)


def _elsewhere(app: App[None], title: str, kind: type[DOMNode], opener: Callable[[], object] | None) -> list[Entry]:
    """The commands of a screen that is not in view: choosing one goes there.

    What acts on a row is not done to a row that nobody sees: its key is told instead.
    """
    found: dict[str, Entry] = {}
    for owner in reversed(kind.__mro__):
        for binding in own_bindings(owner):
            if not isinstance(binding, Binding) or not binding.description or not _may(app, binding):
                continue
            if "escape" in binding.key or binding.action.startswith("scroll("):
                continue
            run = _going(
                app, opener, binding, getattr(kind, "OPENED_BY", ""),
                acts_on_row=binding.action in getattr(kind, "ROW_ACTIONS", ()),
            )  # fmt: skip
            key = binding.key.split(",")[0]
            found.setdefault(binding.action, Entry(key, _(binding.description), run, _(title), opener is not None))
    return list(found.values())


def _going(
    app: App[None], opener: Callable[[], object] | None, binding: Binding, kind_key: str, *, acts_on_row: bool
) -> Callable[[], Awaitable[None]]:
    """What choosing it does; ``kind_key`` opens its screen where there is no ``opener``."""

    async def run() -> None:
        if opener is None:
            hint = Message(N_("Choose a container first, then press {key}."), {"key": kind_key})
            app.notify(sentence(hint), severity="warning")
            return
        opener()
        if acts_on_row:
            hint = Message(N_("Choose a row, then press {key}."), {"key": key_name(binding.key.split(",")[0])})
            app.notify(sentence(hint))
        else:
            app.run_worker(_when_offered(app, binding), group="palette", exclusive=True)

    return run


async def _when_offered(app: App[None], binding: Binding) -> None:
    """Run an action on the screen that has just been opened: some are offered only when it has read its rows."""
    tries = int(OFFERED_SECONDS / _TRY_SECONDS)
    for _try in range(tries):
        await asyncio.sleep(_TRY_SECONDS)
        page = app.screen
        target, name, parameters = app._parse_action(binding.action, page)
        if not isinstance(page, Page):
            return  # somebody has opened a dialog meanwhile
        if target.check_action(name, parameters):
            await app.run_action(binding.action, page)
            return
    app.notify(sentence(reason_of(target, name, parameters)), severity="warning")
