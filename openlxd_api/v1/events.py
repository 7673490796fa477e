"""Changes as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator

from openlxd_api.framework.endpoint import Endpoints
from openlxd_api.framework.responses import Event, Stream
from openlxd_api.v1.schemas.system import ChangeView
from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.feed import Change

endpoints = Endpoints()
_PAGE = 500


@endpoints.get("/events", summary="Everything that changes and that you may see, as it happens")
async def follow_changes(core: Core, actor: Actor, resume: int | None) -> Stream:
    """Events named ``container.updated``, ``operation.updated`` …; the last seven days can be replayed.

    ``Last-Event-ID`` resumes an interrupted stream. ``resync.lost`` means that events were dropped: reload everything.
    """

    async def events() -> AsyncIterator[Event]:
        async with core.feed.subscribe(actor) as changes:
            last = resume
            while last is not None:  # missed events first; new ones queue in the subscription meanwhile
                missed = await core.feed.history(actor, last, _PAGE)
                for change in missed:
                    last = change.id
                    yield _event(change)
                if len(missed) < _PAGE:
                    break
            async for change in changes:
                if change.id == 0 or last is None or change.id > last:
                    yield _event(change)

    return Stream(events())


def _event(change: Change) -> Event:
    return Event(f"{change.topic}.{change.verb}", ChangeView.of(change), change.id)
