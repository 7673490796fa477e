"""start, stop, restart, pause, resume."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from openlxd_core.i18n import N_
from openlxd_tui.commands.arguments import WAIT_SECONDS, Json, Name, NoWait, Timeout, Wait
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
    timeout: Timeout = WAIT_SECONDS,
    wait: Wait = False,
    no_wait: NoWait = False,
    as_json: Json = False,
    at: At,
) -> int:
    """Start a container."""
    return await follow(at, await at.core.containers.start(at.actor, name), timeout, no_wait, as_json)


async def stop(
    name: Name,
    /,
    *,
    force: Force = False,
    timeout: Timeout = WAIT_SECONDS,
    wait: Wait = False,
    no_wait: NoWait = False,
    as_json: Json = False,
    at: At,
) -> int:
    """Stop a container."""
    return await follow(at, await at.core.containers.stop(at.actor, name, force=force), timeout, no_wait, as_json)


async def restart(
    name: Name,
    /,
    *,
    timeout: Timeout = WAIT_SECONDS,
    wait: Wait = False,
    no_wait: NoWait = False,
    as_json: Json = False,
    at: At,
) -> int:
    """Restart a container."""
    return await follow(at, await at.core.containers.restart(at.actor, name), timeout, no_wait, as_json)


async def pause(
    name: Name,
    /,
    *,
    timeout: Timeout = WAIT_SECONDS,
    wait: Wait = False,
    no_wait: NoWait = False,
    as_json: Json = False,
    at: At,
) -> int:
    """Freeze all processes of a container."""
    return await follow(at, await at.core.containers.pause(at.actor, name), timeout, no_wait, as_json)


async def resume(
    name: Name,
    /,
    *,
    timeout: Timeout = WAIT_SECONDS,
    wait: Wait = False,
    no_wait: NoWait = False,
    as_json: Json = False,
    at: At,
) -> int:
    """Thaw them."""
    return await follow(at, await at.core.containers.resume(at.actor, name), timeout, no_wait, as_json)
