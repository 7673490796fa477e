"""Health of the service and its dependencies. Open to anyone, so it contains no paths and no error details."""

from __future__ import annotations

import asyncio

import structlog

from openlxd_api.framework.endpoint import Access, Endpoints
from openlxd_api.framework.responses import Answer
from openlxd_api.framework.version import product_version
from openlxd_api.v1.schemas.states import HealthStatus
from openlxd_api.v1.schemas.system import DatabaseHealth, Health, LxdHealth
from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import SYSTEM
from openlxd_core.domain.errors import StorageUnavailable

endpoints = Endpoints()
DATABASE_SECONDS = 3.0
log = structlog.get_logger("openlxd.api")


@endpoints.get("/health", access=Access.ANYONE, summary="Liveness, and each thing the service depends on")
async def show_health(core: Core) -> Answer[Health]:
    """200 while requests can be served, also without LXD or with a full disk; 503 when the database does not answer."""
    database, storage = await _database_answers(core), core.storage.state
    lxd = LxdHealth.of(core.lxd_status.state)
    status = HealthStatus.OK if lxd.reachable and storage.writable else HealthStatus.DEGRADED
    if not database:
        status = HealthStatus.DOWN
    health = Health(
        status=status,
        version=product_version(),
        database=DatabaseHealth(reachable=database, writable=database and storage.writable, error=storage.code),
        lxd=lxd,
    )
    return Answer(health, status=200 if database else 503)


async def _database_answers(core: Core) -> bool:
    try:
        async with asyncio.timeout(DATABASE_SECONDS):
            await core.audit.list(SYSTEM, limit=1)
    except (TimeoutError, StorageUnavailable) as error:
        log.warning("the database does not answer", reason=str(error) or "no answer in time")
        return False
    except Exception as error:
        log.warning("the database does not answer", reason=repr(error))
        return False
    return True
