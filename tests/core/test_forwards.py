"""Port forwards: each leads to its own container and to no other, whatever crashes and whoever uses lxc."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.actor import SYSTEM, Actor
from openlxd_core.domain.container import State
from openlxd_core.domain.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    LxdRefused,
    NotFound,
    QuotaExceeded,
    Suspended,
    ValidationFailed,
)
from openlxd_core.domain.forward import Forward, ForwardState, PortRange, Protocol, parse_ports
from openlxd_core.domain.operation import Operation, OperationStatus
from openlxd_core.domain.quota import Quota
from openlxd_core.lxd.gateway import ForwardRule, ServerInfo
from openlxd_core.services.forwards.ports import choose_ports
from openlxd_core.services.network_forwards.reconcile import ForwardReconciler
from openlxd_core.services.network_forwards.rules import ForwardRules
from openlxd_core.settings import Settings
from openlxd_core.storage import models
from tests.support.core import add_user, eventually, finish, make_settings
from tests.support.faulty_lxd import FaultyLxd

ADDRESS = "198.51.100.7"
IMAGE = "debian/12"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """With a listen address of its own."""
    return make_settings(tmp_path, forward_address=ADDRESS)


async def make(core: Core, actor: Actor, name: str = "web1", **more: Any) -> None:
    await done(core, await core.containers.create(actor, name, IMAGE, 1, 64, 128, **more))


async def done(core: Core, operation: Operation) -> Operation:
    ended = await finish(core, operation)
    assert ended.status is OperationStatus.DONE, ended.error
    return ended


async def forward(core: Core, actor: Actor, target: Any = 80, name: str = "web1", **more: Any) -> Forward:
    operation = await done(core, await core.forwards.create(actor, name, target, **more))
    return await core.forwards.get(actor, name, operation.args["forward"])


async def rules(lxd: FaultyLxd, address: str = ADDRESS) -> set[ForwardRule]:
    return {rule for forward in await lxd.forwards() if forward.listen_address == address for rule in forward.rules}


async def becomes(core: Core, state: ForwardState | None, name: str = "web1") -> None:
    async def holds() -> bool:
        found = [forward.state for forward in await core.forwards.list(SYSTEM, name)]
        return found == ([state] if state else [])

    await eventually(holds, f"the forward of {name} is {state}")


async def test_a_forward_leads_to_the_containers_address_and_keeps_it(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """A random free port of the operator's range; the container has the same address after a restart."""
    await make(core, alice)
    made = await forward(core, alice, 80, description="shop")
    container = await core.containers.get(alice, "web1")
    assert 20000 <= made.listen.first <= 29999
    assert (made.state, made.address, made.created_by) == (ForwardState.ACTIVE, ADDRESS, "alice")
    assert await rules(lxd) == {
        ForwardRule("tcp", made.listen.first, made.listen.first, container.ipv4, 80, 80),
    }
    assert container.pinned_ipv4 == container.ipv4
    await done(core, await core.containers.restart(alice, "web1"))
    assert (await core.containers.get(alice, "web1")).ipv4 == container.ipv4
    assert (await core.quotas.get(alice)).used.forwards == 1
    await done(core, await core.forwards.delete(alice, "web1", made.id))
    assert await rules(lxd) == set()
    assert await core.forwards.list(alice) == []
    assert (await core.quotas.get(alice)).used.forwards == 0


