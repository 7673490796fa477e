"""The port to LXD, on the real one: pylxd for what changes things, aiohttp for what streams, lists and waits.

pylxd blocks, so its calls run in a small pool of threads of their own, each with a deadline; waiting for LXD's
operations never holds a thread. This is the only module that imports pylxd. Works with LXD 5.0 and later, and
with Incus at the end of the same kind of socket.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote
from weakref import WeakValueDictionary

import pylxd
import requests
import structlog
from pylxd.exceptions import ClientConnectionFailed, LXDAPIException

from openlxd_core.domain.console import ExecSession
from openlxd_core.domain.container import Usage
from openlxd_core.domain.errors import AlreadyExists, Busy, Conflict, NotFound, OpenLXDError
from openlxd_core.domain.text import clean
from openlxd_core.lxd import refusals, walls
from openlxd_core.lxd.exec import SETTLE, LxdExec
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
from openlxd_core.lxd.image_calls import ImageCalls
from openlxd_core.lxd.metrics import Key, Meter, parse
from openlxd_core.lxd.readings import MIB, read_image, read_instance, read_server, read_state, read_status
from openlxd_core.lxd.refusals import Refusal, translate, unknown, unreachable
from openlxd_core.lxd.snapshot_calls import SnapshotCalls
from openlxd_core.lxd.streams import LxdSocket
from openlxd_core.lxd.unix_http import unix_session

T = TypeVar("T")
log = structlog.get_logger()

THREADS = 6
CONNECT_SECONDS, CALL_SECONDS = 5, 30
CREATE_SECONDS = 900.0
CHANGE_SECONDS = 60.0
BUSY_SECONDS = 60.0
"""How long a delete waits for LXD to finish what it is doing to the same instance."""
DISK_SECONDS, DISKS_AT_ONCE = 30.0, 8
"""A container's disk use costs LXD a call of its own: measured this seldom, and so many in one usage()."""

_UNKNOWN_KEY = re.compile(
    r'(?:Invalid|Unknown)[^"]*(?:configuration key|option)[^"]*"(?P<key>[a-z.-]+)"', re.IGNORECASE
)
_NEVER_SENT = (FileNotFoundError, ConnectionRefusedError, PermissionError, NotADirectoryError)


