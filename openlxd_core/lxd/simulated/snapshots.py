"""The simulated LXD's snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from openlxd_core.domain.snapshot import check_snapshot_name
from openlxd_core.lxd.errors import ApiError, translate
from openlxd_core.lxd.gateway import InstanceSnapshot
from openlxd_core.lxd.simulated.calls import SimulatedCalls, entry_of, snapshots_of
from openlxd_core.lxd.simulated.world import note

_HELD = ("cpu", "memory", "disk", "image")
"""What a snapshot brings back here."""


class SimulatedSnapshots(SimulatedCalls):
    """Calls about snapshots."""

    async def snapshots(self, project: str, name: str) -> Sequence[InstanceSnapshot]:
        """A container's snapshots, oldest first."""
        async with self._verb("snapshots"):
            return snapshots_of(entry_of(self.world.look(), project, name))

    async def create_snapshot(self, project: str, name: str, snapshot: str) -> None:
        """Take one."""
        check_snapshot_name(snapshot)
        async with self._verb("create_snapshot"):
            with self.world.change() as state:
                entry = entry_of(state, project, name)
                held = entry.setdefault("snapshots", {})
                if snapshot in held:
                    raise translate(ApiError(f'Snapshot "{name}/{snapshot}" already exists', 409), snapshot)
                held[snapshot] = {key: entry[key] for key in _HELD} | {"created": datetime.now(UTC).isoformat()}
                note(state, "instance-snapshot-created", project, name)

    async def restore_snapshot(self, project: str, name: str, snapshot: str) -> None:
        """Put a container back to one."""
        async with self._verb("restore_snapshot"):
            with self.world.change() as state:
                entry = entry_of(state, project, name)
                held = entry.get("snapshots", {}).get(snapshot)
                if held is None:
                    raise translate(ApiError("Snapshot not found", 404), snapshot)
                entry.update({key: held[key] for key in _HELD})
                note(state, "instance-restored", project, name)

    async def delete_snapshot(self, project: str, name: str, snapshot: str) -> None:
        """Drop one."""
        async with self._verb("delete_snapshot"):
            with self.world.change() as state:
                entry = state["instances"].get(f"{project}/{name}")
                if entry is not None and entry.get("snapshots", {}).pop(snapshot, None) is not None:
                    note(state, "instance-snapshot-deleted", project, name)
