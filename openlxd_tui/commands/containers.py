"""Commands on containers: list, look, create, change, delete."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from openlxd_core import shapes
from openlxd_core.domain.container import Container
from openlxd_core.domain.exits import DONE
from openlxd_core.domain.units import format_mib
from openlxd_core.i18n import N_, _
from openlxd_tui.commands.arguments import CPU, DISK, FOLLOWING, MEMORY, WAIT_SECONDS, Following, Json, Name, Timeout
from openlxd_tui.commands.call import At, UsageError, aligned
from openlxd_tui.commands.following import follow, outcome, wait_for
from openlxd_tui.commands.table import line_of

Image = Annotated[str, Parameter(help=N_("Image to create it from, such as debian/12."))]


def state(container: Container) -> str:
    """Its status, and whether it is suspended."""
    return f"{container.status.value} ({_('suspended')})" if container.suspended else container.status.value


async def list_containers(*, as_json: Json = False, at: At) -> int:
    """List the containers that the actor can see; admins see everybody's, with the owner."""
    containers = await at.core.containers.list(at.actor)
    if as_json:
        await at.json([shapes.container(container) for container in containers])
        return DONE
    headings = [_("NAME"), _("STATE"), _("IPV4"), _("IPV6"), _("CPU"), _("MEMORY"), _("DISK"), _("IMAGE")]
    rows = [
        [c.name, state(c), c.ipv4, c.ipv6, str(c.cpu), format_mib(c.memory_mib), format_mib(c.disk_mib), c.image]
        for c in containers
    ]
    if at.actor.is_admin:
        headings.insert(1, _("OWNER"))
        for row, container in zip(rows, containers, strict=True):
            row.insert(1, container.owner)
    await at.table(headings, rows)
    return DONE


async def info(name: Name, /, *, as_json: Json = False, at: At) -> int:
    """Show every field of one container, by REST's names."""
    record = shapes.container(await at.core.containers.get(at.actor, name))
    if as_json:
        await at.json(record)
    else:
        at.out.data(aligned([[f"{key}:", "" if value is None else str(value)] for key, value in record.items()]))
    return DONE


async def create(
    name: Name,
    image: Image,
    /,
    *,
    cpu: Annotated[str, CPU] = "1",
    memory: Annotated[str, MEMORY] = "512MiB",
    disk: Annotated[str, DISK] = "5GiB",
    how: Following = FOLLOWING,
    at: At,
) -> int:
    """Create a container and start it."""
    operation = await at.core.containers.create(at.actor, name, image, cpu, memory, disk)
    return await follow(at, operation, how)


async def resize(
    name: Name,
    /,
    *,
    cpu: Annotated[str | None, CPU] = None,
    memory: Annotated[str | None, MEMORY] = None,
    disk: Annotated[str | None, DISK] = None,
    how: Following = FOLLOWING,
    at: At,
) -> int:
    """Change the limits that are given."""
    asked = {"cpu": cpu, "memory": memory, "disk": disk}
    wanted = {key: value for key, value in asked.items() if value is not None}
    if not wanted:
        raise UsageError(_("Usage: {usage}").format(usage=line_of("resize")))
    return await follow(at, await at.core.containers.resize(at.actor, name, **wanted), how)


async def retry(
    name: Name,
    /,
    *,
    how: Following = FOLLOWING,
    at: At,
) -> int:
    """Create it again, with the same image and limits."""
    return await follow(at, await at.core.containers.retry(at.actor, name), how)


async def delete(
    name: Name,
    /,
    *,
    how: Following = FOLLOWING,
    at: At,
) -> int:
    """Delete a container with its snapshots. Scripts call this: nothing is asked."""
    return await follow(at, await at.core.containers.delete(at.actor, name), how)


async def wait(name: Name, /, *, timeout: Timeout = WAIT_SECONDS, as_json: Json = False, at: At) -> int:
    """Wait for the operation that another call began. With nothing to wait for, JSON shows the container."""
    container = await at.core.containers.get(at.actor, name)
    if container.operation_id:
        operation = await at.core.operations.get(at.actor, container.operation_id)
        return await outcome(at, await wait_for(at, operation, timeout, quiet=as_json), as_json, waited=True)
    if as_json:
        await at.json(shapes.container(container))
    return DONE
