"""The simulated LXD's containers: lists, power, and what makes, changes and deletes one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from openlxd_core.domain.container import check_name
from openlxd_core.domain.errors import NotFound, OpenLXDError
from openlxd_core.domain.text import clean
from openlxd_core.lxd.errors import ApiError, translate
from openlxd_core.lxd.gateway import Instance, InstanceSpec, InstanceState, InstanceSurvey, Progress
from openlxd_core.lxd.simulated.calls import SimulatedCalls, check_free, entry_of, hwaddr_of, key_of, snapshots_of
from openlxd_core.lxd.simulated.projects import check_limits
from openlxd_core.lxd.simulated.world import State, note
from openlxd_core.lxd.tenant_policy import marks_config


class SimulatedInstances(SimulatedCalls):
    """Calls about containers."""

    async def instances(self) -> Sequence[Instance]:
        """Every container."""
        await self._enter("instances")
        state = self.world.look()
        return [self._instance(state, entry) for entry in state["instances"].values()]

    async def survey(self) -> Sequence[InstanceSurvey]:
        """Every container with its state and snapshots."""
        await self._enter("survey")
        world = self.world.look()
        return [
            InstanceSurvey(self._instance(world, entry), self._state_of(entry), snapshots_of(entry))
            for entry in world["instances"].values()
        ]

    async def instance(self, project: str, name: str) -> Instance:
        """One container."""
        await self._enter("instance")
        state = self.world.look()
        return self._instance(state, entry_of(state, project, name))

    async def state(self, project: str, name: str) -> InstanceState:
        """One container's state; the address comes a moment after the start."""
        await self._enter("state")
        return self._state_of(entry_of(self.world.look(), project, name))

    async def create_instance(self, spec: InstanceSpec, progress: Progress | None = None) -> None:
        """Make a stopped container."""
        key = key_of(spec.project, spec.name)
        async with self._verb("create_instance"):
            with self.world.change() as state:
                self._admit(state, spec)
                state["address"] += 1
                address = _address_of(spec.hwaddr) or state["address"]
                state["instances"][key] = {
                    "project": spec.project, "name": spec.name, "status": "stopped", "cpu": spec.cpu,
                    "memory": spec.memory_mib, "disk": spec.disk_mib, "marks": marks_config(spec.marks),
                    "ipv4": spec.ipv4, "ipv6": spec.ipv6,
                    "image": spec.fingerprint, "address": address, "started": 0.0, "half": True,
                    "created": datetime.now(UTC).isoformat(), "busy": ["create", os.getpid()],
                }  # fmt: skip
            try:
                await self._take("create_instance", progress)
            finally:
                # LXD itself goes on when its client goes away: a cancelled caller changes nothing here
                def created(state: State) -> None:
                    if (entry := state["instances"].get(key)) is not None:
                        entry["busy"], entry["half"] = [], False
                        note(state, "instance-created", spec.project, spec.name)

                await self.world.settle(created)
                self._wake()
        if progress is not None:
            progress(100)

    def _admit(self, state: State, spec: InstanceSpec) -> None:
        limits = state["projects"].get(spec.project)
        if limits is None:
            raise translate(ApiError("Project not found", 404), spec.project)
        check_name(spec.name)
        if spec.fingerprint not in state["images"]:
            raise translate(ApiError("Image not provided for instance creation"), spec.fingerprint[:12])
        taken = state["instances"].get(key_of(spec.project, spec.name))
        if taken is not None:
            check_free(taken)
            raise translate(ApiError('This "instances" entry already exists'), spec.name)
        check_limits(
            state, spec.project, {"containers": 1, "cpu": spec.cpu, "memory": spec.memory_mib, "disk": spec.disk_mib}
        )

    async def delete_instance(self, project: str, name: str) -> None:
        """Delete a container, whatever state it is in; waits while LXD is busy with it."""
        async with self._verb("delete_instance"):
            for _ in range(600):
                found = self.world.look()["instances"].get(key_of(project, name))
                if found is None:
                    return
                with suppress(OpenLXDError):
                    check_free(found)
                    break
                await asyncio.sleep(0.1)
            await self._take("delete_instance")
            with self.world.change() as state:
                entry = state["instances"].get(key_of(project, name))
                if entry is None:
                    return
                check_free(entry)
                if entry["status"] != "stopped":
                    note(state, "instance-stopped", project, name)
                del state["instances"][key_of(project, name)]
                note(state, "instance-deleted", project, name)
            self._end_sessions(project, name)

    async def set_marks(self, project: str, name: str, marks: Mapping[str, str]) -> None:
        """Change marks."""
        wanted = marks_config(marks)
        async with self._verb("set_marks"):
            with self.world.change() as state:
                entry_of(state, project, name)["marks"].update(wanted)
                note(state, "instance-updated", project, name)

    async def set_limits(self, project: str, name: str, cpu: int, memory_mib: int, disk_mib: int) -> None:
        """Change limits, within the project's."""
        async with self._verb("set_limits"):
            await self._take("set_limits")
            with self.world.change() as state:
                entry = entry_of(state, project, name)
                check_free(entry)
                wanted = {"cpu": cpu, "memory": memory_mib, "disk": disk_mib}
                check_limits(state, project, {what: wanted[what] - entry[what] for what in wanted})
                entry.update(wanted)
                note(state, "instance-updated", project, name)

    async def rename_instance(self, project: str, name: str, new_name: str) -> None:
        """Rename a stopped container."""
        check_name(new_name)
        async with self._verb("rename_instance"):
            with self.world.change() as state:
                entry = entry_of(state, project, name)
                if entry["status"] != "stopped":
                    raise translate(ApiError("Renaming of running instance not allowed"), name)
                if f"{project}/{new_name}" in state["instances"]:
                    raise translate(ApiError(f'Name "{new_name}" already in use', 409), new_name)
                moved = {**entry, "name": new_name}
                del state["instances"][f"{project}/{name}"]
                state["instances"][f"{project}/{new_name}"] = moved
                note(state, "instance-renamed", project, new_name)

    async def connect_nic(self, project: str, name: str, connected: bool) -> None:
        """Take a container's NIC off the network, or put it back."""
        async with self._verb("connect_nic"):
            with self.world.change() as state:
                entry_of(state, project, name)["connected"] = connected
                note(state, "instance-updated", project, name)

    async def start(self, project: str, name: str) -> None:
        """Start a container; one that is paused goes on."""
        async with self._verb("start"):
            entry = entry_of(self.world.look(), project, name)
            check_free(entry)
            if entry["half"]:
                raise translate(ApiError("Failed to run: no init in the root file system"), name)
            if entry["status"] == "frozen":
                self._set(project, name, "running", "instance-resumed")
            elif entry["status"] != "running":
                await self._busy(project, name, "start")
                self._set(project, name, "running", "instance-started", started=self._clock())

    async def stop(self, project: str, name: str, *, force: bool = False, timeout: float = 30) -> None:
        """Stop a container."""
        async with self._verb("stop"):
            entry = entry_of(self.world.look(), project, name)
            if not force:
                check_free(entry)
            if entry["status"] == "stopped":
                return
            await self._busy(project, name, "stop", force=force)
            self._set(project, name, "stopped", "instance-stopped" if force else "instance-shutdown")
            self._end_sessions(project, name)

    async def freeze(self, project: str, name: str) -> None:
        """Pause a running container."""
        async with self._verb("freeze"):
            entry = entry_of(self.world.look(), project, name)
            check_free(entry)
            if entry["status"] == "stopped":
                raise translate(ApiError("The container isn't running"), name)
            if entry["status"] != "frozen":
                self._set(project, name, "frozen", "instance-paused")

    async def unfreeze(self, project: str, name: str) -> None:
        """Resume a frozen container."""
        async with self._verb("unfreeze"):
            entry = entry_of(self.world.look(), project, name)
            check_free(entry)
            if entry["status"] == "stopped":
                raise translate(ApiError("The container isn't running"), name)
            if entry["status"] != "running":
                self._set(project, name, "running", "instance-resumed")

    def _set(self, project: str, name: str, status: str, action: str, **values: Any) -> None:
        with self.world.change() as state:
            entry_of(state, project, name).update(status=status, **values)
            note(state, action, project, name)

    async def _busy(self, project: str, name: str, verb: str, *, force: bool = False) -> None:
        with self.world.change() as state:
            entry = entry_of(state, project, name)
            if not force:
                check_free(entry)
            entry["busy"] = [verb, os.getpid()]
        try:
            await self._take(verb)
        finally:
            with suppress(NotFound):
                await self.world.settle(lambda state: entry_of(state, project, name).update(busy=[]))

    def _instance(self, state: State, entry: Mapping[str, Any]) -> Instance:
        described = clean(state["images"].get(entry["image"], {}).get("description", ""), 200)
        return Instance(
            project=entry["project"], name=entry["name"], status=entry["status"], architecture="x86_64",
            cpu=entry["cpu"], memory_mib=entry["memory"], disk_mib=entry["disk"],
            image=described, marks=dict(entry["marks"]),
            created_at=datetime.fromisoformat(entry["created"]), hwaddr=hwaddr_of(entry["address"]),
            base_image=entry["image"],
            fixed_ipv4={"auto": "", "none": ""}.get(entry.get("ipv4", "auto"), entry.get("ipv4", "")),
        )  # fmt: skip


def _address_of(hwaddr: str) -> int:
    return int(hwaddr.replace(":", "")[-6:], 16) if hwaddr else 0
