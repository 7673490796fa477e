"""What the calls about every noun share: the client, where disks and NICs go, and LXD's errors as ours."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote

from openlxd_core.backoff import Backoff
from openlxd_core.domain.errors import AlreadyExists, Busy, Conflict
from openlxd_core.lxd.client import LxdClient
from openlxd_core.lxd.errors import ApiError, translate
from openlxd_core.lxd.gateway import Progress

OPERATION_SECONDS = 60.0
"""How long one of LXD's operations may take where nothing else is said."""


class Calls:
    """The base of each noun's calls. ``pool`` and ``network`` are where disks and NICs go."""

    def __init__(self, client: LxdClient, *, pool: str = "default", network: str = "") -> None:
        self._client = client
        self._pool = pool
        self._network = network

    async def _read(self, path: str, params: Mapping[str, str] | None = None, *, name: str = "") -> Any:
        """The metadata of a GET; ``name`` is what a message calls the thing that was asked for."""
        try:
            return await self._client.get(path, params)
        except ApiError as error:
            raise translate(error, name) from error

    async def _change(
        self,
        name: str,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        """Send a change to ``name`` and wait until LXD has carried it out."""
        try:
            await self._done(await self._begin(method, path, params, body))
        except ApiError as error:
            raise translate(error, name) from error

    async def _begin(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> str:
        """Send a change; the path of LXD's operation, or an empty string where it was carried out at once."""
        answer = await self._client.change(method, path, params, body)
        return str(answer.get("operation") or "") if answer.get("type") == "async" else ""

    async def _done(
        self, operation: str, seconds: float = OPERATION_SECONDS, progress: Progress | None = None
    ) -> dict[str, Any]:
        """Wait for an operation of :meth:`_begin`; its metadata."""
        return await self._client.wait(operation, seconds=seconds, progress=progress) if operation else {}


async def when_free(once: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Call ``once`` again while LXD works on the same instance, or has changed its state in between."""
    end = time.monotonic() + seconds
    backoff = Backoff(0.1, 1.0, factor=1.5)
    while True:
        try:
            return await once()
        except (Busy, Conflict) as error:
            if isinstance(error, AlreadyExists) or time.monotonic() + backoff.seconds > end:
                raise
        await backoff.pause()


def quoted(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")


def instance_path(name: str) -> str:
    """The path of an instance."""
    return f"/1.0/instances/{quoted(name)}"


def in_project(project: str) -> dict[str, str]:
    """The query that names a project."""
    return {"project": project}
