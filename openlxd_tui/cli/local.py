"""``openlxd tui``: the admin console on this terminal, for whoever may use LXD's socket."""

from __future__ import annotations

import logging
import sys

from openlxd_core.domain.errors import Forbidden, OpenLXDError
from openlxd_core.i18n import N_, translator
from openlxd_core.settings import Settings
from openlxd_tui.cli.context import act_as_owner, settings


async def tui() -> int:
    """Open the admin console here, on this terminal. Whoever may use LXD's socket is its admin."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise OpenLXDError(N_("The console needs a terminal. Without one, use the other commands with --json."))
    in_force = settings()
    require_socket(in_force)
    act_as_owner(in_force)
    from openlxd_core import bootstrap, logs
    from openlxd_tui.local import run_console

    logs.configure(in_force, "tui")
    log_to_file(in_force)
    async with bootstrap.open_core(in_force) as core:
        return await run_console(core, await core.auth.local_login("tui"), language=translator().language)


def require_socket(in_force: Settings) -> None:
    """Raise Forbidden unless this account may use LXD: that is what makes it an admin."""
    from openlxd_core.host.lxd import candidates, may_use

    if in_force.simulated:
        return
    for path in candidates(in_force):
        if path.exists():
            if may_use(path):
                return
            raise Forbidden(
                N_('Permission denied: {path}. Run as root, or add this user to the "lxd" group.'), path=str(path)
            )


def log_to_file(in_force: Settings) -> None:
    """Log lines would be painted over the screen: they go to a file in the state directory while it is up."""
    in_force.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    handler = logging.FileHandler(in_force.state_dir / "tui.log", encoding="utf-8", delay=True)
    root = logging.getLogger()
    for old in root.handlers[:]:
        handler.setFormatter(old.formatter)
        root.removeHandler(old)
    root.addHandler(handler)
