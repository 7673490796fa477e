"""What every request passes, outside in: an id and a language, a shape for whatever fails, limits, and an Actor."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Sequence
from typing import Any

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from openlxd_api.framework.app_keys import ACTOR, CLIENT, CORE, HEADERS, IDENTIFY, LIMITER, METER, TOKEN
from openlxd_api.framework.client import Client, Network, client_of
from openlxd_api.framework.endpoint import Access, Endpoint
from openlxd_api.framework.errors import (
    INTERNAL_ERROR,
    HttpProblem,
    error_response,
    failure,
    problem,
    problem_response,
)
from openlxd_api.framework.idempotency import HEADER as IDEMPOTENCY_KEY
from openlxd_api.framework.idempotency import REPLAYED
from openlxd_api.framework.limiting import LIMIT, REMAINING, RESET
from openlxd_core.domain.actor import Actor, anonymous, local_admin
from openlxd_core.domain.errors import BadRequest, Message, OpenLXDError, Unauthenticated
from openlxd_core.i18n import N_, Translator, closest_language, set_translator

ORIGIN = "api"
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Language, Origin",
}
_MAY_SEND = (
    f"Authorization, X-API-Key, Content-Type, Accept-Language, {IDEMPOTENCY_KEY}, If-None-Match, Last-Event-ID, "
    "X-Request-Id"
)
_MAY_READ = f"X-Request-Id, Retry-After, Content-Language, ETag, {REPLAYED}, {LIMIT}, {REMAINING}, {RESET}"
PREFLIGHT_SECONDS = 600
log = structlog.get_logger("openlxd.api")


def outermost(trusted: tuple[Network, ...], origins: Sequence[str] = ()) -> Middleware:
    """Give each request an id and a language, and each answer the headers and the shape that all have.

    ``origins`` are those whose pages may call us from a browser.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        begun = time.monotonic()
        wish = request.headers.get("X-Request-Id", "")
        request_id = wish if _REQUEST_ID.fullmatch(wish) else secrets.token_hex(16)
        language = closest_language(request.headers.get("Accept-Language"))
        set_translator(Translator(language))
        client = client_of(request, trusted)
        request[CLIENT] = client
        request[HEADERS] = {**_HEADERS, "X-Request-Id": request_id, "Content-Language": language}
        origin = request.headers.get("Origin")
        if origin is not None and origin in origins:
            request[HEADERS] |= {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": _MAY_READ}
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id, address=client.address)
        if origin in origins and request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            response: web.StreamResponse = _preflight()
        else:
            response = await _answer(request, handler, request_id)
        if not response.prepared:
            for name, value in request[HEADERS].items():
                response.headers.setdefault(name, value)
        endpoint = endpoint_of(request)
        path = endpoint.path if endpoint else "other"
        request.app[METER].answered(request.method, path, response.status, time.monotonic() - begun)
        return response

    return middleware


def _preflight() -> web.Response:
    """What a browser asks before it lets another origin's page send a request; no cookies are ever involved."""
    return web.Response(
        status=204,
        headers={
            "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
            "Access-Control-Allow-Headers": _MAY_SEND,
            "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
        },
    )


async def _answer(request: web.Request, handler: Handler, request_id: str) -> web.StreamResponse:
    try:
        return await handler(request)
    except OpenLXDError as error:
        response = error_response(error)
        if response.status >= 500:
            log.warning("request failed", method=request.method, path=request.path, code=error.code, reason=str(error))
        return response
    except HttpProblem as error:
        return problem_response(error)
    except web.HTTPException as error:
        response = problem_response(problem(error.status))
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except (asyncio.CancelledError, ConnectionResetError):
        raise
    except Exception:
        log.exception("a bug ended a request", method=request.method, path=request.path)
        return failure(500, "internal_error", Message(INTERNAL_ERROR.template, {"request_id": request_id}))


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn the request's token or API key into an Actor, where the endpoint asks for one, and count the request."""
    endpoint = endpoint_of(request)
    client, limiter = request[CLIENT], request.app[LIMITER].telling(request[HEADERS])

    async def identify() -> Actor:
        return await _actor(request, client, endpoint)

    try:
        actor = request[ACTOR] = await identify()
    except (Unauthenticated, BadRequest):
        await limiter.ask(None, client.address)
        raise
    request[IDENTIFY] = identify
    await limiter.ask(actor.user_id, client.address)
    if actor.username:
        structlog.contextvars.bind_contextvars(actor=actor.username)
    return await handler(request)


def endpoint_of(request: web.Request) -> Endpoint | None:
    """The endpoint that the router chose; None for a path that leads nowhere."""
    bound: Any = getattr(request.match_info.handler, "__self__", None)
    return bound if isinstance(bound, Endpoint) else None


async def _actor(request: web.Request, client: Client, endpoint: Endpoint | None) -> Actor:
    if endpoint is None or endpoint.access is Access.ANYONE:
        return anonymous(ORIGIN, client.address)
    authorization = request.headers.getall("Authorization", [])
    keys = request.headers.getall("X-API-Key", [])
    if len(authorization) + len(keys) > 1:
        raise BadRequest(N_("Send one token or one API key."))
    auth = request.app[CORE].auth
    if keys:
        return await auth.api_key_login(keys[0], origin=ORIGIN, address=client.address)
    if authorization:
        scheme, _, token = authorization[0].partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            request[TOKEN] = token.strip()
            return await auth.token_login(request[TOKEN], origin=ORIGIN, address=client.address)
    elif endpoint.access is Access.LOCAL and client.local:
        return local_admin("local", ORIGIN)
    raise Unauthenticated(N_("Sign in first."))
