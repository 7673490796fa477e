"""Usage over time: sampled once for all containers, kept for a day, thinned with age."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from openlxd_core.coordination.liveness import Workers
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.container import Container, Sample, Usage
from openlxd_core.domain.errors import OpenLXDError
from openlxd_core.domain.policy import Action, require
from openlxd_core.lxd.gateway import LxdGateway
from openlxd_core.services.lookup import find_container
from openlxd_core.services.lxd_status import LxdStatus
from openlxd_core.services.records import to_container
from openlxd_core.storage import models
from openlxd_core.storage.transaction import transaction

log = structlog.get_logger(__name__)

SAMPLE_SECONDS = 60.0
FINE_FOR = timedelta(hours=2)
"""Every sample is kept this long; after that one of each COARSE."""
COARSE = timedelta(minutes=10)
KEEP = timedelta(hours=24)
_THIN_EVERY_ROUNDS = 10


class UsageHistory:
    """What containers used."""

    def __init__(self, lxd: LxdGateway, lxd_status: LxdStatus, workers: Workers) -> None:
        self._lxd = lxd
        self._lxd_status = lxd_status
        self._workers = workers

    async def now(self, actor: Actor, name: str) -> Usage | None:
        """A container's use at this moment; None where it does not run. Raises NotFound, LxdUnavailable."""
        container = await self._container(actor, name)
        self._lxd_status.require_reachable()
        return (await self._lxd.usage()).get((container.project, container.name))

    async def history(self, actor: Actor, name: str) -> Sequence[Sample]:
        """Its samples of the last 24 hours, oldest first: one a minute for two hours, one in ten minutes before."""
        container = await self._container(actor, name)
        rows = await models.Sample.filter(container_id=container.id, at__gt=datetime.now(UTC) - KEEP).order_by("at")
        return [
            Sample(row.at, Usage(row.cpu_percent, row.memory_mb, row.disk_mb, row.processes, row.received, row.sent))
            for row in rows
        ]

    async def _container(self, actor: Actor, name: str) -> Container:
        container = to_container(await find_container(actor, name))
        require(actor, Action.CONTAINER_VIEW, container)
        return container

    async def run(self) -> None:
        """Sample until cancelled; only in the process that holds the reconciler's lock."""
        rounds = 0
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            if not (self._workers.leader.held and self._lxd_status.state.reachable):
                continue
            try:
                await self.sample(await self._lxd.usage(), datetime.now(UTC))
                rounds += 1
                if rounds % _THIN_EVERY_ROUNDS == 0:
                    await self.thin(datetime.now(UTC))
            except OpenLXDError as error:
                log.debug("sample_failed", reason=str(error))
            except Exception:
                log.exception("sample_failed")

    async def sample(self, usage: Mapping[tuple[str, str], Usage], at: datetime) -> None:
        """Keep what every container of ours uses at ``at``."""
        rows = await models.Container.all().values_list("id", "project", "name")
        found = [
            models.Sample(
                container_id=number,
                at=at,
                cpu_percent=used.cpu_percent,
                memory_mb=used.memory_mib,
                disk_mb=used.disk_mib,
                processes=used.processes,
                received=used.received_bytes,
                sent=used.sent_bytes,
            )
            for number, project, name in rows
            if (used := usage.get((project, name))) is not None
        ]
        if found:
            await _store(found)

    async def thin(self, now: datetime) -> None:
        """Drop what is older than a day, and all but the first of each ten minutes past the first hours."""
        await _drop_before(now - KEEP)
        await _thin_between(now - FINE_FOR - 4 * COARSE, now - FINE_FOR)


@transaction
async def _store(rows: list[models.Sample]) -> None:
    # a container deleted meanwhile takes its sample along
    there = {row.id for row in await models.Container.filter(id__in=[row.container_id for row in rows]).only("id")}
    await models.Sample.bulk_create([row for row in rows if row.container_id in there])


@transaction
async def _drop_before(moment: datetime) -> None:
    await models.Sample.filter(at__lt=moment).delete()


@transaction
async def _thin_between(start: datetime, end: datetime) -> None:
    seen: set[tuple[int, int]] = set()
    extra: list[int] = []
    width = COARSE.total_seconds()
    found = models.Sample.filter(at__gte=start, at__lt=end).order_by("at").values_list("id", "container_id", "at")
    for number, container, at in await found:
        window = (container, int(at.timestamp() // width))
        if window in seen:
            extra.append(number)
        seen.add(window)
    for start_at in range(0, len(extra), 500):
        await models.Sample.filter(id__in=extra[start_at : start_at + 500]).delete()
