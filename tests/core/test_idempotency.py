"""Idempotency keys: once is once, also for two at once and for a process that ends in the middle."""

from __future__ import annotations

import asyncio
import contextvars

import pytest

from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.actor import SYSTEM, Actor, Role, anonymous
from openlxd_core.domain.errors import AlreadyExists, Busy, ValidationFailed
from openlxd_core.lxd.simulated import SimulatedLxd
from openlxd_core.services.idempotency import FirstAnswer, Reservation, carrying_out
from openlxd_core.settings import Settings
from openlxd_core.storage import models
from tests.support.core import add_user, finish

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"


async def _reserve(core: Core, actor: Actor, key: str, digest: str = "digest") -> Reservation:
    found = await core.idempotency.begin(actor, key, digest)
    assert isinstance(found, Reservation)
    return found


async def test_the_second_asker_gets_the_first_answer(core: Core, alice: Actor, bob: Actor) -> None:
    """Only for the same person and the same request."""
    held = await _reserve(core, alice, "k1")
    with pytest.raises(Busy):
        await core.idempotency.begin(alice, "k1", "digest")
    await core.idempotency.finish(held, FirstAnswer(201, {"name": "web1"}))
    assert await core.idempotency.begin(alice, "k1", "digest") == FirstAnswer(201, {"name": "web1"})
    with pytest.raises(ValidationFailed, match="another request"):
        await core.idempotency.begin(alice, "k1", "other")
    await _reserve(core, bob, "k1")
    for bad in ("", "x" * 256, "a\nb"):
        with pytest.raises(ValidationFailed):
            await core.idempotency.begin(alice, bad, "digest")


@pytest.mark.parametrize("status", [400, 404, 409, 422, 429, 500, 503])
async def test_a_refusal_frees_the_key(core: Core, alice: Actor, status: int) -> None:
    """The same request is carried out once its reason is mended, and another may have the key, too."""
    await core.idempotency.finish(await _reserve(core, alice, "k"), FirstAnswer(status, {}))
    await core.idempotency.finish(await _reserve(core, alice, "k"), FirstAnswer(status, {}))
    await _reserve(core, alice, "k", "other")


async def test_a_refusal_kept_by_the_version_before_is_no_answer(core: Core, alice: Actor) -> None:
    """Its row may be a day old when the new version starts."""
    await models.IdempotentAnswer.create(
        user_id=alice.user_id, key="k", request="digest", worker="gone", status=409, answer={"body": {}}
    )
    await _reserve(core, alice, "k")


async def test_fifty_at_once_are_carried_out_once(core: Core, alice: Actor) -> None:
    """One goes on, the others wait and get its answer, be it a refusal."""
    for number, answer in enumerate((FirstAnswer(201, {"a": 1}), FirstAnswer(409, {"b": 2}, {"Retry-After": "5"}))):
        begun = await asyncio.gather(
            *(core.idempotency.begin(alice, f"k{number}", "digest") for _ in range(50)), return_exceptions=True
        )
        [held] = [one for one in begun if isinstance(one, Reservation)]
        assert sum(isinstance(one, Busy) for one in begun) == 49
        waiting = [asyncio.create_task(core.idempotency.answered(alice, f"k{number}", 30)) for _ in range(49)]
        await asyncio.sleep(0.1)
        assert not any(task.done() for task in waiting)
        await core.idempotency.finish(held, answer)
        assert await asyncio.gather(*waiting) == [answer] * 49


async def test_who_waits_is_told_when_there_is_no_answer(core: Core, alice: Actor) -> None:
    """The first broke off: ask again, at once; and after the patience, too."""
    held = await _reserve(core, alice, "k")
    assert await core.idempotency.answered(alice, "k", 0.05) is None
    waiting = asyncio.create_task(core.idempotency.answered(alice, "k", 30))
    await asyncio.sleep(0.05)
    await core.idempotency.forget(held)
    assert await waiting is None
    await _reserve(core, alice, "k")
    assert await core.idempotency.answered(alice, "none", 30) is None


async def test_another_process_is_waited_for(settings: Settings) -> None:
    """Its answer is read from the database; when it ends without one, whoever waits may go on."""
    lxd = SimulatedLxd()
    async with open_core(settings, lxd=lxd) as core:
        alice = await add_user(core, "alice")
        here = contextvars.copy_context()  # a process has one database; here there are two

        def wait(key: str) -> asyncio.Task[FirstAnswer | None]:
            return asyncio.create_task(core.idempotency.answered(alice, key, 30), context=here)

        async with open_core(settings, lxd=lxd, background=False) as other:
            held = await _reserve(other, alice, "k")
            with pytest.raises(Busy):
                await core.idempotency.begin(alice, "k", "digest")
            assert await core.idempotency.answered(alice, "k", 0.2) is None
            waiting = wait("k")
            await asyncio.sleep(0.1)
            await other.idempotency.finish(held, FirstAnswer(201, {}))
            assert await waiting is None
            assert await core.idempotency.begin(alice, "k", "digest") == FirstAnswer(201, {})
            await _reserve(other, alice, "left")
            waiting = wait("left")
            await asyncio.sleep(0.1)
        assert await waiting is None
        await _reserve(core, alice, "left")


async def test_a_dead_process_frees_the_key(settings: Settings) -> None:
    """The next try is a fresh one."""
    lxd = SimulatedLxd()
    async with open_core(settings, lxd=lxd) as core:
        alice = await add_user(core, "alice")
        await _reserve(core, alice, "a")
    async with open_core(settings, lxd=lxd) as core:
        assert (await _reserve(core, alice, "a")).made == ""


