"""The local images: in step with LXD whoever uses it, private ones kept apart, newer builds in the olders' place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.actor import SYSTEM, Actor
from openlxd_core.domain.errors import (
    AlreadyExists,
    Busy,
    Conflict,
    Forbidden,
    LxdRefused,
    NotFound,
    ValidationFailed,
)
from openlxd_core.domain.image import ImageStatus
from openlxd_core.domain.operation import OperationStatus
from openlxd_core.services.images.sync import ImageSync
from openlxd_core.settings import Settings
from openlxd_core.storage import models
from tests.images.conftest import metadata, noise
from tests.support.core import add_user, eventually, finish
from tests.support.faulty_lxd import FaultyLxd
from tests.support.simplestreams import NEW, OLD, ImageServer

ALIAS = "alpine/3.19"
SIZES = (1, "64MiB", "1GiB")


async def bring(core: Core, alias: str = ALIAS, actor: Actor = SYSTEM) -> None:
    ended = await finish(core, await core.images.import_image(actor, alias))
    assert ended.status is OperationStatus.DONE, ended.error


async def rows() -> dict[str, str]:
    return {row.alias: row.status for row in await models.Image.all()}


async def test_what_others_do_in_lxd_is_noticed(core: Core, lxd: FaultyLxd) -> None:
    """An image that lxc brings gets its row; one that lxc deletes loses it."""
    await bring(core)
    fingerprint = lxd.add_image("by/hand", description="By hand")

    async def added() -> bool:
        return await rows() == {ALIAS: "imported", "by/hand": "imported"}

    await eventually(added, "its row is there")
    row = await models.Image.get(alias="by/hand")
    assert (row.fingerprint, row.architecture, row.size) == (fingerprint, "amd64", 1_000_000)
    held = core.images.offers(SYSTEM, ALIAS)[0]
    assert held.held
    await lxd.delete_image(fingerprint)
    await lxd.delete_image(held.fingerprint)

    async def gone() -> bool:
        return await rows() == {} and not core.images.offers(SYSTEM, ALIAS)[0].held

    await eventually(gone, "the rows are gone")


async def test_no_row_stays_downloading(core: Core, lxd: FaultyLxd) -> None:
    """One that nobody brings is marked as failed, with a retry and a way to drop it."""
    await models.Image.create(alias="alpine/3.20", status="downloading")
    lxd.add_image("anything")

    async def failed() -> bool:
        return (await rows()).get("alpine/3.20") == "failed"

    await eventually(failed, "it is failed")
    await bring(core, "alpine/3.20")
    await models.Image.create(alias="x/1", status="failed")
    await core.images.delete(SYSTEM, "x/1")
    assert "x/1" not in await rows()


async def test_delete_tells_who_used_it_and_harms_nobody(core: Core, lxd: FaultyLxd, alice: Actor) -> None:
    """Admins only; containers go on."""
    await bring(core)
    await finish(core, await core.containers.create(alice, "web1", ALIAS, *SIZES))
    with pytest.raises(Forbidden):
        await core.images.delete(alice, ALIAS)
    dropped = await core.images.delete(SYSTEM, "alpine319")
    assert (dropped.alias, list(dropped.users)) == (ALIAS, ["web1"])
    assert await lxd.images() == []
    assert (await finish(core, await core.containers.restart(alice, "web1"))).status is OperationStatus.DONE
    with pytest.raises(NotFound):
        await core.images.delete(SYSTEM, ALIAS)


async def test_delete_waits_for_an_import(core: Core, server: ImageServer) -> None:
    """It is refused while one runs."""
    server.break_(server.path("3.19/amd64/default/" + NEW + "/rootfs", NEW), "silence")
    operation = await core.images.import_image(SYSTEM, ALIAS)
    with pytest.raises(Busy):
        await core.images.delete(SYSTEM, ALIAS)
    await core.operations.cancel(SYSTEM, operation.id)
    await finish(core, operation)


async def test_another_name_of_the_same_image_is_all_that_goes(core: Core, lxd: FaultyLxd) -> None:
    """What has two names loses one."""
    await bring(core)
    await lxd.set_alias("mine", (await lxd.images())[0].fingerprint)
    await core.images.delete(SYSTEM, ALIAS)
    assert [list(image.aliases) for image in await lxd.images()] == [["mine"]]


async def test_who_uses_an_image_is_told_to_those_who_may_know(core: Core, alice: Actor, bob: Actor) -> None:
    """A tenant sees their own containers, an admin all; nobody learns who imported it."""
    await bring(core, actor=alice)
    for actor, name in ((alice, "web1"), (bob, "web2")):
        await finish(core, await core.containers.create(actor, name, ALIAS, *SIZES))
    seen = {actor.username: (await core.images.overview(actor))[0] for actor in (alice, bob, SYSTEM)}
    assert [list(seen[name].users) for name in ("alice", "bob", "system")] == [["web1"], ["web2"], ["web1", "web2"]]
    assert (seen["alice"].user_id, seen["bob"].user_id) == (alice.user_id, None)


async def test_what_an_admin_brought_by_hand_is_theirs(
    core: Core, lxd: FaultyLxd, server: ImageServer, alice: Actor
) -> None:
    """A tenant's import does not take its name; an admin's does, and the image itself stays."""
    fingerprint = lxd.add_image(ALIAS, description="By hand")

    async def known() -> bool:
        return ALIAS in await rows()

    await eventually(known, "its row is there")
    with pytest.raises(AlreadyExists):
        await core.images.import_image(alice, ALIAS)
    await bring(core)
    local = core.images._local
    await ImageSync(lxd, local).drop_unused()
    assert fingerprint in [image.fingerprint for image in await lxd.images()]


async def test_a_hidden_image_is_hidden_where_it_is_here_too(core: Core, alice: Actor) -> None:
    """Tenants neither list it nor make containers from it; an admin does."""
    await bring(core)
    await core.images.hide(SYSTEM, ALIAS, True)
    assert await core.images.list(alice) == []
    with pytest.raises(ValidationFailed):
        await core.containers.create(alice, "web1", ALIAS, *SIZES)
    made = await finish(core, await core.containers.create(SYSTEM, "web1", ALIAS, *SIZES, owner="alice"))
    assert made.status is OperationStatus.DONE


# -- newer builds ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def old_first(settings: Settings, lxd: FaultyLxd, server: ImageServer) -> AsyncIterator[Core]:
    """A core that has imported the older build, with the newer one out since."""
    new = server.products["alpine:3.19:amd64:default"]["versions"].pop(NEW)
    server.publish()
    async with open_core(settings.model_copy(update={"images_update": "on"}), lxd=lxd) as core:
        await bring(core)
        server.products["alpine:3.19:amd64:default"]["versions"][NEW] = new
        server.publish()
        await core.images.refresh(SYSTEM)
        yield core


async def test_a_newer_build_is_shown_and_taken(old_first: Core, lxd: FaultyLxd) -> None:
    """The name moves; the older build goes once no container came from it."""
    core = old_first
    alice = await add_user(core, "alice")
    await finish(core, await core.containers.create(alice, "web1", ALIAS, *SIZES))
    image = (await core.images.overview(alice))[0]
    assert image.newer
    assert core.images.offers(alice, ALIAS)[0].held
    assert not core.images.offers(alice, ALIAS)[0].current
    await core.images.update_imported()

    async def newest() -> bool:
        return {i.properties.get("serial") for i in await lxd.images() if ALIAS in i.aliases} == {NEW}

    await eventually(newest, "the name is the newer build's")
    assert {i.properties.get("serial") for i in await lxd.images()} == {OLD, NEW}
    await finish(core, await core.containers.delete(alice, "web1"))

    async def only() -> bool:
        return {i.properties.get("serial") for i in await lxd.images()} == {NEW}

    await eventually(only, "the older build is gone")
    assert not (await core.images.overview(alice))[0].newer


async def test_a_pinned_build_stays(settings: Settings, lxd: FaultyLxd, server: ImageServer) -> None:
    """Pinned before the newer build is out, as the upkeep imports that as soon as it has read the list; by another
    process, whose decision is in the database and not in this one's memory."""
    new = server.products["alpine:3.19:amd64:default"]["versions"].pop(NEW)
    server.publish()
    async with open_core(settings.model_copy(update={"images_update": "on"}), lxd=lxd) as core:
        await bring(core)
        await core.images.pin(SYSTEM, ALIAS, True)
        core.images._flags.pinned = frozenset()
        server.products["alpine:3.19:amd64:default"]["versions"][NEW] = new
        server.publish()
        await core.images.refresh(SYSTEM)
        core.images._flags.pinned = frozenset()
        await core.images.update_imported()
        assert await core.operations.list(SYSTEM, active=True) == []
        assert {i.properties.get("serial") for i in await lxd.images()} == {OLD}


