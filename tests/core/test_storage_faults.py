"""What SQLite says, in our words; and who waits for whom where another process holds the database."""

from __future__ import annotations

import asyncio
import resource
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from tortoise.connection import get_connection

from openlxd_core.bootstrap import open_core
from openlxd_core.domain.errors import DatabaseBusy, OpenLXDError, StorageFull, StorageUnavailable, Unauthenticated
from openlxd_core.domain.operation import OperationStatus
from openlxd_core.services import storage as storage_service
from openlxd_core.services import usage as usage_service
from openlxd_core.storage import client, faults, models
from openlxd_core.storage.database import open_database
from openlxd_core.storage.transaction import transaction
from tests.support import disks
from tests.support.core import PASSWORD, add_user, eventually, finish, make_settings
from tests.support.faulty_lxd import FaultyLxd

pytestmark = pytest.mark.slow


@transaction
async def put(key: str, size: int = 1) -> None:
    await models.Setting.create(key=key, value={"text": "x" * size})


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[Path]:
    """An open database."""
    path = tmp_path / "openlxd.sqlite3"
    async with open_database(f"sqlite://{path}"):
        yield path


async def _sql(statement: str) -> None:
    await get_connection("default").execute_script(statement)


@contextmanager
def held(file: Path, how: str = "EXCLUSIVE") -> Iterator[None]:
    """Another connection has the database in hand."""
    other = sqlite3.connect(file, isolation_level=None)
    other.execute(f"BEGIN {how}")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


async def test_a_full_database_is_said_so_and_takes_writes_again(file: Path) -> None:
    """SQLITE_FULL: nothing is kept, reading goes on, and the next write with room works."""
    await put("before")
    await _sql("PRAGMA max_page_count = 1")  # SQLite takes what there is now
    with pytest.raises(StorageFull, match="disk is full"):
        await put("big", 500_000)
    assert isinstance(faults.watch.trouble, StorageFull)
    assert [row.key for row in await models.Setting.all()] == ["before"]
    await _sql("PRAGMA max_page_count = 100000")
    await put("big", 500_000)
    assert faults.watch.trouble is None


async def test_a_database_that_may_not_be_written_is_said_so(file: Path) -> None:
    """SQLITE_READONLY, inside a unit and outside."""
    await _sql("PRAGMA query_only = ON")
    with pytest.raises(StorageUnavailable, match="cannot be used"):
        await put("a")
    with pytest.raises(StorageUnavailable):
        await models.Setting.all().delete()
    await _sql("PRAGMA query_only = OFF")
    await put("a")


async def test_a_database_moved_away_under_the_process_is_said_so(tmp_path: Path) -> None:
    """What was seen as "sample_failed: attempt to write a readonly database": one line says what has happened, no bug
    is logged, nothing is written into the file that nobody would find, and back in its place it works again.
    """
    settings = make_settings(tmp_path)
    lxd = FaultyLxd()
    async with open_core(settings, lxd=lxd, background=False) as core:
        alice = await add_user(core, "alice")
        await finish(core, await core.containers.create(alice, "web1", "debian/12", 1, "512MiB", "1GiB"))
        file = Path(settings.database.removeprefix("sqlite://"))
        aside, copy = file.with_name("aside.sqlite3"), file.with_name("copy.sqlite3")
        shutil.copyfile(file, copy)

        async def refused() -> None:
            with structlog.testing.capture_logs() as lines:
                for _ in range(3):
                    with pytest.raises(StorageUnavailable, match="moved or replaced"):
                        await core.usage.sample(await lxd.usage(), datetime.now(UTC))
            assert [line["event"] for line in lines if line["log_level"] != "debug"] == ["storage_trouble"]
            assert not core.storage.state.writable

        file.rename(aside)
        await refused()
        aside.rename(file)
        await core.usage.sample(await lxd.usage(), datetime.now(UTC))
        assert await models.Sample.all().count() == 1
        copy.replace(file)
        await refused()


