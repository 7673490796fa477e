"""What every request passes, outside in: an id and a language, a shape for whatever fails, and an Actor."""

from __future__ import annotations

import asyncio
import re
import secrets
from typing import Any

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from openlxd_api.client import Client, Network, client_of
from openlxd_api.errors import (
    INTERNAL_ERROR,
    HttpProblem,
    error_response,
    failure,
    problem,
    problem_response,
)
from openlxd_api.rails import ACTOR, CLIENT, CORE, TOKEN, Access, Endpoint
from openlxd_core.domain.actor import Actor, anonymous
from openlxd_core.domain.errors import BadRequest, Message, OpenLXDError, Unauthenticated
from openlxd_core.i18n import N_, Translator, closest_language, set_translator

ORIGIN = "api"
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Language",
}
log = structlog.get_logger("openlxd.api")


def outermost(trusted: tuple[Network, ...]) -> Middleware:
    """Give each request an id and a language, and each answer the headers and the shape that all have."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        wish = request.headers.get("X-Request-Id", "")
        request_id = wish if _REQUEST_ID.fullmatch(wish) else secrets.token_hex(16)
        language = closest_language(request.headers.get("Accept-Language"))
        set_translator(Translator(language))
        client = client_of(request, trusted)
        request[CLIENT] = client
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id, address=client.address)
        response = await _answer(request, handler, request_id)
        if not response.prepared:
            for name, value in {**_HEADERS, "X-Request-Id": request_id, "Content-Language": language}.items():
                response.headers.setdefault(name, value)
        return response

    return middleware


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
    """Turn the request's token or API key into an Actor, where the endpoint asks for one."""
    endpoint = endpoint_of(request)
    client = request[CLIENT]
    if endpoint is None or endpoint.access is Access.ANYONE:
        request[ACTOR] = anonymous(ORIGIN, client.address)
    else:
        request[ACTOR] = await _actor(request, client)
        structlog.contextvars.bind_contextvars(actor=request[ACTOR].username)
    return await handler(request)


def endpoint_of(request: web.Request) -> Endpoint | None:
    """The endpoint that the router chose; None for a path that leads nowhere."""
    bound: Any = getattr(request.match_info.handler, "__self__", None)
    return bound if isinstance(bound, Endpoint) else None


async def _actor(request: web.Request, client: Client) -> Actor:
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
    raise Unauthenticated(N_("Sign in first."))
