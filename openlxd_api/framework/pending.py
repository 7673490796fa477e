"""Waiting for operations, at most as long as the client asks and until the server shuts down."""

from __future__ import annotations

import asyncio

from openlxd_api.framework.errors import HttpProblem, status_of_code
from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.errors import Message
from openlxd_core.domain.operation import Operation, OperationStatus
from openlxd_core.i18n import N_

LAST_SECONDS = 5.0
"""Seconds that a waiting request still gets after the server was told to stop."""


class Waiter:
    """Waits for operations on behalf of one request."""

    def __init__(self, core: Core, actor: Actor, stopping: asyncio.Event) -> None:
        self._core = core
        self._actor = actor
        self._stopping = stopping

    async def over(self, operation: Operation, seconds: int) -> bool:
        """Whether ``operation`` finished within ``seconds``.

        Raises HttpProblem with the operation's own error where it failed.
        """
        ended = await self._ended(operation, seconds)
        if ended.status in (OperationStatus.FAILED, OperationStatus.CANCELLED):
            code = ended.error_code or "conflict"
            message = ended.error or Message(N_("This was cancelled."))
            raise HttpProblem(status_of_code(code), code, message.template, **message.params)
        return ended.status is OperationStatus.DONE

    async def _ended(self, operation: Operation, seconds: int) -> Operation:
        if operation.ended or seconds == 0:
            return operation
        waiting = asyncio.ensure_future(self._core.operations.wait(self._actor, operation.id, seconds))
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({waiting, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                await asyncio.wait({waiting}, timeout=LAST_SECONDS)
            return await waiting if waiting.done() else operation
        finally:
            stop.cancel()
            waiting.cancel()
