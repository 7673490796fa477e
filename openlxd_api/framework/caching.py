"""Conditional requests (ETag, 304) and gzip.

Answers to GET carry a weak ETag over their content; ``If-None-Match`` with it gets 304 without a body. An answer
belongs to one account and one language, so it is ``private`` and must be revalidated each time.

The length of a compressed answer leaks whether a guess repeats in it (BREACH), so answers with a secret, and all
answers to other methods, which may create secrets, are sent uncompressed. So are event streams.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from aiohttp import web

from openlxd_api.framework.app_keys import ACTOR, CORE, HEADERS

CACHE_CONTROL = "private, no-cache"
VARY = "Accept-Language, Origin, Authorization, X-API-Key, Accept-Encoding"
COMPRESS_BYTES = 1024
"""Bytes. A shorter answer fits into one packet uncompressed."""
THREAD_BYTES = 64 * 1024
"""Bytes from which on a thread compresses: zlib was measured at about 40 MB/s, so less keeps the loop under 2 ms."""
_OF_304 = ("ETag", "Cache-Control", "Vary")
_CODING = re.compile(r"\s*([a-z*-]+)\s*(?:;\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*)?", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class Document:
    """A successful answer to GET, ready to be sent to whoever may have it."""

    body: bytes
    headers: Mapping[str, str]
    zipped: bool

    def respond(self, request: web.Request) -> web.Response:
        """The response, or 304 for a client that has this document already."""
        if "If-None-Match" in request.headers:
            tag = self.headers["ETag"][3:-1]
            if any(known.value in (tag, "*") for known in request.if_none_match or ()):
                return web.Response(status=304, headers={name: self.headers[name] for name in _OF_304})
        return web.Response(body=self.body, headers=self.headers)


async def document_of(response: web.Response, *, gzip: bool) -> Document | None:
    """The document of a response, compressed for a client that takes ``gzip``; None for anything but a success."""
    body = response.body
    if response.status != 200 or not isinstance(body, bytes):
        return None
    headers = dict(response.headers) | {
        "ETag": f'W/"{hashlib.sha256(body).hexdigest()[:32]}"',
        "Cache-Control": CACHE_CONTROL,
        "Vary": VARY,
    }
    zipped = gzip and len(body) >= COMPRESS_BYTES
    if zipped:
        headers["Content-Encoding"] = "gzip"
        body = await asyncio.to_thread(_compressed, body) if len(body) >= THREAD_BYTES else _compressed(body)
    headers.pop("Content-Length", None)
    return Document(body, headers, zipped)


async def finish(request: web.Request, response: web.Response) -> web.StreamResponse:
    """Add the ETag to a successful answer to GET or HEAD; compress it, or replace it by 304."""
    document = await document_of(response, gzip=_takes_gzip(request))
    return response if document is None else document.respond(request)


async def kept(request: web.Request, name: str, answer: Callable[[], Awaitable[web.Response]]) -> web.StreamResponse:
    """As :func:`finish` of ``answer``, whose document is kept while the database is unchanged.

    For answers that depend on the actor, the request's path and query, the language, and the database alone.
    """
    gzip, actor = _takes_gzip(request), request[ACTOR]
    refused: list[web.Response] = []

    async def read() -> Document | None:
        response = await answer()
        document = await document_of(response, gzip=gzip)
        if document is None:
            refused.append(response)
        return document

    key = ("answer", name, actor.user_id, actor.role, request.raw_path, request[HEADERS]["Content-Language"], gzip)
    document = await request.app[CORE].reads.read(key, read, size=_bytes_of)
    return refused[0] if document is None else document.respond(request)


def _bytes_of(document: Document | None) -> int:
    return len(document.body) + 1024 if document is not None else 0


def _compressed(body: bytes) -> bytes:
    return zlib.compress(body, wbits=16 + zlib.MAX_WBITS)


def _takes_gzip(request: web.Request) -> bool:
    return takes_gzip(tuple(request.headers.getall("Accept-Encoding", ())))


@lru_cache(maxsize=64)
def takes_gzip(accepted: tuple[str, ...]) -> bool:
    """Whether ``Accept-Encoding`` allows gzip: by name or by ``*``, with a weight above zero."""
    found: dict[str, float] = {}
    for part in ",".join(accepted)[:1000].split(","):
        match = _CODING.fullmatch(part)
        if match is not None:
            found[match[1].lower()] = float(match[2] or 1)
    return found.get("gzip", found.get("x-gzip", found.get("*", 0.0))) > 0
