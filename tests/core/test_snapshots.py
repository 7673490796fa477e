"""Snapshots, reinstalling, passwords and usage: what tenants do to a container that lives."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import pytest

from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.actor import SYSTEM, Actor
from openlxd_core.domain.container import State, Usage
from openlxd_core.domain.errors import (
    AlreadyExists,
    Conflict,
    LxdRefused,
    NotFound,
    OpenLXDError,
    QuotaExceeded,
    ValidationFailed,
)
from openlxd_core.domain.operation import Operation, OperationStatus
from openlxd_core.domain.quota import Quota
from openlxd_core.settings import Settings
from openlxd_core.storage import models
from tests.support.core import add_user, eventually, finish
from tests.support.faulty_lxd import FaultyLxd

IMAGE = "debian/12"


async def make(core: Core, actor: Actor, name: str = "web1") -> None:
    ended = await finish(core, await core.containers.create(actor, name, IMAGE, 1, 512, 5120))
    assert ended.status is OperationStatus.DONE, ended.error


async def done(core: Core, operation: Operation) -> None:
    ended = await finish(core, operation)
    assert ended.status is OperationStatus.DONE, ended.error


async def snapshot_names(core: Core, actor: Actor, name: str = "web1") -> list[str]:
    return [snapshot.name for snapshot in await core.snapshots.list(actor, name)]


async def test_a_snapshot_is_taken_restored_and_dropped(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """The rows and LXD agree at every step, and a restore leaves a running container running."""
    await make(core, alice)
    await done(core, await core.snapshots.create(alice, "web1", "before"))
    await done(core, await core.snapshots.create(alice, "web1"))
    assert len(await core.snapshots.list(alice, "web1")) == 2
    assert all(snapshot.ready for snapshot in await core.snapshots.list(alice, "web1"))
    await done(core, await core.snapshots.restore(alice, "web1", "before"))
    assert (await core.containers.get(alice, "web1")).status is State.RUNNING
    await done(core, await core.snapshots.delete(alice, "web1", "before"))
    assert "before" not in await snapshot_names(core, alice)
    assert len(await lxd.snapshots(f"openlxd-{alice.user_id}", "web1")) == 1


async def test_snapshots_are_counted_over_all_containers(core: Core, root: Actor, lxd: FaultyLxd) -> None:
    """Ten askers with room for two take two."""
    carol = await add_user(core, "carol", quota=Quota(3, 4, 4096, 40960, snapshots=2))
    await make(core, carol, "a1")
    await make(core, carol, "a2")
    await done(core, await core.snapshots.create(carol, "a1", "s0"))
    begun = await asyncio.gather(
        *(core.snapshots.create(carol, "a2", f"s{n}") for n in range(10)), return_exceptions=True
    )
    made = [one for one in begun if isinstance(one, Operation)]
    assert len(made) == 1
    await done(core, made[0])
    with pytest.raises(QuotaExceeded, match="2 snapshots"):
        await core.snapshots.create(carol, "a1", "more")
    await done(core, await core.snapshots.delete(carol, "a1", "s0"))
    await done(core, await core.snapshots.create(carol, "a1", "more"))


async def test_a_snapshot_that_failed_does_not_count(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """Its row goes with it, and the name is free again."""
    await make(core, alice)
    lxd.fail_next("create_snapshot", LxdRefused("no room on the pool"))
    ended = await finish(core, await core.snapshots.create(alice, "web1", "one"))
    assert ended.status is OperationStatus.FAILED
    assert await snapshot_names(core, alice) == []
    await done(core, await core.snapshots.create(alice, "web1", "one"))


async def test_what_lxc_does_to_snapshots_is_seen(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """One made or dropped behind our back appears or goes."""
    await make(core, alice)
    place = (f"openlxd-{alice.user_id}", "web1")
    await lxd.create_snapshot(*place, "byhand")

    async def seen() -> bool:
        return await snapshot_names(core, alice) == ["byhand"]

    await eventually(seen, "seen")
    await lxd.delete_snapshot(*place, "byhand")

    async def gone() -> bool:
        return await snapshot_names(core, alice) == []

    await eventually(gone, "gone")


async def test_a_stranger_learns_nothing_of_snapshots_usage_or_passwords(core: Core, alice: Actor, bob: Actor) -> None:
    """Each verb answers as for a missing container."""
    await make(core, alice)
    await done(core, await core.snapshots.create(alice, "web1", "one"))
    for call in (
        core.snapshots.list(bob, "web1"), core.snapshots.create(bob, "web1", "x"),
        core.snapshots.restore(bob, "web1", "one"), core.snapshots.delete(bob, "web1", "one"),
        core.usage.now(bob, "web1"), core.usage.history(bob, "web1"), core.containers.reinstall(bob, "web1"),
        core.consoles.set_root_password(bob, "web1", "secret"),
    ):  # fmt: skip
        with pytest.raises(NotFound, match="There is no container named web1"):
            await call
    assert await snapshot_names(core, alice) == ["one"]


async def test_wrong_snapshots_are_refused(core: Core, alice: Actor) -> None:
    """Taken, absent, hostile: one sentence each, nothing begun."""
    await make(core, alice)
    await done(core, await core.snapshots.create(alice, "web1", "one"))
    with pytest.raises(AlreadyExists):
        await core.snapshots.create(alice, "web1", "one")
    for call in (core.snapshots.restore(alice, "web1", "two"), core.snapshots.delete(alice, "web1", "two")):
        with pytest.raises(NotFound, match="no snapshot named two"):
            await call
    for name in ("../x", "a/b", "A", "-", "x" * 41, "\x1b"):
        with pytest.raises(ValidationFailed):
            await core.snapshots.create(alice, "web1", name)
    assert not await core.operations.list(alice, active=True)


async def test_a_reinstall_keeps_name_limits_and_address(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """The image changes, snapshots go, the old one is gone."""
    await make(core, alice)
    await done(core, await core.snapshots.create(alice, "web1", "one"))
    before = await core.containers.get(alice, "web1")
    await done(core, await core.containers.reinstall(alice, "web1", "alpine/3.20"))
    after = await core.containers.get(alice, "web1")
    assert (after.image, after.status, after.ipv4) == ("alpine/3.20", State.RUNNING, before.ipv4)
    assert (after.cpu, after.memory_mib, after.disk_mib) == (before.cpu, before.memory_mib, before.disk_mib)
    assert await snapshot_names(core, alice) == []
    assert [instance.name for instance in await lxd.instances()] == ["web1"]


@pytest.mark.parametrize("verb", ["create_instance", "start", "set_marks"])
async def test_a_reinstall_that_fails_leaves_the_old_one_running(
    core: Core, alice: Actor, lxd: FaultyLxd, verb: str
) -> None:
    """With its name, address and snapshots; the operation says why."""
    await make(core, alice)
    await done(core, await core.snapshots.create(alice, "web1", "one"))
    before = await core.containers.get(alice, "web1")
    lxd.fail_next(verb, LxdRefused("the pool is full"))
    ended = await finish(core, await core.containers.reinstall(alice, "web1", "alpine/3.20"))
    assert (ended.status, str(ended.error)) == (OperationStatus.FAILED, "the pool is full")
    after = await core.containers.get(alice, "web1")
    assert (after.image, after.status, after.ipv4) == (IMAGE, State.RUNNING, before.ipv4)
    assert await snapshot_names(core, alice) == ["one"]
    assert [instance.name for instance in await lxd.instances()] == ["web1"]


@pytest.mark.parametrize(
    "verb", ["stop", "connect_nic", "rename_instance", "create_instance", "start", "set_marks", "delete_instance"]
)
async def test_a_reinstall_cut_short_anywhere_is_finished(
    settings: Settings, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next process goes on from what it finds."""
    lxd, hangs = FaultyLxd(), asyncio.Event()
    async with open_core(settings, lxd=lxd) as core:
        alice = await add_user(core, "alice")
        await make(core, alice)
        address = (await core.containers.get(alice, "web1")).ipv4

        async def hang(*_: object, **__: object) -> None:
            hangs.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(lxd, verb, hang)
        operation = await core.containers.reinstall(alice, "web1", "alpine/3.20")
        await eventually(hangs.is_set, f"stuck at {verb}")
    monkeypatch.undo()
    async with open_core(settings, lxd=lxd) as core:
        await done(core, operation)
        after = await core.containers.get(alice, "web1")
        assert (after.image, after.status, after.ipv4) == ("alpine/3.20", State.RUNNING, address)
        assert [instance.name for instance in await lxd.instances()] == ["web1"]


