"""The real gateway's calls about snapshots and about moving a container aside: one noun, kept apart from the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from openlxd_core.domain.container import check_name
from openlxd_core.domain.errors import NotFound
from openlxd_core.domain.snapshot import check_snapshot_name
from openlxd_core.lxd.gateway import InstanceSnapshot
from openlxd_core.lxd.readings import read_snapshot


class SnapshotCalls:
    """Mixed into the gateway, which brings ``_read`` and ``_do``."""

    async def _read(self, path: str, params: Mapping[str, str] | None = None, *, name: str = "") -> Any:
        raise NotImplementedError

    async def _do(self, name: str, call: Callable[[Any], Any]) -> None:
        raise NotImplementedError

    async def snapshots(self, project: str, name: str) -> Sequence[InstanceSnapshot]:
        """A container's snapshots, oldest first."""
        found = await self._read(f"{_path(name)}/snapshots", {"project": project, "recursion": "1"}, name=name)
        return sorted(map(read_snapshot, found or []), key=lambda snapshot: snapshot.created_at)

    async def create_snapshot(self, project: str, name: str, snapshot: str) -> None:
        """Take one, without the memory of what runs."""
        body = {"name": check_snapshot_name(snapshot), "stateful": False}
        await self._do(name, lambda api: api.instances[_quoted(name)].snapshots.post(json=body, params=_in(project)))

    async def restore_snapshot(self, project: str, name: str, snapshot: str) -> None:
        """Put a container back to one."""
        if all(found.name != snapshot for found in await self.snapshots(project, name)):
            raise NotFound("{name}", name=snapshot)
        body = {"restore": check_snapshot_name(snapshot)}
        await self._do(name, lambda api: api.instances[_quoted(name)].put(json=body, params=_in(project)))

    async def delete_snapshot(self, project: str, name: str, snapshot: str) -> None:
        """Drop one."""
        held = check_snapshot_name(snapshot)
        try:
            await self._do(
                name, lambda api: api.instances[_quoted(name)].snapshots[_quoted(held)].delete(params=_in(project))
            )
        except NotFound:
            return

    async def rename_instance(self, project: str, name: str, new_name: str) -> None:
        """Rename a stopped container."""
        body = {"name": check_name(new_name)}
        await self._do(name, lambda api: api.instances[_quoted(name)].post(json=body, params=_in(project)))

    async def connect_nic(self, project: str, name: str, connected: bool) -> None:
        """Put the container's own eth0 over the profile's, as no device at all; or take that away again."""
        found = await self._read(_path(name), _in(project), name=name)
        devices = {key: value for key, value in (found.get("devices") or {}).items() if key != "eth0"}
        if not connected:
            devices["eth0"] = {"type": "none"}
        kept = ("architecture", "config", "description", "ephemeral", "profiles", "stateful")
        body = {key: found[key] for key in kept if key in found} | {"devices": devices}
        await self._do(name, lambda api: api.instances[_quoted(name)].put(json=body, params=_in(project)))

    async def _nic_of(self, project: str) -> dict[str, str]:
        """The default profile's NIC."""
        profile = await self._read("/1.0/profiles/default", _in(project), name=project)
        return dict(profile["devices"]["eth0"])


def _in(project: str) -> dict[str, str]:
    return {"project": project}


def _quoted(name: str) -> str:
    return quote(name, safe="")


def _path(name: str) -> str:
    return f"/1.0/instances/{_quoted(name)}"
