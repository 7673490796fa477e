"""Suspending one container: its owner can only look at it, and nothing but an admin undoes that."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.actor import SYSTEM, Actor
from openlxd_core.domain.container import Container, State
from openlxd_core.domain.errors import Busy, Forbidden, LxdRefused, NotFound, Suspended
from openlxd_core.domain.operation import Kind, OperationStatus
from openlxd_core.services.operations.runner import Runner
from openlxd_core.services.suspension import Suspensions
from openlxd_core.settings import Settings
from tests.support.core import PASSWORD, add_user, eventually, finish
from tests.support.faulty_lxd import FaultyLxd

IMAGE = "debian/12"
Call = Callable[[Core, Actor], Awaitable[Any]]

TENANTS: dict[str, Call] = {
    "start": lambda core, actor: core.containers.start(actor, "web1"),
    "stop": lambda core, actor: core.containers.stop(actor, "web1"),
    "restart": lambda core, actor: core.containers.restart(actor, "web1"),
    "pause": lambda core, actor: core.containers.pause(actor, "web1"),
    "resume": lambda core, actor: core.containers.resume(actor, "web1"),
    "resize": lambda core, actor: core.containers.resize(actor, "web1", cpu=1),
    "reinstall": lambda core, actor: core.containers.reinstall(actor, "web1"),
    "retry": lambda core, actor: core.containers.retry(actor, "web1"),
    "delete": lambda core, actor: core.containers.delete(actor, "web1"),
    "shell": lambda core, actor: core.consoles.open(actor, "web1"),
    "exec": lambda core, actor: core.consoles.open(actor, "web1", ["id"]),
    "password": lambda core, actor: core.consoles.set_root_password(actor, "web1", "secret"),
    "snapshot": lambda core, actor: core.snapshots.create(actor, "web1", "two"),
    "restore": lambda core, actor: core.snapshots.restore(actor, "web1", "one"),
    "delete snapshot": lambda core, actor: core.snapshots.delete(actor, "web1", "one"),
    "publish": lambda core, actor: core.images.publish(actor, "web1", "mine", "one"),
}
STARTS = ("start", "restart", "resume", "reinstall", "retry")


async def make(core: Core, actor: Actor, name: str = "web1") -> None:
    operation = await finish(core, await core.containers.create(actor, name, IMAGE, 1, 256, 1024))
    assert operation.status is OperationStatus.DONE, operation.error


async def suspend(core: Core, reason: str = "unpaid", name: str = "web1") -> Container:
    operation = await finish(core, await core.containers.suspend(SYSTEM, name, reason))
    assert operation.status is OperationStatus.DONE, operation.error
    return await core.containers.get(SYSTEM, name)


async def unsuspend(core: Core, name: str = "web1") -> Container:
    operation = await finish(core, await core.containers.unsuspend(SYSTEM, name))
    assert operation.status is OperationStatus.DONE, operation.error
    return await core.containers.get(SYSTEM, name)


async def held(lxd: FaultyLxd, name: str = "web1") -> str:
    return next(i.status for i in await lxd.instances() if i.name == name)


async def rests(core: Core, lxd: FaultyLxd, state: State, *, suspended: bool) -> None:
    """Row and LXD come to this state, with nothing under way."""

    async def holds() -> bool:
        container = await core.containers.get(SYSTEM, "web1")
        if await core.operations.list(SYSTEM, active=True):
            return False
        row = (container.status, container.suspended, container.operation_id)
        return row == (state, suspended, "") and await held(lxd) == state.value

    await eventually(holds, f"web1 {state}")


async def test_a_suspended_container_is_stopped_and_says_why(
    core: Core, alice: Actor, root: Actor, lxd: FaultyLxd
) -> None:
    """With who, when and why; the owner sees it, its snapshots and figures; the audit keeps the reason."""
    await make(core, alice)
    await finish(core, await core.snapshots.create(alice, "web1", "one"))
    operation = await finish(core, await core.containers.suspend(root, "web1", "  bill \x1b[2J7 is unpaid "))
    assert (operation.kind, operation.status, operation.actor) == (Kind.SUSPEND, OperationStatus.DONE, "boss")
    assert await held(lxd) == "stopped"
    shown = await core.containers.get(alice, "web1")
    assert (shown.suspended, shown.suspended_by, shown.status) == (True, "boss", State.STOPPED)
    assert shown.suspended_reason.startswith("bill")
    assert "\x1b" not in shown.suspended_reason
    assert shown.suspended_at is not None
    assert await core.containers.list(alice) == [shown]
    assert [s.name for s in await core.snapshots.list(alice, "web1")] == ["one"]
    assert await core.usage.history(alice, "web1") == []
    entry = next(e for e in await core.audit.list(root) if e.action == "container.suspend")
    assert (entry.actor, entry.target, entry.user_id) == ("boss", "web1", alice.user_id)
    assert "unpaid" in entry.detail
    back = await unsuspend(core)
    assert (back.suspended, back.suspended_by, back.suspended_reason, back.suspended_at) == (False, "", "", None)
    assert back.status is State.RUNNING
    assert back.ipv4
    assert "container.unsuspend" in [e.action for e in await core.audit.list(alice)]


@pytest.mark.parametrize("call", TENANTS.values(), ids=TENANTS)
async def test_nothing_of_a_tenants_gets_through(core: Core, alice: Actor, lxd: FaultyLxd, call: Call) -> None:
    """Each verb is refused with the reason, and LXD is not asked."""
    await make(core, alice)
    await finish(core, await core.snapshots.create(alice, "web1", "one"))
    before = await suspend(core, "unpaid")
    instances = await lxd.instances()
    with pytest.raises(Suspended, match=r"web1 is suspended: unpaid"):
        await call(core, alice)
    assert await core.containers.get(alice, "web1") == before
    assert await lxd.instances() == instances
    await unsuspend(core)
    assert (await core.containers.get(alice, "web1")).status is State.RUNNING


async def test_an_admin_does_not_start_it_by_the_way_and_may_do_the_rest(
    core: Core, alice: Actor, root: Actor, lxd: FaultyLxd
) -> None:
    """A billing system's start button acts with an admin's key: only unsuspending starts it."""
    await make(core, alice)
    await suspend(core)
    for name in STARTS:
        with pytest.raises(Suspended, match="Unsuspend it first"):
            await TENANTS[name](core, root)
    assert (await finish(core, await core.containers.stop(root, "web1"))).status is OperationStatus.DONE
    assert (await finish(core, await core.containers.resize(root, "web1", memory=512))).status is OperationStatus.DONE
    assert (await unsuspend(core)).status is State.RUNNING  # the admin's stop forgot nothing
    await suspend(core)
    assert (await finish(core, await core.containers.delete(root, "web1"))).status is OperationStatus.DONE
    assert await lxd.instances() == []


async def test_only_admins_suspend(core: Core, alice: Actor, bob: Actor) -> None:
    """The owner is told so; a stranger learns nothing."""
    await make(core, alice)
    for call in (core.containers.suspend, core.containers.unsuspend):
        with pytest.raises(Forbidden):
            await call(alice, "web1")
        with pytest.raises(NotFound) as theirs:
            await call(bob, "web1")
        with pytest.raises(NotFound) as missing:
            await call(bob, "web9")
        assert str(theirs.value).replace("web1", "web9") == str(missing.value)
    assert not (await core.containers.get(alice, "web1")).suspended


async def test_what_was_stopped_stays_stopped(core: Core, alice: Actor) -> None:
    """Billing suspends whatever there is, several times: each is a success, and the first account stays."""
    await make(core, alice)
    await finish(core, await core.containers.stop(alice, "web1"))
    first = await suspend(core, "unpaid")
    again = await suspend(core, "")
    assert (again.suspended_reason, again.suspended_at) == ("unpaid", first.suspended_at)
    assert (await suspend(core, "still unpaid")).suspended_reason == "still unpaid"
    assert (await unsuspend(core)).status is State.STOPPED
    assert (await unsuspend(core)).status is State.STOPPED
    assert (await finish(core, await core.containers.start(alice, "web1"))).status is OperationStatus.DONE


async def test_a_paused_one_is_stopped_and_started(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """Its memory goes with the stop, so that it cannot come back paused."""
    await make(core, alice)
    await finish(core, await core.containers.pause(alice, "web1"))
    await suspend(core)
    assert await held(lxd) == "stopped"
    assert (await unsuspend(core)).status is State.RUNNING


async def test_one_in_error_or_missing_is_suspended_too(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """There is nothing to stop; what failed before is still told, and nothing is tried again meanwhile."""
    lxd.fail_next("create_instance", LxdRefused("LXD refused: {reason}", reason="no room"))
    await finish(core, await core.containers.create(alice, "web1", IMAGE, 1, 256, 1024))
    failed = await suspend(core)
    assert (failed.status, failed.suspended) == (State.ERROR, True)
    assert failed.error is not None
    with pytest.raises(Suspended):
        await core.containers.retry(alice, "web1")
    assert (await unsuspend(core)).status is State.ERROR
    await make(core, alice, "web2")
    await lxd.delete_instance(f"openlxd-{alice.user_id}", "web2")

    async def gone() -> bool:
        return (await core.containers.get(SYSTEM, "web2")).status is State.MISSING

    await eventually(gone, "web2 missing")
    missing = await suspend(core, name="web2")
    assert (missing.status, missing.suspended) == (State.MISSING, True)
    assert (await unsuspend(core, "web2")).status is State.MISSING


async def test_it_waits_for_what_is_under_way(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """Locked at once, stopped as soon as LXD is done with a create; billing gets no “busy”."""
    lxd.delay("create_instance", 0.5)
    create = await core.containers.create(alice, "web1", IMAGE, 1, 256, 1024)
    operation = await core.containers.suspend(SYSTEM, "web1", "fraud")
    assert (await core.containers.get(alice, "web1")).suspended
    with pytest.raises(Suspended):
        await core.containers.restart(alice, "web1")
    assert (await finish(core, create)).status is OperationStatus.DONE
    assert (await finish(core, operation)).status is OperationStatus.DONE
    await rests(core, lxd, State.STOPPED, suspended=True)
    assert (await unsuspend(core)).status is State.RUNNING


async def test_one_that_is_deleted_meanwhile_does_not_pass_it_on(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """A new container of the same name is another's affair."""
    await make(core, alice)
    lxd.delay("delete_instance", 0.3)
    delete = await core.containers.delete(alice, "web1")
    operation = await core.containers.suspend(SYSTEM, "web1")
    assert (await finish(core, delete)).status is OperationStatus.DONE
    await make(core, alice)
    assert (await finish(core, operation)).error_code == "not_found"
    assert (await core.containers.get(alice, "web1")).status is State.RUNNING


