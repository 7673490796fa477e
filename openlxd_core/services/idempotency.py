"""Idempotency keys: a request that is sent again gets the first answer, and is carried out once.

The key is reserved before the request is carried out; a success is kept for a day. A refusal or a failure is not:
once its reason is mended, the same request is carried out. The same key with another request is a mistake of the
caller's; who asks while the first is under way waits for its answer.

A process may end between carrying out a request and keeping its answer. So what the request begins (an operation, an
SSH key) is noted beside the idempotency key in the same transaction, and whoever takes the request over goes on from
there.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from openlxd_core.backoff import Backoff
from openlxd_core.coordination.liveness import Workers
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.errors import Busy, NotFound, StorageUnavailable, ValidationFailed
from openlxd_core.domain.operation import Kind, Operation, OperationStatus
from openlxd_core.domain.text import is_plain
from openlxd_core.i18n import N_
from openlxd_core.storage import models
from openlxd_core.storage.transaction import surely, transaction

KEEP = timedelta(hours=24)
LOOK_SECONDS = (0.05, 1.0)
"""How soon, and at last how often, who waits for another process looks whether it has answered."""

P = ParamSpec("P")


@dataclass(frozen=True)
class FirstAnswer:
    """What the first request was answered."""

    status: int
    """The HTTP status."""
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Reservation:
    """A key that is held for a request until its answer is kept or the key is freed."""

    id: int
    made: str
    """``kind:id`` of what an earlier holder of the key began, or an empty string."""
    kind: str = ""
    """What the request is about to begin."""


_held: ContextVar[Reservation | None] = ContextVar("openlxd_idempotency", default=None)


@contextlib.contextmanager
def carrying_out(reservation: Reservation) -> Iterator[None]:
    """What is begun in here belongs to the request that holds the key."""
    token = _held.set(reservation)
    try:
        yield
    finally:
        _held.reset(token)


async def note(kind: str, made: object) -> None:
    """Write down that the request under way has begun ``made``; inside the transaction that begins it."""
    reservation = _held.get()
    if reservation is not None and reservation.kind == kind:  # an image's import, say, is begun beside a create
        await models.IdempotentAnswer.filter(id=reservation.id).update(made=f"{kind}:{made}")


def begun_before(kind: str) -> str:
    """The id of what an earlier holder of the key began, if that is of this kind; else an empty string.

    From here on, :func:`note` takes what is of this kind.
    """
    reservation = _held.get()
    if reservation is None:
        return ""
    reservation.kind = kind
    before, _, made = reservation.made.partition(":")
    return made if before == kind else ""


class _Store(Protocol):
    async def get(self, actor: Actor, operation_id: str) -> Operation: ...


class _Beginner(Protocol):
    @property
    def _operations(self) -> _Store: ...


B = TypeVar("B", bound=_Beginner)
_Begins = Callable[Concatenate[B, Actor, P], Coroutine[Any, Any, Operation]]


def repeatable(kind: Kind) -> Callable[[_Begins[B, P]], _Begins[B, P]]:
    """A service method that begins an operation of this kind finds it again when its request is taken over.

    One that failed or was cancelled meanwhile is begun anew.
    """

    def decorate(begin: _Begins[B, P]) -> _Begins[B, P]:
        @functools.wraps(begin)
        async def once(self: B, actor: Actor, /, *args: P.args, **kwargs: P.kwargs) -> Operation:
            before = begun_before(kind.value)
            if before:
                with contextlib.suppress(NotFound):
                    found = await self._operations.get(actor, before)
                    if found.status not in (OperationStatus.FAILED, OperationStatus.CANCELLED):
                        return found
            return await begin(self, actor, *args, **kwargs)

        return once

    return decorate


class Idempotency:
    """The keys and their answers."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._later: set[asyncio.Task[None]] = set()
        self._here: dict[int, asyncio.Future[FirstAnswer | None]] = {}
        """By reservation, what this process carries out. The answers, refusals included, go to who waits."""

    async def begin(self, actor: Actor, key: str, request: str) -> FirstAnswer | Reservation:
        """Reserve ``key`` for a request (``request`` is a digest of it), or get its first answer.

        Raises ValidationFailed (the key was used for another request) and Busy (the first is under way).
        """
        if not 1 <= len(key) <= 255 or not is_plain(key):
            raise ValidationFailed.of("Idempotency-Key", N_("An idempotency key has 1 to 255 plain characters."))
        found = await self._begin(actor.user_id or 0, key, request)
        if isinstance(found, Reservation):
            self._here[found.id] = asyncio.get_running_loop().create_future()
        return found

    @transaction
    async def _begin(self, owner: int, key: str, request: str) -> FirstAnswer | Reservation:
        await models.IdempotentAnswer.filter(created_at__lt=datetime.now(UTC) - KEEP).delete()
        row = await models.IdempotentAnswer.filter(user_id=owner, key=key).first()
        if row is None:
            row = await models.IdempotentAnswer.create(user_id=owner, key=key, request=request, worker=self._workers.id)
            return Reservation(row.id, "")
        if row.request != request:
            raise ValidationFailed.of(
                "Idempotency-Key", N_("This idempotency key was already used for another request.")
            )
        if row.status is not None and row.status < 400:
            return FirstAnswer(row.status, row.answer["body"])
        if row.status is None and self._workers.alive(row.worker):
            raise Busy(N_("The first request with this idempotency key is still in progress. Try again later."))
        row.worker, row.status = self._workers.id, None  # freed, or of a process that is gone: go on from what it made
        await row.save()
        return Reservation(row.id, row.made)

    async def answered(self, actor: Actor, key: str, seconds: float) -> FirstAnswer | None:
        """The answer of the request that holds ``key``, once there is one, or None: call :meth:`begin` again.

        Waits up to ``seconds``. A refusal is shared with those who wait in the same process.
        """
        row = await self._row(actor, key)
        here = self._here.get(row.id) if row is not None else None
        if here is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    return await asyncio.shield(here)
            return None
        until = asyncio.get_running_loop().time() + seconds
        backoff = Backoff(*LOOK_SECONDS)
        while row is not None and row.status is None and self._workers.alive(row.worker):
            left = until - asyncio.get_running_loop().time()
            if left <= 0:
                break
            await backoff.pause(left)
            row = await self._row(actor, key)
        return None

    async def _row(self, actor: Actor, key: str) -> models.IdempotentAnswer | None:
        return await models.IdempotentAnswer.filter(user_id=actor.user_id or 0, key=key).first()

    async def finish(self, reservation: Reservation, answer: FirstAnswer) -> None:
        """Keep a success; anything else frees the key, so that the next try is a fresh one.

        Where nothing can be saved now, later: the caller gets the answer all the same.
        """
        await self._now_or_later(lambda: self._finish(reservation.id, answer))
        self._tell(reservation, answer)

    @transaction
    async def _finish(self, row_id: int, answer: FirstAnswer) -> None:
        found = models.IdempotentAnswer.filter(id=row_id)
        if answer.status >= 400:
            await found.delete()
        else:
            await found.update(status=answer.status, answer={"body": answer.body})

    async def forget(self, reservation: Reservation) -> None:
        """Free the key: the request ended without an answer. What it began is found again by the next."""
        try:
            await self._now_or_later(lambda: self._forget(reservation.id))
        finally:
            self._tell(reservation, None)

    @transaction
    async def _forget(self, row_id: int) -> None:
        await models.IdempotentAnswer.filter(id=row_id, status=None, made="").delete()
        await models.IdempotentAnswer.filter(id=row_id, status=None).update(worker="")

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

    def _tell(self, reservation: Reservation, answer: FirstAnswer | None) -> None:
        waiting = self._here.pop(reservation.id, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
