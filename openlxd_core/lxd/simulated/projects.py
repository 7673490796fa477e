"""The simulated LXD's projects and their limits."""

from __future__ import annotations

from collections.abc import Mapping

from openlxd_core.lxd.errors import ApiError, translate
from openlxd_core.lxd.gateway import ProjectSpec
from openlxd_core.lxd.simulated.calls import SimulatedCalls
from openlxd_core.lxd.simulated.world import State, note


class SimulatedProjects(SimulatedCalls):
    """Calls about projects."""

    async def ensure_project(self, spec: ProjectSpec) -> None:
        """Make or change the project; limits under what is in use are refused."""
        async with self._verb("ensure_project"):
            wanted = {"containers": spec.containers, "cpu": spec.cpu, "memory": spec.memory_mib, "disk": spec.disk_mib}
            if self.world.look()["projects"].get(spec.name) == wanted:
                return
            with self.world.change() as state:
                used = used_in(state, spec.name)
                for what, limit in wanted.items():
                    if limit is not None and used[what] > limit:
                        raise translate(
                            ApiError(f'"limits.{what}" is too low: current total is "{used[what]}"'), spec.name
                        )
                new = spec.name not in state["projects"]
                state["projects"][spec.name] = wanted
                note(state, "project-created" if new else "project-updated", spec.name, spec.name)

    async def delete_project(self, name: str) -> None:
        """Delete an empty project."""
        async with self._verb("delete_project"):
            with self.world.change() as state:
                if name == "default" or used_in(state, name)["containers"]:
                    raise translate(ApiError("Only empty projects can be removed"), name)
                if state["projects"].pop(name, None) is not None:
                    note(state, "project-deleted", name, name)


def used_in(state: State, project: str) -> dict[str, int]:
    """What a project's instances use: ``containers``, ``cpu``, ``memory`` and ``disk`` in MiB."""
    held = [entry for entry in state["instances"].values() if entry["project"] == project]
    return {"containers": len(held), **{what: sum(e[what] for e in held) for what in ("cpu", "memory", "disk")}}


def check_limits(state: State, project: str, more: Mapping[str, int]) -> None:
    """Raise QuotaExceeded, in LXD's words, where a project may not have so much more."""
    used, limits = used_in(state, project), state["projects"].get(project) or {}
    for what, asked in more.items():
        limit = limits.get(what)
        if limit is None or asked <= 0 or used[what] + asked <= limit:
            continue
        if what == "containers":
            raise translate(ApiError("Reached maximum number of instances"))
        shown = str(limit) if what == "cpu" else f"{limit}MiB"
        raise translate(
            ApiError(f'Reached maximum aggregate value "{shown}" for "limits.{what}" in project "{project}"')
        )