async def test_a_failed_update_leaves_the_older_build_usable(
    old_first: Core, server: ImageServer, lxd: FaultyLxd
) -> None:
    """It stays imported, under its name."""
    core = old_first
    server.break_(server.path("3.19/amd64/default/" + NEW + "/rootfs", NEW), "hash")
    ended = await finish(core, await core.images.import_image(SYSTEM, ALIAS))
    assert ended.status is OperationStatus.FAILED
    assert [image.status for image in await core.images.overview(SYSTEM)] == [ImageStatus.IMPORTED]
    assert {i.properties.get("serial") for i in await lxd.images() if ALIAS in i.aliases} == {OLD}


# -- private images ----------------------------------------------------------------------------------------------------


@pytest.fixture
async def stopped(core: Core, alice: Actor) -> str:
    """Alice's stopped container."""
    await finish(core, await core.containers.create(alice, "web1", ALIAS, *SIZES))
    await finish(core, await core.containers.stop(alice, "web1", force=True))
    return "web1"


async def publish(core: Core, actor: Actor, name: str = "mine", snapshot: str | None = None) -> OperationStatus:
    return (await finish(core, await core.images.publish(actor, "web1", name, snapshot))).status


async def test_a_private_image_is_its_owners(core: Core, stopped: str, alice: Actor, bob: Actor) -> None:
    """Listed, used and dropped by its owner and admins; for another tenant it does not exist, by any name."""
    heard: list[str] = []

    async def listen() -> None:
        async with core.feed.subscribe(bob) as changes:
            async for change in changes:
                heard.append(str(change))

    listener = asyncio.create_task(listen())
    assert await publish(core, alice) is OperationStatus.DONE
    alias = "private/alice/mine"
    mine = next(image for image in await core.images.overview(alice) if image.alias == alias)
    assert mine.private
    for name in ("mine", alias, mine.fingerprint):
        assert await core.images.info(alice, name)
        for ask in (core.images.info(bob, name), core.images.delete(bob, name)):
            with pytest.raises(NotFound):
                await ask
        with pytest.raises(ValidationFailed):
            await core.containers.create(bob, "stolen", name, *SIZES)
    assert not any("private" in image.alias for image in await core.images.overview(bob))
    assert not any("private" in image.alias for image in await core.images.list(bob))
    made = await finish(core, await core.containers.create(alice, "web2", "mine", *SIZES))
    assert made.status is OperationStatus.DONE
    assert (await core.containers.get(alice, "web1")).operation_id == ""
    assert alias in [image.alias for image in await core.images.overview(SYSTEM)]
    await core.images.delete(alice, "mine")
    assert not any("private" in image.alias for image in await core.images.overview(SYSTEM))
    listener.cancel()
    await asyncio.gather(listener, return_exceptions=True)
    assert not any("private" in told for told in heard)


