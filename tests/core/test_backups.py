"""Copies of the database: taken whole or not at all, put back while nobody has it open, and no crash loses either."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from openlxd_core.domain.errors import AlreadyExists, ConfigurationError, Conflict, DatabaseBusy
from openlxd_core.storage import backups, holding
from openlxd_core.storage.database import open_database, upgrade
from tests.support import disks
from tests.support.core import make_settings
from tests.support.processes import Server, environment_of

pytestmark = pytest.mark.slow


def mark(file: Path, word: str) -> None:
    """Write a row that tells one database from another."""
    with closing(sqlite3.connect(file)) as raw:
        raw.execute("INSERT INTO settings (key, value) VALUES ('mark', ?)", (json.dumps(word),))
        raw.commit()


def mark_of(file: Path) -> str:
    with closing(sqlite3.connect(file)) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        return str(json.loads(raw.execute("SELECT value FROM settings WHERE key = 'mark'").fetchone()[0]))


@pytest.fixture
async def two(tmp_path: Path) -> tuple[str, Path, Path]:
    """The URL of a database marked ``old``, its file, and a copy marked ``new``."""
    file, copy = tmp_path / "state" / "openlxd.sqlite3", tmp_path / "copy.sqlite3"
    url = f"sqlite://{file}"
    await upgrade(url)
    shutil.copy(file, copy)
    mark(file, "old")
    mark(copy, "new")
    return url, file, copy


# -- who has it open ---------------------------------------------------------------------------------------------------

HOLDS = """
import asyncio, sys
from openlxd_core.bootstrap import open_core
from openlxd_core.settings import load_settings
async def main():
    async with open_core(load_settings().settings, background=False):
        print("open", flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""


@contextmanager
def command(settings: object) -> Iterator[subprocess.Popen[bytes]]:
    """A command of ours that has the database open."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS], env=environment_of(settings), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )  # type: ignore[call-overload]
    assert process.stdout is not None
    try:
        assert b"open\n" in iter(process.stdout.readline, b"")
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_database_in_use_is_not_replaced_and_its_users_are_named(tmp_path: Path) -> None:
    """Each server and a command alike, until the last of them has gone; SIGKILL leaves nothing in the way."""
    settings = make_settings(tmp_path, api_tls="off")
    file = settings.state_dir / "openlxd.sqlite3"
    copy = tmp_path / "copy.sqlite3"
    asyncio.run(backups.backup(settings.database, copy))
    mark(copy, "new")
    inode = file.stat().st_ino
    restore = [sys.executable, "-m", "openlxd_tui.cli", "db", "restore", str(copy), "--yes"]

    def refused(pid: int) -> bool:
        done = subprocess.run(restore, env=environment_of(settings), capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return False
        assert done.returncode == 6, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert f"process {pid} (" in done.stderr, done.stderr
        assert file.stat().st_ino == inode
        return True

    for module in ("openlxd_api", "openlxd_tui"):
        server = Server(module, settings, tmp_path / f"{module}.log").start()
        try:
            assert refused(server.pid)
            if module == "openlxd_api":  # a backup is no reason to stop
                asyncio.run(backups.backup(settings.database, tmp_path / "running.sqlite3"))
        finally:
            server.kill()
    with command(settings) as process:
        assert refused(process.pid)
    assert not refused(0)
    assert mark_of(file) == "new"
    assert not list(settings.state_dir.glob("*.restoring*"))


async def test_a_start_waits_for_a_restore(two: tuple[str, Path, Path]) -> None:
    """Whoever opens the database meanwhile gets the one that is put in place."""
    url, file, _copy = two

    async def start() -> str:
        async with open_database(url):
            return mark_of(file)

    with holding.alone(file):
        starting = asyncio.create_task(start())
        await asyncio.sleep(0.3)
        assert not starting.done()
    assert await asyncio.wait_for(starting, 20) == "old"


async def test_two_restores_at_once_are_one_after_the_other(two: tuple[str, Path, Path]) -> None:
    """One is done, the other too or refused; the database is sound and every one before it is kept."""
    url, file, copy = two
    answers = await asyncio.gather(*(backups.restore(url, copy) for _ in range(4)), return_exceptions=True)
    kept = [answer for answer in answers if isinstance(answer, Path)]
    assert kept
    assert all(isinstance(answer, Path | Conflict) for answer in answers)
    assert mark_of(file) == "new"
    assert sorted(mark_of(path) for path in kept)[-1] == "old"


async def test_a_stranger_who_writes_stops_a_restore(
    two: tuple[str, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An sqlite3 shell knows nothing of our lock, but holds SQLite's."""
    monkeypatch.setattr("openlxd_core.storage.files.PATIENCE_SECONDS", 0.2)
    url, file, copy = two
    with closing(sqlite3.connect(file, isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseBusy):
            await backups.restore(url, copy)
        stranger.execute("ROLLBACK")
    assert mark_of(file) == "old"
    assert sorted(path.name for path in file.parent.iterdir()) == [
        file.name,
        f"{file.name}.lock",
        f"{file.name}.upgrade-lock",
    ]


# -- what is put back --------------------------------------------------------------------------------------------------


async def test_a_copy_of_a_newer_version_is_refused(two: tuple[str, Path, Path]) -> None:
    """It could not be opened afterwards."""
    url, file, copy = two
    with closing(sqlite3.connect(copy)) as raw:
        raw.execute(
            "INSERT INTO tortoise_migrations (app, name, applied_at) VALUES ('models', '9999_later', '2099-01-01')"
        )
        raw.commit()
    with pytest.raises(ConfigurationError, match="9999_later"):
        await backups.restore(url, copy)
    assert mark_of(file) == "old"


async def test_a_copy_with_its_last_changes_beside_it_is_taken_whole(
    two: tuple[str, Path, Path], tmp_path: Path
) -> None:
    """Copied by cp while in use, in WAL mode: the -wal file holds what was committed last."""
    url, file, copy = two
    moved = tmp_path / "moved.sqlite3"
    with closing(sqlite3.connect(copy)) as raw:
        raw.execute("PRAGMA journal_mode=WAL")
        raw.execute("UPDATE settings SET value = '\"latest\"' WHERE key = 'mark'")
        raw.commit()
        for ending in ("", "-wal"):
            shutil.copy(f"{copy}{ending}", f"{moved}{ending}")
    assert Path(f"{moved}-wal").stat().st_size > 0
    before = Path(f"{moved}-wal").read_bytes()
    await backups.restore(url, moved)
    assert mark_of(file) == "latest"
    assert Path(f"{moved}-wal").read_bytes() == before  # the copy itself is only read


async def test_a_damaged_database_is_kept_as_it_is(two: tuple[str, Path, Path]) -> None:
    """There is no other way out of it than a restore, and somebody may want to look at it."""
    url, file, copy = two
    damaged = b"not a database at all" * 300
    file.write_bytes(damaged)
    Path(f"{file}-journal").write_bytes(b"junk")
    kept = await backups.restore(url, copy)
    assert mark_of(file) == "new"
    assert kept is not None
    assert kept.read_bytes() == damaged
    assert not Path(f"{file}-journal").exists()


async def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    """A URL that points at the wrong file costs nobody their data."""
    file = tmp_path / "theirs.sqlite3"
    with closing(sqlite3.connect(file)) as raw:
        raw.execute("CREATE TABLE theirs (x)")
        raw.commit()
    before = file.read_bytes()
    with pytest.raises(ConfigurationError, match="another program"):
        await upgrade(f"sqlite://{file}")
    assert file.read_bytes() == before


CRASHES = """
import contextlib, os, pathlib, shutil, sqlite3, sys
from openlxd_core.storage import backups

file, copy, room, old_state = map(pathlib.Path, sys.argv[1:5])
PLACES = [(os, "link"), (os, "fsync"), (shutil, "copyfile"), (pathlib.Path, "replace"), (pathlib.Path, "unlink"),
          (os, "open"), (os, "close"), (sqlite3, "connect")]

def restore_and_die_at(number):
    seen = 0
    def dying(real):
        def step(*args, **named):
            nonlocal seen
            if seen == number:
                os._exit(9)
            seen += 1
            return real(*args, **named)
        return step
    for owner, name in PLACES:
        setattr(owner, name, dying(getattr(owner, name)))
    backups._restore(file, copy)
    os._exit(0)

for number in range(200):
    shutil.rmtree(room)
    shutil.copytree(old_state, room)
    child = os.fork()
    if not child:
        restore_and_die_at(number)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    def marks(path):
        with contextlib.closing(sqlite3.connect(path)) as raw:
            assert raw.execute("PRAGMA integrity_check").fetchone()[0] == "ok", number
            half = raw.execute("SELECT count(*) FROM settings WHERE key LIKE 'half-%'").fetchone()[0]
            assert half == 0, (number, half)
            return raw.execute("SELECT value FROM settings WHERE key = 'mark'").fetchone()[0]
    now = marks(file)
    kept = [marks(path) for path in room.glob("*.replaced-*")
            if not path.name.endswith(("-wal", "-shm", "-journal")) and not path.samefile(file)]
    assert now == '"old"' or (now == '"new"' and '"old"' in kept), (number, now, kept)
    again = backups._restore(file, copy)
    assert marks(file) == '"new"' and not list(room.glob("*.restoring*")), number
    if status == 0:
        print(number, flush=True)
        break
    assert status == 9
"""

LEFT_BEHIND = {
    "nothing": "",
    "a half-written journal": """
raw.execute("PRAGMA journal_mode=TRUNCATE")
raw.execute("PRAGMA cache_size=1")
raw.execute("BEGIN IMMEDIATE")
for number in range(500):
    raw.execute("INSERT INTO settings (key, value) VALUES (?, ?)", (f"half-{number}", '"' + "x" * 500 + '"'))
""",
    "a write-ahead log": """
raw.execute("PRAGMA journal_mode=WAL")
raw.execute("PRAGMA wal_autocheckpoint=0")
raw.execute("UPDATE settings SET value = '\\"old\\"' WHERE key = 'mark'")
""",
}


@pytest.mark.parametrize("left", LEFT_BEHIND)
async def test_a_crash_at_any_point_of_a_restore_leaves_the_old_or_the_new(
    two: tuple[str, Path, Path], tmp_path: Path, left: str
) -> None:
    """Killed before each of its steps, over what a killed server left: sound, one of the two, and the old one kept."""
    _url, file, copy = two
    if left == "a write-ahead log":
        with closing(sqlite3.connect(file)) as raw:
            raw.execute("UPDATE settings SET value = '\"older\"' WHERE key = 'mark'")
            raw.commit()
    killed = subprocess.run(
        [sys.executable, "-c", "import os, sqlite3, sys\nraw = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
         + LEFT_BEHIND[left] + "\nos._exit(9)", str(file)], check=False,
    )  # fmt: skip
    assert killed.returncode == 9
    old_state = tmp_path / "old-state"
    shutil.copytree(file.parent, old_state)
    done = subprocess.run(
        [sys.executable, "-c", CRASHES, str(file), str(copy), str(file.parent), str(old_state)],
        capture_output=True, text=True, check=False, cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.splitlines()[-1]) > 10


# -- what is written ---------------------------------------------------------------------------------------------------


async def test_a_backup_replaces_nothing_unasked(two: tuple[str, Path, Path], tmp_path: Path) -> None:
    """An older one is left as it is; with ``replace`` the new one takes its place, for its owner's eyes alone."""
    url, file, _copy = two
    target = tmp_path / "kept"
    target.write_bytes(b"precious")
    target.chmod(0o644)
    with pytest.raises(AlreadyExists, match="kept"):
        await backups.backup(url, target)
    assert target.read_bytes() == b"precious"
    await backups.backup(url, target, replace=True)
    assert (mark_of(target), target.stat().st_mode & 0o777) == ("old", 0o600)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(AlreadyExists):
        await backups.backup(url, link)
    for bad in (file, tmp_path):  # the database itself, a directory
        with pytest.raises(ConfigurationError):
            await backups.backup(url, bad, replace=True)
    assert mark_of(file) == "old"
    assert not list(tmp_path.glob(".*partial*"))


async def test_a_backup_never_takes_a_devices_place(two: tuple[str, Path, Path], tmp_path: Path) -> None:
    """``--force`` with /dev/stdout or /dev/null, as root, would put a file where the device was."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ConfigurationError, match="not a regular file"):
        await backups.backup(two[0], pipe, replace=True)
    assert pipe.is_fifo()


async def test_of_two_backups_to_one_name_one_is_made(two: tuple[str, Path, Path], tmp_path: Path) -> None:
    """Neither overwrites the other."""
    url, _file, _copy = two
    answers = await asyncio.gather(*(backups.backup(url, tmp_path / "one") for _ in range(5)), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["AlreadyExists"] * 4 + ["NoneType"]
    assert mark_of(tmp_path / "one") == "old"
    assert not list(tmp_path.glob(".*partial*"))


async def test_a_backup_that_finds_no_room_leaves_the_one_before(two: tuple[str, Path, Path], tmp_path: Path) -> None:
    """Nothing half written takes its name."""
    if reason := disks.why_not("tmpfs"):
        pytest.skip(reason)
    url, _file, _copy = two
    try:
        with disks.mounted("tmpfs", tmp_path / "small", mib=1) as disk:
            target = disk.place / "copy"
            target.write_bytes(b"precious")
            disk.fill()
            with pytest.raises(ConfigurationError, match="copy"):
                await backups.backup(url, target, replace=True)
            assert target.read_bytes() == b"precious"
            assert sorted(path.name for path in disk.place.iterdir()) == ["ballast", "copy"]
    except RuntimeError as error:
        pytest.skip(str(error))


async def test_a_backup_does_not_wait_for_ever(
    two: tuple[str, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program holds the database: one sentence after a while."""
    monkeypatch.setattr(backups, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr("openlxd_core.storage.files.PATIENCE_SECONDS", 0.1)
    url, file, _copy = two
    with closing(sqlite3.connect(file, isolation_level=None)) as stranger:
        stranger.execute("BEGIN EXCLUSIVE")
        begun = time.monotonic()
        with pytest.raises(DatabaseBusy):
            await backups.backup(url, tmp_path / "copy")
        assert time.monotonic() - begun < 10
        stranger.execute("ROLLBACK")
    await backups.backup(url, tmp_path / "copy")
