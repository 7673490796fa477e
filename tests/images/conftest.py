"""Fixtures of the market's tests: a server of the test's own, and a core that knows it."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.actor import Actor, Role
from openlxd_core.settings import Settings
from openlxd_core.simplestreams import downloader
from tests.support.core import add_user, make_settings
from tests.support.faulty_lxd import FaultyLxd
from tests.support.simplestreams import NEW, OLD, ImageServer


def metadata(text: str = "") -> bytes:
    """A metadata file that the simulated LXD takes."""
    body = f"architecture: x86_64\nproperties:\n  description: {text or 'An image'}\n".encode()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:xz") as tar:
        info = tarfile.TarInfo("metadata.yaml")
        info.size = len(body)
        tar.addfile(info, io.BytesIO(body))
    return stream.getvalue()


def noise(size: int, seed: str = "x") -> bytes:
    """Bytes that differ everywhere, the same for the same seed."""
    block = hashlib.sha256(seed.encode()).digest()
    found = bytearray()
    while len(found) < size:
        block = hashlib.sha256(block).digest()
        found += block
    return bytes(found[:size])


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses worth the name between tries."""
    monkeypatch.setattr(downloader, "PAUSE_SECONDS", 0.01)


@pytest.fixture
async def server() -> AsyncIterator[ImageServer]:
    """Two builds of alpine/3.19, one of Ubuntu's in two variants, and a few more to choose from."""
    async with ImageServer() as made:
        for serial in (OLD, NEW):
            made.add(
                "alpine", "3.19", serial=serial, metadata=metadata(serial), squashfs=noise(300_000, serial)
            )  # fmt: skip
        for variant in ("default", "cloud"):
            tail = "" if variant == "default" else f"/{variant}"
            made.add(
                "ubuntu", "jammy", variant=variant, aliases=f"ubuntu/jammy{tail},ubuntu/22.04{tail}",
                metadata=metadata(variant), squashfs=noise(5000, variant),
            )  # fmt: skip
        made.add("debian", "bookworm", aliases="debian/bookworm,debian/12", metadata=metadata("d"))
        made.add("centos", "9-Stream", metadata=metadata("c"))
        made.add("rockylinux", "9", metadata=metadata("r"))
        made.add("alpine", "3.20", metadata=metadata("a"))
        made.add("alpine", "3.20", architecture="arm64", metadata=metadata("arm"))
        yield made


@pytest.fixture
def lxd() -> FaultyLxd:
    """A simulated LXD that holds nothing yet."""
    made = FaultyLxd()
    with made.world.change() as state:
        state["images"] = {}
    return made


@pytest.fixture
def settings(tmp_path: Path, server: ImageServer) -> Settings:
    """Settings that name the server."""
    return make_settings(tmp_path, images_url=server.url)


@pytest.fixture
async def core(settings: Settings, lxd: FaultyLxd) -> AsyncIterator[Core]:
    """A core that has read the server's catalogue."""
    async with open_core(settings, lxd=lxd) as opened:
        await opened.images.ready()
        yield opened


@pytest.fixture
async def alice(core: Core) -> Actor:
    """A tenant."""
    return await add_user(core, "alice")


@pytest.fixture
async def bob(core: Core) -> Actor:
    """Another tenant."""
    return await add_user(core, "bob")


@pytest.fixture
async def root(core: Core) -> Actor:
    """An admin."""
    return await add_user(core, "boss", role=Role.ADMIN)
