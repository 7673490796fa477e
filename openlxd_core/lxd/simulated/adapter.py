"""The simulated LXD: for trying OpenLXD without one, and for tests.

It keeps LXD's rules (project limits, names, one operation on an instance at a time) and words its errors as the real
one does.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress

from openlxd_core.domain.console import ExecSession
from openlxd_core.domain.container import Usage
from openlxd_core.lxd.errors import ApiError, translate, unreachable
from openlxd_core.lxd.gateway import LxdEvent, ServerInfo
from openlxd_core.lxd.simulated.calls import entry_of
from openlxd_core.lxd.simulated.forwards import SimulatedForwards
from openlxd_core.lxd.simulated.images import SimulatedImages
from openlxd_core.lxd.simulated.instances import SimulatedInstances
from openlxd_core.lxd.simulated.projects import SimulatedProjects
from openlxd_core.lxd.simulated.shell import Machine, SimulatedExec
from openlxd_core.lxd.simulated.snapshots import SimulatedSnapshots

WATCH_SECONDS = 0.2
"""How often the events of other processes are looked for."""


class SimulatedLxd(SimulatedProjects, SimulatedInstances, SimulatedSnapshots, SimulatedImages, SimulatedForwards):
    """An :class:`~openlxd_core.lxd.gateway.LxdGateway` that holds everything itself.

    ``path``: a file that several processes share. ``pace``: 0 is at once, 1 is about as slow as a real one.
    ``clock``: seconds since the epoch, for usage and addresses.
    """

    async def open(self) -> None:
        """Nothing to get ready."""

    async def close(self) -> None:
        """End the consoles."""
        for session in [session for held in self._sessions.values() for session in held]:
            await session.close()
        self._sessions.clear()

    async def server(self) -> ServerInfo:
        """What answers."""
        await self._enter("server")
        extensions = frozenset({"projects", "projects_restrictions", "metrics", "instance_all_projects"})
        return ServerInfo("simulated", "5.0.2", "x86_64", ["default"], ["lxdbr0"], extensions, "nftables")

    async def bridge_addresses(self, network: str) -> tuple[str, str]:
        """The pretended bridge's own addresses."""
        async with self._verb("bridge_addresses"):
            return "10.77.0.1/16", "fd42:77::1/64"

    async def usage(self) -> Mapping[tuple[str, str], Usage]:
        """Made-up figures that move and stay within the limits."""
        await self._enter("usage")
        now = self._clock()
        found = {}
        for entry in self.world.look()["instances"].values():
            if entry["status"] == "running":
                wave = (math.sin(now / 7 + entry["address"]) + 1) / 2
                up = max(0.0, now - entry["started"])
                found[entry["project"], entry["name"]] = Usage(
                    cpu_percent=round(entry["cpu"] * 60 * wave**2, 1),
                    memory_mib=round(entry["memory"] * (0.1 + 0.3 * wave), 1),
                    disk_mib=round(min(entry["disk"], 40 + up / 60), 1),
                    processes=8 + int(6 * wave),
                    received_bytes=int(up * 1500) + 1200,
                    sent_bytes=int(up * 900) + 800,
                )
        return found

    async def events(self) -> AsyncIterator[LxdEvent]:
        """What happens from now on, in this process and in the others that share the file."""
        await self._enter("events")
        generation = self._generation
        last = self.world.look()["event"]
        yield LxdEvent("connected")
        while True:
            changed = self._changed
            state = self.world.look()
            for number, action, project, name in state["events"]:
                if number > last:
                    yield LxdEvent("lifecycle", action, project, name)
            last = state["event"]
            if generation != self._generation:
                raise unreachable() from ConnectionResetError(self._dropped)
            with suppress(TimeoutError):
                async with asyncio.timeout(WATCH_SECONDS if self.world.shared else None):
                    await changed.wait()

    async def exec(
        self,
        project: str,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        terminal: tuple[int, int] | None = None,
    ) -> ExecSession:
        """Run ``command`` in the pretend shell."""
        async with self._verb("exec"):
            state = self.world.look()
            entry = entry_of(state, project, name)
            if entry["status"] != "running":
                raise translate(ApiError("Instance is not running"), name)
            image = state["images"].get(entry["image"], {}).get("properties", {})
            machine = Machine(
                hostname=name, architecture="x86_64", os=image.get("os", "linux"), release=image.get("release", ""),
                ipv4=self._state_of(entry).ipv4, memory_mib=entry["memory"],
            )  # fmt: skip
            session = SimulatedExec(machine, command, environment or {}, terminal)
            held = self._sessions[project, name]
            held.add(session)
            session.when_done(lambda: held.discard(session))
            return session
