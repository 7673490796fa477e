"""start, stop, restart, pause, resume."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from openlxd_core.i18n import N_
from openlxd_tui.commands.arguments import FOLLOWING, Following, Name
from openlxd_tui.commands.call import At
from openlxd_tui.commands.following import follow

Force = Annotated[
    bool,
    Parameter(name="--force", help=N_("At once, without asking the system inside to shut down."), negative=""),
]


async def start(
    name: Name,
    /,
    *,
    how: Following = FOLLOWING,
    at: At,
) -> int:
    """Start a container."""
    return await follow(at, await at.core.containers.start(at.actor, name), how)


async def stop(
    name: Name,
    /,
    *,
    force: Force = False,
    how: Following = FOLLOWING,
    at: At,
) -> int:
    """Stop a container."""
    return await follow(at, await at.core.containers.stop(at.actor, name, force=force), how)


async def restart(
    name: Name,
    /,
    *,
    how: Following = FOLLOWING,
    at: At,
) -> int:
    """Restart a container."""
    return await follow(at, await at.core.containers.restart(at.actor, name), how)


async def pause(
    name: Name,
    /,
    *,
    how: Following = FOLLOWING,
    at: At,
) -> int:
    """Freeze all processes of a container."""
    return await follow(at, await at.core.containers.pause(at.actor, name), how)


async def resume(
    name: Name,
    /,
    *,
    how: Following = FOLLOWING,
    at: At,
) -> int:
    """Thaw them."""
    return await follow(at, await at.core.containers.resume(at.actor, name), how)
