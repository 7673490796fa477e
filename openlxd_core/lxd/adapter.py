"""The port on a real LXD or Incus: the calls of every noun over one client."""

from __future__ import annotations

from pathlib import Path

from openlxd_core.lxd.client import LxdClient
from openlxd_core.lxd.events import EventCalls
from openlxd_core.lxd.exec import ExecCalls
from openlxd_core.lxd.forwards import ForwardCalls
from openlxd_core.lxd.images import ImageCalls
from openlxd_core.lxd.metrics import MetricCalls
from openlxd_core.lxd.projects import ProjectCalls
from openlxd_core.lxd.snapshots import SnapshotCalls


class LxdAdapter(ProjectCalls, ForwardCalls, SnapshotCalls, ImageCalls, ExecCalls, MetricCalls, EventCalls):
    """An :class:`~openlxd_core.lxd.gateway.LxdGateway` on the LXD (5.0 and later) or Incus behind ``socket``.

    ``pool`` and ``network`` are where disks and NICs go; an empty network means the first managed bridge.
    """

    def __init__(self, socket: Path, *, pool: str = "default", network: str = "") -> None:
        super().__init__(LxdClient(socket), pool=pool, network=network)

    async def open(self) -> None:
        """Get ready; LXD need not be there yet."""
        await self._client.open()
        self._pylxd.open()

    async def close(self) -> None:
        """Close sockets and threads."""
        await self._client.close()
        self._pylxd.close()
