"""Imports: whatever the server does, LXD gets the right bytes or none, and nothing is left lying about."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.actor import SYSTEM, Actor
from openlxd_core.domain.container import State
from openlxd_core.domain.errors import (
    Busy,
    Conflict,
    Forbidden,
    LxdRefused,
    NotFound,
    OpenLXDError,
    QuotaExceeded,
    ValidationFailed,
)
from openlxd_core.domain.image import ImageStatus
from openlxd_core.domain.operation import Kind, Operation, OperationStatus
from openlxd_core.domain.text import is_plain
from openlxd_core.services.operations import runner
from openlxd_core.services.operations.kinds.images import ImportHandler
from openlxd_core.settings import Settings
from openlxd_core.simplestreams import downloader
from tests.images.conftest import metadata, noise
from tests.support.core import add_user, eventually, finish, make_settings
from tests.support.faulty_lxd import FaultyLxd
from tests.support.simplestreams import NEW, OLD, ImageServer

ALIAS = "alpine/3.19"
ROOT, META = "3.19/amd64/default/{}/rootfs.squashfs", "3.19/amd64/default/{}/incus.tar.xz"


def fingerprint(serial: str = NEW) -> str:
    return hashlib.sha256(metadata(serial) + noise(300_000, serial)).hexdigest()


def leftovers(core: Core) -> list[str]:
    folder = core.settings.state_dir / "market" / "downloads"
    return sorted(str(path) for path in folder.rglob("*") if path.is_file()) if folder.exists() else []


async def held(lxd: FaultyLxd) -> dict[str, str]:
    """Fingerprints by alias."""
    return {alias: image.fingerprint for image in await lxd.images() for alias in image.aliases}


async def run_import(core: Core, actor: Actor = SYSTEM, alias: str = ALIAS) -> Operation:
    return await finish(core, await core.images.import_image(actor, alias))


async def test_an_import_ends_in_the_published_fingerprint(
    core: Core, lxd: FaultyLxd, server: ImageServer, alice: Actor
) -> None:
    """Found, fetched, checked, handed over, named, listed; the file of a build is asked for once; we say who we are."""
    ended = await run_import(core, alice, "alpine319")
    assert ended.status is OperationStatus.DONE, ended.error
    assert (ended.kind, ended.target, ended.progress) == (Kind.IMPORT, ALIAS, 100)
    assert await held(lxd) == {ALIAS: fingerprint()}
    image = next(i for i in await core.images.overview(alice) if i.alias == ALIAS)
    assert (image.status, image.fingerprint, image.user_id) == (ImageStatus.IMPORTED, fingerprint(), alice.user_id)
    assert image.size_bytes > 300_000
    assert server.asked[server.path(ROOT.format(NEW), NEW)] == 1
    assert all(told["user-agent"].startswith("OpenLXD/") for told in server.headers)
    assert leftovers(core) == []
    offer = core.images.offers(alice, ALIAS)[0]
    assert (offer.held, offer.current, offer.operation_id) == (True, True, "")
    info = await core.images.info(alice, "alpine319")
    assert info.offer is not None
    assert info.image is not None


async def test_asking_again_for_what_is_here_downloads_nothing(core: Core, server: ImageServer) -> None:
    """It ends well, at once."""
    await run_import(core)
    asked = dict(server.asked)
    assert (await run_import(core)).status is OperationStatus.DONE
    assert server.asked == asked


@pytest.mark.slow
async def test_ten_askers_make_one_download(core: Core, lxd: FaultyLxd, server: ImageServer) -> None:
    """Each gets the same operation, may see and await it, and learns nobody's name."""
    people = [await add_user(core, f"user{number}") for number in range(10)]
    server.break_(server.path(ROOT.format(NEW), NEW), "slow", at=400_000)
    begun = await asyncio.gather(*(core.images.import_image(actor, ALIAS) for actor in people))
    assert len({operation.id for operation in begun}) == 1
    for actor in people:
        assert [operation.id for operation in await core.operations.list(actor, active=True)] == [begun[0].id]
    ended = await asyncio.gather(*(core.operations.wait(actor, begun[0].id, 30) for actor in people))
    assert {operation.status for operation in ended} == {OperationStatus.DONE}
    assert sorted(operation.actor for operation in ended if operation.actor)[1:] == []
    assert server.asked[server.path(ROOT.format(NEW), NEW)] == 1
    assert lxd.calls["import_image"] == 1
    stranger = await add_user(core, "stranger")
    with pytest.raises(NotFound):
        await core.operations.get(stranger, begun[0].id)


