"""Containers: every verb, every refusal, and what the rows and LXD then hold."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import Actor, Role, local_admin
from openlxd_core.domain.container import State, check_name
from openlxd_core.domain.errors import (
    AlreadyExists,
    Busy,
    Conflict,
    LxdRefused,
    LxdUnavailable,
    NotFound,
    OpenLXDError,
    QuotaExceeded,
    ValidationFailed,
)
from openlxd_core.domain.operation import Operation, OperationStatus
from openlxd_core.domain.quota import Quota
from openlxd_core.lxd.gateway import MARK_OPERATION, MARK_OWNER, MARK_READY, InstanceSpec, ProjectSpec
from openlxd_core.services.operations.kinds import instances
from openlxd_core.storage import models
from tests.support.core import add_user, eventually, finish
from tests.support.faulty_lxd import FaultyLxd

IMAGE = "debian/12"


async def create(core: Core, actor: Actor, name: str = "web1", **changes: Any) -> Operation:
    """A finished create of a small container."""
    wish: dict[str, Any] = {"image": IMAGE, "cpu": 1, "memory": "512MiB", "disk": "5GiB"} | changes
    return await finish(core, await core.containers.create(actor, name, **wish))


async def names_in(lxd: FaultyLxd) -> list[str]:
    return [instance.name for instance in await lxd.instances()]


async def test_a_created_container_runs_with_its_address_in_its_owners_project(
    core: Core, alice: Actor, lxd: FaultyLxd
) -> None:
    """The row, LXD and the operation agree, and the marks say who made it."""
    operation = await create(core, alice)
    container = await core.containers.get(alice, "web1")
    assert (operation.status, operation.progress, operation.stage) == (OperationStatus.DONE, 100, "done")
    assert (container.status, container.owner, container.image) == (State.RUNNING, "alice", IMAGE)
    assert (container.cpu, container.memory_mib, container.disk_mib) == (1, 512, 5120)
    assert container.ipv4
    assert container.operation_id == ""
    [instance] = await lxd.instances()
    assert (instance.project, instance.name) == (f"openlxd-{alice.user_id}", "web1")
    assert instance.marks == {MARK_OPERATION: operation.id, MARK_READY: "1", MARK_OWNER: str(alice.user_id)}


async def test_every_power_verb_ends_in_its_state_and_can_be_repeated(core: Core, alice: Actor) -> None:
    """Starting what runs is a success, as are stopping, pausing and resuming what is so already."""
    await create(core, alice)
    for verb, state in (
        ("start", State.RUNNING), ("pause", State.FROZEN), ("pause", State.FROZEN), ("resume", State.RUNNING),
        ("resume", State.RUNNING), ("stop", State.STOPPED), ("stop", State.STOPPED), ("start", State.RUNNING),
        ("restart", State.RUNNING), ("pause", State.FROZEN), ("start", State.RUNNING), ("pause", State.FROZEN),
        ("stop", State.STOPPED), ("restart", State.RUNNING),
    ):  # fmt: skip
        operation = await finish(core, await getattr(core.containers, verb)(alice, "web1"))
        assert operation.status is OperationStatus.DONE, (verb, operation.error)
        container = await core.containers.get(alice, "web1")
        assert container.status is state, verb
        assert bool(container.ipv4) == (state is not State.STOPPED)


async def test_a_container_that_does_not_obey_is_stopped_by_force(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """Gracefully first; the plug is pulled when that fails."""
    await create(core, alice)
    lxd.ignore_graceful_stop(f"openlxd-{alice.user_id}", "web1")
    operation = await finish(core, await core.containers.stop(alice, "web1"))
    assert operation.status is OperationStatus.DONE
    assert lxd.calls["stop"] == 2
    assert (await core.containers.get(alice, "web1")).status is State.STOPPED


async def test_a_deleted_container_leaves_nothing_and_frees_its_name(
    core: Core, alice: Actor, bob: Actor, lxd: FaultyLxd
) -> None:
    """Running or not; the next one may be anybody's."""
    await create(core, alice)
    operation = await finish(core, await core.containers.delete(alice, "web1"))
    assert operation.status is OperationStatus.DONE
    assert await names_in(lxd) == []
    assert await core.containers.list(alice) == []
    assert (await core.quotas.get(alice)).used.containers == 0
    await create(core, bob)
    assert await names_in(lxd) == ["web1"]
    assert (await core.operations.get(alice, operation.id)).target == "web1"  # history stays


