"""Refreshing the copies of the image servers' lists, in one process at a time."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from openlxd_core.coordination.change_log import announce
from openlxd_core.coordination.locks import FileLock
from openlxd_core.domain.errors import Message, OpenLXDError
from openlxd_core.i18n import N_
from openlxd_core.services.records import pack_message, unpack_message
from openlxd_core.simplestreams.downloader import ImageServers
from openlxd_core.storage import models
from openlxd_core.storage.transaction import transaction

log = structlog.get_logger(__name__)

REFRESH_EVERY = timedelta(hours=1)
RETRY_SECONDS = 300.0
"""After a refresh that failed."""
JUST_FAILED_SECONDS = 30.0
"""How long after a failure nobody but an admin makes the servers be asked again."""
REFRESHED = "market.refreshed"
"""The setting that holds when the last refresh was, and what it failed with."""


class Refresher:
    """Refreshes the copies; ``lock`` is a file that says which process does it."""

    def __init__(self, servers: ImageServers, lock: Path) -> None:
        self._servers = servers
        self._lock = lock
        self._failed_at = 0.0

    @property
    def just_failed(self) -> bool:
        """Whether the servers could not be asked a moment ago."""
        return self._failed_at > 0 and time.monotonic() - self._failed_at < JUST_FAILED_SECONDS

    def is_due(self, fetched_at: datetime | None) -> bool:
        """Whether the copies, the oldest of which is from ``fetched_at``, are to be refreshed."""
        if not self._servers.urls:
            return False
        if self._failed_at:
            return time.monotonic() - self._failed_at > RETRY_SECONDS
        return fetched_at is None or datetime.now(UTC) - fetched_at > REFRESH_EVERY

    async def refresh(self) -> None:
        """Ask every server, or wait for the process that does. A server's failure is stored, not raised."""
        lock = FileLock(self._lock)
        if not lock.acquire():  # another process refreshes: wait for what it brings
            while not lock.acquire():  # noqa: ASYNC110 - a kernel's lock tells nobody
                await asyncio.sleep(0.2)
            lock.release()
            return
        try:
            failed: Message | None = None
            for url in self._servers.urls:
                try:
                    await self._servers.refresh(url)
                except OpenLXDError as error:
                    log.warning("image_server_failed", server=url, reason=str(error))
                    failed = failed or error.message
                except Exception:
                    log.exception("image_server_failed", server=url)
                    failed = failed or Message(N_("The image server's response cannot be used."))
            await _store(failed)
        finally:
            lock.release()
        self._failed_at = time.monotonic() if failed else 0.0


@transaction
async def _store(failed: Message | None) -> None:
    row, _new = await models.Setting.get_or_create(key=REFRESHED, defaults={"value": {}})
    row.value = {"failed": pack_message(failed), "at": datetime.now(UTC).isoformat()}
    await row.save()
    await announce("image", "catalogue", "", None)


async def last_failure() -> Message | None:
    """What the last refresh failed with, in whichever process it was."""
    row = await models.Setting.filter(key=REFRESHED).first()
    return unpack_message((row.value or {}).get("failed")) if row is not None else None
