"""The typed keys of aiohttp's application and request, under which endpoints find their arguments."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from openlxd_api.framework.client import Client
from openlxd_api.framework.limiting import Limiter
from openlxd_api.framework.metrics import Meter
from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import Actor

PREFIX = "/api/v1"
CORE: web.AppKey[Core] = web.AppKey("core", Core)
LIMITER: web.AppKey[Limiter] = web.AppKey("limiter", Limiter)
METER: web.AppKey[Meter] = web.AppKey("meter", Meter)
STOPPING: web.AppKey[asyncio.Event] = web.AppKey("stopping", asyncio.Event)
"""Set when the server is shutting down; waiting requests and streams then end."""
OPENAPI: web.AppKey[bytes] = web.AppKey("openapi", bytes)
"""The OpenAPI document of this application."""

ACTOR: web.RequestKey[Actor] = web.RequestKey("actor", Actor)
CLIENT: web.RequestKey[Client] = web.RequestKey("client", Client)
TOKEN: web.RequestKey[str] = web.RequestKey("token", str)
IDENTIFY: web.RequestKey[Callable[[], Awaitable[Actor]]] = web.RequestKey("identify", object)  # type: ignore[arg-type]
"""Checks the credential again; streams call it repeatedly, as they outlive the first check."""
HEADERS: web.RequestKey[dict[str, str]] = web.RequestKey("headers", dict)
"""The headers of every answer to this request."""