async def test_what_cannot_be_published_says_why(core: Core, stopped: str, alice: Actor, bob: Actor) -> None:
    """A stranger's, a running one, a name that is none, one that is taken, a snapshot that is not there."""
    with pytest.raises(NotFound):
        await core.images.publish(bob, "web1", "mine")
    for name in ("", "A", "a/b", "../x", "x" * 41, "\x1b[2J", "private/bob/x"):
        with pytest.raises(ValidationFailed):
            await core.images.publish(alice, "web1", name)
    with pytest.raises(NotFound):
        await core.images.publish(alice, "web1", "mine", "no-such")
    assert await publish(core, alice) is OperationStatus.DONE
    with pytest.raises(AlreadyExists):
        await core.images.publish(alice, "web1", "mine")
    await finish(core, await core.containers.start(alice, "web1"))
    with pytest.raises(Conflict):
        await core.images.publish(alice, "web1", "other")


async def test_a_publish_that_lxd_refuses_leaves_nothing(
    core: Core, stopped: str, lxd: FaultyLxd, alice: Actor
) -> None:
    """No row, no image, and the container is free again."""
    before = len(await lxd.images())
    lxd.fail_next("publish_image", LxdRefused("no"))
    assert await publish(core, alice) is OperationStatus.FAILED
    assert len(await lxd.images()) == before
    assert "private/alice/mine" not in await rows()
    assert (await core.containers.get(alice, "web1")).operation_id == ""
    lxd.fail_next("set_alias", LxdRefused("no"))
    assert await publish(core, alice) is OperationStatus.FAILED
    assert len(await lxd.images()) == before


async def test_private_images_take_their_owners_room(settings: Settings, lxd: FaultyLxd, server: ImageServer) -> None:
    """Past it the publish fails, and its image is dropped."""
    server.add("debian", "bookworm", aliases="debian/12", metadata=metadata("big"), squashfs=noise(3_000_000))
    async with open_core(settings.model_copy(update={"tenant_images": "5MiB"}), lxd=lxd) as core:
        await core.images.ready()
        alice = await add_user(core, "alice")
        await finish(core, await core.containers.create(alice, "web1", "debian12", *SIZES))
        await finish(core, await core.containers.stop(alice, "web1", force=True))
        before = len(await lxd.images())
        assert await publish(core, alice, "one") is OperationStatus.FAILED
        assert len(await lxd.images()) == before
        assert "private/alice/one" not in await rows()


async def test_a_publish_that_was_cut_short_is_finished_by_the_next_process(
    settings: Settings, lxd: FaultyLxd, server: ImageServer
) -> None:
    """With one image, whether LXD had made it or not."""
    async with open_core(settings, lxd=lxd) as first:
        await first.images.ready()
        alice = await add_user(first, "alice")
        await finish(first, await first.containers.create(alice, "web1", ALIAS, *SIZES))
        await finish(first, await first.containers.stop(alice, "web1", force=True))
        lxd.delay("set_alias", 60)
        operation = await first.images.publish(alice, "web1", "mine")

        async def made() -> bool:
            return any(i.properties.get("user.openlxd.op") == operation.id for i in await lxd.images())

        await eventually(made, "LXD has made it")
    lxd.delay("set_alias", 0)
    async with open_core(settings, lxd=lxd) as second:
        assert (await finish(second, operation)).status is OperationStatus.DONE
        assert len([i for i in await lxd.images() if "user.openlxd.op" in i.properties]) == 1
        assert "private/alice/mine" in [image.alias for image in await second.images.overview(alice)]
