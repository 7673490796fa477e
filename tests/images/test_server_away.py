"""The image server is away: what is here is used at once, on the first start as on any other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from openlxd_core.bootstrap import open_core
from openlxd_core.domain.actor import SYSTEM, Actor
from openlxd_core.domain.container import State
from openlxd_core.domain.errors import Forbidden, ImageSourceUnavailable, OpenLXDError, ValidationFailed
from openlxd_core.domain.image import ImageStatus
from openlxd_core.domain.operation import OperationStatus
from openlxd_core.services.images import catalogue
from openlxd_core.settings import Settings
from openlxd_core.storage import models
from tests.support.core import add_user, finish, make_settings
from tests.support.faulty_lxd import FaultyLxd
from tests.support.simplestreams import ImageServer

AT_ONCE = 5.0
"""Seconds; an unanswered question to the server would take :data:`market.READY_SECONDS`."""


@asynccontextmanager
async def black_hole() -> AsyncIterator[str]:
    """A server that takes every connection and never says a word: the worst way of being away."""
    writers: list[asyncio.StreamWriter] = []

    async def swallow(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        for writer in writers:
            writer.close()
        server.close()


@pytest.fixture
def holding() -> FaultyLxd:
    """An LXD that holds what the simulated one does from the start: debian/12, ubuntu/24.04, alpine …"""
    return FaultyLxd()


@pytest.mark.parametrize("name", ["debian/12", "debian12", "Debian/bookworm", "debian-12-lxc", "debian/12/amd64"])
async def test_a_first_start_that_never_reached_the_server_makes_containers_of_what_is_here(
    tmp_path: Path, holding: FaultyLxd, name: str
) -> None:
    """By any of the image's names, without the seconds that the server would have been waited for."""
    async with black_hole() as url, open_core(make_settings(tmp_path, images_url=url), lxd=holding) as core:
        alice = await add_user(core, "alice")
        async with asyncio.timeout(AT_ONCE):
            operation = await core.containers.create(alice, "web1", name, 1, 512, 5120)
        assert (await finish(core, operation)).status is OperationStatus.DONE
        made = await core.containers.get(alice, "web1")
        assert (made.status, made.image) == (State.RUNNING, "debian/12")


async def test_importing_what_is_here_succeeds_at_once(tmp_path: Path, holding: FaultyLxd) -> None:
    """The operation has ended when it is told; information and lists answer as quickly."""
    async with black_hole() as url, open_core(make_settings(tmp_path, images_url=url), lxd=holding) as core:
        alice = await add_user(core, "alice")
        async with asyncio.timeout(AT_ONCE):
            operation = await core.images.import_image(alice, "debian12")
            assert (operation.status, operation.target, operation.progress) == (OperationStatus.DONE, "debian/12", 100)
            info = await core.images.info(alice, "debian/bookworm")
        assert info.image is not None
        assert (info.image.alias, info.image.status) == ("debian/12", ImageStatus.IMPORTED)
        held = {image.fingerprint for image in await holding.images()}
        assert operation.args["fingerprint"] in held


