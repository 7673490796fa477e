"""After any crash nothing stays half made, and nothing that exists is lost from sight."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.actor import SYSTEM, Actor
from openlxd_core.domain.container import State
from openlxd_core.domain.feed import Change
from openlxd_core.domain.operation import OperationStatus
from openlxd_core.domain.quota import Quota
from openlxd_core.lxd.gateway import MARK_OPERATION, MARK_READY, InstanceSpec
from openlxd_core.services.network_forwards.reconcile import ForwardReconciler
from openlxd_core.services.network_forwards.rules import ForwardRules
from openlxd_core.services.operations import runner
from openlxd_core.services.operations.kinds import instances
from openlxd_core.services.operations.reconcile import Reconciler
from openlxd_core.settings import Settings
from openlxd_core.storage import models
from tests.core.test_more_lists import queries
from tests.support.core import add_user, eventually, finish
from tests.support.faulty_lxd import FaultyLxd

pytestmark = pytest.mark.slow

__all__ = ["queries"]

IMAGE = "debian/12"
NO_QUOTA = Quota(0, 0, 0, 0, 0, 0)


async def state_of(core: Core, name: str = "web1") -> State | None:
    return next((c.status for c in await core.containers.list(SYSTEM) if c.name == name), None)


async def becomes(core: Core, state: State | None, name: str = "web1") -> None:
    async def holds() -> bool:
        return await state_of(core, name) is state

    await eventually(holds, f"{name} {state}")


async def make(core: Core, actor: Actor, name: str = "web1") -> None:
    operation = await finish(core, await core.containers.create(actor, name, IMAGE, 1, 256, 1024))
    assert operation.status is OperationStatus.DONE


async def test_what_lxc_does_is_seen(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """Stopped, started, frozen and deleted behind our back: the row follows, and never brings it back."""
    await make(core, alice)
    place = (f"openlxd-{alice.user_id}", "web1")
    await lxd.stop(*place, force=True)
    await becomes(core, State.STOPPED)
    await lxd.start(*place)
    await becomes(core, State.RUNNING)
    await lxd.freeze(*place)
    await becomes(core, State.FROZEN)
    await lxd.delete_instance(*place)
    await becomes(core, State.MISSING)
    assert (await core.quotas.get(alice)).used == NO_QUOTA
    operation = await finish(core, await core.containers.delete(alice, "web1"))
    assert operation.status is OperationStatus.DONE
    assert await core.containers.list(alice) == []


async def test_a_missing_container_that_comes_back_is_seen_again(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """Somebody restored it by lxc."""
    await make(core, alice)
    project = f"openlxd-{alice.user_id}"
    await lxd.delete_instance(project, "web1")
    await becomes(core, State.MISSING)
    await lxd.create_instance(InstanceSpec(project, "web1", (await lxd.images())[0].fingerprint, 1, 256, 1024))
    await becomes(core, State.STOPPED)


async def test_what_happened_while_lxd_was_away_is_seen(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """Events are lost while the stream is down: everything is compared when it is back."""
    await make(core, alice)
    await make(core, alice, "web2")
    lxd.unreachable()
    await eventually(lambda: not core.lxd_status.state.reachable, "unreachable")
    with lxd.world.change() as state:
        del state["instances"][f"openlxd-{alice.user_id}/web1"]
    lxd.reachable()
    await becomes(core, State.MISSING)
    await becomes(core, State.RUNNING, "web2")


async def test_a_lost_connection_is_not_a_failure(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """Whatever LXD made of it, each verb is done in the end, once."""
    for outcome in ("done", "nothing", "half"):
        lxd.lose_connection_during("create_instance", outcome=outcome)
        operation = await finish(core, await core.containers.create(alice, "web1", IMAGE, 1, 256, 1024))
        assert operation.status is OperationStatus.DONE, (outcome, operation.error)
        assert await state_of(core) is State.RUNNING
        for verb in ("stop", "start", "delete_instance"):
            lxd.lose_connection_during(verb, outcome="nothing" if outcome == "half" else outcome)
            call = {
                "stop": core.containers.stop,
                "start": core.containers.start,
                "delete_instance": core.containers.delete,
            }
            operation = await finish(core, await call[verb](alice, "web1"))
            assert operation.status is OperationStatus.DONE, (verb, outcome, operation.error)
        assert await lxd.instances() == []


async def test_lxd_dying_again_and_again_ends_with_the_truth(
    core: Core, alice: Actor, lxd: FaultyLxd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After five tries the operation says so, LXD holds nothing, and neither does the quota."""
    monkeypatch.setattr(runner, "PAUSE_SECONDS", 0.01)
    for _ in range(runner.ATTEMPTS_MOST):
        lxd.lose_connection_during("create_instance", outcome="half")
    operation = await finish(core, await core.containers.create(alice, "web1", IMAGE, 1, 256, 1024))
    assert operation.status is OperationStatus.FAILED
    assert "LXD was lost several times" in str(operation.error)
    assert await state_of(core) is State.ERROR
    assert await lxd.instances() == []
    assert (await core.quotas.get(alice)).used == NO_QUOTA


