"""The application: endpoints and middlewares, assembled over one Core."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from aiohttp import web

from openlxd_api import whmcs
from openlxd_api.framework import docs_page
from openlxd_api.framework.app_keys import CORE, LIMITER, METER, OPENAPI, STOPPING
from openlxd_api.framework.body import BODY_MAX_BYTES
from openlxd_api.framework.client import parse_networks
from openlxd_api.framework.endpoint import Endpoint
from openlxd_api.framework.limiting import Limiter
from openlxd_api.framework.metrics import Meter
from openlxd_api.framework.middleware import authenticate, outermost
from openlxd_api.framework.openapi import describe
from openlxd_api.framework.sse import OPEN
from openlxd_api.v1 import (
    accounts,
    audit,
    containers,
    events,
    forwards,
    health,
    images,
    operations,
    snapshots,
    system,
    users,
)
from openlxd_core.bootstrap import Core

MODULES: Sequence[Iterable[Endpoint]] = (
    health.endpoints,
    users.endpoints,
    accounts.endpoints,
    containers.endpoints,
    snapshots.endpoints,
    forwards.endpoints,
    whmcs.endpoints,
    images.endpoints,
    operations.endpoints,
    events.endpoints,
    audit.endpoints,
    system.endpoints,
)
"""The modules of routes, in the order in which the documents list them."""


def all_endpoints() -> list[Endpoint]:
    """Every endpoint: the router, the OpenAPI document and the tests of access all read this list."""
    return [endpoint for module in MODULES for endpoint in module]


def make_app(core: Core, endpoints: Iterable[Endpoint] | None = None) -> web.Application:
    """The application over ``core``, which the caller opens before and closes after it."""
    settings = core.settings
    app = web.Application(
        middlewares=[outermost(parse_networks(settings.trusted_proxies), settings.origins), authenticate],
        client_max_size=BODY_MAX_BYTES,
    )
    served = tuple(all_endpoints() if endpoints is None else endpoints)
    app[CORE] = core
    app[LIMITER] = Limiter(settings)
    app[METER] = Meter()
    app[STOPPING] = asyncio.Event()
    app[OPEN] = {}
    app[OPENAPI] = describe(served)
    for endpoint in served:
        if endpoint.method == "GET":
            app.router.add_get(endpoint.route, endpoint.handle)
        else:
            app.router.add_route(endpoint.method, endpoint.route, endpoint.handle)
    docs_page.add_to(app)
    app.on_response_prepare.append(_without_server)
    app.on_shutdown.append(_stop)
    return app


async def _without_server(_request: web.Request, response: web.StreamResponse) -> None:
    """Replace aiohttp's Server header, which would tell an attacker its version."""
    response.headers.pop("Server", None)


async def _stop(app: web.Application) -> None:
    """Tell waiting requests and streams that the server is shutting down."""
    app[STOPPING].set()
