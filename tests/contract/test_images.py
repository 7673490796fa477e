"""Images handed in, named, published and dropped: both adapters keep the same promises."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from openlxd_core.domain.errors import AlreadyExists, Conflict, NotFound, OpenLXDError
from openlxd_core.lxd.gateway import LxdImage
from tests.contract.rig import Rig
from tests.support.rootfs import build_image

pytestmark = pytest.mark.timeout(120)


def fingerprint_of(metadata: Path, rootfs: Path) -> str:
    return hashlib.sha256(metadata.read_bytes() + rootfs.read_bytes()).hexdigest()


async def held(rig: Rig, fingerprint: str) -> LxdImage | None:
    return next((image for image in await rig.lxd.images() if image.fingerprint == fingerprint), None)


@pytest.fixture
async def files(rig: Rig, tmp_path: Path) -> AsyncIterator[tuple[Path, Path, str]]:
    """An image's two files and their fingerprint; LXD does not hold it before or after."""
    metadata, rootfs = build_image(tmp_path, description=f"Image of {rig.project}")
    fingerprint = fingerprint_of(metadata, rootfs)
    yield metadata, rootfs, fingerprint
    await rig.lxd.delete_image(fingerprint)


async def test_an_image_is_held_under_the_hash_of_its_two_files(rig: Rig, files: tuple[Path, Path, str]) -> None:
    """The fingerprint is what image servers publish; progress comes; the second time says that it is there."""
    metadata, rootfs, fingerprint = files
    seen: list[int] = []
    await rig.lxd.import_image(metadata, rootfs, fingerprint, seen.append)
    image = await held(rig, fingerprint)
    assert image is not None
    assert (image.architecture, image.description) == ("x86_64", f"Image of {rig.project}")
    assert image.size_bytes == metadata.stat().st_size + rootfs.stat().st_size
    assert image.properties["release"] == "1.35"
    assert seen
    assert seen == sorted(seen)
    with pytest.raises(AlreadyExists):
        await rig.lxd.import_image(metadata, rootfs, fingerprint)


async def test_files_that_are_not_what_was_promised_are_refused(rig: Rig, files: tuple[Path, Path, str]) -> None:
    """Another fingerprint, a cut root, noise in place of metadata: nothing is held afterwards."""
    metadata, rootfs, fingerprint = files
    before = {image.fingerprint for image in await rig.lxd.images()}
    noise = metadata.with_name("noise")
    noise.write_bytes(b"\0" * 4096)
    with pytest.raises(OpenLXDError):
        await rig.lxd.import_image(metadata, rootfs, "0" * 64)
    with pytest.raises(OpenLXDError):
        await rig.lxd.import_image(noise, rootfs, fingerprint_of(noise, rootfs))
    assert {image.fingerprint for image in await rig.lxd.images()} == before
    await rig.lxd.import_image(metadata, rootfs, fingerprint)


async def test_a_name_moves_from_one_image_to_the_next(rig: Rig, files: tuple[Path, Path, str]) -> None:
    """Names may hold slashes; taking one away twice is a success; a name for nothing is refused."""
    metadata, rootfs, fingerprint = files
    await rig.lxd.import_image(metadata, rootfs, fingerprint)
    alias = f"test/{rig.project}"
    await rig.lxd.set_alias(alias, rig.fingerprint)
    await rig.lxd.set_alias(alias, fingerprint)
    await rig.lxd.set_alias(alias, fingerprint)
    image, other = await held(rig, fingerprint), await held(rig, rig.fingerprint)
    assert image is not None
    assert other is not None
    assert alias in image.aliases
    assert alias not in other.aliases
    await rig.lxd.delete_alias(alias)
    await rig.lxd.delete_alias(alias)
    image = await held(rig, fingerprint)
    assert image is not None
    assert list(image.aliases) == []
    with pytest.raises(NotFound):
        await rig.lxd.set_alias(alias, "0" * 64)


async def test_properties_change_one_by_one(rig: Rig, files: tuple[Path, Path, str]) -> None:
    """What is not named stays."""
    metadata, rootfs, fingerprint = files
    await rig.lxd.import_image(metadata, rootfs, fingerprint)
    await rig.lxd.set_image_properties(fingerprint, {"description": "Ours", "user.openlxd.op": "abc"})
    image = await held(rig, fingerprint)
    assert image is not None
    assert image.description == "Ours"
    assert image.properties["user.openlxd.op"] == "abc"
    assert image.properties["release"] == "1.35"
    with pytest.raises(NotFound):
        await rig.lxd.set_image_properties("0" * 64, {"a": "b"})


async def test_an_image_in_use_can_be_dropped(rig: Rig, files: tuple[Path, Path, str]) -> None:
    """A container made from it says so, stays and starts; dropping it twice is a success."""
    metadata, rootfs, fingerprint = files
    await rig.lxd.import_image(metadata, rootfs, fingerprint)
    await rig.lxd.create_instance(rig.spec("web1", fingerprint=fingerprint))
    assert (await rig.lxd.instance(rig.project, "web1")).base_image == fingerprint
    await rig.lxd.delete_image(fingerprint)
    await rig.lxd.delete_image(fingerprint)
    assert await held(rig, fingerprint) is None
    await rig.lxd.start(rig.project, "web1")
    assert (await rig.state()).status == "running"


async def test_a_stopped_container_becomes_an_image(rig: Rig) -> None:
    """Its own or a snapshot's; a running one is refused; what comes out makes containers."""
    await rig.make(start=True)
    with pytest.raises(Conflict):
        await rig.lxd.publish_image(rig.project, "web1", "", {"description": "Mine"})
    await rig.lxd.create_snapshot(rig.project, "web1", "before")
    await rig.lxd.stop(rig.project, "web1", force=True)
    made = [
        await rig.lxd.publish_image(rig.project, "web1", snapshot, {"description": f"Mine {snapshot}"})
        for snapshot in ("", "before")
    ]
    try:
        for fingerprint, description in zip(made, ("Mine", "Mine before"), strict=True):
            image = await held(rig, fingerprint)
            assert image is not None
            assert image.description.strip() == description
        await rig.lxd.create_instance(rig.spec("web2", fingerprint=made[0]))
        await rig.lxd.start(rig.project, "web2")
        assert (await rig.state("web2")).status == "running"
        with pytest.raises(NotFound):
            await rig.lxd.publish_image(rig.project, "nobody", "", {})
    finally:
        for fingerprint in made:
            await rig.lxd.delete_image(fingerprint)
