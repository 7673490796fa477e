"""Whether the service lives, and each thing it depends on. Open to anyone, so it names no path and no reason."""

from __future__ import annotations

import asyncio
from importlib.metadata import PackageNotFoundError, version

import structlog

from openlxd_api.rails import Access, Answer, Endpoints
from openlxd_api.schemas import DatabaseHealth, Health, LxdHealth
from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import SYSTEM

endpoints = Endpoints()
DATABASE_SECONDS = 3.0
log = structlog.get_logger("openlxd.api")


@endpoints.get("/health", access=Access.ANYONE, summary="Liveness, and each thing the service depends on")
async def show_health(core: Core) -> Answer:
    """200 while requests can be served, LXD or not; 503 when the database does not answer."""
    database = await _database_answers(core)
    lxd = LxdHealth.of(core.live.state)
    status = "down" if not database else "ok" if lxd.reachable else "degraded"
    health = Health(status=status, version=product_version(), database=DatabaseHealth(reachable=database), lxd=lxd)
    return Answer(health, status=200 if database else 503)


async def _database_answers(core: Core) -> bool:
    try:
        async with asyncio.timeout(DATABASE_SECONDS):
            await core.audit.list(SYSTEM, limit=1)
    except Exception as error:
        log.warning("the database does not answer", reason=repr(error))
        return False
    return True


def product_version() -> str:
    """The version of the installed distribution."""
    try:
        return version("openlxd")
    except PackageNotFoundError:
        return "0"
