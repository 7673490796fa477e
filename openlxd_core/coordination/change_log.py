"""The feed: what happened, told to every session that may know, in this process and the other.

Whoever changes something writes a row into ``changes`` in the same transaction. Each process reads the rows it
has not seen once a second, and at once after a commit of its own. Ids grow in commit order (one writer at a time).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any

import structlog
from tortoise.expressions import Q
from tortoise.functions import Max

from openlxd_core.domain.actor import Actor
from openlxd_core.domain.errors import StorageUnavailable
from openlxd_core.domain.feed import Change
from openlxd_core.domain.policy import Action, require
from openlxd_core.storage import models
from openlxd_core.storage.transaction import after_commit, transaction

log = structlog.get_logger(__name__)

POLL_SECONDS = 1.0
KEEP = timedelta(days=7)
_QUEUE_LIMIT = 500
_FOR_EVERYBODY = frozenset({"lxd", "image", "resync"})


async def announce(topic: str, verb: str, key: object, user_id: int | None, **data: Any) -> None:
    """Write one change; call it inside the transaction that makes it true."""
    await models.Change.create(topic=topic, verb=verb, key=str(key)[:100], user_id=user_id, data=data)


class Subscription:
    """One listener's queue: ``async with feed.subscribe(actor) as changes: async for change in changes``.

    A listener that falls behind by hundreds of changes gets a single ``resync`` in their place.
    """

    def __init__(self, actor: Actor, forget: Callable[[Subscription], None]) -> None:
        self._actor = actor
        self._forget = forget
        self._waiting: deque[Change] = deque()
        self._ready = asyncio.Event()
        self._closed = False

    def _may_see(self, change: Change) -> bool:
        if self._actor.is_admin or (change.topic in _FOR_EVERYBODY and change.user_id is None):
            return True
        return change.user_id is not None and change.user_id == self._actor.user_id

    def offer(self, change: Change) -> None:
        """Queue ``change`` if the actor may see it."""
        if self._closed or not self._may_see(change):
            return
        if len(self._waiting) >= _QUEUE_LIMIT:
            self._waiting.clear()
            change = local_change("resync", "lost", "")
        self._waiting.append(change)
        self._ready.set()

    def close(self) -> None:
        """End the iteration. Safe to call twice."""
        self._closed = True
        self._ready.set()
        self._forget(self)

    async def __aenter__(self) -> Subscription:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aiter__(self) -> AsyncIterator[Change]:
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if self._closed:
                return
            self._ready.clear()
            await self._ready.wait()


def local_change(topic: str, verb: str, key: str, **data: Any) -> Change:
    """A change of this process alone (LXD's reachability, a lost queue); it has no row and the id 0."""
    return Change(0, topic, verb, key, None, data, datetime.now(UTC))


class Feed:
    """Reads the changes and hands them round."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()
        self._wake = asyncio.Event()
        self._last = 0

    def subscribe(self, actor: Actor) -> Subscription:
        """Everything that changes from now on and that ``actor`` may see."""
        subscription = Subscription(actor, self._subscriptions.discard)
        self._subscriptions.add(subscription)
        return subscription

    async def history(self, actor: Actor, after: int, limit: int = 500) -> Sequence[Change]:
        """What happened after the change ``after`` that ``actor`` may see, oldest first; seven days are kept."""
        require(actor, Action.OPERATION_VIEW)
        found = models.Change.filter(id__gt=after)
        if not actor.is_admin:
            found = found.filter(Q(user_id=actor.user_id) | Q(topic__in=_FOR_EVERYBODY))
        return [to_change(row) for row in await found.order_by("id").limit(limit)]

    def tell(self, change: Change) -> None:
        """Hand ``change`` to the subscribers of this process."""
        for subscription in list(self._subscriptions):
            subscription.offer(change)

    async def start(self) -> None:
        """Begin after what has happened so far."""
        found = await models.Change.annotate(last=Max("id")).values_list("last", flat=True)
        self._last = int(str(found[0])) if found and found[0] is not None else 0

    async def run(self) -> None:
        """Read new entries until cancelled."""
        stop = after_commit(self._wake.set)
        pruned = datetime.min.replace(tzinfo=UTC)
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    # Not wait_for: before Python 3.12 it loses a cancellation that meets the wake-up.
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._wake.wait()
                self._wake.clear()
                try:
                    await self._read()
                    if datetime.now(UTC) - pruned > timedelta(hours=1):
                        pruned = datetime.now(UTC)
                        await _prune(pruned - KEEP)
                except StorageUnavailable as error:
                    log.debug("feed_read_failed", code=error.code)  # whoever wants to write is told
                    await asyncio.sleep(POLL_SECONDS)
                except Exception:
                    log.exception("feed_read_failed")
                    await asyncio.sleep(POLL_SECONDS)
        finally:
            stop()

    async def _read(self) -> None:
        while True:
            rows = await models.Change.filter(id__gt=self._last).order_by("id").limit(_QUEUE_LIMIT)
            for row in rows:
                self._last = row.id
                self.tell(to_change(row))
            if len(rows) < _QUEUE_LIMIT:
                return


@transaction
async def _prune(before: datetime) -> None:
    await models.Change.filter(at__lt=before).delete()


def to_change(row: models.Change) -> Change:
    """The change."""
    return Change(row.id, row.topic, row.verb, row.key, row.user_id, dict(row.data or {}), row.at)
