"""Promises of kept reads: never older than the last commit of any process, bounded, and gone with the database."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from openlxd_core.storage.read_cache import ReadCache
from openlxd_core.storage.revision import Revision


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database with one table of numbers."""
    path = tmp_path / "numbers.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=TRUNCATE")
        connection.execute("CREATE TABLE numbers (name TEXT PRIMARY KEY, value INTEGER)")
    connection.close()
    return path


@pytest.fixture
async def revision(file: Path) -> AsyncIterator[Revision]:
    """The database's revision."""
    found = Revision(file)
    yield found
    found.close()


async def write(file: Path, name: str, value: int) -> None:
    """Commit a number on a thread, as the product's writes are, on a connection of its own."""
    await asyncio.to_thread(_write, file, name, value)


def _write(file: Path, name: str, value: int) -> None:
    connection = sqlite3.connect(file, timeout=10)
    with connection:
        connection.execute("INSERT OR REPLACE INTO numbers VALUES (?, ?)", (name, value))
    connection.close()


def reader(file: Path, name: str, asked: list[str]) -> Callable[[], Awaitable[int | None]]:
    """A read of one number, which notes that it was made."""

    async def read() -> int | None:
        asked.append(name)
        connection = sqlite3.connect(file, timeout=10)
        row = connection.execute("SELECT value FROM numbers WHERE name = ?", (name,)).fetchone()
        connection.close()
        await asyncio.sleep(0)
        return row[0] if row else None

    return read


async def test_a_result_is_kept_until_a_commit(file: Path, revision: Revision) -> None:
    """One read while nothing changes, another after any change, be it of another row."""
    await write(file, "a", 1)
    cache, asked = ReadCache(revision), list[str]()
    for _time in range(3):
        assert await cache.read("a", reader(file, "a", asked)) == 1
    assert asked == ["a"]
    await write(file, "b", 2)
    assert await cache.read("a", reader(file, "a", asked)) == 1
    assert asked == ["a", "a"]


async def test_a_commit_of_another_process_counts_at_once(file: Path, revision: Revision) -> None:
    """The change is visible to the next read after the other process has said that it is done."""
    await write(file, "a", 0)
    cache, asked = ReadCache(revision), list[str]()
    program = (
        "import sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], timeout=10)\n"
        "for line in sys.stdin:\n"
        "    with c: c.execute('UPDATE numbers SET value = ?', (int(line),))\n"
        "    print('done', flush=True)\n"
    )
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(file), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdin is not None
    assert other.stdout is not None
    for value in range(1, 101):
        assert await cache.read("a", reader(file, "a", asked)) == value - 1
        other.stdin.write(f"{value}\n".encode())
        assert await other.stdout.readline() == b"done\n"
        assert await cache.read("a", reader(file, "a", asked)) == value
    other.stdin.close()
    await other.wait()


async def test_a_read_that_a_commit_overtakes_is_not_kept(file: Path, revision: Revision) -> None:
    """What was read before the commit is not returned to who asks after it."""
    await write(file, "a", 1)
    cache = ReadCache(revision)
    before, after = asyncio.Event(), asyncio.Event()

    async def slow() -> int:
        before.set()
        await after.wait()
        return 1

    first = asyncio.create_task(cache.read("a", slow))
    await before.wait()
    await write(file, "a", 2)
    after.set()
    assert await first == 1
    assert await cache.read("a", reader(file, "a", [])) == 2


async def test_nothing_and_errors_are_not_kept(file: Path, revision: Revision) -> None:
    """Who asks for what is not there reads each time, so that guesses fill no memory."""
    cache, asked = ReadCache(revision), list[str]()
    for _time in range(2):
        assert await cache.read("none", reader(file, "none", asked)) is None
    assert asked == ["none", "none"]

    async def fail() -> int:
        asked.append("fail")
        raise LookupError

    for _time in range(2):
        with pytest.raises(LookupError):
            await cache.read("fail", fail)
    assert asked[2:] == ["fail", "fail"]


async def test_a_locked_or_missing_database_keeps_nothing(file: Path, revision: Revision) -> None:
    """Where the revision cannot be told, every read goes through, and none waits for a lock."""
    await write(file, "a", 1)
    cache, asked = ReadCache(revision), list[str]()

    async def read() -> int:
        asked.append("a")
        return 1

    await cache.read("a", read)
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    for _time in range(2):
        await asyncio.sleep(0)
        await cache.read("a", read)
    assert len(asked) == 3
    holder.execute("COMMIT")
    holder.close()
    nowhere = ReadCache(Revision(file.with_name("missing.sqlite3")))
    in_memory = ReadCache(Revision(None))
    for cache in (nowhere, nowhere, in_memory, in_memory):
        await asyncio.sleep(0)
        await cache.read("a", read)
    assert len(asked) == 7
    assert not file.with_name("missing.sqlite3").exists()


async def test_memory_is_bounded_by_entries_and_bytes(file: Path, revision: Revision) -> None:
    """The oldest results go first; one that is too large is not kept at all."""

    async def read() -> str:
        return "x"

    cache = ReadCache(revision, entries_max=10, bytes_max=800)
    for number in range(50):
        await cache.read(number, read, size=lambda _: 1)
    assert list(cache._kept) == list(range(40, 50))
    for number in range(50):
        await cache.read(("large", number), read, size=lambda _: 100)
    assert len(cache._kept) == 8
    assert cache._bytes == 800
    await cache.read("too large", read, size=lambda _: 101)
    assert "too large" not in cache._kept


@pytest.mark.parametrize("seed", range(5))
async def test_a_kept_answer_is_what_a_read_would_find(file: Path, revision: Revision, seed: int) -> None:
    """Random reads and commits of several tasks: an answer lies between the values at its beginning and at its end."""
    chance = random.Random(seed)
    cache, begun, committed = ReadCache(revision), dict.fromkeys("abc", 0), dict.fromkeys("abc", 0)
    for name in begun:
        await write(file, name, 0)
    one_writer = asyncio.Lock()

    async def task() -> None:
        for _step in range(60):
            name = chance.choice("abc")
            if chance.random() < 0.3:
                async with one_writer:
                    begun[name] += 1
                    await write(file, name, begun[name])
                    committed[name] = begun[name]
            else:
                least = committed[name]
                found = await cache.read(name, reader(file, name, []))
                assert found is not None
                assert least <= found <= begun[name]
            await asyncio.sleep(0)

    await asyncio.gather(*(task() for _ in range(5)))
