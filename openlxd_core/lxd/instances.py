"""Containers: lists, one container's state, and what makes, changes and deletes it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from openlxd_core.domain.container import check_name
from openlxd_core.domain.errors import NotFound, OpenLXDError
from openlxd_core.keyed_locks import KeyedLocks
from openlxd_core.lxd import tenant_policy
from openlxd_core.lxd.calls import in_project, instance_path, when_free
from openlxd_core.lxd.client import LxdClient
from openlxd_core.lxd.errors import ApiError, translate
from openlxd_core.lxd.gateway import Instance, InstanceSpec, InstanceState, InstanceSurvey, Progress
from openlxd_core.lxd.parsing import read_instance, read_snapshots, read_state, read_status
from openlxd_core.lxd.power import PowerCalls

CREATE_SECONDS = 900.0
SURVEY_SECONDS = 600.0
"""Enough for some 15,000 running containers, at 40 ms each."""
BUSY_SECONDS = 60.0
"""How long a delete waits for LXD to finish what it is doing to the same instance."""
_WRITABLE = ("architecture", "config", "description", "ephemeral", "profiles", "stateful")
"""What a PUT of an instance takes, beside its devices."""


class InstanceCalls(PowerCalls):
    """Calls about containers."""

    def __init__(self, client: LxdClient, *, pool: str = "default", network: str = "") -> None:
        super().__init__(client, pool=pool, network=network)
        # LXD checks a project's limits, and only later records the instance: on 5.0.2, six creates of 64 MiB at once
        # all passed a limit of 192 MiB. So changes that count towards a project's limits go one after the other.
        self._admission = KeyedLocks()

    async def instances(self) -> Sequence[Instance]:
        """Every container of every project, in one call."""
        found = await self._read("/1.0/instances", {"recursion": "1", "all-projects": "true"})
        return [read_instance(entry) for entry in found or [] if entry.get("type") == "container"]

    async def survey(self) -> Sequence[InstanceSurvey]:
        """Every container of every project with its state and snapshots, in one call."""
        params = {"recursion": "2", "all-projects": "true"}
        try:
            found = await self._client.get("/1.0/instances", params, seconds=SURVEY_SECONDS)
        except ApiError as error:
            raise translate(error) from error
        return [
            InstanceSurvey(
                read_instance(entry),
                read_state({"status": entry.get("status"), **(entry.get("state") or {})}),
                read_snapshots(entry.get("snapshots")),
            )
            for entry in found or []
            if entry.get("type") == "container"
        ]

    async def instance(self, project: str, name: str) -> Instance:
        """One container."""
        return read_instance(await self._read(instance_path(name), in_project(project), name=name))

    async def state(self, project: str, name: str) -> InstanceState:
        """One container's addresses and live status."""
        found = await self._read(f"{instance_path(name)}/state", in_project(project), name=name)
        return read_state(found)

    async def create_instance(self, spec: InstanceSpec, progress: Progress | None = None) -> None:
        """Make a stopped container and return when LXD is done."""
        body = tenant_policy.instance_body(spec, self._pool)
        own = tenant_policy.nic_config(spec)
        if own:
            body["devices"]["eth0"] = await self._nic_of(spec.project) | own
        try:
            async with self._admission.of(spec.project):
                operation = await self._begin("POST", "/1.0/instances", in_project(spec.project), body)
                done = asyncio.create_task(self._done(operation, CREATE_SECONDS, progress))
                try:
                    await self._counted(spec, done)
                except BaseException:
                    done.cancel()
                    raise
            await done
        except ApiError as error:
            raise translate(error, spec.name) from error
        if progress is not None:
            progress(100)

    async def _counted(self, spec: InstanceSpec, done: asyncio.Task[dict[str, Any]]) -> None:
        """Wait until LXD counts the new instance, or has ended the create."""
        while not done.done():
            with suppress(OpenLXDError, ApiError):
                await self._client.get(instance_path(spec.name), in_project(spec.project))
                return
            await asyncio.wait({done}, timeout=0.02)

    async def delete_instance(self, project: str, name: str) -> None:
        """Delete a container, whatever state it is in."""

        async def once() -> None:
            found = await self._read(instance_path(name), in_project(project), name=name)
            if read_status(found["status"]) != "stopped":
                await self.stop(project, name, force=True)
            if found.get("config", {}).get("security.protection.delete") in ("true", "1", "yes", "on"):
                await self._patch(project, name, {"config": {"security.protection.delete": "false"}})
            await self._change(name, "DELETE", instance_path(name), in_project(project))

        try:
            await when_free(once, BUSY_SECONDS)
        except NotFound:
            return

    async def set_marks(self, project: str, name: str, marks: Mapping[str, str]) -> None:
        """Change ``user.openlxd.*`` keys only."""
        await self._patch(project, name, {"config": tenant_policy.marks_config(marks)})

    async def set_limits(self, project: str, name: str, cpu: int, memory_mib: int, disk_mib: int) -> None:
        """Change limits, live where LXD can; the root disk stays on its pool."""
        async with self._admission.of(project):
            await self._set_limits(project, name, cpu, memory_mib, disk_mib)

    async def _set_limits(self, project: str, name: str, cpu: int, memory_mib: int, disk_mib: int) -> None:
        found = await self._read(instance_path(name), in_project(project), name=name)
        pool = ((found.get("expanded_devices") or {}).get("root") or {}).get("pool") or self._pool
        devices = {"root": {**(found.get("devices") or {}).get("root", {}), **tenant_policy.root_disk(pool, disk_mib)}}
        await self._patch(project, name, {"config": tenant_policy.limits_config(cpu, memory_mib), "devices": devices})

    async def _patch(self, project: str, name: str, body: Mapping[str, Any]) -> None:
        await self._change(name, "PATCH", instance_path(name), in_project(project), body)

    async def rename_instance(self, project: str, name: str, new_name: str) -> None:
        """Rename a stopped container."""
        body = {"name": check_name(new_name)}
        await self._change(name, "POST", instance_path(name), in_project(project), body)

    async def connect_nic(self, project: str, name: str, connected: bool) -> None:
        """Put the container's own eth0 over the profile's, as no device at all; or take that away again."""
        found = await self._read(instance_path(name), in_project(project), name=name)
        devices = {key: value for key, value in (found.get("devices") or {}).items() if key != "eth0"}
        if not connected:
            devices["eth0"] = {"type": "none"}
        body = {key: found[key] for key in _WRITABLE if key in found} | {"devices": devices}
        await self._change(name, "PUT", instance_path(name), in_project(project), body)

    async def _nic_of(self, project: str) -> dict[str, str]:
        """The default profile's NIC."""
        profile = await self._read("/1.0/profiles/default", in_project(project), name=project)
        return dict(profile["devices"]["eth0"])