async def test_ranges_and_both_protocols(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """One forward of ten ports for tcp and udp is two of LXD's rules and one of the quota."""
    await make(core, alice)
    made = await forward(core, alice, "3000-3009", protocol="both", listen="21000-21009")
    assert {(rule.protocol, rule.listen_text, rule.target_text) for rule in await rules(lxd)} == {
        ("tcp", "21000-21009", "3000-3009"), ("udp", "21000-21009", "3000-3009"),
    }  # fmt: skip
    assert (await core.quotas.get(alice)).used.forwards == 1
    await done(core, await core.forwards.delete(alice, "web1", made.id))
    assert await rules(lxd) == set()


async def test_a_port_is_given_once(core: Core, alice: Actor, bob: Actor, lxd: FaultyLxd) -> None:
    """Also in the middle of a range, to the other protocol of ``both``, and to what LXD holds for somebody else."""
    await make(core, alice)
    await make(core, bob, "shop")
    await forward(core, alice, "1-10", listen="21000-21009")
    for listen, target, protocol in (("21005", 5, "tcp"), ("20990-21000", "1-11", "tcp"), ("21009", 5, "both")):
        with pytest.raises(AlreadyExists):
            await core.forwards.create(bob, "shop", target, listen=listen, protocol=protocol)
    await forward(core, bob, 5, "shop", listen="21005", protocol="udp")
    await lxd.change_forward(ADDRESS, add=[ForwardRule("tcp", 25000, 25010, "10.9.9.9", 80, 80)])
    with pytest.raises(AlreadyExists):
        await core.forwards.create(bob, "shop", 5, listen=25005)
    assert len(await core.forwards.list(bob)) == 1
    assert ForwardRule("tcp", 25000, 25010, "10.9.9.9", 80, 80) in await rules(lxd)


@pytest.mark.parametrize(
    "bad",
    [
        {"target": 0}, {"target": 65536}, {"target": -1}, {"target": "90-80"}, {"target": "1-200"}, {"target": "８０"},
        {"target": True}, {"target": 80.0}, {"target": None}, {"target": "80,90"}, {"target": "80 "}, {"target": []},
        {"target": 80, "listen": 0}, {"target": 80, "listen": "20000-20001"}, {"target": "1-2", "listen": 20000},
        {"target": 80, "listen": 1023}, {"target": 80, "listen": 30000}, {"target": "1-2", "listen": "29999-30000"},
        {"target": 80, "protocol": "icmp"}, {"target": 80, "protocol": None}, {"target": 80, "description": "a\nb"},
        {"target": 80, "description": "x" * 101}, {"target": 80, "description": "\x1b[31m"},
    ],
    ids=str,
)  # fmt: skip
async def test_bad_input_gets_one_sentence_and_changes_nothing(
    core: Core, alice: Actor, lxd: FaultyLxd, bad: dict[str, Any]
) -> None:
    """Ports that are none, ranges reversed, too long or unequal, another's range, text that drives a terminal."""
    await make(core, alice)
    with pytest.raises(ValidationFailed) as caught:
        await core.forwards.create(alice, "web1", **bad)
    assert len(caught.value.fields) == 1
    assert await core.forwards.list(alice) == []
    assert lxd.calls["change_forward"] == 0


async def test_reserved_ports_are_nobodys(tmp_path: Path, lxd: FaultyLxd) -> None:
    """The host's SSH and our own listeners, for an admin, too, and in a random choice."""
    settings = make_settings(tmp_path, forward_address=ADDRESS, forward_ports="2220-2223", ssh_port=2222, api_port=2221)
    async with open_core(settings, lxd=lxd) as core:
        await make(core, SYSTEM, owner=(await add_user(core, "alice")).user_id)
        for port in (22, 2221, 2222):
            with pytest.raises(ValidationFailed):
                await core.forwards.create(SYSTEM, "web1", 80, listen=port)
        found = {(await forward(core, SYSTEM)).listen.first for _ in range(2)}
        assert found == {2220, 2223}
        with pytest.raises(Conflict, match="2220-2223"):
            await core.forwards.create(SYSTEM, "web1", 80)


async def test_an_operator_can_offer_none(tmp_path: Path, lxd: FaultyLxd) -> None:
    """Then tenants get none; an admin may still make one at a port of theirs."""
    async with open_core(make_settings(tmp_path, forward_address=ADDRESS, forward_ports="off"), lxd=lxd) as core:
        alice = await add_user(core, "alice")
        await make(core, alice)
        for listen in (None, 20000):
            with pytest.raises(Forbidden):
                await core.forwards.create(alice, "web1", 80, listen=listen)
        assert (await forward(core, SYSTEM, listen=443)).listen == PortRange(443, 443)
        assert [made.listen.first for made in await core.forwards.list(alice)] == [443]


def test_a_random_port_is_every_free_one_in_the_end() -> None:
    """None outside, none taken, none left out."""
    settings = Settings(forward_ports="20000-20009")
    taken = [("tcp", PortRange(20003, 20004)), ("udp", PortRange(20009, 20009))]
    actor = replace(SYSTEM)
    found = {choose_ports(actor, Protocol.TCP, 2, taken, settings).first for _ in range(400)}
    assert found == {20000, 20001, 20005, 20006, 20007, 20008}
    both = {choose_ports(actor, Protocol.BOTH, 1, taken, settings).first for _ in range(400)}
    assert both == {20000, 20001, 20002, 20005, 20006, 20007, 20008}
    for _ in range(300):  # the same answer as asking port by port
        busy = [("tcp", PortRange(p, p + random.randrange(3))) for p in random.sample(range(19998, 20012), 4)]
        length = random.randrange(1, 6)
        free = [
            first
            for first in range(20000, 20011 - length)
            if not any(ports.overlaps(PortRange(first, first + length - 1)) for _each, ports in busy)
        ]
        if free:
            assert choose_ports(actor, Protocol.TCP, length, busy, settings).first in free
        else:
            with pytest.raises(Conflict):
                choose_ports(actor, Protocol.TCP, length, busy, settings)


async def test_the_quota_and_the_containers_own_limit_hold(core: Core, lxd: FaultyLxd) -> None:
    """Ten askers at once for three: exactly three are made; a container with a limit of one has one."""
    carol = await add_user(core, "carol", quota=Quota(forwards=3))
    await make(core, carol, "a")
    await make(core, carol, "b")
    await models.Container.filter(name="b").update(forward_limit=1)

    async def ask(name: str) -> bool:
        while True:
            try:
                await done(core, await core.forwards.create(carol, name, 80))
                return True
            except QuotaExceeded:
                return False
            except Conflict:
                await asyncio.sleep(0.01)  # busy with another's

    made = await asyncio.gather(*(ask("b") for _ in range(3)))
    assert sum(made) == 1
    made = await asyncio.gather(*(ask("a") for _ in range(7)))
    assert sum(made) == 2
    assert len(await rules(lxd)) == 3


async def test_a_stranger_learns_nothing(core: Core, alice: Actor, bob: Actor) -> None:
    """Another's container and none give one answer, in every call."""
    await make(core, alice)
    made = await forward(core, alice)
    for name in ("web1", "nosuch"):
        for call in (
            core.forwards.create(bob, name, 80),
            core.forwards.delete(bob, name, made.id),
            core.forwards.restore(bob, name, made.id),
            core.forwards.get(bob, name, made.id),
            core.forwards.list(bob, name),
        ):
            with pytest.raises(NotFound, match=f"no container named {name}"):
                await call
    assert await core.forwards.list(bob) == []
    await make(core, bob, "shop")
    with pytest.raises(NotFound):
        await core.forwards.delete(bob, "shop", made.id)  # another's forward by the own container's name
    assert await core.forwards.list(alice) == [await core.forwards.get(alice, "web1", made.id)]


async def test_a_stopped_container_gets_an_address_of_its_own(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """Nobody else's, running or stopped or unmanaged; the container has it when it starts."""
    await make(core, alice)
    await make(core, alice, "web2")
    for name in ("web1", "web2"):
        await done(core, await core.containers.stop(alice, name, force=True))
    first, second = await forward(core, alice), await forward(core, alice, name="web2")
    targets = {rule.first: rule.target for rule in await rules(lxd)}
    assert targets[first.listen.first] != targets[second.listen.first]
    await done(core, await core.containers.start(alice, "web1"))
    assert (await core.containers.get(alice, "web1")).ipv4 == targets[first.listen.first]


async def test_none_is_made_where_lxd_keeps_the_rules_of_deleted_ones(
    core: Core, alice: Actor, lxd: FaultyLxd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With LXD's iptables driver a rule outlives its forward, and would lead to the address's next container."""
    await make(core, alice)
    found = replace(await lxd.server(), firewall="xtables")

    async def server() -> ServerInfo:
        return found

    monkeypatch.setattr(lxd, "server", server)
    with pytest.raises(Conflict, match="nftables"):
        await core.forwards.create(alice, "web1", 80)
    assert await core.forwards.list(alice) == []


async def test_one_without_ipv4_gets_none(core: Core, alice: Actor) -> None:
    """It is said at once."""
    await make(core, alice, ipv4="none")
    with pytest.raises(Conflict, match="no IPv4 address"):
        await core.forwards.create(alice, "web1", 80)


async def test_suspension_takes_the_forwards_along_and_brings_them_back(
    core: Core, alice: Actor, lxd: FaultyLxd
) -> None:
    """While suspended no rule leads to the container, its owner cannot change them, and the ports stay reserved."""
    await make(core, alice)
    made = await forward(core, alice)
    before = await rules(lxd)
    await done(core, await core.containers.suspend(SYSTEM, "web1", "unpaid"))
    assert await rules(lxd) == set()
    assert (await core.forwards.get(alice, "web1", made.id)).state is ForwardState.INACTIVE
    for call in (core.forwards.create(alice, "web1", 81), core.forwards.delete(alice, "web1", made.id)):
        with pytest.raises(Suspended):
            await call
    await make(core, alice, "web2")
    with pytest.raises(AlreadyExists):
        await core.forwards.create(alice, "web2", 80, listen=made.listen.first)
    await done(core, await core.containers.unsuspend(SYSTEM, "web1"))
    assert await rules(lxd) == before
    assert (await core.forwards.get(alice, "web1", made.id)).state is ForwardState.ACTIVE


async def test_a_deleted_container_leaves_no_rule(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """Neither in LXD nor in the quota; another can have the port."""
    await make(core, alice)
    made = await forward(core, alice)
    await done(core, await core.containers.delete(alice, "web1"))
    assert await rules(lxd) == set()
    assert await core.forwards.list(SYSTEM) == []
    await make(core, alice, "web2")
    assert (await forward(core, alice, name="web2", listen=made.listen.first)).state is ForwardState.ACTIVE


async def test_a_delete_that_fails_leaves_the_forwards(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """The container is there, and soon its forwards are, too."""
    await make(core, alice)
    await forward(core, alice)
    before = await rules(lxd)
    lxd.fail_next("delete_instance", LxdRefused("no"))
    ended = await finish(core, await core.containers.delete(alice, "web1"))
    assert ended.status is OperationStatus.FAILED
    await becomes(core, ForwardState.ACTIVE)
    assert await rules(lxd) == before


async def test_reinstall_and_restore_keep_address_and_forwards(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """Also a reinstall that fails, and a snapshot from before the first forward."""
    await make(core, alice)
    await done(core, await core.snapshots.create(alice, "web1", "one"))
    await forward(core, alice)
    container, before = await core.containers.get(alice, "web1"), await rules(lxd)
    await done(core, await core.snapshots.restore(alice, "web1", "one"))
    assert (await core.containers.get(alice, "web1")).ipv4 == container.ipv4
    await done(core, await core.containers.reinstall(alice, "web1"))
    assert (await core.containers.get(alice, "web1")).ipv4 == container.ipv4
    lxd.fail_next("start", LxdRefused("no"))
    assert (await finish(core, await core.containers.reinstall(alice, "web1"))).status is OperationStatus.FAILED
    entry = lxd.world.look()["instances"][f"openlxd-{alice.user_id}/web1"]
    assert entry["ipv4"] == container.ipv4
    assert await rules(lxd) == before


async def test_what_lxc_does_is_noticed(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """Removed: missing, its port reserved, restored on wish. Made: shown and counted. Put back by lxc: active."""
    await make(core, alice)
    made = await forward(core, alice)
    container, held = await core.containers.get(alice, "web1"), await rules(lxd)
    await lxd.change_forward(ADDRESS, remove=list(held))
    await becomes(core, ForwardState.MISSING)
    with pytest.raises(AlreadyExists):
        await core.forwards.create(SYSTEM, "web1", 80, listen=made.listen.first)
    await done(core, await core.forwards.restore(alice, "web1", made.id))
    assert await rules(lxd) == held
    with pytest.raises(Conflict):
        await core.forwards.restore(alice, "web1", made.id)
    await lxd.change_forward(ADDRESS, remove=list(held))
    await becomes(core, ForwardState.MISSING)
    await lxd.change_forward(ADDRESS, add=list(held))
    await becomes(core, ForwardState.ACTIVE)
    by_hand = ForwardRule("udp", 53, 53, container.ipv4, 5353, 5353)
    elsewhere = ForwardRule("tcp", 54, 54, "10.9.9.9", 54, 54)
    await lxd.change_forward(ADDRESS, add=[by_hand, elsewhere])

    async def adopted() -> bool:
        return [(f.protocol, f.listen.first, f.created_by) for f in await core.forwards.list(alice)] == [
            ("udp", 53, "lxd"), ("tcp", made.listen.first, "alice"),
        ]  # fmt: skip

    await eventually(adopted, "the rule made by lxc shown")
    assert elsewhere in await rules(lxd)
    assert (await core.quotas.get(alice)).used.forwards == 2
    shown = [entry.action for entry in await core.audit.list(alice)]
    assert {"forward.missing", "forward.found", "forward.adopt"} <= set(shown)


async def test_a_container_deleted_by_lxc_leads_nowhere(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """Its address may be another's soon: the rule goes; the row stays until the container's does."""
    await make(core, alice)
    await forward(core, alice)
    await lxd.delete_instance(f"openlxd-{alice.user_id}", "web1")
    await becomes(core, ForwardState.INACTIVE)
    assert await rules(lxd) == set()
    assert (await core.containers.get(alice, "web1")).status is State.MISSING
    await done(core, await core.containers.delete(alice, "web1"))
    assert await core.forwards.list(SYSTEM) == []


@pytest.mark.slow
async def test_a_guest_that_shows_anothers_address_gets_neither_it_nor_its_forwards(
    core: Core, alice: Actor, bob: Actor, lxd: FaultyLxd
) -> None:
    """Root in bob's container puts alice's address on its interface, or an unmanaged instance's: the forward leads to
    the address that the bridge gave it, alice's forwards are made, and what lxc forwards to that address is not bob's.
    """
    await make(core, alice)
    await make(core, bob, "shop")
    hers, given = [(await core.containers.get(SYSTEM, name)).ipv4 for name in ("web1", "shop")]
    await lxd.change_forward(ADDRESS, add=[ForwardRule("tcp", 8443, 8443, "10.77.200.9", 1, 1)])
    for claimed in ("10.77.200.9", hers):
        lxd.claim_address(f"openlxd-{bob.user_id}", "shop", claimed)
        await done(core, await core.containers.restart(bob, "shop"))
        assert (await core.containers.get(bob, "shop")).ipv4 == claimed
        await asyncio.sleep(1.2)  # a round of the reconciler
        assert await core.forwards.list(bob) == []
    his = await forward(core, bob, name="shop")
    made = await forward(core, alice)
    targets = {rule.first: rule.target for rule in await rules(lxd)}
    assert (targets[his.listen.first], targets[made.listen.first]) == (given, hers)


async def test_a_rule_made_by_lxc_is_the_containers_that_has_the_address(
    core: Core, alice: Actor, lxd: FaultyLxd
) -> None:
    """Also of one without any forward yet, whose address is not kept."""
    await make(core, alice)
    await lxd.change_forward(
        ADDRESS, add=[ForwardRule("tcp", 81, 81, (await core.containers.get(alice, "web1")).ipv4, 80, 80)]
    )
    await becomes(core, ForwardState.ACTIVE)


async def test_what_lxd_holds_against_the_rows_is_taken_out(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """A rule that came into LXD although its row does not say so (a crash in between, or lxc): not while suspended,
    and not once the container is deleted."""
    await make(core, alice)
    await forward(core, alice)
    held = list(await rules(lxd))
    await done(core, await core.containers.suspend(SYSTEM, "web1", ""))
    await lxd.change_forward(ADDRESS, add=held)

    async def gone() -> bool:
        return await rules(lxd) == set()

    await eventually(gone, "the suspended container's rule gone")
    await core.forwards.list(SYSTEM)
    lxd.delay("forwards", 3600)  # the reconciler does not come by
    await lxd.change_forward(ADDRESS, add=held)
    await done(core, await core.containers.delete(SYSTEM, "web1"))
    lxd.delay("forwards", 0)
    assert await rules(lxd) == set()


async def test_an_address_that_lxc_took_away_is_kept_again_or_leads_nowhere(
    core: Core, alice: Actor, lxd: FaultyLxd
) -> None:
    """The device's address changed: it is set again. Another's meanwhile: the rules go."""
    await make(core, alice)
    await forward(core, alice)
    kept, project = (await core.containers.get(alice, "web1")).ipv4, f"openlxd-{alice.user_id}"
    reconciler = ForwardReconciler(lxd, ForwardRules(lxd, core.settings.state_dir / "other.lock", ""))
    await lxd.pin_address(project, "web1", "10.77.9.9")
    await reconciler.reconcile(everything=True)
    assert (await lxd.instance(project, "web1")).fixed_ipv4 == kept
    await make(core, alice, "web2")
    await lxd.pin_address(project, "web1", "10.77.9.9")
    await lxd.pin_address(project, "web2", kept)
    await reconciler.reconcile(everything=True)
    assert await rules(lxd) == set()


async def test_a_port_that_somebody_took_meanwhile_harms_no_other_forward(
    core: Core, alice: Actor, lxd: FaultyLxd
) -> None:
    """After a suspension: the others are back, that one is missing."""
    await make(core, alice)
    first, second = await forward(core, alice), await forward(core, alice, 81)
    await done(core, await core.containers.suspend(SYSTEM, "web1", ""))
    theirs = ForwardRule("tcp", first.listen.first, first.listen.first, "10.9.9.9", 1, 1)
    await lxd.change_forward(ADDRESS, add=[theirs])
    await done(core, await core.containers.unsuspend(SYSTEM, "web1"))
    states = {made.id: made.state for made in await core.forwards.list(alice)}
    assert states == {first.id: ForwardState.MISSING, second.id: ForwardState.ACTIVE}
    assert theirs in await rules(lxd)


async def test_a_refusal_of_lxds_leaves_nothing(core: Core, alice: Actor, lxd: FaultyLxd) -> None:
    """No row, no rule, no quota; the reason is the operation's."""
    await make(core, alice)
    lxd.fail_next("change_forward", LxdRefused("LXD says no"))
    ended = await finish(core, await core.forwards.create(alice, "web1", 80))
    assert ended.status is OperationStatus.FAILED
    assert "LXD says no" in str(ended.error)
    assert await core.forwards.list(alice) == []
    assert await rules(lxd) == set()
    assert (await core.containers.get(alice, "web1")).operation_id == ""


def test_ports_are_read_strictly() -> None:
    """Numbers and texts of ASCII digits."""
    assert parse_ports(80, "x") == parse_ports("80", "x") == PortRange(80, 80)
    assert parse_ports("8000-8010", "x") == PortRange(8000, 8010)
    assert len(PortRange(8000, 8010)) == 11
