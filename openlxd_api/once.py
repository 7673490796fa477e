"""``Idempotency-Key``: a POST that is sent again gets the first answer, and is carried out once.

What is stored must not open anything. Where a body or an answer holds a password or a key, the digest of the request
is a slow one, and the answer is sealed with what the caller sent along: a copy of the database does not open it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from cryptography.fernet import Fernet, InvalidToken

from openlxd_api.body import read_body
from openlxd_api.errors import HttpProblem, error_response, problem_response
from openlxd_api.parts import ACTOR, CORE, HEADERS, LIMITER
from openlxd_core.domain.errors import BadRequest, Conflict, OpenLXDError, RateLimited, ValidationFailed
from openlxd_core.i18n import N_

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
"""Says ``true`` on an answer that was given before."""
PATTERN = "[A-Za-z0-9_.:-]{1,255}"
_SEALED = "sealed"


async def once(
    request: web.Request, answer: Callable[[], Awaitable[web.StreamResponse]], *, secret: bool
) -> web.StreamResponse:
    """The first answer to this request under its key. Raises ValidationFailed, Busy."""
    keys = request.headers.getall(HEADER)
    if len(keys) != 1:
        raise BadRequest(N_("Send one idempotency key."))
    key, actor, service = keys[0], request[ACTOR], request.app[CORE].idempotency
    if not re.fullmatch(PATTERN, key):
        raise ValidationFailed.of(HEADER, N_("An idempotency key has 1 to 255 letters, digits and _ . : - in it."))
    raw = await read_body(request)
    told = b"\n".join((request.method.encode(), request.raw_path.encode(), hashlib.sha256(raw).digest()))
    if secret:
        await request.app[LIMITER].telling(request[HEADERS]).sealed(actor.user_id, actor.address)
    digest = await asyncio.to_thread(_slow_digest, told, key) if secret else hashlib.sha256(told).hexdigest()
    seal = _seal(request, told, key) if secret else None
    first = await service.begin(actor, key, digest)
    if first is not None:
        return web.json_response(_open(first.body, seal), status=first.status, headers={REPLAYED: "true"})
    try:
        try:
            response = await answer()
        except RateLimited:
            raise
        except OpenLXDError as error:
            response = error_response(error)
        except HttpProblem as error:
            response = problem_response(error)
        if not isinstance(response, web.Response) or response.text is None:
            raise TypeError("only an envelope can be kept")
        body = json.loads(response.text)
        await service.finish(actor, key, response.status, _close(body, seal))
    except BaseException:
        await service.forget(actor, key)
        raise
    return response


def _slow_digest(told: bytes, key: str) -> str:
    salt = hashlib.sha256(key.encode()).digest()
    return hashlib.scrypt(told, salt=salt, n=2**14, r=8, p=1, dklen=32).hex()


def _seal(request: web.Request, told: bytes, key: str) -> Fernet:
    credential = request.headers.get("Authorization", "") + "\n" + request.headers.get("X-API-Key", "")
    made = hashlib.sha256(b"\n".join((b"openlxd idempotency", credential.encode(), key.encode(), told))).digest()
    return Fernet(base64.urlsafe_b64encode(made))


def _close(body: Any, seal: Fernet | None) -> Any:
    return body if seal is None else {_SEALED: seal.encrypt(json.dumps(body).encode()).decode()}


def _open(stored: Any, seal: Fernet | None) -> Any:
    if seal is None:
        return stored
    try:
        return json.loads(seal.decrypt(stored[_SEALED].encode()))
    except InvalidToken:
        raise Conflict(N_("The first answer held a secret, and is given again to the same sign-in only.")) from None