# -- the server misbehaves ---------------------------------------------------------------------------------------------


async def test_a_cut_download_goes_on_where_it_stopped(core: Core, lxd: FaultyLxd, server: ImageServer) -> None:
    """With Range; the bytes that were there are not asked for again."""
    path = server.path(ROOT.format(NEW), NEW)
    server.break_(path, "cut", at=100_000, times=2)
    assert (await run_import(core)).status is OperationStatus.DONE
    ranges = [told["range"] for told in server.headers if "range" in told]
    assert ranges == ["bytes=100000-", "bytes=200000-"]
    assert await held(lxd) == {ALIAS: fingerprint()}


@pytest.mark.parametrize(
    ("kind", "at", "text"),
    [("status", 0, "500 Internal Server Error"), ("status", 0, "503 Busy"), ("status", 0, "429 Slow down"),
     ("garbage", 0, ""), ("cut", 0, ""), ("hash", 0, ""), ("status", 0, "416 No")],
)  # fmt: skip
async def test_a_fault_that_passes_is_survived(
    core: Core, lxd: FaultyLxd, server: ImageServer, kind: str, at: int, text: str
) -> None:
    """The next try succeeds."""
    server.break_(server.path(ROOT.format(NEW), NEW), kind, at, text, times=1)
    assert (await run_import(core)).status is OperationStatus.DONE
    assert await held(lxd) == {ALIAS: fingerprint()}


@pytest.mark.parametrize("which", [ROOT, META])
async def test_a_build_whose_file_is_gone_gives_way_to_the_one_before(
    core: Core, lxd: FaultyLxd, server: ImageServer, which: str
) -> None:
    """A mirror in the middle of an update lists what it does not have yet."""
    del server.files[server.path(which.format(NEW), NEW)]
    assert (await run_import(core)).status is OperationStatus.DONE
    assert await held(lxd) == {ALIAS: fingerprint(OLD)}
    assert leftovers(core) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "at", "text"),
    [("hash", 0, ""), ("short", 50, ""), ("long", 10, ""), ("endless", 0, ""), ("status", 0, "500 No"),
     ("status", 0, "403 No"), ("redirect", 0, "file:///etc/passwd"), ("redirect", 0, "http://169.254.169.254/latest"),
     ("redirect", 0, "ftp://127.0.0.1/x"), ("redirect", 0, "http://localhost:1/x"), ("redirect", 0, ""),
     ("redirect", 0, "/images/loop"), ("nuls", 300_000, ""), ("garbage", 0, ""), ("cut", 0, ""),
     ("redirect", 0, "http://user@[::1/"), ("redirect", 0, "//evil.example/x")],
)  # fmt: skip
@pytest.mark.parametrize("which", [ROOT, META])
async def test_a_fault_that_stays_ends_in_a_plain_failure(
    core: Core, lxd: FaultyLxd, server: ImageServer, which: str, kind: str, at: int, text: str
) -> None:
    """LXD sees nothing, no file is left, the image is marked as failed, and a retry works once the server is well."""
    path = server.path(which.format(NEW), NEW)
    if text == "/images/loop":
        server.break_(text, "redirect", text=text)
    server.break_(path, kind, at, text)
    ended = await run_import(core)
    assert ended.status is OperationStatus.FAILED
    assert ended.error is not None
    assert is_plain(ended.error.text())
    assert lxd.calls["import_image"] == 0
    assert await held(lxd) == {}
    assert leftovers(core) == []
    assert [image.status for image in await core.images.overview(SYSTEM)] == [ImageStatus.FAILED]
    server.faults.clear()
    assert (await run_import(core)).status is OperationStatus.DONE
    assert [image.status for image in await core.images.overview(SYSTEM)] == [ImageStatus.IMPORTED]


