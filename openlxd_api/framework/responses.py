"""What an endpoint returns, and how it becomes a response: the envelope, a document of its own, or a stream."""

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
"""What a request that changed nothing is answered with."""
CREATED = N_("Container created successfully")
UNDER_WAY = N_("The operation is in progress. Query it to see its progress.")

CHUNK = 100
"""Records that become views at once."""

T = TypeVar("T")
R = TypeVar("R")
V = TypeVar("V")


@dataclass(frozen=True)
class Answer(Generic[T]):
    """A success that needs more than its data: a status, a sentence, headers."""

    data: T
    message: str = ""
    """A template of the catalogue, filled in from the path, the data and ``params``; the endpoint's own for none."""
    params: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    """The sentence itself, in the language of the request, where a template would not do."""
    status: int = 0
    """0: the endpoint's own."""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Paged(Generic[T]):
    """One page of a list: its data, and the cursor of the page that follows, which stands beside them."""

    data: T
    next: str


async def paged(page: Page[R], view: Callable[[R], V]) -> Paged[list[V]]:
    """A page of records as a page of views; others get their turn while a long one is made."""
    shown: list[V] = []
    for start in range(0, len(page.items), CHUNK):
        shown += [view(item) for item in page.items[start : start + CHUNK]]
        await asyncio.sleep(0)
    return Paged(shown, page.next)


@dataclass(frozen=True)
class Raw:
    """A document that is no envelope."""

    body: bytes
    content_type: str


@dataclass(frozen=True)
class Event:
    """One event of a stream."""

    name: str
    data: Any
    id: int = 0
    """What the client may go on from; 0 for none."""

    def encode(self) -> bytes:
        """As ``text/event-stream`` has it."""
        head = f"id: {self.id}\n" if self.id else ""
        data = json.dumps(plain(self.data), ensure_ascii=True)
        return f"{head}event: {self.name}\ndata: {data}\n\n".encode()


@dataclass(frozen=True)
class Stream:
    """Events for as long as the client listens, the credential holds and the server runs."""

    events: AsyncIterator[Event]


def outcome(operation: Operation, data: T) -> Answer[T]:
    """The answer for an operation that is done: what it did to what."""
    created = operation.kind is Kind.CREATE  # the design paper's own sentence
    return Answer(data, text=_(CREATED) if created else done_text(operation))


def respond(result: Any, status: int, message: str = "", path: Mapping[str, str] | None = None) -> web.Response:
    """What an endpoint returned, as a response; ``status`` and ``message`` are the endpoint's own."""
    if isinstance(result, Raw):
        return web.Response(body=result.body, headers={"Content-Type": result.content_type})
    return envelope(result, status, message, path)


def envelope(result: Any, status: int = 200, message: str = "", path: Mapping[str, str] | None = None) -> web.Response:
    """The one shape of a success, in the language of the request."""
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
    """Models as what JSON knows."""
    if isinstance(data, BaseModel):
        return data.model_dump(mode="json")
    if isinstance(data, list | tuple):
        return [plain(item) for item in data]
    if isinstance(data, Mapping):
        return {key: plain(item) for key, item in data.items()}
    return data
