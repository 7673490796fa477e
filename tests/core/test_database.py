"""The database: upgraded at start, never half written, copied and restored whole."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import sqlite3
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from tortoise import Tortoise
from tortoise.migrations.api import migrate

from openlxd_core.domain.errors import AlreadyExists, ConfigurationError, DatabaseBusy
from openlxd_core.storage import backups, database, models
from openlxd_core.storage.client import patience
from openlxd_core.storage.database import journal_mode, open_database, tortoise_config, upgrade
from openlxd_core.storage.transaction import transaction

pytestmark = pytest.mark.slow


def url_of(directory: Path) -> str:
    return f"sqlite://{directory / 'openlxd.sqlite3'}"


@transaction
async def put(key: str, value: object) -> None:
    await models.Setting.create(key=key, value=value)


@pytest.mark.parametrize(
    ("version", "mode"),
    [((3, 40, 1), "TRUNCATE"), ((3, 44, 6), "WAL"), ((3, 45, 0), "TRUNCATE"), ((3, 50, 6), "TRUNCATE"),
     ((3, 50, 7), "WAL"), ((3, 51, 2), "TRUNCATE"), ((3, 51, 3), "WAL"), ((3, 54, 0), "WAL")],
)  # fmt: skip
def test_wal_is_used_only_where_sqlite_has_the_fix(version: tuple[int, int, int], mode: str) -> None:
    """The WAL-reset bug can corrupt a database that two processes write."""
    assert journal_mode(version) == mode


async def test_a_fresh_database_is_private_and_whole(tmp_path: Path) -> None:
    """The file is nobody else's, and the paper's columns are there."""
    url = url_of(tmp_path)
    async with open_database(url):
        await put("a", 1)
    file = tmp_path / "openlxd.sqlite3"
    assert file.stat().st_mode & 0o777 == 0o600
    assert await database.check(url) == []
    with sqlite3.connect(file) as raw:
        users = {row[1] for row in raw.execute("PRAGMA table_info(users)")}
        containers = {row[1] for row in raw.execute("PRAGMA table_info(containers)")}
        images = {row[1] for row in raw.execute("PRAGMA table_info(images)")}
    raw.close()
    assert users >= {
        "id", "username", "email", "password_hash", "api_key", "role", "status", "created_at", "updated_at",
    }  # fmt: skip
    assert containers >= {
        "id", "name", "project", "user_id", "created_by", "image", "architecture", "status", "cpu", "memory_mb",
        "disk_mb", "ipv4", "ipv6", "suspended_by", "created_at", "updated_at",
    }  # fmt: skip
    assert images >= {
        "id", "alias", "fingerprint", "distribution", "release", "architecture", "variant", "description", "size",
        "status", "imported_at", "created_at", "updated_at",
    }  # fmt: skip


def test_the_migrations_are_one_chain() -> None:
    """Each has a number of its own and depends on the one before: nobody has to work out an order."""
    files = sorted(path.stem for path in database.MIGRATIONS.glob("0*.py"))
    assert [int(name[:4]) for name in files] == list(range(1, len(files) + 1))
    for before, name in pairwise(files):
        assert f"dependencies = [('models', '{before}')]" in (database.MIGRATIONS / f"{name}.py").read_text(), name


async def test_the_migrations_make_exactly_what_the_models_say(tmp_path: Path) -> None:
    """Nobody changed a model and forgot the migration."""
    url = url_of(tmp_path)
    await upgrade(url)
    migrated = _schema(tmp_path / "openlxd.sqlite3")
    other = tmp_path / "other.sqlite3"

    async def generate() -> None:
        from tortoise.context import TortoiseContext

        async with TortoiseContext() as context:
            await context.init(config=tortoise_config(f"sqlite://{other}"))
            await context.generate_schemas()

    await asyncio.create_task(generate())
    assert migrated == _schema(other)


def _schema(file: Path) -> dict[str, list[tuple[object, ...]]]:
    connection = sqlite3.connect(file)
    try:
        tables = [
            row[0]
            for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table' ORDER BY name")
            if not row[0].startswith(("sqlite_", "tortoise_"))
        ]
        return {
            table: sorted((r[1], r[2], r[3], r[5]) for r in connection.execute(f"PRAGMA table_info({table})"))
            + sorted((r[2], r[3], r[4], r[6]) for r in connection.execute(f"PRAGMA foreign_key_list({table})"))
            for table in tables
        }
    finally:
        connection.close()


async def test_upgrading_twice_changes_nothing(tmp_path: Path) -> None:
    """The second start finds everything done and makes no backup."""
    url = url_of(tmp_path)
    assert await upgrade(url) == sorted(p.stem for p in database.MIGRATIONS.glob("[0-9]*.py"))
    assert await upgrade(url) == []
    assert not (tmp_path / "backups").exists()


_EARLIER = sorted(path.stem for path in database.MIGRATIONS.glob("[0-9]*.py"))[:-1]


@pytest.mark.parametrize("version", _EARLIER)
async def test_an_older_database_with_rows_is_brought_up_to_date(tmp_path: Path, version: str) -> None:
    """Every row of every table is still there, a backup of before lies beside it, and the new schema is whole."""
    url, file = url_of(tmp_path), tmp_path / "openlxd.sqlite3"

    async def make_old() -> None:
        try:
            await migrate(config=tortoise_config(url), target=f"models.{version}")
        finally:
            await Tortoise.close_connections()

    await asyncio.create_task(make_old())
    moment = "2026-01-01 00:00:00+00:00"
    raw = sqlite3.connect(file)
    raw.execute("PRAGMA foreign_keys=ON")
    raw.execute(
        "INSERT INTO users (id, username, email, password_hash, role, status, suspended_reason, token_version,"
        " created_at, updated_at) VALUES (7, 'alice', 'a@example.org', 'x', 'user', 'active', '', 0, ?, ?)",
        (moment, moment),
    )
    raw.execute(
        "INSERT INTO quotas (containers, cpu, memory_mb, disk_mb, snapshots, forwards, user_id)"
        " VALUES (3, 4, 4096, 40960, 10, 10, 7)"
    )
    raw.execute(
        "INSERT INTO containers (id, name, project, user_id, created_by, image, architecture, status, cpu, memory_mb,"
        " disk_mb, ipv4, ipv6, suspended_by, operation_id, created_at, updated_at) VALUES (3, 'web1', 'openlxd-7', 7,"
        " 'alice', 'debian/12', 'x86_64', 'running', 1, 512, 5120, '10.0.0.2', '', '', '', ?, ?)",
        (moment, moment),
    )
    raw.execute("INSERT INTO settings (key, value) VALUES ('k', '1')")
    raw.commit()
    tables = [r[0] for r in raw.execute("SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'tort%'")]
    before = {t: raw.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in tables if not t.startswith("sqlite")}
    raw.close()
    await upgrade(url)
    raw = sqlite3.connect(file)
    after = {t: raw.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in before}
    raw.close()
    assert after == before
    assert len(list((tmp_path / "backups").glob("*.sqlite3"))) == 1
    assert await database.check(url) == []
    async with open_database(url):
        row = await models.Container.get(name="web1").select_related("user")
        assert (row.user.username, row.memory_mb, row.ipv4) == ("alice", 512, "10.0.0.2")


async def test_a_database_newer_than_the_program_is_refused(tmp_path: Path) -> None:
    """One clear line, and the file is left as it is."""
    url = url_of(tmp_path)
    await upgrade(url)
    raw = sqlite3.connect(tmp_path / "openlxd.sqlite3")
    raw.execute(
        "INSERT INTO tortoise_migrations (app, name, applied_at) VALUES ('models', '9999_future', '2099-01-01')"
    )
    raw.commit()
    raw.close()
    before = (tmp_path / "openlxd.sqlite3").read_bytes()
    with pytest.raises(ConfigurationError, match="newer OpenLXD"):
        await upgrade(url)
    assert (tmp_path / "openlxd.sqlite3").read_bytes() == before


async def test_a_file_that_is_no_database_stops_the_start(tmp_path: Path) -> None:
    """It is not overwritten, and the way out is named."""
    (tmp_path / "openlxd.sqlite3").write_bytes(b"not a database at all" * 100)
    with pytest.raises(ConfigurationError, match="openlxd db restore"):
        await upgrade(url_of(tmp_path))


async def test_a_crash_in_the_middle_of_the_first_start_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    """A half-made file of an earlier start does not stop this one."""
    (tmp_path / "openlxd.sqlite3.new").write_bytes(b"half")
    await upgrade(url_of(tmp_path))
    assert await database.check(url_of(tmp_path)) == []


async def test_a_backup_taken_while_writing_restores_to_a_sound_database(tmp_path: Path) -> None:
    """The copy is consistent, and restoring keeps what it replaces."""
    url, copy = url_of(tmp_path), tmp_path / "copies" / "one.sqlite3"
    async with open_database(url):
        await put("before", 1)
        writer = asyncio.create_task(_write_for_ever())
        await backups.backup(url, copy)
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)
        await put("after", 1)
    assert copy.stat().st_mode & 0o777 == 0o600
    aside = await backups.restore(url, copy)
    assert aside is not None
    assert aside.exists()
    async with open_database(url):
        assert await models.Setting.filter(key="before").exists()
        assert not await models.Setting.filter(key="after").exists()


async def _write_for_ever() -> None:
    for number in range(10_000):
        await put(f"n{number}", number)


async def test_what_is_no_copy_is_not_restored(tmp_path: Path) -> None:
    """The database in place stays as it is."""
    url = url_of(tmp_path)
    await upgrade(url)
    before = (tmp_path / "openlxd.sqlite3").read_bytes()
    junk, empty = tmp_path / "junk", tmp_path / "empty.sqlite3"
    junk.write_bytes(b"x" * 5000)
    raw = sqlite3.connect(empty)
    raw.execute("CREATE TABLE t (x)")
    raw.close()
    for bad in (junk, empty, tmp_path / "absent"):
        with pytest.raises(ConfigurationError):
            await backups.restore(url, bad)
    assert (tmp_path / "openlxd.sqlite3").read_bytes() == before


async def test_a_unit_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """All of it or none of it; and the connection works on."""

    @transaction
    async def two_rows() -> None:
        await models.Setting.create(key="one", value=1)
        await put("two", 2)  # a unit inside a unit is part of it
        raise RuntimeError("in the middle")

    async with open_database(url_of(tmp_path)):
        with pytest.raises(RuntimeError):
            await two_rows()
        assert await models.Setting.all().count() == 0
        await put("one", 1)
        with pytest.raises(AlreadyExists):
            await put("one", 1)


async def test_two_hundred_cancelled_saves_freeze_nobody(tmp_path: Path) -> None:
    """A session that ends at any await of a save leaves every other session working, and the save whole or absent."""

    @transaction
    async def save(number: int) -> None:
        await models.Setting.create(key=f"a{number}", value=1)
        await models.Setting.filter(key=f"a{number}").exists()
        await models.Setting.create(key=f"b{number}", value=1)

    rng = random.Random(7)
    async with open_database(url_of(tmp_path)):
        for number in range(200):
            task = asyncio.create_task(save(number))
            for _ in range(rng.randrange(60)):
                await asyncio.sleep(0)
            if rng.random() < 0.5:
                await asyncio.sleep(rng.random() * 0.004)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(5):
            await put("still", 1)
        keys = {row.key for row in await models.Setting.all()}
    for number in range(200):
        assert (f"a{number}" in keys) == (f"b{number}" in keys)


async def read(key: str) -> models.Setting | None:
    return await models.Setting.filter(key=key).first()


async def test_readers_that_are_cancelled_freeze_nobody(tmp_path: Path) -> None:
    """A worker that the screen throws away in the middle of a query lets go of the connection."""
    async with open_database(url_of(tmp_path)):
        await put("a", 1)
        for rounds in range(200):
            task = asyncio.create_task(read("a"))
            for _ in range(rounds % 7):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(5):
            assert await models.Setting.filter(key="a").count() == 1


async def test_a_database_that_another_process_holds_is_said_to_be_busy(tmp_path: Path) -> None:
    """After the wait one sentence, nothing half written, and the next try works."""
    url = url_of(tmp_path)
    async with open_database(url):
        other = sqlite3.connect(tmp_path / "openlxd.sqlite3", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        with patience(0.3), pytest.raises(DatabaseBusy, match="database is busy"):
            await put("a", 1)
        other.execute("ROLLBACK")
        other.close()
        await put("a", 1)
        assert await models.Setting.all().count() == 1


def _count_up(url: str, times: int) -> None:
    @transaction
    async def one_more() -> None:
        row = await models.Setting.get(key="n")
        row.value += 1
        await row.save()

    async def main() -> None:
        async with open_database(url):
            for _ in range(times):
                await one_more()

    asyncio.run(main())
    os._exit(0)


async def test_two_processes_that_read_then_write_lose_nothing(tmp_path: Path) -> None:
    """Every increment counts, and none fails as locked."""
    url = url_of(tmp_path)
    async with open_database(url):
        await put("n", 0)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_count_up, args=(url, 100)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        await asyncio.to_thread(process.join)
        assert process.exitcode == 0
    async with open_database(url):
        assert (await models.Setting.get(key="n")).value == 200
    assert await database.check(url) == []


HALF = """
import sqlite3, sys, time
raw = sqlite3.connect(sys.argv[1], isolation_level=None)
raw.execute("PRAGMA journal_mode=TRUNCATE")
raw.execute("PRAGMA cache_size=1")
raw.execute("BEGIN IMMEDIATE")
for number in range(2000):
    raw.execute("INSERT INTO settings (key, value) VALUES (?, ?)", (f"half-{number}", '"' + "x" * 500 + '"'))
print("half", flush=True)
time.sleep(60)
"""


async def test_what_a_killed_process_left_half_written_is_rolled_back(tmp_path: Path) -> None:
    """SIGKILL between the first page and the commit: the next start opens, and so do a check and a copy."""
    url, file = url_of(tmp_path), tmp_path / "openlxd.sqlite3"
    async with open_database(url):
        await put("whole", 1)
    for look in (lambda: database.check(url), lambda: backups.backup(url, tmp_path / "copy"), lambda: upgrade(url)):
        process = subprocess.Popen([sys.executable, "-c", HALF, str(file)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        process.kill()
        process.wait()
        process.stdout.close()
        assert file.with_name(file.name + "-journal").stat().st_size > 0
        await look()
        assert await database.check(url) == []
    async with open_database(url):
        assert [row.key for row in await models.Setting.all()] == ["whole"]
