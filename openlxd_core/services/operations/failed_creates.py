"""Containers that could not be made: which rows those are, so that the same name can be asked for once more.

A row in ``error`` is not proof of it: LXD may have said ``error`` of a container that is there and holds somebody's
data. Only where the last create of the name has failed and LXD holds nothing whole under it may the row be used anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from openlxd_core.domain.container import State
from openlxd_core.domain.operation import Kind, OperationStatus
from openlxd_core.lxd.gateway import MARK_OPERATION, MARK_READY, Instance, LxdGateway
from openlxd_core.services.operations.kinds.instances import find_instance
from openlxd_core.storage import models

_TRIES_KEPT = 50


@dataclass(frozen=True)
class FailedCreate:
    """A row that no container stands behind."""

    row_id: int
    operations: tuple[str, ...]
    """The creates that failed on it, the newest first. What one of them left half made in LXD is removed."""


async def find_failed_create(lxd: LxdGateway, name: str, user_id: int) -> FailedCreate | None:
    """The user's row of this name, if its create failed and LXD holds nothing whole of it. Raises LxdUnavailable."""
    row = await models.Container.filter(name=name, user_id=user_id).first()
    if row is None:
        return None
    operations = await _failed_operations(row)
    if not operations:
        return None
    instance = await find_instance(lxd, row.project, row.name)
    if instance is not None:
        half_made = instance.marks.get(MARK_OPERATION) in operations and instance.marks.get(MARK_READY) != "1"
        if not half_made:
            return None
    return FailedCreate(row.id, operations)


async def still_failed(row: models.Container, found: FailedCreate | None) -> bool:
    """Whether ``row`` is the one that was found, untouched since; inside the transaction that uses it."""
    return found is not None and row.id == found.row_id and await _failed_operations(row) == found.operations


async def is_not_ours(row: models.Container, instance: Instance) -> bool:
    """Whether ``instance`` merely has the name of a container that could not be made: another made it, by lxc."""
    operations = await _failed_operations(row)
    return bool(operations) and instance.marks.get(MARK_OPERATION) not in operations


async def _failed_operations(row: models.Container) -> tuple[str, ...]:
    """The creates of this row that failed since one last succeeded; none where the last did not fail."""
    if row.status != State.ERROR or row.operation_id:
        return ()
    creates = models.Operation.filter(kind=Kind.CREATE.value, target=row.name, user_id=row.user_id)
    found: list[str] = []
    for operation in await creates.filter(created_at__gte=row.created_at).order_by("-created_at").limit(_TRIES_KEPT):
        if operation.status not in (OperationStatus.FAILED.value, OperationStatus.CANCELLED.value):
            break
        found.append(operation.id)
    return tuple(found)
