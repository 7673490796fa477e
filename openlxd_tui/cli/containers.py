"""``openlxd container …``: everybody's containers, and those that nobody owns yet."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from openlxd_core import shapes
from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.container import Container
from openlxd_core.domain.errors import Conflict, Message
from openlxd_core.domain.operation import Operation, OperationStatus
from openlxd_core.domain.units import format_mib
from openlxd_core.i18n import N_, _
from openlxd_core.outcomes import done_text
from openlxd_tui.cli import exits
from openlxd_tui.cli.config import Json
from openlxd_tui.cli.context import open_core, print_json, print_table, say

WAIT_SECONDS = 60.0
"""How long a command waits; after that the services go on, and it exits with 124."""


def _state(found: Container) -> str:
    return f"{found.status.value} ({_('suspended')})" if found.suspended else found.status.value


async def list_containers(
    *,
    unmanaged: Annotated[
        bool, Parameter(help=_("Those of LXD's containers that no account owns."), negative="")
    ] = False,
    as_json: Json = False,
) -> None:
    """List everybody's containers."""
    async with open_core() as (core, actor):
        if unmanaged:
            records = [asdict(instance) for instance in await core.containers.unmanaged(actor)]
            if as_json:
                print_json(records)
            else:
                print_table([_("Project"), _("Name")], [[found["project"], found["name"]] for found in records])
            return
        found = await core.containers.list(actor)
    if as_json:
        print_json([shapes.container(container) for container in found])
        return
    headings = [_("Name"), _("Owner"), _("State"), "IPv4", _("CPUs"), _("Memory"), _("Disk"), _("Image")]
    print_table(
        headings,
        [
            [c.name, c.owner, _state(c), c.ipv4, c.cpu, format_mib(c.memory_mib), format_mib(c.disk_mib), c.image]
            for c in found
        ],
    )


async def adopt(project: str, name: str, username: str, *, as_json: Json = False) -> None:
    """Give a container that LXD already holds to an account. It stays where it is and goes on running.

    Parameters
    ----------
    project
        Its LXD project, such as default.
    name
        Its name in LXD.
    username
        Whose it will be.
    """
    async with open_core() as (core, actor):
        container = await core.containers.adopt(actor, project, name, username)
    if as_json:
        print_json(shapes.container(container))
    else:
        say(_("Container {container} was given to {name}.").format(container=container.name, name=username))


async def suspend(name: str, *, reason: str = "", as_json: Json = False) -> int:
    """Stop a container and lock its owner out of it, whatever state it is in. Its owner's account goes on.

    Parameters
    ----------
    name
        The container's name.
    reason
        Why; its owner reads it.
    """
    async with open_core() as (core, actor):
        return await _to_the_end(core, actor, await core.containers.suspend(actor, name, reason), as_json)


async def unsuspend(name: str, *, as_json: Json = False) -> int:
    """End a container's suspension, and start it if it ran when it was suspended.

    Parameters
    ----------
    name
        The container's name.
    """
    async with open_core() as (core, actor):
        return await _to_the_end(core, actor, await core.containers.unsuspend(actor, name), as_json)


async def _to_the_end(core: Core, actor: Actor, operation: Operation, as_json: bool) -> int:
    """Wait for an operation, say how it ended, and return the exit code."""
    operation = await core.operations.wait(actor, operation.id, WAIT_SECONDS)
    if operation.status is OperationStatus.FAILED:
        message = operation.error or Message(N_("the reason is not known."))
        raise Conflict(message.template, **dict(message.params))
    if as_json:
        print_json(shapes.container(await core.containers.get(actor, operation.target)))
    elif operation.ended:
        say(done_text(operation))
    else:
        say(_("This goes on; the services finish it."))
    return exits.DONE if operation.ended else exits.TIMED_OUT
