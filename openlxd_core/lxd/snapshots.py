"""Snapshots of containers."""

from __future__ import annotations

from collections.abc import Sequence

from openlxd_core.domain.errors import NotFound
from openlxd_core.domain.snapshot import check_snapshot_name
from openlxd_core.lxd.calls import Calls, in_project, instance_path, quoted
from openlxd_core.lxd.gateway import InstanceSnapshot
from openlxd_core.lxd.parsing import read_snapshots


class SnapshotCalls(Calls):
    """Calls about snapshots."""

    async def snapshots(self, project: str, name: str) -> Sequence[InstanceSnapshot]:
        """A container's snapshots, oldest first."""
        found = await self._read(f"{instance_path(name)}/snapshots", {"project": project, "recursion": "1"}, name=name)
        return read_snapshots(found)

    async def create_snapshot(self, project: str, name: str, snapshot: str) -> None:
        """Take one, without the memory of what runs."""
        body = {"name": check_snapshot_name(snapshot), "stateful": False}
        await self._change(name, "POST", f"{instance_path(name)}/snapshots", in_project(project), body)

    async def restore_snapshot(self, project: str, name: str, snapshot: str) -> None:
        """Put a container back to one."""
        if all(found.name != snapshot for found in await self.snapshots(project, name)):
            raise NotFound("{name}", name=snapshot)
        body = {"restore": check_snapshot_name(snapshot)}
        await self._change(name, "PUT", instance_path(name), in_project(project), body)

    async def delete_snapshot(self, project: str, name: str, snapshot: str) -> None:
        """Drop one."""
        held = check_snapshot_name(snapshot)
        try:
            await self._change(name, "DELETE", f"{instance_path(name)}/snapshots/{quoted(held)}", in_project(project))
        except NotFound:
            return