async def test_a_resize_reaches_lxd_and_the_quota(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """What is left out stays; a disk only grows; the quota is asked for the difference."""
    await create(core, alice)
    operation = await finish(core, await core.containers.resize(alice, "web1", cpu=2, memory="1GiB"))
    assert operation.status is OperationStatus.DONE
    [instance] = await lxd.instances()
    assert (instance.cpu, instance.memory_mib, instance.disk_mib) == (2, 1024, 5120)
    assert (await core.quotas.get(alice)).used == Quota(1, 2, 1024, 5120, 0, 0)
    with pytest.raises(ValidationFailed, match="shrink"):
        await core.containers.resize(alice, "web1", disk="1GiB")
    with pytest.raises(QuotaExceeded, match="3 CPUs requested, 2 left of your 4"):
        await core.containers.resize(alice, "web1", cpu=5)
    with pytest.raises(ValidationFailed):
        await core.containers.resize(alice, "web1", memory="2 bananas")
    lxd.fail_next("set_limits", LxdRefused("no room: {why}", why="test"))
    failed = await finish(core, await core.containers.resize(alice, "web1", cpu=1))
    assert failed.status is OperationStatus.FAILED
    assert (await core.containers.get(alice, "web1")).cpu == 2  # as before


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "Bad Name"}, "name"), ({"name": "../x"}, "name"), ({"name": "a" * 64}, "name"),
        ({"name": "容器"}, "name"), ({"name": ""}, "name"), ({"cpu": 0}, "cpu"), ({"memory": "-1"}, "memory"),
        ({"memory": "2 bananas"}, "memory"), ({"disk": "0"}, "disk"), ({"image": ""}, "image"),
        ({"image": "no/such"}, "image"), ({"image": "\x1b[2J"}, "image"),
    ],
)  # fmt: skip
async def test_bad_input_makes_nothing(
    core: Core, alice: Actor, lxd: FaultyLxd, change: dict[str, Any], field: str
) -> None:
    """One clear sentence beside the field; no row, no operation, nothing in LXD."""
    wish = {"name": "web1", "image": IMAGE, "cpu": 1, "memory": "512MiB", "disk": "5GiB"} | change
    with pytest.raises(ValidationFailed) as caught:
        await core.containers.create(alice, **wish)
    assert list(caught.value.fields) == [field]
    assert (await models.Container.all().count(), await models.Operation.all().count()) == (0, 0)
    assert await names_in(lxd) == []


async def test_a_name_is_unique_over_all_tenants(core: Core, alice: Actor, bob: Actor, lxd: FaultyLxd) -> None:
    """Reserved before LXD is asked: ten askers at once make one."""
    askers = [(alice, bob)[n % 2] for n in range(10)]
    begun = await asyncio.gather(
        *(core.containers.create(actor, "web1", IMAGE, 1, 256, 1024) for actor in askers), return_exceptions=True
    )
    made = [one for one in begun if isinstance(one, Operation)]
    assert len(made) == 1
    assert all(isinstance(one, AlreadyExists) for one in begun if one is not made[0])
    await finish(core, made[0])
    assert await names_in(lxd) == ["web1"]


async def test_concurrent_creates_cannot_pass_the_quota_together(core: Core, lxd: FaultyLxd) -> None:
    """A hundred askers with room for three: three are made."""
    carol = await add_user(core, "carol", quota=Quota(3, 100, 100_000, 1_000_000))
    begun = await asyncio.gather(
        *(core.containers.create(carol, f"c{n}", IMAGE, 1, 256, 1024) for n in range(100)), return_exceptions=True
    )
    made = [one for one in begun if isinstance(one, Operation)]
    assert len(made) == 3
    assert all(isinstance(one, QuotaExceeded) for one in begun if not isinstance(one, Operation))
    for operation in made:
        assert (await finish(core, operation)).status is OperationStatus.DONE
    assert len(await names_in(lxd)) == 3