@pytest.mark.parametrize("verb", ["start", "freeze"])
async def test_whoever_starts_it_again_does_not_undo_it(core: Core, alice: Actor, lxd: FaultyLxd, verb: str) -> None:
    """LXD's autostart, a person with lxc: it is stopped again, and still comes back once it is unsuspended."""
    await make(core, alice)
    await suspend(core)
    place = (f"openlxd-{alice.user_id}", "web1")
    await lxd.start(*place)
    if verb == "freeze":
        await lxd.freeze(*place)
    await rests(core, lxd, State.STOPPED, suspended=True)
    assert (await unsuspend(core)).status is State.RUNNING


async def test_it_survives_a_restart_of_everything(settings: Settings, lxd: FaultyLxd) -> None:
    """Ours and the host's, whose LXD starts what it finds."""
    async with open_core(settings, lxd=lxd) as core:
        alice = await add_user(core, "alice")
        await make(core, alice)
        await suspend(core)
    await lxd.start(f"openlxd-{alice.user_id}", "web1")
    async with open_core(settings, lxd=lxd) as core:
        await rests(core, lxd, State.STOPPED, suspended=True)
        assert (await unsuspend(core)).status is State.RUNNING


@pytest.mark.slow
async def test_a_container_that_lxd_will_not_stop_is_tried_again_and_not_hammered(
    core: Core, alice: Actor, lxd: FaultyLxd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tenant is out from the first moment on; the failure is told; the next try comes after a while."""
    await make(core, alice)
    lxd.fail_next("stop", LxdRefused("LXD refused: {reason}", reason="stuck"), times=2)
    operation = await finish(core, await core.containers.suspend(SYSTEM, "web1"))
    assert operation.status is OperationStatus.FAILED
    with pytest.raises(Suspended):
        await core.consoles.open(alice, "web1")
    await asyncio.sleep(1.5)  # the reconciler has looked at what failed by then
    begun = [o for o in await core.operations.list(SYSTEM) if o.kind is Kind.SUSPEND]
    assert len(begun) == 1
    monkeypatch.setattr("openlxd_core.services.suspension.RETRY_AFTER", operation.updated_at - operation.created_at)
    container = await core.containers.get(SYSTEM, "web1")
    await asyncio.sleep(0.1)
    suspensions: Suspensions = core.containers._suspensions
    await suspensions.enforce(container.id)
    await rests(core, lxd, State.STOPPED, suspended=True)


def _die_after_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Runner, "start", lambda *_: None)


def _die_in_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Runner, "_unless_cancelled", hang)


def _die_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Runner, "_end", hang)


DEATHS = {"after the row": _die_after_the_row, "in hand": _die_in_hand, "before the end": _die_before_the_end}


@pytest.mark.slow
@pytest.mark.parametrize("then", ["nothing", "the opposite"])
@pytest.mark.parametrize("death", DEATHS.values(), ids=DEATHS)
@pytest.mark.parametrize("verb", ["suspend", "unsuspend"])
async def test_a_crash_in_any_step_ends_where_it_was_meant_to(
    settings: Settings,
    lxd: FaultyLxd,
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    death: Callable[[pytest.MonkeyPatch], None],
    then: str,
) -> None:
    """The next process finishes it, also where the opposite was asked for in between."""
    async with open_core(settings, lxd=lxd) as core:
        alice = await add_user(core, "alice")
        await make(core, alice)
        if verb == "unsuspend":
            await suspend(core)
    async with open_core(settings, lxd=lxd) as core:
        with monkeypatch.context() as patched:
            death(patched)
            await getattr(core.containers, verb)(SYSTEM, "web1")
            await asyncio.sleep(0.2)
            if then == "the opposite":
                await getattr(core.containers, "unsuspend" if verb == "suspend" else "suspend")(SYSTEM, "web1")
                await asyncio.sleep(0.05)
    suspended = (verb == "suspend") is (then == "nothing")
    async with open_core(settings, lxd=lxd) as core:
        await rests(core, lxd, State.STOPPED if suspended else State.RUNNING, suspended=suspended)
        if suspended:
            assert (await unsuspend(core)).status is State.RUNNING


@pytest.mark.parametrize("seed", range(6))
async def test_several_at_once_end_as_the_last_one_said(core: Core, alice: Actor, lxd: FaultyLxd, seed: int) -> None:
    """Suspensions, unsuspensions and a tenant's own verbs in any order: no operation is lost, none disagrees."""
    await make(core, alice)
    chance = random.Random(seed)
    for verb in ("start", "stop"):
        lxd.delay(verb, 0.02)
    begun = []
    for _ in range(12):
        call = chance.choice([core.containers.suspend, core.containers.unsuspend])
        begun.append(await call(SYSTEM, "web1"))
        if chance.random() < 0.4:
            with contextlib.suppress(Suspended, Busy):
                await chance.choice([core.containers.restart, core.containers.start])(alice, "web1")
        await asyncio.sleep(chance.random() * 0.05)
    for operation in begun:
        assert (await finish(core, operation)).status is OperationStatus.DONE
    suspended = begun[-1].kind is Kind.SUSPEND
    await rests(core, lxd, State.STOPPED if suspended else State.RUNNING, suspended=suspended)
    if suspended:
        assert (await unsuspend(core)).status is State.RUNNING


async def test_two_admins_at_once_suspend_once(core: Core, alice: Actor, root: Actor, lxd: FaultyLxd) -> None:
    """Both succeed; who was first stands in the row."""
    await make(core, alice)
    lxd.calls.clear()
    begun = await asyncio.gather(*(core.containers.suspend(who, "web1", who.username) for who in (root, SYSTEM)))
    for operation in begun:
        assert (await finish(core, operation)).status is OperationStatus.DONE
    assert (await core.containers.get(alice, "web1")).suspended_by in ("boss", SYSTEM.username)
    assert lxd.calls["stop"] == 1


async def test_the_account_and_the_container_are_suspended_apart(core: Core, alice: Actor, root: Actor) -> None:
    """Neither undoes the other."""
    await make(core, alice)
    await make(core, alice, "web2")
    await core.accounts.suspend(root, "alice", "abuse")
    await suspend(core)
    await core.accounts.activate(root, "alice")
    assert (await core.containers.get(alice, "web1")).suspended
    assert (await core.containers.get(alice, "web2")).status is State.RUNNING
    await core.accounts.suspend(root, "alice", "abuse")
    await unsuspend(core)
    with pytest.raises(Suspended, match="abuse"):
        await core.auth.password_login("alice", PASSWORD, origin="test", address="203.0.113.9")


async def test_it_is_locked_while_lxd_is_away(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """The tenant is out at once; it is stopped when LXD is back."""
    await make(core, alice)
    lxd.unreachable()
    await eventually(lambda: not core.lxd_status.state.reachable, "unreachable")
    operation = await core.containers.suspend(SYSTEM, "web1", "unpaid")
    assert (await core.containers.get(alice, "web1")).suspended
    lxd.reachable()
    assert (await finish(core, operation)).status is OperationStatus.DONE
    await rests(core, lxd, State.STOPPED, suspended=True)


async def test_open_shells_end_in_every_process_within_two_seconds(
    settings: Settings, lxd: FaultyLxd, tmp_path: Path
) -> None:
    """With the reason, whether they read, wait or write, and before LXD has stopped anything."""
    lxd.delay("stop", 5)
    async with open_core(settings, lxd=lxd) as here, open_core(settings, lxd=lxd) as there:
        alice = await add_user(here, "alice")
        await make(here, alice)
        await make(here, alice, "web2")
        shells = [await core.consoles.open(alice, "web1", terminal=(80, 24)) for core in (here, there)]
        tails = [await core.consoles.open(alice, "web1", ["sleep", "60"]) for core in (here, there)]
        other = await there.consoles.open(alice, "web2", ["sleep", "60"])

        async def read_all(session: Any) -> None:
            while (await session.read())[0]:
                pass

        reading = [asyncio.create_task(read_all(session)) for session in shells]
        waiting = [asyncio.create_task(session.wait()) for session in tails]
        untouched = asyncio.create_task(other.wait())
        await asyncio.sleep(0.1)
        began = time.monotonic()
        await here.containers.suspend(SYSTEM, "web1", "unpaid")
        for task in itertools.chain(reading, waiting):
            with pytest.raises(Suspended, match="web1 was suspended: unpaid"):
                await asyncio.wait_for(task, 2)
        assert time.monotonic() - began < 2
        for session in (*shells, *tails):
            with pytest.raises(Suspended):
                await session.write(b"id\n")
            await session.close()
        assert not untouched.done()
        untouched.cancel()
        await other.close()


@pytest.mark.slow
async def test_a_shell_that_is_just_being_opened_is_none(
    core: Core, alice: Actor, lxd: FaultyLxd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Suspended between the check and LXD's answer: the command is killed, the caller told."""
    await make(core, alice)
    real, opened = lxd.exec, []

    async def late(*args: Any, **named: Any) -> Any:
        operation = await core.containers.suspend(SYSTEM, "web1", "unpaid")
        lxd.delay("stop", 1)
        session = await real(*args, **named)
        opened.append((session, operation))
        await asyncio.sleep(0.3)
        return session

    lxd.delay("stop", 1)
    monkeypatch.setattr(lxd, "exec", late)
    with pytest.raises(Suspended, match="unpaid"):
        await core.consoles.open(alice, "web1", ["sleep", "60"])
    [(session, operation)] = opened
    assert await session.read() == (0, b"")
    await finish(core, operation)


async def test_a_command_that_the_stop_ends_first_tells_the_reason_too(
    settings: Settings, lxd: FaultyLxd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The container may be down before another process has heard why."""
    monkeypatch.setattr("openlxd_core.services.open_consoles.OpenConsoles._end", lambda *_: None)
    async with open_core(settings, lxd=lxd) as here, open_core(settings, lxd=lxd) as there:
        alice = await add_user(here, "alice")
        await make(here, alice)
        session = await there.consoles.open(alice, "web1", ["sleep", "60"])
        await suspend(here, "unpaid")
        while (await session.read())[0]:
            pass
        with pytest.raises(Suspended, match="web1 was suspended: unpaid"):
            await session.wait()
        await session.close()
