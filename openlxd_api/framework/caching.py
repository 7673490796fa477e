"""What a client need not get twice, or in full length: entity tags, and gzip.

Answers to GET carry a weak entity tag of what they say; ``If-None-Match`` with it gets 304 and no body. They belong to
one account in one language, so that only the client's own cache may keep them, and asks again each time.

Compression tells by its length whether something in an answer repeats (BREACH), so answers that hold a secret and all
answers to other methods, where secrets are made, are sent as they are. Streams of events are, too.
"""

from __future__ import annotations

import hashlib
import re

from aiohttp import web
from aiohttp.web_response import ContentCoding

CACHE_CONTROL = "private, no-cache"
VARY = "Accept-Language, Origin, Authorization, X-API-Key, Accept-Encoding"
COMPRESS_BYTES = 1024
"""A shorter answer fits into one packet anyway."""
THREAD_BYTES = 64 * 1024
"""From this size on a thread compresses: zlib was measured at about 40 MB/s, so less keeps the loop under 2 ms."""
_CODING = re.compile(r"\s*([a-z*-]+)\s*(?:;\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*)?", re.IGNORECASE | re.ASCII)


def finish(request: web.Request, response: web.Response) -> web.StreamResponse:
    """A successful answer to GET or HEAD with its tag: as it is, compressed, or as 304."""
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
    """Whether ``Accept-Encoding`` lets gzip in: by its name or by ``*``, and not with a weight of zero."""
    found: dict[str, float] = {}
    for part in ",".join(accepted)[:1000].split(","):
        match = _CODING.fullmatch(part)
        if match is not None:
            found[match[1].lower()] = float(match[2] or 1)
    return found.get("gzip", found.get("x-gzip", found.get("*", 0.0))) > 0