async def test_what_is_past_the_quota_is_refused_with_the_figures(core: Core, alice: Actor) -> None:
    """Asked, left and limit are named; nothing is reserved."""
    for wish, text in (
        ({"cpu": 5}, "5 CPUs requested, 4 left of your 4"),
        ({"memory": "5GiB"}, "5 GiB of memory requested, 4 GiB left"),
        ({"disk": "100GiB"}, "100 GiB of disk requested, 40 GiB left"),
    ):
        with pytest.raises(QuotaExceeded, match=text):
            await create(core, alice, **wish)
    assert await core.containers.list(alice) == []


async def test_a_lowered_quota_keeps_what_is_there_and_refuses_more(
    core: Core, alice: Actor, root: Actor, lxd: FaultyLxd
) -> None:
    """The project follows as far as LXD lets it, and our own count holds."""
    await create(core, alice)
    await create(core, alice, "web2")
    state = await core.quotas.set(root, "alice", Quota(1, 1, 512, 5120))
    assert (state.used.containers, state.left.containers) == (2, 0)
    with pytest.raises(QuotaExceeded):
        await create(core, alice, "web3")
    assert (await finish(core, await core.containers.restart(alice, "web1"))).status is OperationStatus.DONE
    await finish(core, await core.containers.delete(alice, "web2"))
    await core.quotas.set(root, "alice", Quota(2, 2, 1024, 10240))
    await create(core, alice, "web3")
    assert sorted(await names_in(lxd)) == ["web1", "web3"]


async def test_an_example_name_is_free_and_tells_of_nobody(core: Core, alice: Actor, bob: Actor) -> None:
    """It is built from one's own name, and skips what exists anywhere on the host."""
    assert await core.containers.example_name(alice) == "alice-1"
    await create(core, bob, "alice-1")
    await create(core, alice, "alice-2")
    assert await core.containers.example_name(alice) == "alice-3"
    assert await core.containers.example_name(bob) == "bob-1"
    for name in ("user_1", "client.42", "42", "-.-", "a" * 64, "über", "a" * 19 + "_b"):
        check_name(await core.containers.example_name(Actor(Role.TENANT, alice.user_id, name)))


