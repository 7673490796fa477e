"""The server and its bridges."""

from __future__ import annotations

import asyncio

from openlxd_core.lxd.calls import Calls, quoted
from openlxd_core.lxd.gateway import ServerInfo
from openlxd_core.lxd.parsing import read_server


class ServerCalls(Calls):
    """Calls about the server."""

    async def server(self) -> ServerInfo:
        """What answers, its pools and managed bridges."""
        info, pools, networks = await asyncio.gather(
            self._read("/1.0"),
            self._read("/1.0/storage-pools"),
            self._read("/1.0/networks", {"recursion": "1"}),
        )
        return read_server(info, pools or [], networks or [])

    async def bridge_addresses(self, network: str) -> tuple[str, str]:
        """A managed bridge's own addresses."""
        found = await self._read(f"/1.0/networks/{quoted(network or await self._bridge())}")
        config = found.get("config") or {}
        shown = [str(config.get(key) or "") for key in ("ipv4.address", "ipv6.address")]
        return shown[0] if "/" in shown[0] else "", shown[1] if "/" in shown[1] else ""

    async def _bridge(self) -> str:
        """The bridge of the settings, or the first managed one."""
        if not self._network:
            networks = (await self.server()).networks
            self._network = networks[0] if networks else ""
        return self._network
