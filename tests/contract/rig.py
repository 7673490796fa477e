"""What a contract test holds: a gateway, a project of its own, and an image."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from openlxd_core.domain.console import ExecSession
from openlxd_core.domain.errors import OpenLXDError
from openlxd_core.lxd.gateway import InstanceSpec, InstanceState, LxdGateway, ProjectSpec
from tests.support.faulty_lxd import FaultyLxd
from tests.support.lxd import LiveLxd

T = TypeVar("T")


async def eventually(ask: Callable[[], Awaitable[T | None]], seconds: float = 20) -> T:
    """Ask until there is an answer."""
    end = time.monotonic() + seconds
    while True:
        found = await ask()
        if found:
            return found
        assert time.monotonic() < end, "it never came"
        await asyncio.sleep(0.05)


async def output(session: ExecSession) -> tuple[bytes, bytes]:
    """All of a command's output and errors."""
    found = {1: b"", 2: b""}
    while True:
        number, data = await session.read()
        if not number:
            return found[1], found[2]
        found[number] += data


async def until(session: ExecSession, text: bytes) -> bytes:
    """Output up to and with ``text``."""
    found = b""
    async with asyncio.timeout(20):
        while text not in found:
            number, data = await session.read()
            assert number, f"the end came before {text!r}: {found!r}"
            found += data
    return found


@dataclass
class Rig:
    """One gateway, and a project that only this test uses."""

    lxd: LxdGateway
    kind: str
    network: str
    fingerprint: str
    live: LiveLxd | None = None
    project: str = field(default_factory=lambda: f"openlxd-{secrets.token_hex(4)}")

    def project_spec(self, **limits: int | None) -> ProjectSpec:
        """The project, roomy unless said otherwise."""
        roomy: dict[str, int | None] = {"containers": 10, "cpu": 20, "memory_mib": 4096, "disk_mib": 8192}
        return ProjectSpec(self.project, "default", self.network, **{**roomy, **limits})

    def spec(self, name: str, **values: object) -> InstanceSpec:
        """A small container."""
        small: dict[str, object] = {"cpu": 1, "memory_mib": 64, "disk_mib": 128, "fingerprint": self.fingerprint}
        return InstanceSpec(**{"project": self.project, "name": name, **small, **values})  # type: ignore[arg-type]

    async def make(self, name: str = "web1", *, start: bool = False) -> str:
        """Create it, and start it where asked."""
        await self.lxd.create_instance(self.spec(name))
        if start:
            await self.lxd.start(self.project, name)
        return name

    async def names(self) -> set[str]:
        """What LXD holds in this project."""
        return {i.name for i in await self.lxd.instances() if i.project == self.project}

    async def state(self, name: str = "web1") -> InstanceState:
        """Of a container of this project."""
        return await self.lxd.state(self.project, name)

    async def exec(self, command: Sequence[str], name: str = "web1", **more: object) -> ExecSession:
        """Run a command."""
        return await self.lxd.exec(self.project, name, command, **more)  # type: ignore[arg-type]

    async def run(self, *command: str, name: str = "web1") -> tuple[int, bytes, bytes]:
        """Run a command to its end: status, output, errors."""
        session = await self.exec(command, name)
        try:
            await session.write_eof()
            out, err = await output(session)
            return await session.wait(), out, err
        finally:
            await session.close()

    async def stubborn(self, name: str) -> None:
        """A running container that ignores a graceful stop."""
        if isinstance(self.lxd, FaultyLxd):
            self.lxd.ignore_graceful_stop(self.project, name)
            await self.make(name, start=True)
            return
        assert self.live is not None
        try:
            fingerprint = self.live.fingerprint("stubborn")
        except KeyError:
            fingerprint = self.live.import_image("stubborn", stubborn=True, description="Stubborn")
        await self.lxd.create_instance(self.spec(name, fingerprint=fingerprint))
        await self.lxd.start(self.project, name)

    async def clear(self) -> None:
        """Leave nothing of this project."""
        for name in await self.names():
            await self.lxd.delete_instance(self.project, name)
        with contextlib.suppress(OpenLXDError):
            await self.lxd.delete_project(self.project)


@contextlib.asynccontextmanager
async def rig_on(lxd: LxdGateway, live: LiveLxd | None = None) -> AsyncIterator[Rig]:
    """A rig on an adapter, opened and closed."""
    await lxd.open()
    try:
        image = next(i for i in await lxd.images() if live is None or "busybox" in i.aliases)
        network = live.bridge if live else "lxdbr0"
        rig = Rig(lxd, "real" if live else "simulated", network, image.fingerprint, live)
        await lxd.ensure_project(rig.project_spec())
        try:
            yield rig
        finally:
            await rig.clear()
    finally:
        await lxd.close()
