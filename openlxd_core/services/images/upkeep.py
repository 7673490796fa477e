"""What runs behind for images: a fresh catalogue, rows in step with LXD, newer builds, nothing unused."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime

import structlog

from openlxd_core.coordination.change_log import Feed
from openlxd_core.coordination.liveness import Workers
from openlxd_core.domain.actor import SYSTEM
from openlxd_core.domain.errors import OpenLXDError
from openlxd_core.services.images.catalogue import ImageCatalogue
from openlxd_core.services.images.images import Images
from openlxd_core.services.images.local import LocalImages
from openlxd_core.services.images.sync import ImageSync
from openlxd_core.services.lxd_status import LxdStatus
from openlxd_core.services.operations.kinds.images import ImportHandler

log = structlog.get_logger(__name__)

ROUND_SECONDS, SETTLE_SECONDS = 30.0, 0.2
"""How often things are looked at, and how long to let several changes come together."""


class ImageUpkeep:
    """Follows the feed in every process; the leader does the rest."""

    def __init__(
        self,
        lxd_status: LxdStatus,
        workers: Workers,
        feed: Feed,
        images: Images,
        local: LocalImages,
        sync: ImageSync,
        catalogue: ImageCatalogue,
        imports: ImportHandler,
    ) -> None:
        self._lxd_status = lxd_status
        self._workers = workers
        self._feed = feed
        self._images = images
        self._local = local
        self._sync = sync
        self._catalogue = catalogue
        self._imports = imports
        self._updated_from: datetime | None = None

    async def run(self) -> None:
        """Run the upkeep until cancelled."""
        listener = asyncio.create_task(self._listen())
        try:
            while True:
                try:
                    await self._round()
                except OpenLXDError as error:
                    log.info("image_upkeep_waits", reason=str(error))
                except Exception:
                    log.exception("image_upkeep_failed")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ROUND_SECONDS):
                        await self._local.changed.wait()
                self._local.changed.clear()
                await asyncio.sleep(SETTLE_SECONDS)
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)

    async def _listen(self) -> None:
        async with self._feed.subscribe(SYSTEM) as changes:
            async for change in changes:
                try:
                    if change.topic == "image" and change.verb == "progress":
                        operation, percent = str(change.data.get("operation", "")), int(change.data.get("percent", 0))
                        self._catalogue.told_progress(change.key, operation, percent)
                    elif change.topic == "image" and change.verb == "catalogue":
                        await self._catalogue.load()
                    elif change.topic in ("image", "resync"):
                        await self._catalogue.load_rows()
                    elif change.topic == "user" and change.verb == "deleted":
                        self._local.changed.set()
                except OpenLXDError as error:
                    log.info("image_upkeep_waits", reason=str(error))
                except Exception:
                    log.exception("image_upkeep_failed")

    async def _round(self) -> None:
        await self._catalogue.load()
        if not self._workers.leader.held:
            return
        await self._imports.sweep()
        self._catalogue.refresh_if_due()  # not waited for: a slow server must not keep the rows from following LXD
        fetched_at = self._catalogue.state().fetched_at
        if self._updated_from != fetched_at:  # once for each list: one that fails is not retried endlessly
            self._updated_from = fetched_at
            await self._images.update_imported()
        if self._lxd_status.state.reachable:
            await self._sync.sync()
            await self._sync.drop_unused()
            await self._sync.drop_of_deleted_accounts()
