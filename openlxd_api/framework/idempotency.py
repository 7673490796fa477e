"""``Idempotency-Key``: a repeated POST gets the first response and is executed once.

A stored response must not leak secrets. Where a body or a response contains a password or a key, the request's digest
is a slow hash, and the response is encrypted with the caller's credential: a copy of the database does not reveal it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from cryptography.fernet import Fernet, InvalidToken

from openlxd_api.framework.app_keys import ACTOR, CORE, HEADERS, LIMITER, STOPPING
from openlxd_api.framework.body import canonical
from openlxd_api.framework.errors import HttpProblem, error_response, problem_response
from openlxd_api.framework.limiting import source_of
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.errors import BadRequest, Busy, Conflict, OpenLXDError, RateLimited, ValidationFailed
from openlxd_core.i18n import N_
from openlxd_core.services.idempotency import FirstAnswer, Reservation, carrying_out

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
"""Header: ``true`` on a repeated response."""
PATTERN = "[A-Za-z0-9_.:-]{1,255}"
_SEALED = "sealed"
WAIT_SECONDS = 75.0
"""Seconds that a repeated request waits for the first one: a little more than the longest ``?wait=``."""
LOOK_SECONDS = 5.0
"""Seconds between checks whether the server is shutting down."""


async def once(
    request: web.Request, answer: Callable[[], Awaitable[web.StreamResponse]], *, body: Any, secret: bool
) -> web.StreamResponse:
    """The first response to this request under its key; ``body`` is the parsed body. Raises ValidationFailed, Busy."""
    keys = request.headers.getall(HEADER)
    if len(keys) != 1:
        raise BadRequest(N_("Send one idempotency key."))
    key, actor, service = keys[0], request[ACTOR], request.app[CORE].idempotency
    if not re.fullmatch(PATTERN, key):
        raise ValidationFailed.of(HEADER, N_("An idempotency key has 1 to 255 letters, digits and _ . : - in it."))
    told = canonical([request.method, request.path, sorted(request.query.items()), body])
    if secret:
        await request.app[LIMITER].telling(request[HEADERS]).sealed(actor.user_id, actor.address)
    digest = await asyncio.to_thread(_slow_digest, told, key) if secret else hashlib.sha256(told).hexdigest()
    seal = _seal(request, told, key) if secret else None
    held = await _hold(request, _owned(actor, key), digest)
    if isinstance(held, FirstAnswer):
        headers = {**held.headers, REPLAYED: "true"}
        return web.json_response(_open(held.body, seal), status=held.status, headers=headers)
    try:
        with carrying_out(held):
            response = await _carried_out(answer)
        shown = {name: response.headers[name] for name in ("Retry-After",) if name in response.headers}
        closed = _close(json.loads(response.text or ""), seal)
        await service.finish(held, FirstAnswer(response.status, closed, shown))
    except BaseException:
        await service.forget(held)
        raise
    return response


def _owned(actor: Actor, key: str) -> str:
    """The key as stored, prefixed with the account's id, or with the address of a client that has not signed in, so
    that keys of different clients never collide."""
    if actor.user_id is not None:
        return key
    return hashlib.sha256(f"{source_of(actor.address)}\n{key}".encode()).hexdigest()


async def _hold(request: web.Request, key: str, digest: str) -> FirstAnswer | Reservation:
    """Reserve the key, or wait for the response of the request that holds it."""
    service, actor = request.app[CORE].idempotency, request[ACTOR]
    until = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return await service.begin(actor, key, digest)
        except Busy:
            left = until - time.monotonic()
            if left <= 0 or request.app[STOPPING].is_set():
                raise
        found = await service.answered(actor, key, min(left, LOOK_SECONDS))
        if found is not None:
            return found


async def _carried_out(answer: Callable[[], Awaitable[web.StreamResponse]]) -> web.Response:
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
        raise Conflict(
            N_("The first response contained a secret and is repeated only to the same credentials.")
        ) from None