@pytest.mark.slow
@pytest.mark.parametrize("pause", [0.0, 0.3], ids=["at once", "importing"])
async def test_what_a_dead_process_had_begun_is_found_again(settings: Settings, pause: float) -> None:
    """A create, a snapshot and a reinstall: one operation each, whoever carries the request out in the end."""
    lxd = SimulatedLxd(pace=0.1 if pause else 0.0)
    async with open_core(settings, lxd=lxd) as core:
        alice = await add_user(core, "alice")

    async def begin(core: Core, key: str) -> str:
        with carrying_out(await _reserve(core, alice, key)):
            match key:
                case "create":
                    begun = await core.containers.create(alice, "web1", "debian/12", 1, "64MiB", "1GiB")
                case "snapshot":
                    begun = await core.snapshots.create(alice, "web1", "one")
                case _:
                    begun = await core.containers.reinstall(alice, "web1")
        return begun.id

    for key in ("create", "snapshot", "reinstall"):
        async with open_core(settings, lxd=lxd) as core:
            first = await begin(core, key)
            await asyncio.sleep(pause)
        async with open_core(settings, lxd=lxd) as core:
            assert await begin(core, key) == first
            ended = await finish(core, await core.operations.get(alice, first))
            assert ended.status == "done", ended
    async with open_core(settings, lxd=lxd) as core:
        assert len(await core.containers.list(SYSTEM)) == 1
        assert len([o for o in await core.operations.list(SYSTEM) if o.kind in ("create", "reinstall")]) == 2


async def test_what_had_failed_is_begun_anew(core: Core, alice: Actor) -> None:
    """Not found again: the retry is for the mended cause."""
    held = await _reserve(core, alice, "k")
    with carrying_out(held):
        first = await core.containers.create(alice, "web1", "debian/12", 1, "64MiB", "1GiB")
    await finish(core, first)
    await models.Operation.filter(id=first.id).update(status="failed")
    await models.Container.filter(name="web1").delete()
    await core.idempotency.forget(held)
    again = await _reserve(core, alice, "k")
    assert again.made == f"create:{first.id}"
    with carrying_out(again):
        assert (await core.containers.create(alice, "web1", "debian/12", 1, "64MiB", "1GiB")).id != first.id


async def test_a_key_that_a_dead_process_registered_is_found_again(settings: Settings) -> None:
    """For the same request alone: without it, and for somebody else, it is taken."""
    lxd = SimulatedLxd()
    async with open_core(settings, lxd=lxd) as core:
        alice = await add_user(core, "alice")
        with carrying_out(await _reserve(core, alice, "k")):
            first = await core.keys.add(alice, KEY)
    async with open_core(settings, lxd=lxd) as core:
        with carrying_out(await _reserve(core, alice, "k")):
            assert await core.keys.add(alice, KEY) == first
        with pytest.raises(AlreadyExists):
            await core.keys.add(alice, KEY)


async def test_a_foreign_operation_beside_is_not_taken_for_the_request(core: Core, alice: Actor) -> None:
    """What is begun of another kind, or outside of the request, is not noted."""
    held = await _reserve(core, alice, "k")
    await finish(core, await core.containers.create(alice, "web1", "debian/12", 1, "64MiB", "1GiB"))
    with carrying_out(held):
        await finish(core, await core.containers.stop(alice, "web1"))
        assert (await models.IdempotentAnswer.get(id=held.id)).made.startswith("stop:")
        held.kind = "create"
        await finish(core, await core.snapshots.create(alice, "web1", "one"))
    assert (await models.IdempotentAnswer.get(id=held.id)).made.startswith("snapshot:")


async def test_a_registration_that_a_dead_process_made_is_found_again(settings: Settings) -> None:
    """By somebody who has no account yet, too."""
    lxd, nobody = SimulatedLxd(), anonymous("api", "203.0.113.9")
    form = ("carol", "carol@example.org", "correct horse")
    async with open_core(settings, lxd=lxd) as core:
        with carrying_out(await _reserve(core, nobody, "k")):
            first = await core.accounts.register(nobody, *form)
    async with open_core(settings, lxd=lxd) as core:
        with carrying_out(await _reserve(core, nobody, "k")):
            again = await core.accounts.register(nobody, *form)
        assert again.id == first.id
        assert (await core.auth.api_key_login(again.api_key, origin="test")).user_id == first.id


async def test_an_account_that_a_dead_process_made_is_found_again_with_a_key_that_works(settings: Settings) -> None:
    """Nobody saw the first key. Without the request, or for another name, the account is taken as ever."""
    lxd = SimulatedLxd()
    form = ("carol", "carol@example.org", "correct horse")
    async with open_core(settings, lxd=lxd) as core:
        boss = await add_user(core, "boss", role=Role.ADMIN)
        with carrying_out(await _reserve(core, boss, "k")):
            first = await core.accounts.create(boss, *form)
    async with open_core(settings, lxd=lxd) as core:
        held = await _reserve(core, boss, "k")
        with carrying_out(held):
            again = await core.accounts.create(boss, *form)
        assert (again.id, again.username) == (first.id, "carol")
        assert again.api_key != first.api_key
        assert (await core.auth.api_key_login(again.api_key, origin="test")).user_id == first.id
        with pytest.raises(AlreadyExists):
            await core.accounts.create(boss, *form)
        with carrying_out(held), pytest.raises(AlreadyExists):
            await core.accounts.create(boss, "boss", "other@example.org", "correct horse")
