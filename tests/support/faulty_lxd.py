"""The simulated LXD with faults that a test switches on: calls that fail, are lost, hang, or take their time."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from openlxd_core.lxd.errors import ApiError, not_stopped, unknown, unreachable
from openlxd_core.lxd.gateway import InstanceSpec, InstanceState, Progress
from openlxd_core.lxd.simulated import SimulatedLxd
from openlxd_core.lxd.simulated.calls import PACE


class FaultyLxd(SimulatedLxd):
    """A :class:`SimulatedLxd` that misbehaves when told to."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.calls: Counter[str] = Counter()
        """How often each call was made."""
        self._down = ""
        self._errors: dict[str, list[Exception]] = defaultdict(list)
        self._losses: dict[str, list[str]] = defaultdict(list)
        self._delays: dict[str, float] = {}
        self._stubborn: set[tuple[str, str]] = set()
        self._claimed: dict[tuple[str, str], str] = {}

    def unreachable(self, reason: str = "Connection refused") -> None:
        """From now on LXD does not answer: streams and consoles break off, calls under way are lost."""
        self._down = reason
        self.drop_connections(reason)

    def reachable(self) -> None:
        """LXD is back."""
        self._down = ""

    def lose_connection_during(self, verb: str, *, outcome: str = "done") -> None:
        """The next ``verb`` ends with OutcomeUnknown. ``outcome`` says what LXD did: ``done``, ``nothing``, or ``half``
        (a create that left an instance which cannot start)."""
        self._losses[verb].append(outcome)

    def fail_next(self, verb: str, error: Exception, times: int = 1) -> None:
        """The next ``times`` calls of ``verb`` raise ``error`` and do nothing."""
        self._errors[verb].extend([error] * times)

    def delay(self, verb: str, seconds: float) -> None:
        """Every ``verb`` takes this long from now on, whatever the pace. ``address`` is DHCP's time."""
        self._delays[verb] = seconds

    def ignore_graceful_stop(self, project: str, name: str) -> None:
        """This container ends by force only."""
        self._stubborn.add((project, name))

    def claim_address(self, project: str, name: str, ipv4: str) -> None:
        """The guest puts this address on its interface in place of the one that it was given."""
        self._claimed[project, name] = ipv4

    def _state_of(self, entry: Mapping[str, Any]) -> InstanceState:
        state = super()._state_of(entry)
        claimed = self._claimed.get((entry["project"], entry["name"]), "")
        return replace(state, ipv4=claimed) if claimed and state.ipv4 else state

    async def _enter(self, verb: str) -> None:
        self.calls[verb] += 1
        await asyncio.sleep(self._delays.get(verb, 0) if verb not in PACE else 0)
        if self._down:
            raise unreachable() from ConnectionRefusedError(self._down)
        if self._errors[verb]:
            raise self._errors[verb].pop(0)

    @asynccontextmanager
    async def _verb(self, verb: str) -> AsyncIterator[None]:
        async with super()._verb(verb):
            loss = self._losses[verb].pop(0) if self._losses[verb] else ""
            if loss == "nothing":
                raise unknown()
            yield
        if loss:
            raise unknown()

    def _seconds(self, verb: str) -> float:
        return self._delays.get(verb, super()._seconds(verb))

    async def create_instance(self, spec: InstanceSpec, progress: Progress | None = None) -> None:
        """Make one; where the connection is lost half way, what is left cannot start."""
        half = self._losses["create_instance"][:1] == ["half"]
        try:
            await super().create_instance(spec, progress)
        finally:
            entry = self.world.look()["instances"].get(f"{spec.project}/{spec.name}")
            if half and entry is not None:
                with self.world.change():
                    entry["half"] = True

    async def stop(self, project: str, name: str, *, force: bool = False, timeout: float = 30) -> None:
        """Stop one, or refuse to within the time."""
        entry = self.world.look()["instances"].get(f"{project}/{name}")
        if not force and (project, name) in self._stubborn and entry and entry["status"] != "stopped":
            async with self._verb("stop"):
                await asyncio.sleep(min(timeout, self._seconds("stop")))
                raise not_stopped(ApiError("Failed shutting down instance: context deadline exceeded"), name, timeout)
        await super().stop(project, name, force=force, timeout=timeout)
