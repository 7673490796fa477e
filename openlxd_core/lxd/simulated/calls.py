"""How a call on the simulated LXD goes: the world it works on, the time it takes, and the events that it causes."""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from openlxd_core.lxd.errors import ApiError, translate, unknown
from openlxd_core.lxd.gateway import InstanceSnapshot, InstanceState, Progress
from openlxd_core.lxd.simulated.shell import SimulatedExec
from openlxd_core.lxd.simulated.world import State, World

PACE = {
    "create_instance": 2.0,
    "start": 0.6,
    "address": 0.9,
    "stop": 0.5,
    "delete_instance": 0.4,
    "set_limits": 0.1,
    "import_image": 1.0,
    "publish_image": 1.5,
}
"""Seconds that a call takes at pace 1; ``address`` is DHCP's time."""
STEPS = 10
"""In how many steps progress is told."""


class SimulatedCalls:
    """The base of each noun's calls. For ``path``, ``pace`` and ``clock`` see
    :class:`~openlxd_core.lxd.simulated.adapter.SimulatedLxd`."""

    def __init__(self, path: Path | None = None, *, pace: float = 0.0, clock: Callable[[], float] = time.time) -> None:
        self.world = World(path)
        self._pace = pace
        self._clock = clock
        self._sessions: dict[tuple[str, str], set[SimulatedExec]] = defaultdict(set)
        self._changed = asyncio.Event()
        self._generation = 0
        """How often :meth:`drop_connections` was called: a call that sees another number has lost its connection."""
        self._dropped = ""

    def drop_connections(self, reason: str = "Connection reset by peer") -> None:
        """Break event streams and consoles, as a restart of LXD does; new calls are answered at once."""
        self._generation += 1
        self._dropped = reason
        for session in [session for held in self._sessions.values() for session in held]:
            session.lose()
        self._wake()

    async def _enter(self, verb: str) -> None:
        """Called before each call, by the port's name of it: where a subclass in the tests makes calls fail."""

    @asynccontextmanager
    async def _verb(self, verb: str) -> AsyncIterator[None]:
        """Around each call that may change something. Raises OutcomeUnknown where the connection was lost in it."""
        await self._enter(verb)
        generation = self._generation
        try:
            yield
        finally:
            self._wake()
        if generation != self._generation:
            raise unknown()

    def _seconds(self, verb: str) -> float:
        """How long a call takes."""
        return PACE.get(verb, 0.0) * self._pace

    async def _take(self, verb: str, progress: Progress | None = None) -> None:
        """Let the time pass that the call takes; the connection may be lost meanwhile."""
        generation = self._generation
        step = self._seconds(verb) / STEPS
        for number in range(STEPS if step or progress else 1):
            await asyncio.sleep(step)
            if generation != self._generation:
                return  # LXD goes on; :meth:`_verb` tells the caller
            if progress is not None:
                progress(number * 100 // STEPS)

    def _end_sessions(self, project: str, name: str) -> None:
        for session in list(self._sessions.get((project, name), ())):
            session.end()

    def _wake(self) -> None:
        """Let the event streams look for news."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _state_of(self, entry: Mapping[str, Any]) -> InstanceState:
        up = entry["status"] in ("running", "frozen")
        here = up and self._clock() >= entry["started"] + self._seconds("address")
        number = entry["address"]
        return InstanceState(
            status=entry["status"],
            ipv4=address_of(entry) if here else "",
            ipv6=_chosen(entry.get("ipv6"), f"fd42:77::{number + 2:x}") if here else "",
            pid=1000 + number if up else 0,
        )


def _chosen(wanted: str | None, given: str) -> str:
    return {"auto": given, "none": ""}.get(wanted or "auto", wanted or "")


def address_of(entry: Mapping[str, Any]) -> str:
    """The IPv4 address that an instance has whenever it runs, or an empty string."""
    number = entry["address"]
    return _chosen(entry.get("ipv4"), f"10.77.{number // 250 % 256}.{number % 250 + 2}")


def hwaddr_of(address: int) -> str:
    """An instance's MAC address, from its number in the world."""
    return f"00:16:3e:{address >> 16 & 255:02x}:{address >> 8 & 255:02x}:{address & 255:02x}"


def key_of(project: str, name: str) -> str:
    """An instance's key in the world."""
    return f"{project}/{name}"


def entry_of(state: State, project: str, name: str) -> dict[str, Any]:
    """An instance in the world. Raises NotFound."""
    found: dict[str, Any] | None = state["instances"].get(key_of(project, name))
    if found is None:
        raise translate(ApiError("Instance not found", 404), name)
    return found


def snapshots_of(entry: Mapping[str, Any]) -> Sequence[InstanceSnapshot]:
    """An instance's snapshots, oldest first."""
    held = entry.get("snapshots", {})
    return [InstanceSnapshot(name, datetime.fromisoformat(value["created"])) for name, value in held.items()]


def check_free(entry: Mapping[str, Any]) -> None:
    """Raise Busy while an operation on the instance is under way."""
    if not entry["busy"]:
        return
    verb, pid = entry["busy"]
    if pid == os.getpid() or Path(f"/proc/{pid}").exists():  # the mark of a process that died says nothing
        raise translate(ApiError(f'Instance is busy running a "{verb}" operation'), entry["name"])
