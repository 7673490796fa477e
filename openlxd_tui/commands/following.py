"""Waiting for an operation and telling how it stands."""

from __future__ import annotations

from openlxd_core import shapes
from openlxd_core.domain.errors import Conflict, Message
from openlxd_core.domain.exits import DONE, TIMED_OUT
from openlxd_core.domain.operation import STAGES, Operation, OperationStatus
from openlxd_core.domain.units import format_bytes
from openlxd_core.i18n import N_, _
from openlxd_core.outcomes import done_text
from openlxd_tui.commands.arguments import Following
from openlxd_tui.commands.call import Call, OperationFailed

_LOOK_SECONDS = 0.5
"""How often the line that moves is painted."""


async def follow(call: Call, operation: Operation, how: Following) -> int:
    """Wait for what was begun, unless the caller does not want to; the exit code. Raises OperationFailed."""
    if not how.no_wait:
        operation = await wait_for(call, operation, how.timeout, quiet=how.as_json)
    return await outcome(call, operation, how.as_json, waited=not how.no_wait)


async def wait_for(call: Call, operation: Operation, timeout: float, *, quiet: bool = False) -> Operation:
    """Return ``operation`` as it stands when it has ended, or after ``timeout`` seconds.

    Where somebody watches, a line says how far it is.
    """
    if quiet or not call.out.watched:
        return await call.core.operations.wait(call.actor, operation.id, timeout)
    left = timeout
    try:
        while not operation.ended:
            seconds = min(_LOOK_SECONDS, left)
            operation = await call.core.operations.wait(call.actor, operation.id, seconds)
            left -= seconds
            if operation.ended or left <= 0:
                break
            rate = operation.detail.get("rate")
            speed = f" {format_bytes(rate)}/s" if rate else ""
            stage = _(STAGES.get(operation.stage, operation.stage))
            call.out.progress(f"{operation.target}: {stage} {operation.progress} %{speed}")
    finally:
        call.out.progress("")
    return operation


async def outcome(call: Call, operation: Operation, as_json: bool, *, waited: bool) -> int:
    """Print how ``operation`` stands; the exit code. Raises OperationFailed."""
    timed_out = waited and not operation.ended
    if operation.status in (OperationStatus.FAILED, OperationStatus.CANCELLED):
        raise OperationFailed(
            operation.error_code or Conflict.code, operation.error or Message(N_("This was cancelled."))
        )
    if as_json:
        await call.json(shapes.operation(operation))
    elif timed_out:
        call.out.say_error(
            _("{name}: still in progress ({progress} %) when the wait ended. The operation continues.").format(
                name=operation.target, progress=operation.progress
            )
        )
    elif not operation.ended:
        call.out.say(
            _("{name}: in progress ({progress} %).").format(name=operation.target, progress=operation.progress)
        )
    else:
        call.out.say(done_text(operation))
    return TIMED_OUT if timed_out else DONE