@asynccontextmanager
async def crashing_core(settings: Settings, lxd: FaultyLxd) -> AsyncIterator[Core]:
    """A core whose operations stop where they are at the end, as a SIGKILL would stop them."""
    async with open_core(settings, lxd=lxd) as core:
        yield core


@pytest.mark.parametrize(
    "stage",
    ["ensure_project", "create_instance", "start", "state", "set_marks", "after_create", "after_start", "after_mark"],
)
async def test_a_create_cut_short_anywhere_is_finished_by_the_next_process(
    settings: Settings, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process goes at each step, before and after LXD has done it; the next one makes it whole, once."""
    lxd = FaultyLxd()
    hangs = asyncio.Event()
    before = {"after_create": "start", "after_start": "state", "after_mark": None}.get(stage, stage)
    if before is None:
        monkeypatch.setattr(runner.Runner, "_end", lambda *_: _hang(hangs))
    else:
        real = getattr(lxd, before)

        async def stuck(*args: object, **kwargs: object) -> object:
            if hangs.is_set():
                return await real(*args, **kwargs)
            await _hang(hangs)
            return None

        monkeypatch.setattr(lxd, before, stuck)
    async with crashing_core(settings, lxd) as core:
        alice = await add_user(core, "alice")
        operation = await core.containers.create(alice, "web1", IMAGE, 1, 256, 1024)
        await eventually(hangs.is_set, f"stuck at {stage}")
    monkeypatch.undo()
    async with open_core(settings, lxd=lxd) as core:
        ended = await finish(core, operation)
        assert ended.status is OperationStatus.DONE, ended.error
        container = await core.containers.get(alice, "web1")
        assert (container.status, container.operation_id) == (State.RUNNING, "")
        [instance] = await lxd.instances()
        assert instance.marks[MARK_READY] == "1"
        assert (await core.quotas.get(alice)).used.containers == 1


async def _hang(reached: asyncio.Event) -> None:
    reached.set()
    await asyncio.Event().wait()


async def test_a_delete_cut_short_is_finished(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row does not stay deleting for ever."""
    lxd, hangs = FaultyLxd(), asyncio.Event()
    async with crashing_core(settings, lxd) as core:
        alice = await add_user(core, "alice")
        await make(core, alice)
        monkeypatch.setattr(lxd, "delete_instance", lambda *_: _hang(hangs))
        operation = await core.containers.delete(alice, "web1")
        await eventually(hangs.is_set, "stuck")
        assert await state_of(core) is State.DELETING
    monkeypatch.undo()
    async with open_core(settings, lxd=lxd) as core:
        assert (await finish(core, operation)).status is OperationStatus.DONE
        assert await core.containers.list(alice) == []
        assert await lxd.instances() == []


async def test_an_operation_that_kills_every_process_is_given_up(settings: Settings) -> None:
    """The sixth process does not try again: error, nothing in LXD, a retry possible."""
    lxd = FaultyLxd()
    async with open_core(settings, lxd=lxd) as core:
        alice = await add_user(core, "alice")
        lxd.fail_next("start", RuntimeError("a bug of ours"))
        operation = await finish(core, await core.containers.create(alice, "web1", IMAGE, 1, 256, 1024))
        assert operation.error_code == "internal_error"
        assert await state_of(core) is State.ERROR
        await models.Operation.filter(id=operation.id).update(
            status="running", worker="gone", attempts=runner.ATTEMPTS_MOST
        )
        await models.Container.filter(name="web1").update(status="creating", operation_id=operation.id)
        ended = await finish(core, operation)
        assert ended.status is OperationStatus.FAILED
        assert await state_of(core) is State.ERROR
        again = await finish(core, await core.containers.retry(alice, "web1"))
        assert again.status is OperationStatus.DONE


async def test_an_end_that_could_not_be_written_is_written_later(
    core: Core, alice: Actor, lxd: FaultyLxd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk under the database is full for a moment: the operation is not left running for ever."""
    monkeypatch.setattr(runner, "PAUSE_SECONDS", 0.01)
    real, failures = runner.Runner._end, [OSError("database or disk is full")] * 3

    async def full(self: runner.Runner, *args: object) -> None:
        if failures:
            raise failures.pop()
        await real(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(runner.Runner, "_end", full)
    await make(core, alice)
    assert [instance.name for instance in await lxd.instances()] == ["web1"]


async def test_a_half_made_instance_of_a_dead_create_is_swept_away(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """Marked by an operation that has ended and never ready: it goes. Ready, or not ours: it stays."""
    await core.quotas.set(SYSTEM, "alice", Quota(10, 10, 10240, 102400))
    await make(core, alice)
    project, image = f"openlxd-{alice.user_id}", (await lxd.images())[0].fingerprint
    lxd.fail_next("create_instance", RuntimeError("x"))
    failed = await finish(core, await core.containers.create(alice, "web2", IMAGE, 1, 256, 1024))
    for name, marks in (
        ("ghost", {MARK_OPERATION: failed.id}),
        ("lost", {MARK_OPERATION: failed.id, MARK_READY: "1"}),
        ("stray", {}),
        ("foreign", {MARK_OPERATION: "0000"}),
    ):
        await lxd.create_instance(InstanceSpec(project, name, image, 1, 64, 64, marks))

    async def swept() -> bool:
        return "ghost" not in {instance.name for instance in await lxd.instances()}

    await eventually(swept, "swept")
    assert {instance.name for instance in await lxd.instances()} == {"web1", "lost", "stray", "foreign"}
    assert {found.name for found in await core.containers.unmanaged(SYSTEM)} == {"lost", "stray", "foreign"}


async def test_one_process_reconciles_and_the_other_takes_over(settings: Settings) -> None:
    """The lock is held by one; when it ends, the other sees what LXD does."""
    lxd = FaultyLxd()
    async with open_core(settings, lxd=lxd) as second:
        async with open_core(settings, lxd=lxd) as first:
            alice = await add_user(first, "alice")
            await make(second, alice)
        place = (f"openlxd-{alice.user_id}", "web1")
        await lxd.stop(*place, force=True)
        await becomes(second, State.STOPPED)


async def test_the_other_process_hears_of_it_and_strangers_do_not(settings: Settings) -> None:
    """A change of one process reaches the sessions of the other, and only those who may know."""
    lxd = FaultyLxd()
    async with open_core(settings, lxd=lxd) as api, open_core(settings, lxd=lxd) as ssh:
        alice, bob = await add_user(api, "alice"), await add_user(api, "bob")
        heard: dict[str, list[Change]] = {"alice": [], "bob": []}

        async def listen(actor: Actor) -> None:
            async with ssh.feed.subscribe(actor) as changes:
                async for change in changes:
                    heard[actor.username].append(change)

        listeners = [asyncio.create_task(listen(actor)) for actor in (alice, bob)]
        await asyncio.sleep(0)
        await make(api, alice)
        await api.accounts.suspend(SYSTEM, "alice", "unpaid")
        await eventually(
            lambda: any(c.topic == "user" and c.verb == "suspended" for c in heard["alice"]),
            "heard of the suspension",
            3,
        )
        assert any(c.topic == "container" and c.key == "web1" for c in heard["alice"])
        assert not any(c.user_id == alice.user_id for c in heard["bob"])
        for listener in listeners:
            listener.cancel()
        await asyncio.gather(*listeners, return_exceptions=True)


async def test_a_listener_that_sleeps_costs_little_and_is_told_to_read_again(core: Core, alice: Actor) -> None:
    """Hundreds of changes nobody took become one resync."""
    subscription = core.feed.subscribe(alice)
    for number in range(1200):
        core.feed.tell(Change(number + 1, "container", "updated", "x", alice.user_id, {}, None))  # type: ignore[arg-type]
    subscription.close()
    topics = [change.topic async for change in subscription]
    assert len(topics) <= 501
    assert "resync" in topics


async def test_an_address_that_comes_late_is_found(
    core: Core, alice: Actor, lxd: FaultyLxd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operation does not wait for ever, and the row has the address when DHCP is done."""
    monkeypatch.setattr(instances, "ADDRESS_SECONDS", 0.2)
    monkeypatch.setattr(instances, "IPV6_SECONDS", 0.2)
    lxd.delay("address", 1.5)
    await make(core, alice)
    assert (await core.containers.get(alice, "web1")).ipv4 == ""

    async def addressed() -> bool:
        return (await core.containers.get(alice, "web1")).ipv4 != ""

    await eventually(addressed, "addressed")


async def test_comparing_everything_asks_once_for_all(
    settings: Settings, lxd: FaultyLxd, queries: list[object]
) -> None:
    """One call of LXD and four queries, however many containers there are; what differs is found all the same."""
    async with open_core(settings, lxd=lxd, background=False) as core:
        alice, containers = await add_user(core, "alice"), core.containers
        for number in range(3):
            await make(core, alice, f"web{number}")
        await finish(core, await core.snapshots.create(alice, "web1", "kept"))
        forwards = ForwardReconciler(lxd, ForwardRules(lxd, settings.state_dir / "forwards.lock", ""))
        reconciler = Reconciler(
            lxd, core.operations, containers._runner, core.operations._workers, core.feed,
            containers._suspensions.enforce, forwards,
        )  # fmt: skip
        lxd.calls.clear()
        queries.clear()
        await reconciler.reconcile_everything()
        assert lxd.calls == {"survey": 1}
        assert len(queries) <= 8  # four of its own; the rest are other loops'
        project = (await containers.get(alice, "web1")).project
        await lxd.delete_snapshot(project, "web1", "kept")
        await lxd.stop(project, "web2", force=True)
        await reconciler.reconcile_everything()
        while reconciler._places:
            await reconciler._reconcile_one(*reconciler._places.pop())
        assert list(await core.snapshots.list(alice, "web1")) == []
        assert (await containers.get(alice, "web2")).status is State.STOPPED