async def test_samples_go_on_when_the_database_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sampler takes no harm: it says nothing but the one line, and samples when it can."""
    monkeypatch.setattr(usage_service, "SAMPLE_SECONDS", 0.02)
    settings = make_settings(tmp_path)
    async with open_core(settings, lxd=FaultyLxd()) as core:
        alice = await add_user(core, "alice")
        await finish(core, await core.containers.create(alice, "web1", "debian/12", 1, "512MiB", "1GiB"))
        file = Path(settings.database.removeprefix("sqlite://"))
        aside = file.with_name("aside.sqlite3")
        with structlog.testing.capture_logs() as lines:
            file.rename(aside)
            await eventually(lambda: faults.watch.trouble is not None, "the trouble noticed")
            await asyncio.sleep(0.1)
            aside.rename(file)
            await eventually(lambda: faults.watch.trouble is None, "the trouble over")
        assert not [line for line in lines if line["log_level"] == "error"]


async def test_a_disk_that_fails_is_said_so(file: Path) -> None:
    """SQLITE_IOERR: a write that the kernel refuses, here for the file's size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size, hard))
    try:
        with pytest.raises(StorageUnavailable) as failure:
            await put("big", 500_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert failure.value.code == "storage_unavailable"
    await put("big", 500_000)
    assert await models.Setting.all().count() == 1


async def test_a_mistake_of_ours_stays_one(file: Path) -> None:
    """A wrong statement is a bug, not a fault of the disk."""
    with pytest.raises(Exception, match="no such table") as failure:
        await _sql("SELECT * FROM nowhere")
    assert not isinstance(failure.value, OpenLXDError)


async def test_ten_who_wait_for_a_held_database_wait_at_the_same_time(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is refused once its own patience is over, not after everybody's before it; then all goes on."""
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 1.0)
    begun = time.monotonic()
    with held(file):
        answers = await asyncio.gather(*(put(f"k{n}") for n in range(10)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [DatabaseBusy] * 10
    assert time.monotonic() - begun < 8
    await put("k")


async def test_a_writer_that_waits_keeps_no_reader_waiting(file: Path) -> None:
    """Another process writes for long: meanwhile this one reads, and its own write is done in the end."""
    await put("a")
    with held(file, "IMMEDIATE"):
        writing = asyncio.create_task(put("b"))
        await asyncio.sleep(0.2)
        for _ in range(5):
            async with asyncio.timeout(2):
                assert await models.Setting.filter(key="a").exists()
        assert not writing.done()
    await asyncio.wait_for(writing, 10)


async def test_a_first_connection_that_fails_freezes_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connecting while another process holds the database fails as busy; the next statement connects afresh, whole."""
    file = tmp_path / "openlxd.sqlite3"
    async with open_database(f"sqlite://{file}"):
        await put("a")
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 0.3)
    async with open_database(f"sqlite://{file}"):
        with held(file), pytest.raises(DatabaseBusy):
            await models.Setting.all()
        async with asyncio.timeout(10):
            assert await models.Setting.all().count() == 1
        assert (await get_connection("default").execute_query_dict("PRAGMA foreign_keys"))[0]["foreign_keys"] == 1


async def test_people_sign_in_while_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record of a login is left out, whether another process writes or the database is read-only."""
    monkeypatch.setattr("openlxd_core.storage.transaction.BEST_EFFORT_SECONDS", 0.2)
    settings = make_settings(tmp_path)
    async with open_core(settings, lxd=FaultyLxd(), background=False) as core:
        await add_user(core, "alice")
        with held(settings.state_dir / "openlxd.sqlite3", "IMMEDIATE"):
            actor = await core.auth.password_login("alice", PASSWORD, origin="test")
        await _sql("PRAGMA query_only = ON")
        assert (await core.auth.password_login("alice", PASSWORD, origin="test")) == actor
        with pytest.raises(Unauthenticated):
            await core.auth.password_login("alice", "wrong", origin="test")


async def test_a_restart_that_cannot_be_written_down_is_done_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LXD has done it and the disk is full: the end is written when there is room, and nothing is restarted again."""
    if reason := disks.why_not("tmpfs"):
        pytest.skip(reason)
    monkeypatch.setattr(storage_service, "PROBE_SECONDS", 0.1)
    lxd = FaultyLxd()
    try:
        mount = disks.mounted("tmpfs", tmp_path / "state")
        disk = mount.__enter__()
    except RuntimeError as error:
        pytest.skip(str(error))
    try:
        async with open_core(make_settings(tmp_path), lxd=lxd) as core:
            alice = await add_user(core, "alice")
            await finish(core, await core.containers.create(alice, "web1", "debian/12", 1, 128, 512))
            lxd.delay("stop", 0.5)
            operation = await core.containers.restart(alice, "web1")
            stops, starts = lxd.calls["stop"], lxd.calls["start"]
            disk.fill()
            await eventually(lambda: lxd.calls["start"] > starts, "started again")
            await eventually(lambda: faults.watch.trouble is not None, "in trouble")
            assert core.storage.state.code == "storage_full"
            assert not (await core.operations.get(alice, operation.id)).ended
            disk.free()
            ended = await finish(core, operation)
            assert ended.status is OperationStatus.DONE
            assert (lxd.calls["stop"] - stops, lxd.calls["start"] - starts) <= (1, 1)
            await eventually(lambda: core.storage.state.writable, "well again")
    finally:
        mount.__exit__(None, None, None)
