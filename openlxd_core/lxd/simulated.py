"""The port to LXD in memory: for trying OpenLXD without one, and for tests that need LXD to misbehave.

It keeps LXD's rules (project limits, names, one operation on an instance at a time) and words its errors as the
real gateway does. ``pace`` makes it take its time; the fault knobs make it fail.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from openlxd_core.domain.console import ExecSession
from openlxd_core.domain.container import Usage, check_name
from openlxd_core.domain.errors import NotFound, OpenLXDError
from openlxd_core.domain.text import clean
from openlxd_core.lxd.gateway import (
    Instance,
    InstanceSpec,
    InstanceState,
    LxdEvent,
    LxdImage,
    Progress,
    ProjectSpec,
    ServerInfo,
)
from openlxd_core.lxd.readings import read_image
from openlxd_core.lxd.refusals import Refusal, not_stopped, translate, unknown, unreachable
from openlxd_core.lxd.simulated_images import SimulatedImages
from openlxd_core.lxd.simulated_shell import Machine, SimulatedExec
from openlxd_core.lxd.simulated_snapshots import SimulatedSnapshots
from openlxd_core.lxd.simulated_world import State, World, note
from openlxd_core.lxd.walls import marks_config

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
"""Seconds that a verb takes at pace 1."""
STEPS = 10
WATCH_SECONDS = 0.2


class SimulatedLxd(SimulatedSnapshots, SimulatedImages):
    """An :class:`LxdGateway` that holds everything itself.

    ``path``: a file that several processes share. ``pace``: 0 is at once, 1 is about as slow as a real one.
    ``clock``: seconds since the epoch, for usage and addresses.
    """

    def __init__(self, path: Path | None = None, *, pace: float = 0.0, clock: Callable[[], float] = time.time) -> None:
        self.world = World(path)
        self.calls: Counter[str] = Counter()
        """How often each verb was called."""
        self._pace = pace
        self._clock = clock
        self._sessions: dict[tuple[str, str], set[SimulatedExec]] = defaultdict(set)
        self._changed = asyncio.Event()
        self._down = ""
        self._generation = 0
        self._errors: dict[str, list[Exception]] = defaultdict(list)
        self._losses: dict[str, list[str]] = defaultdict(list)
        self._delays: dict[str, float] = {}
        self._stubborn: set[tuple[str, str]] = set()

    # -- knobs -----------------------------------------------------------------------------------------------------

    def unreachable(self, reason: str = "Connection refused") -> None:
        """From now on LXD does not answer: streams and consoles break off, calls under way are lost."""
        self._down = reason
        self._break_streams()

    def reachable(self) -> None:
        """LXD is back."""
        self._down = ""

    def drop_connections(self) -> None:
        """Break event streams and consoles, as a restart of LXD does; LXD answers again at once."""
        self._break_streams()

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

    def add_image(self, alias: str, *, description: str = "", fingerprint: str = "") -> str:
        """Let LXD hold one more image; its fingerprint."""
        fingerprint = fingerprint or f"{abs(hash(alias)):064x}"[-64:]
        with self.world.change() as state:
            properties = {"os": alias.split("/", maxsplit=1)[0], "description": description}
            state["images"][fingerprint] = {
                "aliases": [alias], "description": description, "architecture": "x86_64", "size": 1_000_000,
                "properties": properties, "uploaded_at": datetime.now(UTC).isoformat(),
            }  # fmt: skip
            note(state, "image-created", "default", fingerprint)
        self._wake()
        return fingerprint

    # -- the server ------------------------------------------------------------------------------------------------

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
        return ServerInfo("simulated", "5.0.2", "x86_64", ["default"], ["lxdbr0"], extensions)

    async def bridge_addresses(self, network: str) -> tuple[str, str]:
        """The pretended bridge's own addresses."""
        async with self._verb("bridge_addresses"):
            return "10.77.0.1/16", "fd42:77::1/64"

    async def ensure_project(self, spec: ProjectSpec) -> None:
        """Make or change the project; limits under what is in use are refused."""
        async with self._verb("ensure_project"):
            wanted = {"containers": spec.containers, "cpu": spec.cpu, "memory": spec.memory_mib, "disk": spec.disk_mib}
            if self.world.look()["projects"].get(spec.name) == wanted:
                return
            with self.world.change() as state:
                used = _used(state, spec.name)
                for what, limit in wanted.items():
                    if limit is not None and used[what] > limit:
                        raise translate(
                            Refusal(f'"limits.{what}" is too low: current total is "{used[what]}"'), spec.name
                        )
                new = spec.name not in state["projects"]
                state["projects"][spec.name] = wanted
                note(state, "project-created" if new else "project-updated", spec.name, spec.name)

    async def delete_project(self, name: str) -> None:
        """Delete an empty project."""
        async with self._verb("delete_project"):
            with self.world.change() as state:
                if name == "default" or _used(state, name)["containers"]:
                    raise translate(Refusal("Only empty projects can be removed"), name)
                if state["projects"].pop(name, None) is not None:
                    note(state, "project-deleted", name, name)

    async def images(self) -> Sequence[LxdImage]:
        """The images."""
        await self._enter("images")
        found = []
        for fingerprint, entry in self.world.look()["images"].items():
            aliases = [{"name": alias} for alias in entry["aliases"]]
            found.append(read_image({**entry, "fingerprint": fingerprint, "aliases": aliases}))
        return found

    async def instances(self) -> Sequence[Instance]:
        """Every container."""
        await self._enter("instances")
        state = self.world.look()
        return [self._instance(state, entry) for entry in state["instances"].values()]

    async def instance(self, project: str, name: str) -> Instance:
        """One container."""
        await self._enter("instance")
        state = self.world.look()
        return self._instance(state, _entry(state, project, name))

    async def state(self, project: str, name: str) -> InstanceState:
        """One container's state; the address comes a moment after the start."""
        await self._enter("state")
        return self._state_of(_entry(self.world.look(), project, name))

    def _state_of(self, entry: Mapping[str, Any]) -> InstanceState:
        up = entry["status"] in ("running", "frozen")
        here = up and self._clock() >= entry["started"] + self._seconds("address")
        number = entry["address"]
        return InstanceState(
            status=entry["status"],
            ipv4=_chosen(entry.get("ipv4"), f"10.77.{number // 250 % 256}.{number % 250 + 2}") if here else "",
            ipv6=_chosen(entry.get("ipv6"), f"fd42:77::{number + 2:x}") if here else "",
            pid=1000 + number if up else 0,
        )

    # -- one container ---------------------------------------------------------------------------------------------

    async def create_instance(self, spec: InstanceSpec, progress: Progress | None = None) -> None:
        """Make a stopped container."""
        key = _key(spec.project, spec.name)
        async with self._verb("create_instance") as loss:
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
            made = False
            try:
                await self._take("create_instance", progress)
                made = loss != "half"
            finally:
                # LXD itself goes on when its client goes away: a cancelled caller changes nothing here
                with self.world.change() as state:
                    if (entry := state["instances"].get(key)) is not None:
                        entry["busy"] = []
                        entry["half"] = not made and loss == "half"
                        note(state, "instance-created", spec.project, spec.name)
                self._wake()
        if progress is not None:
            progress(100)

    def _admit(self, state: State, spec: InstanceSpec) -> None:
        limits = state["projects"].get(spec.project)
        if limits is None:
            raise translate(Refusal("Project not found", 404), spec.project)
        check_name(spec.name)
        if spec.fingerprint not in state["images"]:
            raise translate(Refusal("Image not provided for instance creation"), spec.fingerprint[:12])
        taken = state["instances"].get(_key(spec.project, spec.name))
        if taken is not None:
            _check_free(taken)
            raise translate(Refusal('This "instances" entry already exists'), spec.name)
        _check_limits(
            state, spec.project, {"containers": 1, "cpu": spec.cpu, "memory": spec.memory_mib, "disk": spec.disk_mib}
        )

    async def delete_instance(self, project: str, name: str) -> None:
        """Delete a container, whatever state it is in; waits while LXD is busy with it."""
        async with self._verb("delete_instance"):
            for _ in range(600):
                found = self.world.look()["instances"].get(_key(project, name))
                if found is None:
                    return
                with suppress(OpenLXDError):
                    _check_free(found)
                    break
                await asyncio.sleep(0.1)
            await self._take("delete_instance")
            with self.world.change() as state:
                entry = state["instances"].get(_key(project, name))
                if entry is None:
                    return
                _check_free(entry)
                if entry["status"] != "stopped":
                    note(state, "instance-stopped", project, name)
                del state["instances"][_key(project, name)]
                note(state, "instance-deleted", project, name)
            self._end_sessions(project, name)

    async def set_marks(self, project: str, name: str, marks: Mapping[str, str]) -> None:
        """Change marks."""
        wanted = marks_config(marks)
        async with self._verb("set_marks"):
            with self.world.change() as state:
                _entry(state, project, name)["marks"].update(wanted)
                note(state, "instance-updated", project, name)

    async def set_limits(self, project: str, name: str, cpu: int, memory_mib: int, disk_mib: int) -> None:
        """Change limits, within the project's."""
        async with self._verb("set_limits"):
            await self._take("set_limits")
            with self.world.change() as state:
                entry = _entry(state, project, name)
                _check_free(entry)
                wanted = {"cpu": cpu, "memory": memory_mib, "disk": disk_mib}
                _check_limits(state, project, {what: wanted[what] - entry[what] for what in wanted})
                entry.update(wanted)
                note(state, "instance-updated", project, name)

    # -- power -----------------------------------------------------------------------------------------------------

    async def start(self, project: str, name: str) -> None:
        """Start a container; one that is paused goes on."""
        async with self._verb("start"):
            entry = _entry(self.world.look(), project, name)
            _check_free(entry)
            if entry["half"]:
                raise translate(Refusal("Failed to run: no init in the root file system"), name)
            if entry["status"] == "frozen":
                self._set(project, name, "running", "instance-resumed")
            elif entry["status"] != "running":
                await self._busy(project, name, "start")
                self._set(project, name, "running", "instance-started", started=self._clock())

    async def stop(self, project: str, name: str, *, force: bool = False, timeout: float = 30) -> None:
        """Stop a container."""
        async with self._verb("stop"):
            entry = _entry(self.world.look(), project, name)
            if not force:
                _check_free(entry)
            if entry["status"] == "stopped":
                return
            if not force and (project, name) in self._stubborn:
                await asyncio.sleep(min(timeout, self._seconds("stop")))
                raise not_stopped(Refusal("Failed shutting down instance: context deadline exceeded"), name, timeout)
            await self._busy(project, name, "stop", force=force)
            self._set(project, name, "stopped", "instance-stopped" if force else "instance-shutdown")
            self._end_sessions(project, name)

    async def freeze(self, project: str, name: str) -> None:
        """Pause a running container."""
        async with self._verb("freeze"):
            entry = _entry(self.world.look(), project, name)
            _check_free(entry)
            if entry["status"] == "stopped":
                raise translate(Refusal("The container isn't running"), name)
            if entry["status"] != "frozen":
                self._set(project, name, "frozen", "instance-paused")

    async def unfreeze(self, project: str, name: str) -> None:
        """Resume a frozen container."""
        async with self._verb("unfreeze"):
            entry = _entry(self.world.look(), project, name)
            _check_free(entry)
            if entry["status"] == "stopped":
                raise translate(Refusal("The container isn't running"), name)
            if entry["status"] != "running":
                self._set(project, name, "running", "instance-resumed")

    def _set(self, project: str, name: str, status: str, action: str, **values: Any) -> None:
        with self.world.change() as state:
            _entry(state, project, name).update(status=status, **values)
            note(state, action, project, name)

    async def _busy(self, project: str, name: str, verb: str, *, force: bool = False) -> None:
        with self.world.change() as state:
            entry = _entry(state, project, name)
            if not force:
                _check_free(entry)
            entry["busy"] = [verb, os.getpid()]
        try:
            await self._take(verb)
        finally:
            with suppress(NotFound), self.world.change() as state:
                _entry(state, project, name)["busy"] = []

    # -- what happens ----------------------------------------------------------------------------------------------

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
                raise unreachable() from ConnectionResetError(self._down or "Connection reset by peer")
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
            entry = _entry(state, project, name)
            if entry["status"] != "running":
                raise translate(Refusal("Instance is not running"), name)
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

    # -- how a call goes ---------------------------------------------------------------------------------------------

    async def _enter(self, verb: str) -> None:
        self.calls[verb] += 1
        await asyncio.sleep(self._delays.get(verb, 0) if verb not in PACE else 0)
        if self._down:
            raise unreachable() from ConnectionRefusedError(self._down)
        if self._errors[verb]:
            raise self._errors[verb].pop(0)

    def _verb(self, verb: str) -> _Verb:
        return _Verb(self, verb)

    def _seconds(self, verb: str) -> float:
        return self._delays.get(verb, PACE.get(verb, 0.0) * self._pace)

    async def _take(self, verb: str, progress: Progress | None = None) -> None:
        """Let the time pass that the verb takes; the connection may be lost meanwhile."""
        generation = self._generation
        step = self._seconds(verb) / STEPS
        for number in range(STEPS if step or progress else 1):
            await asyncio.sleep(step)
            if generation != self._generation:
                return  # LXD goes on; the caller is told by _Verb
            if progress is not None:
                progress(number * 100 // STEPS)

    def _break_streams(self) -> None:
        self._generation += 1
        for session in [session for held in self._sessions.values() for session in held]:
            session.lose()
        self._wake()

    def _end_sessions(self, project: str, name: str) -> None:
        for session in list(self._sessions.get((project, name), ())):
            session.end()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _instance(self, state: State, entry: Mapping[str, Any]) -> Instance:
        described = clean(state["images"].get(entry["image"], {}).get("description", ""), 200)
        return Instance(
            project=entry["project"], name=entry["name"], status=entry["status"], architecture="x86_64",
            cpu=entry["cpu"], memory_mib=entry["memory"], disk_mib=entry["disk"],
            image=described, marks=dict(entry["marks"]),
            created_at=datetime.fromisoformat(entry["created"]), hwaddr=_hwaddr_of(entry["address"]),
            base_image=entry["image"],
        )  # fmt: skip


class _Verb:
    """Around everything that changes something: faults before it, and the loss of the connection in it."""

    def __init__(self, lxd: SimulatedLxd, verb: str) -> None:
        self._lxd = lxd
        self._verb = verb
        self._loss = ""
        self._generation = 0

    async def __aenter__(self) -> str:
        lxd, verb = self._lxd, self._verb
        await lxd._enter(verb)
        self._generation = lxd._generation
        self._loss = lxd._losses[verb].pop(0) if lxd._losses[verb] else ""
        if self._loss == "nothing":
            raise unknown()
        return self._loss

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self._lxd._wake()
        if kind is None and (self._loss or self._generation != self._lxd._generation):
            raise unknown()


def _chosen(wanted: str | None, given: str) -> str:
    return {"auto": given, "none": ""}.get(wanted or "auto", wanted or "")


def _hwaddr_of(address: int) -> str:
    return f"00:16:3e:{address >> 16 & 255:02x}:{address >> 8 & 255:02x}:{address & 255:02x}"


def _address_of(hwaddr: str) -> int:
    return int(hwaddr.replace(":", "")[-6:], 16) if hwaddr else 0


def _key(project: str, name: str) -> str:
    return f"{project}/{name}"


def _entry(state: State, project: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] | None = state["instances"].get(_key(project, name))
    if found is None:
        raise translate(Refusal("Instance not found", 404), name)
    return found


def _check_free(entry: Mapping[str, Any]) -> None:
    if not entry["busy"]:
        return
    verb, pid = entry["busy"]
    if pid == os.getpid() or Path(f"/proc/{pid}").exists():  # the mark of a process that died says nothing
        raise translate(Refusal(f'Instance is busy running a "{verb}" operation'), entry["name"])


def _used(state: State, project: str) -> dict[str, int]:
    held = [entry for entry in state["instances"].values() if entry["project"] == project]
    return {"containers": len(held), **{what: sum(e[what] for e in held) for what in ("cpu", "memory", "disk")}}


def _check_limits(state: State, project: str, more: Mapping[str, int]) -> None:
    used, limits = _used(state, project), state["projects"].get(project) or {}
    for what, asked in more.items():
        limit = limits.get(what)
        if limit is None or asked <= 0 or used[what] + asked <= limit:
            continue
        if what == "containers":
            raise translate(Refusal("Reached maximum number of instances"))
        shown = str(limit) if what == "cpu" else f"{limit}MiB"
        raise translate(
            Refusal(f'Reached maximum aggregate value "{shown}" for "limits.{what}" in project "{project}"')
        )
