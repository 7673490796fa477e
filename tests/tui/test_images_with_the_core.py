"""The images screen's screen on the real services: an image server of the test's own, the simulated LXD beneath."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.actor import Actor, Role
from openlxd_core.domain.image import ImageStatus
from openlxd_core.i18n import Translator
from openlxd_core.simplestreams import downloader
from openlxd_tui.app import OpenLXDApp
from openlxd_tui.screens.containers.create import CreateForm
from tests.images.conftest import metadata, noise
from tests.support.core import add_user, make_settings
from tests.support.faulty_lxd import FaultyLxd
from tests.support.simplestreams import ImageServer
from tests.tui.fakes import FakeShell
from tests.tui.test_containers import page, screen_text, toasts, until
from tests.tui.test_images import enter

pytestmark = pytest.mark.slow


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ImageServer]:
    """alpine/3.19, big enough to be watched, and a Debian."""
    monkeypatch.setattr(downloader, "PAUSE_SECONDS", 0.01)
    async with ImageServer() as made:
        made.add("alpine", "3.19", metadata=metadata("a"), squashfs=noise(400_000))
        made.add("debian", "bookworm", aliases="debian/bookworm,debian/12", metadata=metadata("d"))
        yield made


@pytest.fixture
async def core(tmp_path: Path, server: ImageServer) -> AsyncIterator[Core]:
    """A core that knows the server, on an LXD that holds nothing yet."""
    lxd = FaultyLxd()
    with lxd.world.change() as state:
        state["images"] = {}
    async with open_core(make_settings(tmp_path, images_url=server.url), lxd=lxd) as opened:
        yield opened


def session(core: Core, actor: Actor, language: str = "en") -> OpenLXDApp:
    """A session of this actor."""
    return OpenLXDApp(
        core, actor, translator=Translator(language), environment={"TERM": "xterm-256color"}, host_shell=FakeShell()
    )


async def test_an_image_is_imported_watched_used_and_deleted(core: Core, server: ImageServer) -> None:
    """By keys alone: a tenant imports, an admin sees the same bar, a container comes of it, the admin deletes it."""
    alice, boss = await add_user(core, "alice"), await add_user(core, "boss", role=Role.ADMIN)
    app, other = session(core, alice), session(core, boss)
    squashfs = next(path for path in server.files if "alpine" in path and path.endswith("squashfs"))
    server.break_(squashfs, "slow", at=160_000, times=1)
    async with app.run_test(size=(140, 40)) as pilot, other.run_test(size=(140, 40)) as watcher:
        mine, theirs = await enter(app, pilot), await enter(other, watcher)
        mine.offers.seek("alpine/3.19")
        await pilot.press("i")
        await until(pilot, lambda: "Downloading" in screen_text(app) and "MiB/s" in screen_text(app).replace("K", "M"))
        await until(watcher, lambda: "Downloading" in screen_text(other))
        await until(pilot, lambda: "Image alpine/3.19 was imported." in toasts(app))
        await until(pilot, lambda: mine.offer is not None and mine.offer.current)
        await until(watcher, lambda: not theirs._progress)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, CreateForm))
        await pilot.press(*"web1", "enter")
        await until(pilot, lambda: app.screen is page(app) and "● running" in screen_text(app))
        theirs.offers.seek("alpine/3.19")
        await until(watcher, lambda: theirs.image is not None and list(theirs.image.users) == ["web1"])
        await watcher.press("d")
        await until(watcher, lambda: "created from it: web1" in screen_text(other))
        await watcher.press(*"alpine/3.19", "enter")
        await until(watcher, lambda: theirs.offer is not None and not theirs.offer.held)
    assert await core.images.overview(boss) == []


async def test_a_create_imports_what_it_needs(core: Core) -> None:
    """Enter on an image that is not here yet: the form, then the container, with no step between."""
    alice = await add_user(core, "alice")
    app = session(core, alice)
    async with app.run_test(size=(140, 40)) as pilot:
        mine = await enter(app, pilot)
        mine.offers.seek("debian/12")
        await pilot.press("enter")
        await until(pilot, lambda: "imported first" in screen_text(app))
        await pilot.press(*"web1", "enter")
        await until(pilot, lambda: app.screen is page(app) and "● running" in screen_text(app))
    assert [image.alias for image in await core.images.overview(alice)] == ["debian/12"]


async def test_an_import_is_cancelled_by_key(core: Core, server: ImageServer) -> None:
    """x gives it up: the bar goes, nothing is here, and it can be asked for again."""
    alice = await add_user(core, "alice")
    app = session(core, alice)
    squashfs = next(path for path in server.files if "alpine" in path and path.endswith("squashfs"))
    server.break_(squashfs, "slow", at=20_000)
    async with app.run_test(size=(140, 40)) as pilot:
        mine = await enter(app, pilot)
        mine.offers.seek("alpine/3.19")
        await pilot.press("i")
        await until(pilot, lambda: "Downloading" in screen_text(app))
        await pilot.press("x")
        await until(pilot, lambda: not mine._progress)
        await until(pilot, lambda: mine.check_action("import", ()))
    assert await core.images.overview(alice) == []


async def test_snapshots_and_an_image_of_one(core: Core) -> None:
    """Taken, listed and made an image of by keys; the image is in its owner's list and in no stranger's."""
    alice, bob = await add_user(core, "alice"), await add_user(core, "bob")
    made = await core.containers.create(alice, "web1", "debian/12", 1, "512MiB", "1GiB")
    await core.operations.wait(alice, made.id, 10)
    app = session(core, alice)
    async with app.run_test(size=(140, 40)) as pilot:
        await until(pilot, lambda: "● running" in screen_text(app))
        await pilot.press("v")
        await until(pilot, lambda: "No snapshots yet." in screen_text(app))
        await pilot.press("n", *"first", "enter")
        await until(pilot, lambda: "● ready" in screen_text(app) and "1/10 of your quota" in screen_text(app))
        await until(pilot, lambda: app.screen.check_action("publish", ()))
        await pilot.press("P", *"mine", "enter")
        await until(
            pilot,
            lambda: (
                "Image private/alice/mine was created from web1." in toasts(app)
                or "Image alice/mine was created from web1." in toasts(app)
            ),
        )
        await pilot.press("3")
        await until(pilot, lambda: "On this host 2" in screen_text(app))
        await pilot.press("tab")
        await until(pilot, lambda: "private/alice/mine" in screen_text(app) or "alice/mine" in screen_text(app))
    images = await core.images.overview(alice)
    assert [image.status for image in images] == [ImageStatus.IMPORTED] * 2
    assert [image.alias for image in await core.images.overview(bob)] == ["debian/12"]


async def test_a_container_is_reinstalled_from_an_image_that_is_not_here(core: Core) -> None:
    """R, another image, the name typed: the image is imported and the container is as new under its name."""
    alice = await add_user(core, "alice")
    made = await core.containers.create(alice, "web1", "debian/12", 1, "512MiB", "1GiB")
    await core.operations.wait(alice, made.id, 10)
    app = session(core, alice)
    async with app.run_test(size=(140, 40)) as pilot:
        await until(pilot, lambda: "● running" in screen_text(app))
        await pilot.press("R")
        await until(pilot, lambda: "Everything on its disk is lost." in screen_text(app))
        await pilot.press("enter", "end", "enter", "tab", *"web1")
        await until(pilot, lambda: "alpine/3.19" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "Container web1 was reinstalled from alpine/3.19." in toasts(app))
    assert (await core.containers.get(alice, "web1")).image == "alpine/3.19"


async def test_a_failing_server_is_told_with_the_old_copy(core: Core, server: ImageServer) -> None:
    """The catalogue stays, with its age; ^r asks again, and finds the server well."""
    alice = await add_user(core, "alice", role=Role.ADMIN)
    app = session(core, alice)
    async with app.run_test(size=(140, 40)) as pilot:
        mine = await enter(app, pilot)
        await until(pilot, lambda: mine.offers.rows)
        from tests.support.simplestreams import INDEX, PRODUCTS

        for path in (INDEX, PRODUCTS):
            server.break_(path, "status", at=500)
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "The catalogue may be out of date:" in screen_text(app))
        assert "alpine/3.19" in screen_text(app)
        server.faults.clear()
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "The catalogue may be out of date:" not in screen_text(app))
