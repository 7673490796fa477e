"""The simulated LXD's snapshots, and moving a container aside."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any

from openlxd_core.domain.container import check_name
from openlxd_core.domain.snapshot import check_snapshot_name
from openlxd_core.lxd.gateway import InstanceSnapshot
from openlxd_core.lxd.refusals import Refusal, translate
from openlxd_core.lxd.simulated_world import State, World, note

_HELD = ("cpu", "memory", "disk", "image")
"""What a snapshot brings back here."""


class SimulatedSnapshots:
    """Mixed into the simulated LXD, which brings the world and the way of a call."""

    world: World

    def _verb(self, verb: str) -> AbstractAsyncContextManager[str]:
        raise NotImplementedError

    async def snapshots(self, project: str, name: str) -> Sequence[InstanceSnapshot]:
        """A container's snapshots, oldest first."""
        async with self._verb("snapshots"):
            held = _entry(self.world.look(), project, name).get("snapshots", {})
            return [InstanceSnapshot(key, datetime.fromisoformat(value["created"])) for key, value in held.items()]

    async def create_snapshot(self, project: str, name: str, snapshot: str) -> None:
        """Take one."""
        check_snapshot_name(snapshot)
        async with self._verb("create_snapshot"):
            with self.world.change() as state:
                entry = _entry(state, project, name)
                held = entry.setdefault("snapshots", {})
                if snapshot in held:
                    raise translate(Refusal(f'Snapshot "{name}/{snapshot}" already exists', 409), snapshot)
                held[snapshot] = {key: entry[key] for key in _HELD} | {"created": datetime.now(UTC).isoformat()}
                note(state, "instance-snapshot-created", project, name)

    async def restore_snapshot(self, project: str, name: str, snapshot: str) -> None:
        """Put a container back to one."""
        async with self._verb("restore_snapshot"):
            with self.world.change() as state:
                entry = _entry(state, project, name)
                held = entry.get("snapshots", {}).get(snapshot)
                if held is None:
                    raise translate(Refusal("Snapshot not found", 404), snapshot)
                entry.update({key: held[key] for key in _HELD})
                note(state, "instance-restored", project, name)

    async def delete_snapshot(self, project: str, name: str, snapshot: str) -> None:
        """Drop one."""
        async with self._verb("delete_snapshot"):
            with self.world.change() as state:
                entry = state["instances"].get(f"{project}/{name}")
                if entry is not None and entry.get("snapshots", {}).pop(snapshot, None) is not None:
                    note(state, "instance-snapshot-deleted", project, name)

    async def rename_instance(self, project: str, name: str, new_name: str) -> None:
        """Rename a stopped container."""
        check_name(new_name)
        async with self._verb("rename_instance"):
            with self.world.change() as state:
                entry = _entry(state, project, name)
                if entry["status"] != "stopped":
                    raise translate(Refusal("Renaming of running instance not allowed"), name)
                if f"{project}/{new_name}" in state["instances"]:
                    raise translate(Refusal(f'Name "{new_name}" already in use', 409), new_name)
                moved = copy.deepcopy(entry) | {"name": new_name}
                del state["instances"][f"{project}/{name}"]
                state["instances"][f"{project}/{new_name}"] = moved
                note(state, "instance-renamed", project, new_name)

    async def connect_nic(self, project: str, name: str, connected: bool) -> None:
        """Take a container's NIC off the network, or put it back."""
        async with self._verb("connect_nic"):
            with self.world.change() as state:
                _entry(state, project, name)["connected"] = connected
                note(state, "instance-updated", project, name)


def _entry(state: State, project: str, name: str) -> Any:
    found: Mapping[str, Any] | None = state["instances"].get(f"{project}/{name}")
    if found is None:
        raise translate(Refusal("Instance not found", 404), name)
    return found
