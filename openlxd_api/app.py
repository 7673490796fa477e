"""The application: endpoints and middlewares, assembled over one Core."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from openlxd_api.body import BODY_MAX_BYTES
from openlxd_api.client import parse_networks
from openlxd_api.middleware import authenticate, outermost
from openlxd_api.rails import CORE, Endpoint
from openlxd_api.routes import containers, health, users
from openlxd_core.bootstrap import Core


def all_endpoints() -> list[Endpoint]:
    """Every endpoint there is: what is served, documented and tried as a stranger."""
    return [*health.endpoints, *users.endpoints, *containers.endpoints]


def make_app(core: Core, endpoints: Iterable[Endpoint] | None = None) -> web.Application:
    """The application over ``core``, which outlives it."""
    app = web.Application(
        middlewares=[outermost(parse_networks(core.settings.trusted_proxies)), authenticate],
        client_max_size=BODY_MAX_BYTES,
    )
    app[CORE] = core
    for endpoint in all_endpoints() if endpoints is None else endpoints:
        add = app.router.add_get if endpoint.method == "GET" else None
        if add is not None:
            add(endpoint.path, endpoint.handle)
        else:
            app.router.add_route(endpoint.method, endpoint.path, endpoint.handle)
    app.on_response_prepare.append(_without_server)
    return app


async def _without_server(_request: web.Request, response: web.StreamResponse) -> None:
    """Nobody needs to know which version of which server this is."""
    response.headers.pop("Server", None)
