"""Idempotency keys: a request that is sent again gets the first answer, and is done once.

The key is reserved before the request is carried out; the answer is kept for a day. The same key with another
request is a mistake of the caller's; while the first is under way the second is told to wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from openlxd_core.domain.actor import Actor
from openlxd_core.domain.errors import Busy, StorageUnavailable, ValidationFailed
from openlxd_core.domain.text import is_plain
from openlxd_core.i18n import N_
from openlxd_core.services.workers import Workers
from openlxd_core.storage import models
from openlxd_core.storage.transaction import surely, transaction

KEEP = timedelta(hours=24)


@dataclass(frozen=True)
class FirstAnswer:
    """What the first request was answered."""

    status: int
    """The HTTP status."""
    body: Any


class Idempotency:
    """The keys and their answers."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._later: set[asyncio.Task[None]] = set()

    @transaction
    async def begin(self, actor: Actor, key: str, request: str) -> FirstAnswer | None:
        """Reserve ``key`` for a request (``request`` is a digest of it): None means go on, else here is the answer.

        Raises ValidationFailed (the key was used for another request) and Busy (the first is under way).
        """
        if not 1 <= len(key) <= 255 or not is_plain(key):
            raise ValidationFailed.of("Idempotency-Key", N_("An idempotency key has 1 to 255 plain characters."))
        await models.IdempotentAnswer.filter(created_at__lt=datetime.now(UTC) - KEEP).delete()
        owner = actor.user_id or 0
        row = await models.IdempotentAnswer.filter(user_id=owner, key=key).first()
        if row is None:
            await models.IdempotentAnswer.create(user_id=owner, key=key, request=request, worker=self._workers.id)
            return None
        if row.request != request:
            raise ValidationFailed.of("Idempotency-Key", N_("This idempotency key was used for another request."))
        if row.status is not None:
            return FirstAnswer(row.status, row.answer["body"])
        if self._workers.alive(row.worker):
            raise Busy(N_("The first request with this idempotency key is still under way."))
        row.worker = self._workers.id  # the process that had it is gone: what it did is safe to ask for again
        await row.save()
        return None

    async def finish(self, actor: Actor, key: str, status: int, body: Any) -> None:
        """Keep the answer; where nothing can be saved now, later: the caller gets it all the same."""
        await self._now_or_later(lambda: self._finish(actor, key, status, body))

    async def forget(self, actor: Actor, key: str) -> None:
        """Free the key: the request ended without an answer."""
        await self._now_or_later(lambda: self._forget(actor, key))

    async def _now_or_later(self, write: Callable[[], Awaitable[None]]) -> None:
        try:
            await write()
        except StorageUnavailable:
            task = asyncio.create_task(surely(write))
            self._later.add(task)
            task.add_done_callback(self._later.discard)

    async def close(self) -> None:
        """Give up what could not be written so far; the next process takes such keys for unanswered."""
        for task in self._later:
            task.cancel()
        await asyncio.gather(*self._later, return_exceptions=True)

    @transaction
    async def _finish(self, actor: Actor, key: str, status: int, body: Any) -> None:
        """One of 500 and above is forgotten instead, so that the next try is a fresh one."""
        found = models.IdempotentAnswer.filter(user_id=actor.user_id or 0, key=key)
        if status >= 500:
            await found.delete()
        else:
            await found.update(status=status, answer={"body": body})

    @transaction
    async def _forget(self, actor: Actor, key: str) -> None:
        await models.IdempotentAnswer.filter(user_id=actor.user_id or 0, key=key, status=None).delete()