class PylxdGateway(SnapshotCalls, ImageCalls):
    """An :class:`LxdGateway` on the LXD or Incus behind ``socket``.

    ``pool`` and ``network`` are where disks and NICs go; an empty network means the first managed bridge.
    """

    def __init__(self, socket: Path, *, pool: str = "default", network: str = "") -> None:
        self._socket = socket
        self._pool = pool
        self._network = network
        self._lxd = LxdSocket(socket)
        self._threads: ThreadPoolExecutor | None = None
        self._client: pylxd.Client | None = None
        self._session: requests.Session | None = None
        self._meter = Meter()
        self._disks: dict[Key, tuple[float, float]] = {}
        self._nic_without: frozenset[str] = frozenset()
        self._admission: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._loses_output: bool | None = None

    async def open(self) -> None:
        """Get ready; LXD need not be there yet."""
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="pylxd")
        await self._lxd.open()

    async def close(self) -> None:
        """Let go of sockets and threads; a call that hangs in a thread ends by its own deadline."""
        await self._lxd.close()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None
        if self._session is not None:
            self._session.close()
            self._session = self._client = None

    # -- the server ------------------------------------------------------------------------------------------------

    async def server(self) -> ServerInfo:
        """What answers, its pools and managed bridges."""
        info, pools, networks = await asyncio.gather(
            self._read("/1.0"),
            self._read("/1.0/storage-pools"),
            self._read("/1.0/networks", {"recursion": "1"}),
        )
        return read_server(info, pools or [], networks or [])

    async def bridge_addresses(self, network: str) -> tuple[str, str]:
        """A managed bridge's own addresses."""
        found = await self._read(f"/1.0/networks/{_quoted(network or await self._bridge())}")
        config = found.get("config") or {}
        shown = [str(config.get(key) or "") for key in ("ipv4.address", "ipv6.address")]
        return shown[0] if "/" in shown[0] else "", shown[1] if "/" in shown[1] else ""

    async def ensure_project(self, spec: ProjectSpec) -> None:
        """Make the project and its default profile, or bring them in line; costs two reads when they are."""
        pool, network = spec.pool or self._pool, spec.network or await self._bridge()
        config = walls.project_config(spec, network)
        for _ in range(2):  # a second time where another process made it in between
            try:
                await self._bring_in_line(spec.name, config)
                break
            except AlreadyExists:
                continue
        await self._ensure_profile(spec.name, pool, network)

    async def _bring_in_line(self, name: str, wanted: Mapping[str, str]) -> None:
        config = dict(wanted)
        while True:
            try:
                try:
                    found = await self._get(f"/1.0/projects/{_quoted(name)}")
                except Refusal as refusal:
                    if refusal.status != 404:
                        raise
                    await self._make_project({"name": name, "description": "OpenLXD", "config": config})
                    return
                if {k: v for k, v in found["config"].items() if not k.startswith("user.")} == config:
                    return
                keep = {k: v for k, v in found["config"].items() if k.startswith("user.")}
                update = {"description": found.get("description", ""), "config": {**keep, **config}}
                await self._update_project(name, update)
                return
            except Refusal as refusal:
                key = _UNKNOWN_KEY.search(refusal.text)
                if key is None or key["key"] not in walls.DROPPABLE or key["key"] not in config:
                    raise translate(refusal, name) from refusal
                log.warning("lxd.project_key_unknown", project=name, key=key["key"])
                del config[key["key"]]

    async def _ensure_profile(self, project: str, pool: str, network: str) -> None:
        found = await self._read("/1.0/profiles/default", {"project": project}, name=project)
        while True:
            devices = walls.profile_devices(pool, network, self._nic_without)
            if found.get("devices") == devices and not found.get("config"):
                return
            body = {"config": {}, "description": "OpenLXD", "devices": devices}
            try:
                await self._update_profile(project, body)
                return
            except Refusal as refusal:
                drop = next((k for k in walls.NIC_OPTIONAL if k in refusal.text and k not in self._nic_without), None)
                if drop is None:
                    raise translate(refusal, project) from refusal
                log.warning("lxd.nic_filter_refused", key=drop, reason=clean(refusal.text))
                self._nic_without |= {drop}

    async def _make_project(self, body: Mapping[str, Any]) -> None:
        await self._change(lambda api: api.projects.post(json=body))

    async def _update_project(self, name: str, body: Mapping[str, Any]) -> None:
        await self._change(lambda api: api.projects[_quoted(name)].put(json=body))

    async def _update_profile(self, project: str, body: Mapping[str, Any]) -> None:
        await self._change(lambda api: api.profiles["default"].put(json=body, params={"project": project}))

    async def delete_project(self, name: str) -> None:
        """Delete an empty project; its default profile goes with it."""
        try:
            await self._change(lambda api: api.projects[_quoted(name)].delete())
        except Refusal as refusal:
            error = translate(refusal, name)
            if not isinstance(error, NotFound):
                raise error from refusal

    async def _bridge(self) -> str:
        if not self._network:
            networks = (await self.server()).networks
            self._network = networks[0] if networks else ""
        return self._network

    # -- lists -----------------------------------------------------------------------------------------------------

    async def images(self) -> Sequence[LxdImage]:
        """The images of the default project."""
        found = await self._read("/1.0/images", {"recursion": "1"})
        return [read_image(entry) for entry in found or [] if entry.get("type", "container") == "container"]

    async def instances(self) -> Sequence[Instance]:
        """Every container of every project, in one call."""
        found = await self._read("/1.0/instances", {"recursion": "1", "all-projects": "true"})
        return [read_instance(entry) for entry in found or [] if entry.get("type") == "container"]

    async def instance(self, project: str, name: str) -> Instance:
        """One container."""
        return read_instance(await self._read(_path(name), {"project": project}, name=name))

    async def state(self, project: str, name: str) -> InstanceState:
        """One container's addresses and live status."""
        found = await self._read(f"{_path(name)}/state", {"project": project}, name=name)
        return read_state(found)

    # -- one container ---------------------------------------------------------------------------------------------

    async def create_instance(self, spec: InstanceSpec, progress: Progress | None = None) -> None:
        """Make a stopped container and return when LXD is done."""
        body = walls.instance_body(spec, self._pool)
        own = walls.nic_config(spec)
        if own:
            body["devices"]["eth0"] = await self._nic_of(spec.project) | own
        try:
            async with self._one_at_a_time(spec.project):
                operation = await self._change(
                    lambda api: api.instances.post(json=body, params={"project": spec.project})
                )
                done = asyncio.create_task(self._done(operation, CREATE_SECONDS, progress))
                try:
                    await self._counted(spec, done)
                except BaseException:
                    done.cancel()
                    raise
            await done
        except Refusal as refusal:
            raise translate(refusal, spec.name) from refusal
        if progress is not None:
            progress(100)

    def _one_at_a_time(self, project: str) -> asyncio.Lock:
        """LXD checks a project's limits, and only later writes the instance down: seen on 5.0.2, six creates of 64 MiB
        at once all passed a limit of 192. So a project's changes are let in one after the other."""
        return self._admission.setdefault(project, asyncio.Lock())

    async def _counted(self, spec: InstanceSpec, done: asyncio.Task[None]) -> None:
        """Wait until LXD counts the new instance, or has ended the create."""
        while not done.done():
            with suppress(OpenLXDError, Refusal):
                await self._get(_path(spec.name), {"project": spec.project})
                return
            await asyncio.wait({done}, timeout=0.02)

    async def delete_instance(self, project: str, name: str) -> None:
        """Delete a container, whatever state it is in."""

        async def once() -> None:
            found = await self._read(_path(name), {"project": project}, name=name)
            if read_status(found["status"]) != "stopped":
                await self.stop(project, name, force=True)
            if found.get("config", {}).get("security.protection.delete") in ("true", "1", "yes", "on"):
                await self._patch(project, name, {"config": {"security.protection.delete": "false"}})
            await self._do(name, lambda api: api.instances[_quoted(name)].delete(params={"project": project}))

        try:
            await _when_free(once, BUSY_SECONDS)
        except NotFound:
            return

    async def set_marks(self, project: str, name: str, marks: Mapping[str, str]) -> None:
        """Change ``user.openlxd.*`` keys only."""
        await self._patch(project, name, {"config": walls.marks_config(marks)})

    async def set_limits(self, project: str, name: str, cpu: int, memory_mib: int, disk_mib: int) -> None:
        """Change limits, live where LXD can; the root disk stays on its pool."""
        async with self._one_at_a_time(project):
            await self._set_limits(project, name, cpu, memory_mib, disk_mib)

    async def _set_limits(self, project: str, name: str, cpu: int, memory_mib: int, disk_mib: int) -> None:
        found = await self._read(_path(name), {"project": project}, name=name)
        pool = ((found.get("expanded_devices") or {}).get("root") or {}).get("pool") or self._pool
        devices = {"root": {**(found.get("devices") or {}).get("root", {}), **walls.root_disk(pool, disk_mib)}}
        await self._patch(project, name, {"config": walls.limits_config(cpu, memory_mib), "devices": devices})

    async def _patch(self, project: str, name: str, body: Mapping[str, Any]) -> None:
        await self._do(name, lambda api: api.instances[_quoted(name)].patch(json=body, params={"project": project}))

    # -- power -----------------------------------------------------------------------------------------------------

    async def start(self, project: str, name: str) -> None:
        """Start a container; one that is paused goes on."""
        try:
            await self._set_state(project, name, "start", seconds=30)
        except Refusal as refusal:
            if not refusal.says(refusals.ALREADY_RUNNING):
                raise translate(refusal, name) from refusal
            if (await self.instance(project, name)).status == "frozen":
                await self.unfreeze(project, name)

    async def stop(self, project: str, name: str, *, force: bool = False, timeout: float = 30) -> None:
        """Stop a container. LxdRefused where it did not end within ``timeout`` seconds; force it then."""

        async def once() -> None:
            try:
                await self._set_state(project, name, "stop", seconds=timeout, force=force)
            except Refusal as refusal:
                if not refusal.says(refusals.ALREADY_STOPPED):
                    raise refusals.not_stopped(refusal, name, timeout) from refusal

        await (_when_free(once, timeout) if force else once())

    async def freeze(self, project: str, name: str) -> None:
        """Pause a running container."""
        try:
            await self._set_state(project, name, "freeze", seconds=30)
        except Refusal as refusal:
            if not refusal.says(refusals.ALREADY_FROZEN):
                raise translate(refusal, name) from refusal

    async def unfreeze(self, project: str, name: str) -> None:
        """Resume a frozen container."""
        try:
            await self._set_state(project, name, "unfreeze", seconds=30)
        except Refusal as refusal:
            if not refusal.says(refusals.ALREADY_RUNNING):
                raise translate(refusal, name) from refusal

    async def _set_state(self, project: str, name: str, action: str, *, seconds: float, force: bool = False) -> None:
        body = {"action": action, "timeout": max(1, round(seconds)), "force": force}
        operation = await self._change(
            lambda api: api.instances[_quoted(name)].state.put(json=body, params={"project": project})
        )
        await self._done(operation, seconds + CHANGE_SECONDS)

    # -- what happens ----------------------------------------------------------------------------------------------

    async def usage(self) -> Mapping[tuple[str, str], Usage]:
        """What every running container uses; disks are measured seldom, a few at a time."""
        try:
            text = await self._lxd.get_text("/1.0/metrics")
        except Refusal as refusal:
            raise translate(refusal) from refusal
        at = time.monotonic()
        counters = parse(text)
        await self._measure_disks(set(counters), at)
        return self._meter.usage(counters, at, {key: mib for key, (_, mib) in self._disks.items()})

    async def _measure_disks(self, running: set[Key], at: float) -> None:
        self._disks = {key: value for key, value in self._disks.items() if key in running}
        due = [key for key in running if key not in self._disks or at - self._disks[key][0] > DISK_SECONDS]
        due.sort(key=lambda key: self._disks.get(key, (0.0, 0.0))[0])
        for project, name in due[:DISKS_AT_ONCE]:
            path = f"/1.0/storage-pools/{_quoted(self._pool)}/volumes/container/{_quoted(name)}/state"
            try:
                found = await self._lxd.get(path, {"project": project})
                used = max(0.0, float(found["usage"]["used"]) / MIB)
            except (Refusal, KeyError, TypeError, ValueError):
                used = 0.0  # a pool of another name, or one that cannot tell
            self._disks[project, name] = (at, used)

    def events(self) -> AsyncIterator[LxdEvent]:
        """LXD's lifecycle events of all projects."""
        return self._lxd.events()

    async def exec(
        self,
        project: str,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        terminal: tuple[int, int] | None = None,
    ) -> ExecSession:
        """Run ``command`` in a running container."""
        if terminal is None and await self._output_may_be_lost():
            command = [*SETTLE, *command]
        try:
            return await LxdExec.start(self._lxd, project, _path(name), command, environment or {}, terminal)
        except Refusal as refusal:
            raise translate(refusal, name) from refusal

    async def _output_may_be_lost(self) -> bool:
        if self._loses_output is None:
            environment = (await self._read("/1.0")).get("environment") or {}
            version = tuple(int(n) for n in re.findall(r"\d+", str(environment.get("server_version")))[:2])
            self._loses_output = environment.get("server") != "incus" and version < (5, 14)
        return self._loses_output

    # -- asking ----------------------------------------------------------------------------------------------------

    async def _get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        return await self._lxd.get(path, params)

    async def _read(self, path: str, params: Mapping[str, str] | None = None, *, name: str = "") -> Any:
        try:
            return await self._get(path, params)
        except Refusal as refusal:
            raise translate(refusal, name) from refusal

    async def _do(self, name: str, call: Callable[[Any], requests.Response]) -> None:
        try:
            await self._done(await self._change(call), CHANGE_SECONDS)
        except Refusal as refusal:
            raise translate(refusal, name) from refusal

    async def _done(self, operation: str, seconds: float, progress: Progress | None = None) -> None:
        if operation:
            await self._lxd.wait(operation, seconds=seconds, progress=progress)

    async def _change(self, call: Callable[[Any], requests.Response]) -> str:
        """Make one call by pylxd in a thread; the path of LXD's operation, or an empty string."""
        if self._threads is None:
            raise unreachable()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS + CALL_SECONDS + 10):
                return await loop.run_in_executor(self._threads, self._in_thread, call)
        except TimeoutError as error:
            raise unknown() from error

    def _in_thread(self, call: Callable[[Any], requests.Response]) -> str:
        api = self._api()
        try:
            answer = call(api).json()
        except LXDAPIException as error:
            raise Refusal(_sentence(error), error.response.status_code) from None
        except (requests.RequestException, ValueError, OSError) as error:
            raise (unreachable() if _never_sent(error) else unknown()) from error
        return str(answer.get("operation") or "") if answer.get("type") == "async" else ""

    def _api(self) -> Any:
        client = self._client
        if client is None:
            endpoint = f"http+unix://{quote(str(self._socket), safe='')}"
            session = unix_session(self._socket, THREADS)
            try:
                client = pylxd.Client(  # type: ignore[no-untyped-call]
                    endpoint=endpoint, timeout=(CONNECT_SECONDS, CALL_SECONDS), session=session
                )
            except (ClientConnectionFailed, LXDAPIException, requests.RequestException, ValueError, OSError) as error:
                session.close()
                raise unreachable() from error  # making one asks LXD for its version
            self._client, self._session = client, session
        return client.api


def _sentence(error: LXDAPIException) -> str:
    try:
        return str(error)
    except (ValueError, KeyError, TypeError):
        return ""


def _never_sent(error: BaseException) -> bool:
    """Whether the connection could not even be made, so that nothing has been asked."""
    seen: list[object] = [error]
    for found in seen:  # grows as it goes: requests wraps urllib3's error, which wraps the system's
        if isinstance(found, _NEVER_SENT):
            return True
        if isinstance(found, BaseException) and len(seen) < 20:
            seen.extend(part for part in (*found.args, found.__cause__, found.__context__) if part is not None)
    return False


async def _when_free(once: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Try again while LXD works on the same instance, or has changed its state meanwhile."""
    end = time.monotonic() + seconds
    pause = 0.1
    while True:
        try:
            return await once()
        except (Busy, Conflict) as error:
            if isinstance(error, AlreadyExists) or time.monotonic() + pause > end:
                raise
        await asyncio.sleep(pause)
        pause = min(1.0, pause * 1.5)


def _quoted(name: str) -> str:
    return quote(name, safe="")


def _path(name: str) -> str:
    return f"/1.0/instances/{_quoted(name)}"