CALLS: dict[str, Callable[[Core, Actor, str], Awaitable[Any]]] = {
    "get": lambda core, actor, name: core.containers.get(actor, name),
    "start": lambda core, actor, name: core.containers.start(actor, name),
    "stop": lambda core, actor, name: core.containers.stop(actor, name),
    "force_stop": lambda core, actor, name: core.containers.stop(actor, name, force=True),
    "restart": lambda core, actor, name: core.containers.restart(actor, name),
    "pause": lambda core, actor, name: core.containers.pause(actor, name),
    "resume": lambda core, actor, name: core.containers.resume(actor, name),
    "resize": lambda core, actor, name: core.containers.resize(actor, name, cpu=1),
    "delete": lambda core, actor, name: core.containers.delete(actor, name),
    "retry": lambda core, actor, name: core.containers.retry(actor, name),
    "shell": lambda core, actor, name: core.consoles.open(actor, name),
    "exec": lambda core, actor, name: core.consoles.open(actor, name, ["id"]),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_stranger_learns_nothing(
    core: Core, alice: Actor, bob: Actor, lxd: FaultyLxd, call: Callable[[Core, Actor, str], Awaitable[Any]]
) -> None:
    """Another tenant's container answers exactly as a missing one does, and nothing happens to it."""
    await create(core, alice)
    before = await core.containers.get(alice, "web1")
    lxd.calls.clear()
    with pytest.raises(NotFound) as theirs:
        await call(core, bob, "web1")
    with pytest.raises(NotFound) as missing:
        await call(core, bob, "web9")
    assert str(theirs.value).replace("web1", "web9") == str(missing.value)
    assert await core.containers.get(alice, "web1") == before
    looks = {"instance", "instances", "state", "snapshots", "images"}  # of the reconciler and of the image list
    assert set(lxd.calls) <= looks
    assert await core.containers.list(bob) == []


async def test_a_stranger_cannot_follow_an_operation(core: Core, alice: Actor, bob: Actor, root: Actor) -> None:
    """Another's operation answers as a missing one; an admin sees it."""
    operation = await create(core, alice)
    for unknown in (operation.id, "nonsense", ""):
        with pytest.raises(NotFound, match="There is no such operation"):
            await core.operations.get(bob, unknown)
    assert await core.operations.list(bob) == []
    assert (await core.operations.get(root, operation.id)).target == "web1"
    assert [o.id for o in await core.operations.list(root)] == [operation.id]


async def test_an_admin_sees_and_works_everybodys(core: Core, alice: Actor, bob: Actor, root: Actor) -> None:
    """With the owner's name beside each."""
    await create(core, alice, "a1")
    await create(core, bob, "b1")
    assert [(c.name, c.owner) for c in await core.containers.list(root)] == [("a1", "alice"), ("b1", "bob")]
    assert [c.name for c in await core.containers.list(alice)] == ["a1"]
    await finish(core, await core.containers.stop(root, "b1"))
    assert (await core.containers.get(bob, "b1")).status is State.STOPPED
    operation = await finish(core, await core.containers.create(root, "b2", IMAGE, 1, 256, 1024, owner="bob"))
    assert (await core.containers.get(bob, "b2")).owner == "bob"
    assert operation.actor == "boss"
    with pytest.raises(ValidationFailed, match="account that will own"):
        await core.containers.create(local_admin(), "x1", IMAGE, 1, 256, 1024)
    with pytest.raises(NotFound):
        await core.containers.create(alice, "x1", IMAGE, 1, 256, 1024, owner="bob")


async def test_one_operation_at_a_time(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """While one is under way the next is told so, and changes nothing."""
    lxd.delay("create_instance", 0.3)
    first = await core.containers.create(alice, "web1", IMAGE, 1, 256, 1024)
    for call in (core.containers.delete, core.containers.stop, core.containers.start):
        with pytest.raises(Busy, match="web1"):
            await call(alice, "web1")
    assert (await finish(core, first)).status is OperationStatus.DONE
    results = await asyncio.gather(*(core.containers.restart(alice, "web1") for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(one, Operation) for one in results) == 1


async def test_wrong_states_are_named(core: Core, alice: Actor) -> None:
    """Pausing what is stopped, retrying what runs, a shell where nothing runs: a sentence each."""
    await create(core, alice)
    with pytest.raises(Conflict, match="can be retried"):
        await core.containers.retry(alice, "web1")
    await finish(core, await core.containers.stop(alice, "web1"))
    for call in (core.containers.pause(alice, "web1"), core.containers.resume(alice, "web1")):
        with pytest.raises(Conflict, match="web1 is stopped"):
            await call
    with pytest.raises(Conflict, match="Start it first"):
        await core.consoles.open(alice, "web1")


async def test_a_failed_create_is_undone_and_can_be_retried(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """The row says why, holds the name and none of the quota; LXD holds nothing."""
    lxd.fail_next("start", LxdRefused("LXD says: {reason}", reason="no cgroup"))
    operation = await create(core, alice)
    assert (operation.status, operation.error_code) == (OperationStatus.FAILED, "lxd_refused")
    container = await core.containers.get(alice, "web1")
    assert container.status is State.ERROR
    assert str(container.error) == "LXD says: no cgroup"
    assert await names_in(lxd) == []
    assert (await core.quotas.get(alice)).used == Quota(0, 0, 0, 0, 0, 0)
    with pytest.raises(Conflict, match="could not be created"):
        await core.containers.start(alice, "web1")
    again = await finish(core, await core.containers.retry(alice, "web1"))
    assert again.status is OperationStatus.DONE
    assert (await core.containers.get(alice, "web1")).status is State.RUNNING


async def test_a_failed_create_can_be_deleted(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """Its row goes; what stands under its name in LXD and is not ours stays."""
    lxd.fail_next("create_instance", QuotaExceeded("full"))
    await create(core, alice)
    await finish(core, await core.containers.delete(alice, "web1"))
    assert await core.containers.list(alice) == []


async def test_an_address_is_chosen_left_out_or_given(core: Core, alice: Actor, bob: Actor) -> None:
    """A free one of the bridge, none, or what the network gives out; another's is refused without saying whose."""
    await create(core, alice, "web1", ipv4="10.77.0.20", ipv6="none")
    web1 = await core.containers.get(alice, "web1")
    assert (web1.ipv4, web1.ipv6) == ("10.77.0.20", "")
    for actor in (alice, bob):
        with pytest.raises(AlreadyExists, match=r"10\.77\.0\.20 is in use"):
            await create(core, actor, "web2", ipv4="10.77.0.20")
    await finish(core, await core.containers.stop(alice, "web1"))
    with pytest.raises(AlreadyExists):  # a stopped one keeps what it was made with
        await create(core, bob, "web2", ipv4="10.77.0.20")
    await finish(core, await core.containers.reinstall(alice, "web1"))
    assert (await core.containers.get(alice, "web1")).ipv4 == "10.77.0.20"
    await create(core, bob, "web3", ipv4="none")
    assert (await core.containers.get(bob, "web3")).ipv4 == ""


@pytest.mark.parametrize(
    ("ipv4", "ipv6", "field"),
    [
        ("10.78.0.1", "auto", "ipv4"), ("10.77.0.1", "auto", "ipv4"), ("10.77.0.0", "auto", "ipv4"),
        ("10.77.255.255", "auto", "ipv4"), ("127.0.0.1", "auto", "ipv4"), ("8.8.8.8/32", "auto", "ipv4"),
        ("fd42:77::9", "auto", "ipv4"), ("AUTO", "auto", "ipv4"), ("", "auto", "ipv4"), ("auto", "fd42:78::1", "ipv6"),
        ("auto", "fd42:77::1", "ipv6"), ("auto", "fd42:77::9%eth0", "ipv6"), ("auto", "10.77.0.9", "ipv6"),
    ],
)  # fmt: skip
async def test_an_address_that_is_not_the_bridges_is_refused(
    core: Core, alice: Actor, ipv4: str, ipv6: str, field: str
) -> None:
    """Outside the network, its ends, the bridge's own, nonsense: one sentence, nothing made."""
    with pytest.raises(ValidationFailed) as caught:
        await create(core, alice, ipv4=ipv4, ipv6=ipv6)
    assert list(caught.value.fields) == [field]
    assert await core.containers.list(alice) == []


async def test_an_instance_that_is_not_ours_is_never_touched(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """Somebody made web1 by lxc in the tenant's project: our create fails, our delete frees the name, theirs stays."""
    await create(core, alice, "first")
    project = f"openlxd-{alice.user_id}"
    image = (await lxd.images())[0]
    await lxd.create_instance(InstanceSpec(project, "web1", image.fingerprint, 1, 256, 1024))
    operation = await create(core, alice)
    assert (operation.status, operation.error_code) == (OperationStatus.FAILED, "already_exists")
    await finish(core, await core.containers.delete(alice, "web1"))
    assert sorted(await names_in(lxd)) == ["first", "web1"]


async def test_an_admin_adopts_what_nobody_knows(core: Core, alice: Actor, root: Actor, lxd: FaultyLxd) -> None:
    """It stays where it is, counts from now on, and works like any other."""
    image = (await lxd.images())[0]
    await lxd.ensure_project(ProjectSpec("legacy", "default", "lxdbr0", None, None, None, None))
    await lxd.create_instance(InstanceSpec("legacy", "old1", image.fingerprint, 1, 256, 1024))
    [found] = await core.containers.unmanaged(root)
    assert (found.project, found.name) == ("legacy", "old1")
    with pytest.raises(NotFound):
        await core.containers.get(root, "old1")
    with pytest.raises(OpenLXDError):
        await core.containers.unmanaged(alice)
    adopted = await core.containers.adopt(root, "legacy", "old1", "alice")
    assert (adopted.owner, adopted.project, adopted.memory_mib) == ("alice", "legacy", 256)
    assert (await core.quotas.get(alice)).used.containers == 1
    await finish(core, await core.containers.start(alice, "old1"))
    assert (await core.containers.get(alice, "old1")).status is State.RUNNING
    with pytest.raises(NotFound):
        await core.containers.adopt(root, "legacy", "absent", "alice")
    with pytest.raises(AlreadyExists):
        await core.containers.adopt(root, "legacy", "old1", "alice")


async def test_deleting_a_user_asks_first_and_takes_the_containers_along(
    core: Core, alice: Actor, root: Actor, lxd: FaultyLxd
) -> None:
    """Refused while containers remain, unless they are to go."""
    await create(core, alice)
    await create(core, alice, "web2")
    with pytest.raises(Conflict, match="still has 2 containers"):
        await core.accounts.delete(root, "alice")
    await core.accounts.delete(root, "alice", containers=True)
    assert await names_in(lxd) == []
    assert await core.containers.list(root) == []


async def test_while_lxd_is_away_nothing_is_begun(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """One sentence, no row; the list still shows what is there; work goes on when LXD is back."""
    await create(core, alice)
    lxd.unreachable()
    await eventually(lambda: not core.lxd_status.state.reachable, "unreachable")
    for call in (
        core.containers.create(alice, "web2", IMAGE, 1, 256, 1024),
        core.containers.stop(alice, "web1"),
        core.containers.delete(alice, "web1"),
        core.containers.resize(alice, "web1", cpu=2),
        core.consoles.open(alice, "web1"),
    ):
        with pytest.raises(LxdUnavailable, match="cannot be reached"):
            await call
    assert [c.name for c in await core.containers.list(alice)] == ["web1"]
    assert not await core.operations.list(alice, active=True)
    lxd.reachable()
    await eventually(lambda: core.lxd_status.state.reachable, "reachable")
    assert (await finish(core, await core.containers.stop(alice, "web1"))).status is OperationStatus.DONE


async def test_lists_cost_lxd_nothing(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """Rows are the answer; LXD is not asked."""
    await create(core, alice)
    await asyncio.sleep(0.5)
    lxd.calls.clear()
    for _ in range(20):
        await core.containers.list(alice)
        await core.containers.get(alice, "web1")
    assert not lxd.calls


async def test_usage_is_sampled_once_for_all_and_only_while_somebody_looks(
    core: Core, alice: Actor, bob: Actor, lxd: FaultyLxd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten viewers cost one sampler; a stranger's sample is not shown."""
    monkeypatch.setattr("openlxd_core.services.lxd_status.SAMPLE_SECONDS", 0.02)
    await create(core, alice)
    mine = await core.containers.list(alice)
    assert lxd.calls["usage"] == 0
    with core.lxd_status.watching(), core.lxd_status.watching(), core.lxd_status.watching():
        await eventually(lambda: bool(core.lxd_status.usage(alice, mine)), "sampled")
        assert core.lxd_status.usage(bob, mine) == {}
        assert core.lxd_status.usage(alice, mine)["web1"].memory_mib > 0
    await asyncio.sleep(0.1)
    seen = lxd.calls["usage"]
    await asyncio.sleep(0.1)
    assert lxd.calls["usage"] == seen
    assert core.lxd_status.usage(alice, mine) == {}


def _late_ipv6(lxd: FaultyLxd, monkeypatch: pytest.MonkeyPatch, looks: int) -> list[str]:
    """IPv6 is there from the ``looks``-th look on; what each look found."""
    real, found = lxd.state, []

    async def state(project: str, name: str) -> Any:
        seen = await real(project, name)
        if seen.status == "running" and len(found) < looks:
            seen = replace(seen, ipv6="")
        found.append(seen.ipv6)
        return seen

    monkeypatch.setattr(lxd, "state", state)
    return found


async def test_a_create_waits_for_both_addresses(
    core: Core, alice: Actor, lxd: FaultyLxd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IPv6 comes by router advertisement, a moment after DHCP: the answer has it."""
    _late_ipv6(lxd, monkeypatch, 3)
    await create(core, alice)
    made = await core.containers.get(alice, "web1")
    assert made.ipv4
    assert made.ipv6


async def test_a_guest_without_ipv6_fails_nothing(
    core: Core, alice: Actor, lxd: FaultyLxd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait ends; where the bridge has none, or none was asked for, there is no wait at all."""
    monkeypatch.setattr(instances, "IPV6_SECONDS", 0.3)
    found = _late_ipv6(lxd, monkeypatch, 1000)
    assert (await create(core, alice)).status is OperationStatus.DONE
    waited = len(found)
    assert waited > 2
    assert (await create(core, alice, "web2", ipv6="none", cpu=1, memory="128MiB")).status is OperationStatus.DONE

    async def bridge(_network: str) -> tuple[str, str]:
        return "10.77.0.1/24", ""

    monkeypatch.setattr(instances, "IPV6_SECONDS", 60)
    monkeypatch.setattr(lxd, "bridge_addresses", bridge)
    assert (await create(core, alice, "web3", cpu=1, memory="128MiB")).status is OperationStatus.DONE
