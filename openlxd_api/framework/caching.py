"""Conditional requests (ETag, 304) and gzip.

Answers to GET carry a weak ETag over their content; ``If-None-Match`` with it gets 304 without a body. An answer
belongs to one account and one language, so it is ``private`` and must be revalidated each time.

The length of a compressed answer leaks whether a guess repeats in it (BREACH), so answers with a secret, and all
answers to other methods, which may create secrets, are sent uncompressed. So are event streams.
"""

from __future__ import annotations

import hashlib
import re

from aiohttp import web
from aiohttp.web_response import ContentCoding

CACHE_CONTROL = "private, no-cache"
VARY = "Accept-Language, Origin, Authorization, X-API-Key, Accept-Encoding"
COMPRESS_BYTES = 1024
"""Bytes. A shorter answer fits into one packet uncompressed."""
THREAD_BYTES = 64 * 1024
"""Bytes from which on a thread compresses: zlib was measured at about 40 MB/s, so less keeps the loop under 2 ms."""
_CODING = re.compile(r"\s*([a-z*-]+)\s*(?:;\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*)?", re.IGNORECASE | re.ASCII)


def finish(request: web.Request, response: web.Response) -> web.StreamResponse:
    """Add the ETag to a successful answer to GET or HEAD; compress it, or replace it by 304."""
    body = response.body
    if response.status != 200 or not isinstance(body, bytes):
        return response
    tag = hashlib.sha256(body).hexdigest()[:32]
    asked = request.if_none_match or ()
    if any(known.value in (tag, "*") for known in asked):
        response = web.Response(status=304)
    elif len(body) >= COMPRESS_BYTES and takes_gzip(request.headers.getall("Accept-Encoding", [])):
        response = web.Response(body=body, headers=response.headers, zlib_executor_size=THREAD_BYTES)
        response.enable_compression(ContentCoding.gzip)
    response.headers["ETag"] = f'W/"{tag}"'
    response.headers["Cache-Control"] = CACHE_CONTROL
    response.headers["Vary"] = VARY
    return response


def takes_gzip(accepted: list[str]) -> bool:
    """Whether ``Accept-Encoding`` allows gzip: by name or by ``*``, with a weight above zero."""
    found: dict[str, float] = {}
    for part in ",".join(accepted)[:1000].split(","):
        match = _CODING.fullmatch(part)
        if match is not None:
            found[match[1].lower()] = float(match[2] or 1)
    return found.get("gzip", found.get("x-gzip", found.get("*", 0.0))) > 0
