"""What the commands share: the settings, the core, the person at the terminal, and the ways to print.

Data goes to standard output, everything said about it to standard error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openlxd_core import shapes
from openlxd_core.domain.errors import BadRequest, OpenLXDError
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _

if TYPE_CHECKING:
    from openlxd_core.bootstrap import Core
    from openlxd_core.domain.actor import Actor
    from openlxd_core.settings import LoadedSettings, Settings


@dataclass
class Options:
    """What was said before or beside the command."""

    config: Path | None = None
    quiet: bool = False
    json: bool = False
    """Whether the answer is for a program, failures too."""
    overrides: dict[str, str] = field(default_factory=dict)


options = Options()
"""Of this run of the command line."""


def loaded() -> LoadedSettings:
    """The settings in force, with the source of each. Raises ConfigurationError."""
    from openlxd_core.settings import load_settings

    return load_settings(options.overrides, file=options.config)


def settings() -> Settings:
    """The settings in force, with LXD decided. Raises ConfigurationError."""
    from openlxd_core.host.lxd import settled

    in_force = settled(loaded().settings)
    _log_to_stderr(in_force)
    return in_force


def child_environment(found: LoadedSettings) -> dict[str, str]:
    """The environment in which a child process finds the very same settings, wherever they were said."""
    environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    for name, source in found.sources.items():
        value = getattr(found.settings, name)
        if source != "default" and value not in (None, ""):
            environment[f"OPENLXD_{name.upper()}"] = str(value)
    for name in ("state_dir", "keys_dir"):
        environment[f"OPENLXD_{name.upper()}"] = str(Path(getattr(found.settings, name)).resolve())
    return environment


def act_as_owner(found: Settings) -> None:
    """As root on an installation whose state belongs to a service's account: go on as that account.

    Otherwise what root makes there (a database, a journal, a lock) would be closed to the service.
    """
    if os.geteuid() != 0 or not found.state_dir.is_dir():
        return
    owner = found.state_dir.stat()
    if owner.st_uid == 0:
        return
    import pwd

    try:
        os.initgroups(pwd.getpwuid(owner.st_uid).pw_name, owner.st_gid)  # the group lxd among them
    except KeyError:
        os.setgroups([])
    os.setgid(owner.st_gid)
    os.setuid(owner.st_uid)


def hand_over(found: Settings) -> None:
    """Give what root has made in the state directory to the directory's owner."""
    if os.geteuid() != 0:
        return
    owner = found.state_dir.stat()
    for path in found.state_dir.rglob("*"):
        if path.lstat().st_uid == 0:
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _log_to_stderr(in_force: Settings) -> None:
    """A command's standard output is its answer's alone, and what its user need not know is left out."""
    import logging

    from openlxd_core import logs

    logs.configure(in_force, "cli")
    logging.getLogger().setLevel(logging.ERROR)


@asynccontextmanager
async def open_core(found: Settings | None = None) -> AsyncIterator[tuple[Core, Actor]]:
    """The product, and the local admin that whoever can read its files is."""
    from openlxd_core import bootstrap

    in_force = found or settings()
    act_as_owner(in_force)
    _log_to_stderr(in_force)
    async with bootstrap.open_core(in_force, background=False) as core:
        yield core, await core.auth.local_login("cli")


def out(text: str = "") -> None:
    """One line of data."""
    sys.stdout.write(text + "\n")


def say(text: str) -> None:
    """One line about what is being done, unless ``--quiet``."""
    if not options.quiet:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def fail(error: OpenLXDError, *, code: str = "") -> None:
    """The one line that an error gets on standard error; with ``--json`` REST's failure on standard output.

    ``code`` stands in for the error's own.
    """
    from openlxd_core.domain.errors import ValidationFailed

    if options.json:
        fields = error.fields if isinstance(error, ValidationFailed) else None
        print_json(shapes.failure(code or error.code, error.message, fields))
        return
    sys.stderr.write(_("Error: {reason}").format(reason=clean(error.message.text(_), 2000)) + "\n")
    if isinstance(error, ValidationFailed) and len(error.fields) > 1:
        for name, why in error.fields.items():
            sys.stderr.write(f"  {clean(name, 60)}: {clean(why.text(_), 500)}\n")


def print_json(value: Any) -> None:
    """Data for scripts: one JSON document, ASCII."""
    out(shapes.encode(value))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rows under their headings, in columns as wide as what they hold."""
    from rich.cells import cell_len

    lines = [[clean(str(cell), 200) for cell in row] for row in (columns, *rows)]
    widths = [max(cell_len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True))
        out("  ".join(padded).rstrip())


def show(as_json: bool, records: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
    """Records as a table of the ``columns`` (field to heading), or all of them as JSON."""
    if as_json:
        print_json(records)
    else:
        print_table(list(columns.values()), [[record[name] for name in columns] for record in records])


def read_password(from_stdin: bool, *, repeat: bool = True) -> str:
    """A password from standard input's first line, or by prompt. Never by argument: others could see it."""
    import getpass

    if from_stdin:
        line = sys.stdin.buffer.readline()
        try:
            return line.decode("utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise BadRequest(N_("The password is not UTF-8.")) from None
    if not sys.stdin.isatty():
        raise BadRequest(N_("There is no terminal to ask on; use --password-stdin."))
    password = getpass.getpass(_("Password: "))
    if repeat and getpass.getpass(_("Once more: ")) != password:
        raise BadRequest(N_("The two passwords are different."))
    return password


def confirm(question: str, yes: bool) -> None:
    """Go on only after a yes. Raises BadRequest otherwise."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise BadRequest(N_("There is no terminal to ask on; use --yes."))
    sys.stderr.write(question + " [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes", "是"):
        raise BadRequest(N_("Nothing was changed."))
