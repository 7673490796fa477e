"""The OpenAPI document and the metrics."""

from __future__ import annotations

from aiohttp import web

from openlxd_api.framework.app_keys import OPENAPI
from openlxd_api.framework.endpoint import Access, Endpoints
from openlxd_api.framework.metrics import CONTENT_TYPE, Meter
from openlxd_api.framework.responses import Raw
from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import Actor

endpoints = Endpoints()


@endpoints.get("/openapi.json", access=Access.ANYONE, summary="This document")
async def show_openapi(app: web.Application) -> Raw:
    """OpenAPI 3.1, generated from the endpoints' types; ``/api/docs`` shows it as a page."""
    return Raw(app[OPENAPI], "application/json; charset=utf-8")


@endpoints.get("/metrics", access=Access.LOCAL, summary="Figures for Prometheus")
async def show_metrics(core: Core, actor: Actor, meter: Meter) -> Raw:
    """No credential is needed from the loopback address; elsewhere an admin's."""
    return Raw(await meter.page(core, actor), CONTENT_TYPE)
