"""Return values of endpoints, and how they become responses: an envelope, a raw document or a stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from aiohttp import web
from pydantic import BaseModel

from openlxd_api.framework.models import View
from openlxd_core.domain.listing import Page
from openlxd_core.domain.operation import Kind, Operation
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _
from openlxd_core.outcomes import done_text

READ = N_("OK")
"""The message of a request that changed nothing."""
CREATED = N_("Container created successfully")
UNDER_WAY = N_("The operation is in progress. Query it to see its progress.")

CHUNK = 100
"""Records converted in one go, before other tasks get their turn."""

T = TypeVar("T")
R = TypeVar("R")
V = TypeVar("V")


@dataclass(frozen=True)
class Answer(Generic[T]):
    """A success with a status, a message or headers besides its data."""

    data: T
    message: str = ""
    """A template of the catalogue, filled in from the path, the data and ``params``; the endpoint's own for none."""
    params: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    """The complete message in the language of the request, where a template does not suffice."""
    status: int = 0
    """The HTTP status; 0 for the endpoint's own."""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Paged(Generic[T]):
    """One page of a list: its data, and the cursor of the next page, which becomes ``next`` beside ``data``."""

    data: T
    next: str


async def paged(page: Page[R], view: Callable[[R], V]) -> Paged[list[V]]:
    """Convert a page of records to views, yielding to other tasks between chunks."""
    shown: list[V] = []
    for start in range(0, len(page.items), CHUNK):
        shown += [view(item) for item in page.items[start : start + CHUNK]]
        await asyncio.sleep(0)
    return Paged(shown, page.next)


@dataclass(frozen=True)
class Raw:
    """A document without the envelope."""

    body: bytes
    content_type: str


@dataclass(frozen=True)
class Event:
    """One event of a stream."""

    name: str
    data: Any
    id: int = 0
    """The id that a client resumes from; 0 for none."""

    def encode(self) -> bytes:
        """The event in ``text/event-stream`` format."""
        head = f"id: {self.id}\n" if self.id else ""
        data = json.dumps(plain(self.data), ensure_ascii=True)
        return f"{head}event: {self.name}\ndata: {data}\n\n".encode()


@dataclass(frozen=True)
class Stream:
    """Events for as long as the client listens, the credential holds and the server runs."""

    events: AsyncIterator[Event]


def outcome(operation: Operation, data: T) -> Answer[T]:
    """The response for a finished operation."""
    created = operation.kind is Kind.CREATE  # the design paper's own sentence
    return Answer(data, text=_(CREATED) if created else done_text(operation))


def respond(result: Any, status: int, message: str = "", path: Mapping[str, str] | None = None) -> web.Response:
    """Turn an endpoint's return value into a response; ``status`` and ``message`` are the endpoint's own."""
    if isinstance(result, Raw):
        return web.Response(body=result.body, headers={"Content-Type": result.content_type})
    return envelope(result, status, message, path)


def envelope(result: Any, status: int = 200, message: str = "", path: Mapping[str, str] | None = None) -> web.Response:
    """The envelope of a success, in the language of the request."""
    if isinstance(result, View) and result.unfinished:
        result = Answer(result, UNDER_WAY, status=202)
    more: dict[str, Any] = {}
    if isinstance(result, Paged):
        more = {"next": result.next or None}
        result = result.data
    answer: Answer[Any] = result if isinstance(result, Answer) else Answer(result)
    data = plain(answer.data)
    return web.json_response(
        {"success": True, "data": data, **more, "message": answer.text or _filled(answer, message, path or {}, data)},
        status=answer.status or status,
        headers=answer.headers,
    )


def _filled(answer: Answer[Any], message: str, path: Mapping[str, str], data: Any) -> str:
    known = {**path, **(data if isinstance(data, dict) else {}), **answer.params}
    shown = {name: clean(str(value), 100) for name, value in known.items() if isinstance(value, str | int)}
    return _(answer.message or message or READ).format(**shown)


def plain(data: Any) -> Any:
    """Models as JSON-compatible data."""
    if isinstance(data, BaseModel):
        return data.model_dump(mode="json")
    if isinstance(data, list | tuple):
        return [plain(item) for item in data]
    if isinstance(data, Mapping):
        return {key: plain(item) for key, item in data.items()}
    return data
