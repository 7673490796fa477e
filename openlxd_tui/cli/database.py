"""``openlxd db …``: upgrade, backup, restore, check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _
from openlxd_tui.cli import exits
from openlxd_tui.cli.config import Json
from openlxd_tui.cli.context import confirm, hand_over, out, print_json, say, settings
from openlxd_tui.cli.users import Yes

Force = Annotated[bool, Parameter(help=N_("Overwrite the file if it exists."), negative="")]


async def upgrade() -> None:
    """Migrate the database to this version. A backup is made first."""
    from openlxd_core import bootstrap

    in_force = settings()
    await bootstrap.upgrade_database(in_force)
    hand_over(in_force)
    say(_("The database is up to date."))


async def backup(
    file: Annotated[
        Path, Parameter(help=N_("File to write (mode 0600). An existing file is kept unless --force is given."))
    ],
    *,
    force: Force = False,
) -> None:
    """Back up the database to a file, also while the servers run."""
    from openlxd_core import bootstrap

    in_force = settings()
    await bootstrap.backup_database(in_force, file, replace=force)
    hand_over(in_force)
    say(_("The database was backed up to {path}.").format(path=file))


async def restore(
    file: Annotated[Path, Parameter(help=N_("A backup made by: openlxd db backup"))], *, yes: Yes = False
) -> None:
    """Restore the database from a backup. Refused while the servers run."""
    from openlxd_core import bootstrap

    confirm(_("Replace the database with {path}?").format(path=file), yes)
    in_force = settings()
    kept = await bootstrap.restore_database(in_force, file)
    hand_over(in_force)
    say(_("The database was restored from {path}.").format(path=file))
    if kept is not None:
        say(_("The previous database was kept as {path}.").format(path=kept))


async def check(*, as_json: Json = False) -> int:
    """Check the database."""
    from openlxd_core import bootstrap

    problems = await bootstrap.check_database(settings())
    if as_json:
        print_json({"ok": not problems, "problems": problems})
    elif problems:
        for problem in problems:
            out(clean(problem))
    else:
        say(_("The database is intact."))
    return exits.FAILED if problems else exits.DONE