async def test_a_root_password_goes_in_and_is_kept_nowhere(
    core: Core, alice: Actor, settings: Settings, lxd: FaultyLxd
) -> None:
    """Not in the audit, not in the database; hostile ones are refused; a stopped container says so."""
    await make(core, alice)
    for bad in ("", "a\nroot:x", "x" * 129, "\x1b"):
        with pytest.raises(ValidationFailed):
            await core.consoles.set_root_password(alice, "web1", bad)
    with contextlib.suppress(Conflict):  # the simulated shell may have no chpasswd
        await core.consoles.set_root_password(alice, "web1", "S3cret-Password")
    assert b"S3cret-Password" not in (settings.state_dir / "openlxd.sqlite3").read_bytes()
    await finish(core, await core.containers.stop(alice, "web1"))
    with pytest.raises(OpenLXDError, match="not running"):
        await core.consoles.set_root_password(alice, "web1", "S3cret-Password")


@pytest.mark.slow
async def test_usage_is_kept_for_a_day_and_thinned(core: Core, alice: Actor) -> None:
    """Each minute for two hours, one in ten minutes before, nothing past a day."""
    await make(core, alice)
    place = (f"openlxd-{alice.user_id}", "web1")
    usage = Usage(12.5, 100.0, 200.0, 9, 1000, 2000)
    start = datetime.now(UTC) - timedelta(hours=26)
    for minute in range(26 * 60):
        await core.usage.sample({place: usage, ("other", "x"): usage}, start + timedelta(minutes=minute))
        if minute % 10 == 0:
            await core.usage.thin(start + timedelta(minutes=minute))
    await core.usage.thin(datetime.now(UTC))
    samples = await core.usage.history(alice, "web1")
    now = datetime.now(UTC)
    fine = [sample for sample in samples if now - sample.at < timedelta(hours=2)]
    coarse = [sample for sample in samples if now - sample.at >= timedelta(hours=3)]
    assert 115 <= len(fine) <= 121
    assert 120 <= len(coarse) <= 135
    assert samples[0].usage == usage
    assert await models.Sample.all().count() < 300
    assert (await core.usage.now(alice, "web1")) is not None
    await done(core, await core.containers.delete(alice, "web1"))
    assert await models.Sample.all().count() == 0


async def test_the_feeds_past_can_be_read_on_from_any_point(core: Core, alice: Actor, bob: Actor) -> None:
    """A client that was away goes on where it stopped, and sees only its own."""
    await make(core, alice)
    everything = await core.feed.history(alice, 0)
    assert [change.id for change in everything] == sorted(change.id for change in everything)
    middle = everything[len(everything) // 2].id
    rest = await core.feed.history(alice, middle)
    assert [change.id for change in rest] == [change.id for change in everything if change.id > middle]
    theirs = [change for change in await core.feed.history(bob, 0) if change.topic != "image"]
    assert all(change.user_id == bob.user_id for change in theirs)
    assert len(await core.feed.history(SYSTEM, 0)) > len(everything)
