"""``openlxd container …``: everybody's containers, and those that nobody owns yet."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from openlxd_core import shapes
from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.errors import Conflict, Message
from openlxd_core.domain.operation import Operation, OperationStatus
from openlxd_core.domain.units import format_mib
from openlxd_core.i18n import N_, _
from openlxd_core.outcomes import done_text
from openlxd_tui.cli import exits
from openlxd_tui.cli.config import Json
from openlxd_tui.cli.context import open_core, print_json, print_table, say
from openlxd_tui.cli.users import Reason
from openlxd_tui.commands.containers import state

Name = Annotated[str, Parameter(help=N_("Name of the container."))]
WAIT_SECONDS = 60.0
"""How long a command waits; after that the services go on, and it exits with 124."""


async def list_containers(
    *,
    unmanaged: Annotated[bool, Parameter(help=N_("List LXD instances that no account owns."), negative="")] = False,
    as_json: Json = False,
) -> None:
    """List the containers of all accounts."""
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
            [c.name, c.owner, state(c), c.ipv4, c.cpu, format_mib(c.memory_mib), format_mib(c.disk_mib), c.image]
            for c in found
        ],
    )


async def adopt(
    project: Annotated[str, Parameter(help=N_("LXD project of the instance, such as default."))],
    name: Annotated[str, Parameter(help=N_("Name of the instance in LXD."))],
    username: Annotated[str, Parameter(help=N_("Account that becomes the owner."))],
    *,
    as_json: Json = False,
) -> None:
    """Assign an existing LXD container to an account. It stays in its project and keeps running."""
    async with open_core() as (core, actor):
        container = await core.containers.adopt(actor, project, name, username)
    if as_json:
        print_json(shapes.container(container))
    else:
        say(_("Container {container} was given to {name}.").format(container=container.name, name=username))


async def suspend(name: Name, *, reason: Reason = "", as_json: Json = False) -> int:
    """Suspend a container in any state: stop it and block its owner's access. The owner's account stays active."""
    async with open_core() as (core, actor):
        return await _to_the_end(core, actor, await core.containers.suspend(actor, name, reason), as_json)


async def unsuspend(name: Name, *, as_json: Json = False) -> int:
    """Unsuspend a container. It is started if it was running before."""
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
        say(_("The operation continues; the services finish it."))
    return exits.DONE if operation.ended else exits.TIMED_OUT