async def test_a_server_that_has_none_of_what_it_lists_is_said_so(
    core: Core, lxd: FaultyLxd, server: ImageServer
) -> None:
    """Every build is tried; then it fails, and leaves nothing."""
    for serial in (OLD, NEW):
        del server.files[server.path(ROOT.format(serial), serial)]
    ended = await run_import(core)
    assert (ended.status, ended.error_code) == (OperationStatus.FAILED, "image_source_unavailable")
    assert leftovers(core) == []
    assert await held(lxd) == {}


async def test_a_redirect_within_the_server_is_followed(core: Core, lxd: FaultyLxd, server: ImageServer) -> None:
    """Servers move files about."""
    path = server.path(ROOT.format(NEW), NEW)
    server.files["/moved"] = server.files[path]
    server.break_(path, "redirect", text="/moved")
    assert (await run_import(core)).status is OperationStatus.DONE
    assert await held(lxd) == {ALIAS: fingerprint()}


async def test_files_that_do_not_make_the_listed_image_are_not_used(
    core: Core, lxd: FaultyLxd, server: ImageServer
) -> None:
    """Each file's hash is right and the one over both is not."""
    for name in ("incus.tar.xz", "lxd.tar.xz"):
        server.products["alpine:3.19:amd64:default"]["versions"][NEW]["items"][name]["combined_squashfs_sha256"] = (
            "a" * 64
        )
    server.publish()
    await core.images.refresh(SYSTEM)
    ended = await run_import(core)
    assert ended.status is OperationStatus.FAILED
    assert lxd.calls["import_image"] == 0
    assert leftovers(core) == []


