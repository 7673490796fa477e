"""Port forwards after a lost connection, a process that ended, and beside another process."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.actor import SYSTEM, Actor
from openlxd_core.domain.errors import OpenLXDError
from openlxd_core.domain.forward import ForwardState
from openlxd_core.domain.quota import Quota
from openlxd_core.settings import Settings
from tests.core.test_forwards import ADDRESS, done, forward, make, rules, settings
from tests.support.core import add_user, eventually, make_settings
from tests.support.faulty_lxd import FaultyLxd

__all__ = ["settings"]

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("verb", ["pin_address", "change_forward"])
@pytest.mark.parametrize("outcome", ["done", "nothing"])
async def test_a_lost_connection_is_gone_over_again(
    core: Core, alice: Actor, lxd: FaultyLxd, verb: str, outcome: str
) -> None:
    """Whatever LXD did before it was lost, the forward is there once in the end, and gone in the end."""
    await make(core, alice)
    lxd.lose_connection_during(verb, outcome=outcome)
    made = await forward(core, alice)
    assert len(await rules(lxd)) == 1
    lxd.lose_connection_during("change_forward", outcome=outcome)
    await done(core, await core.forwards.delete(alice, "web1", made.id))
    assert await rules(lxd) == set()


@pytest.mark.parametrize("step", ["pin_address", "change_forward"])
@pytest.mark.parametrize("change", ["create", "delete", "suspend", "unsuspend", "destroy"])
async def test_a_process_that_ends_in_the_middle_is_gone_on_from(
    settings: Settings, lxd: FaultyLxd, step: str, change: str
) -> None:
    """At each step of each change: the next process finishes it, and rows and LXD agree."""
    async with open_core(settings, lxd=lxd) as core:
        alice = await add_user(core, "alice")
        await make(core, alice)
        made = await forward(core, alice, 8080)
        if change == "unsuspend":
            await done(core, await core.containers.suspend(SYSTEM, "web1", ""))
        lxd.delay(step, 3600)
        match change:
            case "create":
                await core.forwards.create(alice, "web1", 81)
            case "delete":
                await core.forwards.delete(alice, "web1", made.id)
            case "suspend":
                await core.containers.suspend(SYSTEM, "web1", "")
            case "unsuspend":
                await core.containers.unsuspend(SYSTEM, "web1")
            case _:
                await core.containers.delete(alice, "web1")
        calls = lxd.calls[step]
        with contextlib.suppress(AssertionError):
            await eventually(lambda: lxd.calls[step] > calls, "reached", 1)
    lxd.delay(step, 0)
    async with open_core(settings, lxd=lxd) as core:

        async def agree() -> bool:
            if await core.operations.list(SYSTEM, active=True):
                return False
            listed = await core.forwards.list(SYSTEM)
            expected = {forward.listen.first for forward in listed if forward.state is ForwardState.ACTIVE}
            if {rule.first for rule in await rules(lxd)} != expected:
                return False
            wanted = {"create": 2, "delete": 0, "suspend": 0, "unsuspend": 1, "destroy": 0}[change]
            return len(expected) == wanted

        await eventually(agree, f"{change} finished", 15)


async def test_two_processes_lose_no_rule_of_each_other(tmp_path: Path) -> None:
    """LXD checks no change of the document against another: forty made at once by two processes are forty."""
    settings = make_settings(tmp_path, forward_address=ADDRESS)
    world = tmp_path / "world.json"
    first, second = FaultyLxd(world), FaultyLxd(world)
    for lxd in (first, second):
        lxd.delay("change_forward", 0.05)
    async with open_core(settings, lxd=first) as one, open_core(settings, lxd=second) as two:
        alice = await add_user(
            one, "alice", quota=Quota(containers=40, cpu=40, memory_mib=4096, disk_mib=40960, forwards=40)
        )
        for number in range(8):
            await make(one, alice, f"c{number}")

        async def ask(core: Core, number: int) -> None:
            for _ in range(200):
                try:
                    await done(core, await core.forwards.create(alice, f"c{number % 8}", 80))
                    return
                except OpenLXDError:
                    await asyncio.sleep(0.05)
            raise AssertionError("never free")

        await asyncio.gather(*(ask((one, two)[number % 2], number) for number in range(40)))
        listed = await one.forwards.list(alice)
        assert len(listed) == len({made.listen.first for made in listed}) == 40
        assert {rule.first for rule in await rules(FaultyLxd(world))} == {made.listen.first for made in listed}
