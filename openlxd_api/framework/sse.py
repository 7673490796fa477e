"""Server-sent events: keep-alive comments, an end when the credential is revoked, and resumption."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from openlxd_api.framework.app_keys import ACTOR, HEADERS, IDENTIFY, METER, STOPPING
from openlxd_api.framework.responses import Event, Stream
from openlxd_core.domain.errors import BadRequest, OpenLXDError, RateLimited
from openlxd_core.i18n import N_, _

LOOK_SECONDS = 2.0
"""Seconds between checks of the credential; a suspension or a new password ends the stream immediately besides."""
BEAT_SECONDS = 15.0
"""Seconds of silence after which a comment is sent, so that no proxy closes the stream."""
STREAMS_EACH = 20
"""Open streams per account."""
_END = object()
OPEN: web.AppKey[dict[int, int]] = web.AppKey("open_streams", dict)


def last_event_id(request: web.Request) -> int | None:
    """The id after which the client resumes. Raises BadRequest."""
    said = request.headers.get("Last-Event-ID")
    if said is None or said == "":
        return None
    if not (said.isascii() and said.isdigit() and len(said) <= 18):
        raise BadRequest(N_("Last-Event-ID is not a valid event id."))
    return int(said)


async def serve_stream(request: web.Request, stream: Stream) -> web.StreamResponse:
    """Send events until the client disconnects, the credential is revoked or the server stops. Raises RateLimited."""
    actor, app = request[ACTOR], request.app
    who = actor.user_id or 0
    counts = app[OPEN]
    if counts.get(who, 0) >= STREAMS_EACH:
        raise RateLimited(N_("Too many open streams. Try again in {seconds} seconds."), 30)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
    for name, value in request[HEADERS].items():
        response.headers.setdefault(name, value)
    counts[who] = counts.get(who, 0) + 1
    app[METER].stream_opened()
    try:
        await response.prepare(request)
        if request.method != "HEAD":
            with contextlib.suppress(ConnectionError):
                await _send_all(request, response, stream.events)
                await response.write_eof()
    finally:
        app[METER].stream_closed()
        counts[who] -= 1
        if not counts[who]:
            del counts[who]
        if isinstance(stream.events, AsyncIterator) and hasattr(stream.events, "aclose"):
            await stream.events.aclose()
    return response


async def _send_all(request: web.Request, response: web.StreamResponse, events: AsyncIterator[Event]) -> None:
    await response.write(b": connected\n\n")
    stop = asyncio.ensure_future(request.app[STOPPING].wait())
    following: asyncio.Future[Any] = asyncio.ensure_future(_next(events))
    sent = looked = time.monotonic()
    try:
        while True:
            await asyncio.wait({following, stop}, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            now = time.monotonic()
            if stop.done():
                return
            event = following.result() if following.done() else None
            touched = isinstance(event, Event) and event.name.startswith("user.")
            if touched or now - looked >= LOOK_SECONDS:
                looked = now
                ended = await _ended(request)
                if ended is not None:
                    await response.write(ended.encode())
                    return
            if event is _END:
                return
            if isinstance(event, Event):
                await response.write(event.encode())
                sent = now
                following = asyncio.ensure_future(_next(events))
            elif now - sent >= BEAT_SECONDS:
                await response.write(b": alive\n\n")
                sent = now
    finally:
        stop.cancel()
        if not following.done():
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following


async def _next(events: AsyncIterator[Event]) -> Any:
    return await anext(events, _END)


async def _ended(request: web.Request) -> Event | None:
    """The closing event, if the credential was revoked."""
    try:
        await request[IDENTIFY]()
    except OpenLXDError as error:
        return Event("end", {"error": error.code, "message": error.message.text(_)})
    return None