@pytest.mark.slow
async def test_a_server_that_says_nothing_is_given_up(
    core: Core, server: ImageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its deadline, with a sentence."""
    monkeypatch.setattr(downloader, "FILE_SECONDS", 0.3)
    server.break_(server.path(ROOT.format(NEW), NEW), "silence")
    ended = await run_import(core)
    assert ended.status is OperationStatus.FAILED
    assert ended.error_code == "image_source_unavailable"
    assert leftovers(core) == []


async def test_what_lxd_refuses_fails_with_lxds_reason(core: Core, lxd: FaultyLxd, server: ImageServer) -> None:
    """Both hashes are right, and it is no image all the same."""
    server.add("alpine", "3.18", metadata=b"no tar at all", squashfs=b"nothing")
    await core.images.refresh(SYSTEM)
    ended = await run_import(core, alias="alpine318")
    assert ended.status is OperationStatus.FAILED
    assert ended.error_code == LxdRefused.code
    assert await held(lxd) == {}
    assert leftovers(core) == []


# -- the house misbehaves ----------------------------------------------------------------------------------------------


async def test_a_full_disk_is_said_before_anything_is_fetched(
    core: Core, server: ImageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How much is needed and how much there is."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 5, 5))
    ended = await run_import(core)
    assert ended.status is OperationStatus.FAILED
    assert ended.error is not None
    assert "enough space" in ended.error.text()
    assert server.asked[server.path(ROOT.format(NEW), NEW)] == 0
    assert leftovers(core) == []


async def test_a_disk_that_fills_up_on_the_way_is_said_so(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback, no file."""
    real = Path.open

    class Full:
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        def __getattr__(self, name: str) -> Any:
            return getattr(self._stream, name)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            self._stream.close()

        def write(self, _data: bytes) -> int:
            raise OSError(28, "No space left on device")

    def full(self: Path, mode: str = "r", *more: Any) -> Any:
        return Full(real(self, mode, *more)) if self.name == "rootfs" and "b" in mode else real(self, mode, *more)

    monkeypatch.setattr(Path, "open", full)
    ended = await run_import(core)
    assert ended.status is OperationStatus.FAILED
    assert ended.error is not None
    assert "enough space" in ended.error.text()
    assert leftovers(core) == []


@pytest.mark.parametrize("outcome", ["done", "nothing"])
async def test_an_lxd_that_is_lost_while_it_takes_the_image_in_gets_it_once(
    core: Core, lxd: FaultyLxd, monkeypatch: pytest.MonkeyPatch, outcome: str
) -> None:
    """Whether it had taken it or not: one image, under its name."""
    monkeypatch.setattr(runner, "PAUSE_SECONDS", 0.01)
    lxd.lose_connection_during("import_image", outcome=outcome)
    lxd.lose_connection_during("set_alias", outcome=outcome)
    assert (await run_import(core)).status is OperationStatus.DONE
    assert await held(lxd) == {ALIAS: fingerprint()}
    assert len(await lxd.images()) == 1


async def test_an_import_waits_for_an_lxd_that_is_away(core: Core, lxd: FaultyLxd, server: ImageServer) -> None:
    """And is not begun at all where it is known to be away."""
    server.break_(server.path(ROOT.format(NEW), NEW), "slow", at=600_000)
    operation = await core.images.import_image(SYSTEM, ALIAS)
    await eventually(lambda: server.asked[server.path(ROOT.format(NEW), NEW)] > 0, "the download has begun")
    lxd.unreachable()
    await eventually(lambda: not core.lxd_status.state.reachable, "LXD is known to be away")
    with pytest.raises(OpenLXDError):
        await core.images.import_image(SYSTEM, "debian12")
    lxd.reachable()
    assert (await finish(core, operation)).status is OperationStatus.DONE


# -- cancelling --------------------------------------------------------------------------------------------------------


async def begun(core: Core, server: ImageServer, actor: Actor, kind: str = "silence") -> Operation:
    """An import in the middle of its download."""
    path = server.path(ROOT.format(NEW), NEW)
    server.break_(path, kind, at=2000)
    operation = await core.images.import_image(actor, ALIAS)
    await eventually(lambda: server.asked[path] > 0, "the download has begun")
    return operation


@pytest.mark.parametrize("kind", ["silence", "slow"])
async def test_an_import_is_cancelled_at_once_and_leaves_nothing(
    core: Core, lxd: FaultyLxd, server: ImageServer, alice: Actor, kind: str
) -> None:
    """Also where the server says nothing; the next try starts anew."""
    operation = await begun(core, server, alice, kind)
    await core.operations.cancel(alice, operation.id)
    ended = await finish(core, operation, 5)
    assert ended.status is OperationStatus.CANCELLED
    await eventually(lambda: leftovers(core) == [], "the files are gone")
    assert await core.images.overview(alice) == []
    server.faults.clear()
    assert (await run_import(core, alice)).status is OperationStatus.DONE
    assert (await core.operations.cancel(alice, operation.id)).status is OperationStatus.CANCELLED


async def test_of_several_askers_one_can_leave(
    core: Core, server: ImageServer, alice: Actor, bob: Actor, root: Actor
) -> None:
    """The others get their image; the last who leaves ends it; an admin ends it for all; a stranger cannot."""
    stranger = await add_user(core, "stranger")
    operation = await begun(core, server, alice)
    assert (await core.images.import_image(bob, ALIAS)).id == operation.id
    with pytest.raises(NotFound):
        await core.operations.cancel(stranger, operation.id)
    await core.operations.cancel(alice, operation.id)
    assert not (await core.operations.get(bob, operation.id)).ended
    await core.operations.cancel(bob, operation.id)
    assert (await finish(core, operation, 5)).status is OperationStatus.CANCELLED
    again = await begun(core, server, alice)
    await core.images.import_image(bob, ALIAS)
    await core.operations.cancel(root, again.id)
    assert (await finish(core, again, 5)).status is OperationStatus.CANCELLED


async def test_it_is_too_late_once_lxd_takes_the_image_in(core: Core, lxd: FaultyLxd, alice: Actor) -> None:
    """The refusal says so, and the import ends well."""
    lxd.delay("import_image", 0.5)
    operation = await core.images.import_image(alice, ALIAS)

    async def there() -> bool:
        return (await core.operations.get(alice, operation.id)).stage == "import"

    await eventually(there, "LXD is at it")
    with pytest.raises(Conflict, match="too late"):
        await core.operations.cancel(alice, operation.id)
    assert (await finish(core, operation)).status is OperationStatus.DONE


# -- who may -----------------------------------------------------------------------------------------------------------


async def test_a_tenant_has_two_imports_at_once(core: Core, server: ImageServer, alice: Actor, root: Actor) -> None:
    """A third waits; joining one is none of their own; admins are not counted."""
    server.break_("*", "silence")
    for name in ("alpine319", "debian12"):
        await core.images.import_image(alice, name)
    with pytest.raises(Busy):
        await core.images.import_image(alice, "ubuntu2204")
    for name in ("ubuntu2204", "rockylinux9", "centos9"):
        await core.images.import_image(root, name)
    assert (await core.images.import_image(alice, "centos9")).target == "centos/9-Stream"


async def test_a_tenants_images_have_a_bound(tmp_path: Path, server: ImageServer, lxd: FaultyLxd) -> None:
    """Sizes are told; what is here already, or an admin brings, takes nobody's room."""
    server.add("fedora", "40", metadata=metadata("f"), squashfs=noise(1_100_000))
    async with open_core(make_settings(tmp_path, images_url=server.url, tenant_images="1MiB"), lxd=lxd) as core:
        alice = await add_user(core, "alice")
        with pytest.raises(QuotaExceeded, match="1 MiB of the 1MiB for your images is left"):
            await core.images.import_image(alice, "fedora40")
        for name in ("alpine319", "debian12"):
            assert (await run_import(core, alice, name)).status is OperationStatus.DONE
        assert (await run_import(core, SYSTEM, "fedora40")).status is OperationStatus.DONE
        assert (await run_import(core, alice, "fedora40")).status is OperationStatus.DONE


async def test_an_operator_can_keep_imports_to_admins(tmp_path: Path, server: ImageServer, lxd: FaultyLxd) -> None:
    """Tenants browse, and make containers from what is here."""
    async with open_core(make_settings(tmp_path, images_url=server.url, tenant_import="off"), lxd=lxd) as core:
        await core.images.ready()
        alice = await add_user(core, "alice")
        assert core.images.offers(alice, "alpine")
        for ask in (
            lambda: core.images.import_image(alice, ALIAS),
            lambda: core.containers.create(alice, "web1", ALIAS, 1, "64MiB", "1GiB"),
        ):
            with pytest.raises(Forbidden):
                await ask()
        assert await core.containers.list(alice) == []
        assert (await run_import(core)).status is OperationStatus.DONE
        made = await finish(core, await core.containers.create(alice, "web1", ALIAS, 1, "64MiB", "1GiB"))
        assert made.status is OperationStatus.DONE


async def test_an_operator_says_what_is_offered(tmp_path: Path, server: ImageServer, lxd: FaultyLxd) -> None:
    """Other distributions do not exist here, not even as no longer published."""
    settings = make_settings(tmp_path, images_url=server.url, images_distributions="debian, alpine")
    async with open_core(settings, lxd=lxd) as core:
        await core.images.ready()
        assert {offer.distribution for offer in core.images.offers(SYSTEM)} == {"debian", "alpine"}
        with pytest.raises(ValidationFailed):
            await core.images.import_image(SYSTEM, "ubuntu2204")


async def test_a_hidden_image_does_not_exist_for_tenants(core: Core, alice: Actor, root: Actor) -> None:
    """An admin still sees and imports it; a tenant cannot hide anything."""
    with pytest.raises(Forbidden):
        await core.images.hide(alice, ALIAS, True)
    await core.images.hide(root, "alpine319", True)
    assert ALIAS not in [offer.alias for offer in core.images.offers(alice)]
    assert next(offer for offer in core.images.offers(root) if offer.alias == ALIAS).hidden
    with pytest.raises(ValidationFailed):
        await core.images.import_image(alice, ALIAS)
    assert (await run_import(core, root)).status is OperationStatus.DONE
    await core.images.hide(root, ALIAS, False)
    assert ALIAS in [offer.alias for offer in core.images.offers(alice)]


async def test_a_pinned_image_comes_first(core: Core, alice: Actor, root: Actor) -> None:
    """For everybody."""
    await core.images.pin(root, "rockylinux9", True)
    assert core.images.offers(alice)[0].alias == "rockylinux/9"
    await core.images.pin(root, "rockylinux9", False)
    assert not any(offer.pinned for offer in core.images.offers(alice))


# -- containers from it ------------------------------------------------------------------------------------------------


async def test_a_create_imports_what_it_needs(core: Core, lxd: FaultyLxd, alice: Actor) -> None:
    """One call: the image comes, the container runs, and the quota held from the first moment."""
    operation = await core.containers.create(alice, "web1", "alpine319", 1, "64MiB", "1GiB")
    assert (await core.quotas.get(alice)).used.containers == 1
    assert (await finish(core, operation)).status is OperationStatus.DONE
    container = await core.containers.get(alice, "web1")
    assert (container.status, container.image, container.architecture) == (State.RUNNING, ALIAS, "x86_64")
    assert (await held(lxd))[ALIAS] == fingerprint()
    assert [image.users for image in await core.images.overview(alice)] == [["web1"]]


async def test_a_create_whose_image_cannot_come_fails_with_the_imports_reason(
    core: Core, server: ImageServer, alice: Actor
) -> None:
    """It can be tried again, and the quota is free meanwhile."""
    server.break_(server.path(ROOT.format(NEW), NEW), "hash")
    ended = await finish(core, await core.containers.create(alice, "web1", ALIAS, 1, "64MiB", "1GiB"))
    assert ended.status is OperationStatus.FAILED
    assert ended.error is not None
    assert "checksum" in ended.error.text()
    assert (await core.containers.get(alice, "web1")).status is State.ERROR
    assert (await core.quotas.get(alice)).used.containers == 0
    server.faults.clear()
    assert (await finish(core, await core.containers.retry(alice, "web1"))).status is OperationStatus.DONE


async def test_nothing_is_imported_for_a_create_that_does_not_fit(
    core: Core, lxd: FaultyLxd, server: ImageServer, alice: Actor
) -> None:
    """The quota is judged first, in the same breath."""
    with pytest.raises(QuotaExceeded):
        await core.containers.create(alice, "web1", ALIAS, 100, "64MiB", "1GiB")
    assert await core.operations.list(SYSTEM) == []
    assert await core.images.overview(SYSTEM) == []
    with pytest.raises(ValidationFailed, match="no longer published"):
        await core.containers.create(alice, "web1", "ubuntu1804", 1, "64MiB", "1GiB")
    with pytest.raises(ValidationFailed, match="Did you mean ubuntu"):
        await core.containers.create(alice, "web1", "ubunto2204", 1, "64MiB", "1GiB")


async def test_several_creates_share_one_import(core: Core, lxd: FaultyLxd, alice: Actor, bob: Actor) -> None:
    """Of several people, too."""
    begun = await asyncio.gather(
        core.containers.create(alice, "web1", ALIAS, 1, "64MiB", "1GiB"),
        core.containers.create(alice, "web2", ALIAS, 1, "64MiB", "1GiB"),
        core.containers.create(bob, "web3", ALIAS, 1, "64MiB", "1GiB"),
    )
    assert {(await finish(core, operation)).status for operation in begun} == {OperationStatus.DONE}
    assert lxd.calls["import_image"] == 1


# -- what others see ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_other_sessions_see_the_bar_move(core: Core, server: ImageServer, alice: Actor, bob: Actor) -> None:
    """Percent, rate and time left, without the asker's name; the operation's row tells the same to its asker."""
    seen: list[dict[str, Any]] = []

    async def watch() -> None:
        async with core.feed.subscribe(bob) as changes:
            async for change in changes:
                if change.user_id == bob.user_id:  # their own account was just made
                    continue
                assert change.topic == "image"
                assert "alice" not in str(change)
                if change.verb == "progress" and change.data["stage"] == "download":
                    seen.append(dict(change.data))

    watcher = asyncio.create_task(watch())
    server.break_(server.path(ROOT.format(NEW), NEW), "slow", at=150_000)
    operation = await core.images.import_image(alice, ALIAS)
    await eventually(lambda: any("seconds_left" in told for told in seen), "a rate is told")
    now = await core.operations.get(alice, operation.id)
    assert now.stage == "download"
    assert now.detail["total"] > 300_000
    assert core.images.offers(bob, ALIAS)[0].importing > 0
    assert core.images.offers(bob, ALIAS)[0].operation_id == operation.id
    await finish(core, operation)
    assert [told["percent"] for told in seen] == sorted(told["percent"] for told in seen)
    watcher.cancel()
    await asyncio.gather(watcher, return_exceptions=True)


# -- crashes -----------------------------------------------------------------------------------------------------------


async def test_another_process_goes_on_where_a_dead_one_stopped(
    settings: Settings, lxd: FaultyLxd, server: ImageServer
) -> None:
    """From the bytes that are there."""
    path = server.path(ROOT.format(NEW), NEW)
    server.break_(path, "slow", at=150_000)
    async with open_core(settings, lxd=lxd) as first:
        operation = await first.images.import_image(SYSTEM, ALIAS)
        await eventually(lambda: any("rootfs" in name for name in leftovers(first)), "some of it is there")
        await eventually(lambda: Path(leftovers(first)[-1]).stat().st_size > 50_000, "a part is there")
    server.faults.clear()
    async with open_core(settings, lxd=lxd) as second:
        assert (await finish(second, operation)).status is OperationStatus.DONE
        assert any("range" in told for told in server.headers)
        assert await held(lxd) == {ALIAS: fingerprint()}
        assert leftovers(second) == []


async def test_leftovers_of_ended_operations_are_swept(core: Core) -> None:
    """However they came to be left."""
    folder = core.settings.state_dir / "market" / "downloads" / "0" / "x"
    folder.mkdir(parents=True)
    (folder / "rootfs").write_bytes(b"left")
    nothing: Any = None
    await ImportHandler(nothing, core.operations, nothing, nothing, nothing, folder.parent.parent).sweep()
    assert leftovers(core) == []


async def test_an_import_that_was_cut_short_too_often_fails(
    settings: Settings, lxd: FaultyLxd, server: ImageServer
) -> None:
    """It does not go on for ever; asking anew works."""
    from openlxd_core.storage import models

    server.break_("*", "silence")
    server.faults["/streams/v1/index.json"] = server.faults["/streams/v1/images.json"] = server.faults.pop("*")
    server.faults.clear()
    server.break_(server.path(ROOT.format(NEW), NEW), "silence")
    async with open_core(settings, lxd=lxd) as first:
        operation = await first.images.import_image(SYSTEM, ALIAS)
        await models.Operation.filter(id=operation.id).update(attempts=5)
    server.faults.clear()
    async with open_core(settings, lxd=lxd) as second:
        assert (await finish(second, operation)).status is OperationStatus.FAILED
        assert [image.status for image in await second.images.overview(SYSTEM)] == [ImageStatus.FAILED]
        assert (await run_import(second)).status is OperationStatus.DONE
