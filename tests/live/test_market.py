"""The market on a real LXD: from a catalogue to a container that runs, and whatever is killed on the way."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.actor import SYSTEM
from openlxd_core.domain.container import State
from openlxd_core.domain.image import ImageStatus
from openlxd_core.domain.operation import OperationStatus
from openlxd_core.settings import Settings
from tests.live.conftest import clear
from tests.support.core import add_user, eventually, finish, make_settings
from tests.support.lxd import LiveLxd
from tests.support.processes import environment_of
from tests.support.simplestreams import NEW, ImageServer, offer_real_images

pytestmark = [pytest.mark.live, pytest.mark.timeout(280)]

WORKER = """\
import asyncio, json, sys
from openlxd_core.bootstrap import open_core
from openlxd_core.domain.actor import SYSTEM
from openlxd_core.settings import load_settings

async def main():
    async with open_core(load_settings().settings) as core:
        print("ready", flush=True)
        if len(sys.argv) > 2:
            sizes = (1, "64MiB", "256MiB")
            operation = await core.containers.create(SYSTEM, sys.argv[2], sys.argv[1], *sizes, owner="alice")
            print("began", operation.id, flush=True)
        elif len(sys.argv) > 1:
            operation = await core.images.import_image(SYSTEM, sys.argv[1])
            print("began", operation.id, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def offered() -> tuple[ImageServer, dict[str, str]]:
    """Real images, built once."""
    server = ImageServer()
    return server, offer_real_images(server)


@pytest.fixture
async def server(offered: tuple[ImageServer, dict[str, str]]) -> AsyncIterator[ImageServer]:
    """A server of the test's own that offers them."""
    made = ImageServer(files=dict(offered[0].files), products=offered[0].products)
    async with made:
        yield made


@pytest.fixture
def settings(tmp_path: Path, live_lxd: LiveLxd, server: ImageServer) -> Iterator[Settings]:
    """An installation on the live LXD that knows the server; LXD's images are as before afterwards."""
    before = set(live_lxd.call("GET", "/1.0/images"))
    yield make_settings(tmp_path, lxd="socket", lxd_socket=live_lxd.socket, images_url=server.url)
    clear(live_lxd)
    for image in set(live_lxd.call("GET", "/1.0/images")) - before:
        live_lxd.call("DELETE", image)


@pytest.fixture
async def core(settings: Settings) -> AsyncIterator[Core]:
    """A core that has read the catalogue."""
    async with open_core(settings) as opened:
        await opened.images.ready()
        yield opened


def aliases_of(lxd: LiveLxd) -> dict[str, str]:
    images = lxd.call("GET", "/1.0/images?recursion=1")
    return {alias["name"]: image["fingerprint"] for image in images for alias in image["aliases"]}


async def test_from_the_catalogue_to_a_container_and_back(
    core: Core, live_lxd: LiveLxd, offered: tuple[ImageServer, dict[str, str]]
) -> None:
    """LXD's fingerprint is the published one; what is made from it runs; delete removes it and leaves the container."""
    alice = await add_user(core, "alice")
    listed = [offer.alias for offer in core.images.offers(alice, "alpine", architecture="amd64") if offer.published]
    assert listed == ["alpine/3.20", "alpine/3.19"]
    for name in ("alpine/3.19", "alpine320"):  # one comes as squashfs, the other as a tarball
        ended = await finish(core, await core.images.import_image(alice, name), 60)
        assert ended.status is OperationStatus.DONE, ended.error
    held = await asyncio.to_thread(aliases_of, live_lxd)
    assert {alias: held[alias] for alias in offered[1]} == offered[1]
    for name, image in (("web1", "alpine319"), ("web2", "alpine/3.20")):
        made = await finish(core, await core.containers.create(alice, name, image, 1, "64MiB", "256MiB"), 60)
        assert made.status is OperationStatus.DONE, made.error
        session = await core.consoles.open(alice, name, ["hostname"])
        assert (await session.read())[1] == f"{name}\n".encode()
        await session.close()
    image = next(i for i in await core.images.overview(alice) if i.alias == "alpine/3.19")
    assert list(image.users) == ["web1"]
    dropped = await core.images.delete(SYSTEM, "alpine/3.19")
    assert list(dropped.users) == ["web1"]
    assert "alpine/3.19" not in await asyncio.to_thread(aliases_of, live_lxd)
    assert "alpine/3.19" not in [i.alias for i in await core.images.overview(alice)]
    again = await finish(core, await core.containers.restart(alice, "web1"), 60)
    assert again.status is OperationStatus.DONE


async def test_a_create_brings_its_image(core: Core, live_lxd: LiveLxd) -> None:
    """One call from nothing to a running container."""
    alice = await add_user(core, "alice")
    made = await finish(core, await core.containers.create(alice, "web1", "alpine319", 1, "64MiB", "256MiB"), 60)
    assert made.status is OperationStatus.DONE, made.error
    assert (await core.containers.get(alice, "web1")).status is State.RUNNING


async def test_what_others_do_with_lxc_is_noticed(core: Core, live_lxd: LiveLxd) -> None:
    """An image that they add or delete; its row follows."""
    await finish(core, await core.images.import_image(SYSTEM, "alpine319"), 60)
    fingerprint = (await asyncio.to_thread(aliases_of, live_lxd))["alpine/3.19"]

    async def names() -> set[str]:
        return {image.alias for image in await core.images.overview(SYSTEM)}

    await asyncio.to_thread(
        live_lxd.call, "POST", "/1.0/images/aliases", {"name": "by-hand", "target": fingerprint}
    )  # fmt: skip

    async def both() -> bool:
        return await names() >= {"by-hand", "alpine/3.19"}

    await eventually(both, "the new name is listed")
    await asyncio.to_thread(live_lxd.call, "DELETE", f"/1.0/images/{fingerprint}")

    async def neither() -> bool:
        return not await names() & {"by-hand", "alpine/3.19"} and not core.images.offers(SYSTEM, "alpine319")[0].held

    await eventually(neither, "both are gone")


async def test_a_stopped_container_and_a_snapshot_become_private_images(core: Core, live_lxd: LiveLxd) -> None:
    """Their owner makes containers from them; to another tenant they do not exist."""
    alice, bob = await add_user(core, "alice"), await add_user(core, "bob")
    await finish(core, await core.containers.create(alice, "web1", "busybox", 1, "64MiB", "256MiB"), 60)
    await finish(core, await core.snapshots.create(alice, "web1", "before"), 60)
    snap = await finish(core, await core.images.publish(alice, "web1", "from-snap", "before"), 60)
    assert snap.status is OperationStatus.DONE, snap.error
    await finish(core, await core.containers.stop(alice, "web1", force=True), 60)
    mine = await finish(core, await core.images.publish(alice, "web1", "mine"), 60)
    assert mine.status is OperationStatus.DONE, mine.error
    names = {image.alias for image in await core.images.overview(alice)}
    assert names >= {"private/alice/mine", "private/alice/from-snap"}
    assert not [image for image in await core.images.overview(bob) if image.alias.startswith("private/")]
    made = await finish(core, await core.containers.create(alice, "web2", "mine", 1, "64MiB", "256MiB"), 60)
    assert made.status is OperationStatus.DONE, made.error
    for name in ("mine", "from-snap"):
        await core.images.delete(alice, name)
    assert not [alias for alias in await asyncio.to_thread(aliases_of, live_lxd) if "private" in alias]


async def test_a_newer_build_takes_the_olders_place(
    tmp_path: Path, settings: Settings, server: ImageServer, live_lxd: LiveLxd
) -> None:
    """By itself where the operator wants it; the older is dropped once no container came from it."""
    import copy

    key = "alpine:3.19:amd64:default"
    whole = server.products
    server.products = copy.deepcopy(whole)
    del server.products[key]["versions"][NEW]
    server.publish()
    async with open_core(settings.model_copy(update={"images_update": "on"})) as core:
        await core.images.ready()
        alice = await add_user(core, "alice")
        made = await finish(core, await core.containers.create(alice, "web1", "alpine319", 1, "64MiB", "256MiB"), 60)
        assert made.status is OperationStatus.DONE, made.error
        old = (await asyncio.to_thread(aliases_of, live_lxd))["alpine/3.19"]
        server.products = whole
        server.publish()
        await core.images.refresh(SYSTEM)
        assert next(i for i in await core.images.overview(SYSTEM) if i.alias == "alpine/3.19").newer
        await core.images.update_imported()

        async def moved() -> bool:
            return (await asyncio.to_thread(aliases_of, live_lxd))["alpine/3.19"] != old

        await eventually(moved, "the name is the newer build's", 60)
        held = {path.rsplit("/", 1)[-1] for path in await asyncio.to_thread(live_lxd.call, "GET", "/1.0/images")}
        assert old in held  # web1 came from it
        await finish(core, await core.containers.delete(alice, "web1"), 60)

        async def gone() -> bool:
            found = await asyncio.to_thread(live_lxd.call, "GET", "/1.0/images")
            return old not in {path.rsplit("/", 1)[-1] for path in found}

        await eventually(gone, "the older build is dropped", 60)


async def _worker(settings: Settings, *arguments: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, *arguments, env=environment_of(settings), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    await _said(process, b"ready")
    return process


async def _said(process: asyncio.subprocess.Process, word: bytes) -> str:
    """The rest of the line that begins with ``word``; its log goes by."""
    assert process.stdout is not None
    async with asyncio.timeout(30):
        while line := await process.stdout.readline():
            if line.startswith(word):
                return line.removeprefix(word).decode().strip()
    raise AssertionError("the process ended")


async def test_killed_at_twenty_moments_it_comes_back_clean(
    settings: Settings, server: ImageServer, live_lxd: LiveLxd, offered: tuple[ImageServer, dict[str, str]]
) -> None:
    """SIGKILL anywhere between the question and the end: the next process finishes it, and nothing is left over."""
    server.break_(server.path("3.19/amd64/default/" + NEW + "/rootfs.squashfs", NEW), "slow", at=1_200_000)
    seed = int(os.environ.get("OPENLXD_TEST_SEED", "0")) or random.randrange(10**6)
    moments = random.Random(seed)
    print(f"seed {seed}")
    async with open_core(settings, background=False) as core:
        await core.images.ready()
    died_in: dict[str, int] = {}
    for number in range(20):
        process = await _worker(settings, "alpine/3.19")
        operation_id = await _said(process, b"began")
        await asyncio.sleep(moments.uniform(0, 0.9))
        process.send_signal(signal.SIGKILL)
        await process.wait()
        async with open_core(settings) as core:
            stood = await core.operations.get(SYSTEM, operation_id)
            died_in[stood.stage] = died_in.get(stood.stage, 0) + 1
            ended = await finish(core, stood, 60)
            images = {image.alias: image for image in await core.images.overview(SYSTEM)}
            assert ended.status is OperationStatus.DONE, (number, ended.error)
            assert images["alpine/3.19"].status is ImageStatus.IMPORTED
            assert images["alpine/3.19"].fingerprint == offered[1]["alpine/3.19"]
            folder = settings.state_dir / "market" / "downloads"
            assert [path for path in folder.rglob("*") if path.is_file()] == []
            held = await asyncio.to_thread(live_lxd.call, "GET", "/1.0/images?recursion=1")
            assert len([i for i in held if i["properties"].get("os") == "alpine"]) == 1
            await core.images.delete(SYSTEM, "alpine/3.19")
    print(f"killed in {died_in}")
    assert len(died_in) > 1  # it was killed in the middle, not always before or after


async def test_a_create_killed_while_its_image_comes_ends_well(
    settings: Settings, server: ImageServer, live_lxd: LiveLxd
) -> None:
    """Import and create are both taken over: one container, one image, a quota that is right."""
    server.break_(server.path("3.19/amd64/default/" + NEW + "/rootfs.squashfs", NEW), "slow", at=1_200_000)
    async with open_core(settings, background=False) as core:
        await core.images.ready()
        alice = await add_user(core, "alice")
    for pause in (0.0, 0.3, 0.7, 1.1, 1.6):
        process = await _worker(settings, "alpine319", "web1")
        operation_id = await _said(process, b"began")
        await asyncio.sleep(pause)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        async with open_core(settings) as core:
            ended = await finish(core, await core.operations.get(SYSTEM, operation_id), 90)
            assert ended.status is OperationStatus.DONE, (pause, ended.error)
            assert (await core.containers.get(alice, "web1")).status is State.RUNNING
            assert (await core.quotas.get(alice)).used.containers == 1
            gone = await finish(core, await core.containers.delete(alice, "web1"), 60)
            assert gone.status is OperationStatus.DONE, gone.error
            await core.images.delete(SYSTEM, "alpine/3.19")
