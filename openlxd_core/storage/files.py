"""An SQLite file as such: where it is, what is in it, whether it is sound. No table of ours is read here."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from openlxd_core.domain.errors import ConfigurationError, DatabaseBusy, StorageFull, unusable
from openlxd_core.i18n import N_
from openlxd_core.storage import faults
from openlxd_core.storage.client import PATIENCE_SECONDS

MIGRATIONS = Path(__file__).with_name("migrations")
SIDE_FILES = ("-wal", "-shm", "-journal")
"""What may stand beside a database and belongs to it alone."""


def sqlite_file(url: str) -> Path | None:
    """The file behind an SQLite URL; None for another database or one in memory."""
    scheme, _, rest = url.partition("://")
    path = rest.partition("?")[0]
    return Path(path) if scheme == "sqlite" and path and path != ":memory:" else None


def file_of(url: str) -> Path:
    """The file behind an SQLite URL. Raises ConfigurationError for any other."""
    file = sqlite_file(url)
    if file is None:
        raise ConfigurationError(N_("This works only on an SQLite file. Use the database server's own tools."))
    return file


def make_place(file: Path) -> None:
    """See to the directory of a database, and that nothing but a plain file stands in its place.

    Raises ConfigurationError, Forbidden.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if file.exists() and not file.is_file():  # a device would be replaced, a directory never opened
            raise ConfigurationError(N_("{path} is not a regular file."), path=str(file))
    except OSError as error:
        raise unusable(error.filename or file, error) from None


def existing(file: Path) -> sqlite3.Connection:
    """A connection for reading a file that exists. Not read-only where that can be helped: what a killed process left
    half written must be rolled back first, and a read-only connection refuses to."""
    mode = "rw" if os.access(file, os.W_OK) else "ro"
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode={mode}", uri=True, timeout=PATIENCE_SECONDS)


def applied(file: Path) -> list[str]:
    """The migrations that a database has had, in order; none for one that is not there or holds nothing.

    Raises ConfigurationError where it is no database of ours.
    """
    if not file.exists() or file.stat().st_size == 0:
        return []
    try:
        with contextlib.closing(existing(file)) as connection:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables:
                return []
            if "tortoise_migrations" not in tables:
                raise ConfigurationError(N_("{path} is the database of another program."), path=str(file))
            return [row[0] for row in connection.execute("SELECT name FROM tortoise_migrations ORDER BY id")]
    except sqlite3.Error as error:
        fault = faults.translate(error, file)
        if isinstance(fault, DatabaseBusy | StorageFull):
            raise fault from error
        raise ConfigurationError(
            N_("The database {path} cannot be read: {reason}. Restore it with: openlxd db restore FILE"),
            path=str(file),
            reason=str(error),
        ) from None


def require_known(file: Path, found: Sequence[str]) -> None:
    """Raise ConfigurationError where ``found`` holds a migration of a newer program."""
    known = {path.stem for path in MIGRATIONS.glob("[0-9]*.py")}
    newer = sorted(set(found) - known)
    if newer:
        raise ConfigurationError(
            N_("The database {path} was written by a newer OpenLXD (it has {migration}). Install that version."),
            path=str(file),
            migration=newer[0],
        )


def side_file(file: Path, ending: str) -> Path:
    """``openlxd.sqlite3-wal``."""
    return file.with_name(file.name + ending)


def integrity(file: Path) -> list[str]:
    """What is wrong with an SQLite file, in SQLite's words; empty when it is sound."""
    if not file.is_file():
        return [f"there is no file {file}"]
    try:
        with contextlib.closing(existing(file)) as connection:
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)") if row[0] != "ok"]
            found += [
                f"row {row[1]} of {row[0]} points nowhere" for row in connection.execute("PRAGMA foreign_key_check")
            ]
            return found
    except sqlite3.Error as error:
        return [str(error)]
