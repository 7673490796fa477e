"""``openlxd container …``: everybody's containers, and those that nobody owns yet."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from cyclopts import Parameter

from openlxd_core.domain.container import Container
from openlxd_core.domain.units import format_mib
from openlxd_core.i18n import _
from openlxd_tui.cli.config import Json
from openlxd_tui.cli.context import open_core, print_json, print_table, say


def _record(found: Container) -> dict[str, Any]:
    return {
        "name": found.name,
        "owner": found.owner,
        "project": found.project,
        "image": found.image,
        "status": found.status.value,
        "cpu": found.cpu,
        "memory_mib": found.memory_mib,
        "disk_mib": found.disk_mib,
        "ipv4": found.ipv4,
        "ipv6": found.ipv6,
        "error": found.error.text(_) if found.error else "",
        "created_at": found.created_at,
    }


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
        print_json([_record(container) for container in found])
        return
    headings = [_("Name"), _("Owner"), _("State"), "IPv4", _("CPUs"), _("Memory"), _("Disk"), _("Image")]
    print_table(
        headings,
        [
            [c.name, c.owner, c.status.value, c.ipv4, c.cpu, format_mib(c.memory_mib), format_mib(c.disk_mib), c.image]
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
        print_json(_record(container))
    else:
        say(_("{container} belongs to {name} now.").format(container=container.name, name=username))
