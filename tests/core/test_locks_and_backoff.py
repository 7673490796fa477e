"""Promises of the helpers for waiting: back-off, locks by key within a process, locks on files between processes."""

from __future__ import annotations

import asyncio
import gc
import os
import stat
from pathlib import Path

import pytest

from openlxd_core import file_lock
from openlxd_core.backoff import Backoff, exponential
from openlxd_core.keyed_locks import KeyedLocks


async def pauses(backoff: Backoff, slept: list[float], *most: float | None) -> list[float]:
    """The pauses that were slept for each of ``most``."""
    for limit in most:
        await backoff.pause(limit)
    return slept


async def test_pauses_double_to_the_longest_and_start_again_after_a_reset() -> None:
    """0.5, 1, 2, 4, 5, 5 seconds; after a success 0.5 again."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    backoff = Backoff(0.5, 5.0, sleep=sleep)
    assert await pauses(backoff, slept, *[None] * 6) == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert backoff.pauses == 6
    backoff.reset()
    assert (backoff.seconds, backoff.pauses) == (0.5, 0)
    assert (await pauses(backoff, slept, None))[-1] == 0.5


async def test_a_pause_can_be_cut_and_the_next_grows_from_it() -> None:
    """What fails for another reason, which is over sooner, does not wait the full time."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    backoff = Backoff(8.0, 60.0, sleep=sleep)
    assert await pauses(backoff, slept, 4.0, None, None) == [4.0, 8.0, 16.0]


async def test_jitter_stays_within_its_share_and_does_not_add_up() -> None:
    """20 % around each pause; the next pause grows from the length without it."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    latest = Backoff(1.0, 8.0, jitter=0.2, sleep=sleep, spread=lambda _least, most: most)
    assert await pauses(latest, slept, *[None] * 4) == pytest.approx([1.2, 2.4, 4.8, 9.6])
    slept.clear()
    some = Backoff(1.0, 1.0, jitter=0.2, sleep=sleep)
    assert all(0.8 <= pause <= 1.2 for pause in await pauses(some, slept, *[None] * 200))
    assert len(set(slept)) > 100


def test_the_pause_after_a_number_of_failures_never_overflows() -> None:
    """None without a failure; a fraction lies between its neighbours; a million failures give the longest."""
    assert exponential(0, 0.5, 10.0) == 0.0
    assert [exponential(n, 0.5, 10.0) for n in range(1, 8)] == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert 0.5 < exponential(1.5, 0.5, 10.0) < 1.0
    assert exponential(1_000_000, 0.5, 10.0) == 10.0


async def test_one_key_at_a_time_and_other_keys_beside_it() -> None:
    """Two on one key go one after the other, in order; another key does not wait; nothing is kept afterwards."""
    locks, seen = KeyedLocks(), []

    async def work(key: str, number: int) -> None:
        async with locks.of(key):
            seen.append((key, number, "in"))
            await asyncio.sleep(0)
            seen.append((key, number, "out"))

    await asyncio.gather(work("a", 1), work("a", 2), work("b", 3))
    of_a = [entry for entry in seen if entry[0] == "a"]
    assert of_a == [("a", 1, "in"), ("a", 1, "out"), ("a", 2, "in"), ("a", 2, "out")]
    assert seen.index(("b", 3, "in")) < seen.index(("a", 1, "out"))
    gc.collect()
    assert len(locks) == 0


async def test_a_cancelled_holder_frees_its_key() -> None:
    """Who is cancelled while it holds or awaits a key does not block the next."""
    locks = KeyedLocks()

    async def hold() -> None:
        async with locks.of("a"):
            await asyncio.sleep(60)

    holder, waiter = asyncio.create_task(hold()), asyncio.create_task(hold())
    await asyncio.sleep(0)
    waiter.cancel()
    holder.cancel()
    await asyncio.gather(holder, waiter, return_exceptions=True)
    async with asyncio.timeout(1), locks.of("a"):
        pass


def test_a_lock_on_a_file_is_taken_by_one_or_shared_by_many(tmp_path: Path) -> None:
    """Another descriptor is refused while one has it alone, and may share it when it is shared."""
    path = tmp_path / "some.lock"
    with file_lock.locked(path):
        other = file_lock.open_lock(path)
        assert not file_lock.take(other)
        assert not file_lock.take(other, shared=True)
    assert file_lock.take(other, shared=True)
    third = file_lock.open_lock(path)
    assert file_lock.take(third, shared=True)
    assert not file_lock.take(third)
    os.close(other)
    os.close(third)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_lock_is_never_opened_through_a_link(tmp_path: Path) -> None:
    """Somebody who may write into the directory points the lock at a file of root's: it is refused."""
    victim = tmp_path / "victim"
    victim.write_text("kept")
    (tmp_path / "some.lock").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"), file_lock.locked(tmp_path / "some.lock"):
        pass
    assert victim.read_text() == "kept"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_lock_that_root_makes_belongs_to_the_directorys_owner(tmp_path: Path) -> None:
    """So the service's account can open it later. A file with a second name is not given away: it may be root's."""
    directory = tmp_path / "state"
    directory.mkdir()
    os.chown(directory, 4711, 4712)
    with file_lock.locked(directory / "some.lock"):
        pass
    found = (directory / "some.lock").stat()
    assert (found.st_uid, found.st_gid) == (4711, 4712)
    secret = tmp_path / "secret"
    secret.write_text("root's")
    os.link(secret, directory / "other.lock")
    with file_lock.locked(directory / "other.lock"):
        pass
    assert secret.stat().st_uid == 0
