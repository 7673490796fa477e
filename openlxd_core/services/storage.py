"""The disk under the product: whether changes can be saved, and the moment when they can be again."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from tortoise.connection import get_connection

from openlxd_core.domain.errors import StorageFull, StorageUnavailable
from openlxd_core.domain.storage import StorageState
from openlxd_core.storage import faults
from openlxd_core.storage.client import PatientSqliteClient
from openlxd_core.storage.transaction import CONNECTION

PROBE_SECONDS = 2.0
"""Between two tries to write, once a write has failed: health must not stay degraded until somebody's next change."""


class Storage:
    """The state directory as a place to write to."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def state(self) -> StorageState:
        """What the last write met, or that the disk is full though nobody has written yet."""
        trouble = faults.watch.trouble
        if trouble is not None:
            return StorageState(False, trouble.code)
        return StorageState(False, StorageFull.code) if faults.is_full(self._directory) else StorageState(True)

    async def run(self) -> None:
        """While a write has failed, try another every PROBE_SECONDS, until cancelled."""
        while True:
            await faults.watch.until_trouble()
            await asyncio.sleep(PROBE_SECONDS)
            with contextlib.suppress(StorageUnavailable):
                await self._probe()

    async def _probe(self) -> None:
        """Write the smallest thing there is: a number in the database's header that nothing reads, as it stands."""
        client = get_connection(CONNECTION)
        if isinstance(client, PatientSqliteClient):
            await client.execute_query("PRAGMA user_version = 0")
        faults.watch.succeeded()
