"""Idempotency keys: once is once."""

from __future__ import annotations

import asyncio

import pytest
from tortoise.connection import get_connection

from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.errors import Busy, ValidationFailed
from openlxd_core.services.idempotency import FirstAnswer
from openlxd_core.settings import Settings
from tests.support.core import add_user, eventually
from tests.support.faulty_lxd import FaultyLxd


async def test_the_second_asker_gets_the_first_answer(core: Core, alice: Actor, bob: Actor) -> None:
    """Only for the same person and the same request."""
    assert await core.idempotency.begin(alice, "k1", "digest") is None
    with pytest.raises(Busy):
        await core.idempotency.begin(alice, "k1", "digest")
    await core.idempotency.finish(alice, "k1", 201, {"name": "web1"})
    assert await core.idempotency.begin(alice, "k1", "digest") == FirstAnswer(201, {"name": "web1"})
    with pytest.raises(ValidationFailed, match="another request"):
        await core.idempotency.begin(alice, "k1", "other")
    assert await core.idempotency.begin(bob, "k1", "digest") is None
    for bad in ("", "x" * 256, "a\nb"):
        with pytest.raises(ValidationFailed):
            await core.idempotency.begin(alice, bad, "digest")


async def test_fifty_at_once_are_carried_out_once(core: Core, alice: Actor) -> None:
    """One goes on, the others wait."""
    begun = await asyncio.gather(
        *(core.idempotency.begin(alice, "k", "digest") for _ in range(50)), return_exceptions=True
    )
    assert sum(one is None for one in begun) == 1
    assert sum(isinstance(one, Busy) for one in begun) == 49


async def test_a_failure_of_ours_and_a_dead_process_free_the_key(settings: Settings) -> None:
    """The next try is a fresh one."""
    lxd = FaultyLxd()
    async with open_core(settings, lxd=lxd) as core:
        alice = await add_user(core, "alice")
        await core.idempotency.begin(alice, "a", "digest")
        await core.idempotency.finish(alice, "a", 503, {})
        assert await core.idempotency.begin(alice, "a", "digest") is None
        await core.idempotency.forget(alice, "a")
        assert await core.idempotency.begin(alice, "a", "digest") is None
    async with open_core(settings, lxd=lxd) as core:
        assert await core.idempotency.begin(alice, "a", "digest") is None


async def test_an_answer_that_cannot_be_kept_now_is_kept_later(core: Core, alice: Actor) -> None:
    """What was done is answered, and the same request gets that answer once the database takes writes again."""
    connection = get_connection("default")
    assert await core.idempotency.begin(alice, "k", "request") is None
    await connection.execute_script("PRAGMA query_only = ON")
    await core.idempotency.finish(alice, "k", 201, {"made": 1})
    await connection.execute_script("PRAGMA query_only = OFF")

    async def kept() -> bool:
        try:
            first = await core.idempotency.begin(alice, "k", "request")
        except Busy:
            return False
        return first == FirstAnswer(201, {"made": 1})

    await eventually(kept, "kept")