async def test_what_is_here_for_another_machine_or_variant_is_not_what_was_asked_for(
    tmp_path: Path, holding: FaultyLxd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is what is not here at all: the answer is that the server is away, not that there is no such image."""
    monkeypatch.setattr(catalogue, "READY_SECONDS", 0.3)
    async with open_core(make_settings(tmp_path, images_url="http://127.0.0.1:9"), lxd=holding) as core:
        alice = await add_user(core, "alice")
        for wanted in (("debian/12", "arm64", None), ("debian/12", None, "cloud"), ("gentoo", None, None)):
            with pytest.raises(ImageSourceUnavailable):
                await core.images.import_image(alice, *wanted)
        with pytest.raises(ImageSourceUnavailable):
            await core.containers.create(alice, "web1", "gentoo", 1, 512, 5120)
        assert await models.Operation.filter(kind="image.import").count() == 0


async def test_without_any_image_server_what_is_here_can_be_imported_again(tmp_path: Path, holding: FaultyLxd) -> None:
    """``OPENLXD_IMAGES_URL=off`` is no fault; what is not here is not an image then."""
    async with open_core(make_settings(tmp_path), lxd=holding) as core:
        alice = await add_user(core, "alice")
        assert (await core.images.import_image(alice, "debian/12")).status is OperationStatus.DONE
        with pytest.raises(ValidationFailed):
            await core.containers.create(alice, "web1", "gentoo", 1, 512, 5120)


async def test_a_tenant_who_may_not_import_is_still_refused(tmp_path: Path, holding: FaultyLxd) -> None:
    """Being here opens no other way in; a private image is none of anybody's to import."""
    async with open_core(make_settings(tmp_path, tenant_import="off"), lxd=holding) as core:
        alice = await add_user(core, "alice")
        with pytest.raises(Forbidden):
            await core.images.import_image(alice, "debian/12")
        await finish(core, await core.containers.create(alice, "web1", "debian/12", 1, 512, 5120))
        await finish(core, await core.containers.stop(alice, "web1"))
        await finish(core, await core.images.publish(alice, "web1", "mine"))
        with pytest.raises(OpenLXDError):
            await core.images.import_image(SYSTEM, "private/alice/mine")


async def test_an_older_build_serves_while_the_server_is_away_and_the_newer_comes_when_it_is_back(
    settings: Settings, server: ImageServer, lxd: FaultyLxd
) -> None:
    """A catalogue from before, a newer build in it, and a server that has gone: what is here counts as imported."""
    async with open_core(settings, lxd=lxd) as core:
        alice = await add_user(core, "alice")
        await core.images.ready()
        first = await finish(core, await core.images.import_image(alice, "debian/12"))
        assert first.status is OperationStatus.DONE
        server.add("debian", "bookworm", aliases="debian/bookworm,debian/12", serial="20991231_0000", metadata=b"new")
        server.publish()
        await core.images.refresh(SYSTEM)
        port = int(server.url.rpartition(":")[2])
        await server.stop()
        await core.images.refresh(SYSTEM)
        assert core.images.catalogue_state().stale
        async with asyncio.timeout(AT_ONCE):
            again = await core.images.import_image(alice, "debian/12")
        assert again.status is OperationStatus.DONE
        assert again.args["fingerprint"] == first.args["fingerprint"]
        operation = await core.containers.create(alice, "web1", "debian/bookworm", 1, 512, 5120)
        assert (await finish(core, operation)).status is OperationStatus.DONE
        await server.start(port)
        await core.images.refresh(SYSTEM)
        assert not core.images.catalogue_state().stale
        newer = await core.images.import_image(alice, "debian/12")
        assert newer.args.get("fingerprint") != first.args["fingerprint"]  # it is fetched, as ever


async def test_a_downloaded_image_is_found_by_what_the_server_called_it(
    settings: Settings, server: ImageServer, lxd: FaultyLxd
) -> None:
    """Its own metadata says neither distribution nor release (this server's do not): the row remembers them."""
    async with open_core(settings, lxd=lxd) as core:
        alice = await add_user(core, "alice")
        await core.images.ready()
        assert (await finish(core, await core.images.import_image(alice, "rocky9"))).status is OperationStatus.DONE
    await server.stop()
    for copy in (settings.state_dir / "market" / "lists").rglob("*"):
        if copy.is_file():
            copy.unlink()
    async with open_core(settings, lxd=lxd) as core:
        alice = Actor(alice.role, alice.user_id, alice.username)
        for number, name in enumerate(("rocky9", "rockylinux/9", "rockylinux-9-kvm")):
            async with asyncio.timeout(AT_ONCE):
                operation = await core.containers.create(alice, f"web{number}", name, 1, 256, 1024)
            assert (await finish(core, operation)).status is OperationStatus.DONE
