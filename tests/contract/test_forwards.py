"""Network forwards and pinned addresses: both adapters keep the same promises."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from ipaddress import ip_interface

import pytest

from openlxd_core.domain.errors import AlreadyExists, NotFound, OpenLXDError
from openlxd_core.lxd.forward_rules import read_forward_rules, write_forward_rule
from openlxd_core.lxd.gateway import ForwardRule
from tests.contract.rig import Rig, eventually
from tests.support.faulty_lxd import FaultyLxd


@pytest.fixture
async def address(rig: Rig) -> AsyncIterator[str]:
    """A listen address of this test's own, emptied afterwards."""
    chosen = f"198.51.100.{secrets.randbelow(250) + 1}"
    yield chosen
    await rig.lxd.change_forward(chosen, remove=await held(rig, chosen))


async def held(rig: Rig, address: str) -> list[ForwardRule]:
    return [rule for forward in await rig.lxd.forwards() if forward.listen_address == address for rule in forward.rules]


async def target(rig: Rig, host: int = 77) -> str:
    own, _own6 = await rig.lxd.bridge_addresses(rig.network)
    return str(ip_interface(own).network[host])


async def test_rules_are_added_and_removed_beside_others(rig: Rig, address: str) -> None:
    """Each change leaves the other rules; the last one takes the forward with it."""
    to = await target(rig)
    web = ForwardRule("tcp", 20080, 20080, to, 80, 80, "web")
    dns = ForwardRule("udp", 20053, 20053, to, 53, 53)
    many = ForwardRule("tcp", 21000, 21009, to, 3000, 3009)
    await rig.lxd.change_forward(address, add=[web, dns])
    await rig.lxd.change_forward(address, add=[many, web])  # one that is there is a success
    assert set(await held(rig, address)) == {web, dns, many}
    assert next(rule for rule in await held(rig, address) if rule == web).description == "web"
    await rig.lxd.change_forward(address, remove=[dns])
    await rig.lxd.change_forward(address, remove=[dns])  # one that is gone is a success
    assert set(await held(rig, address)) == {web, many}
    await rig.lxd.change_forward(address, remove=[web, many])
    assert all(forward.listen_address != address for forward in await rig.lxd.forwards())


async def test_a_taken_port_is_refused_and_changes_nothing(rig: Rig, address: str) -> None:
    """By another target, in the middle of a range, in one protocol only."""
    to = await target(rig)
    first = ForwardRule("tcp", 22000, 22009, to, 80, 89)
    await rig.lxd.change_forward(address, add=[first])
    for rule in (
        ForwardRule("tcp", 22000, 22009, await target(rig, 78), 80, 89),
        ForwardRule("tcp", 22005, 22005, to, 5, 5),
        ForwardRule("tcp", 21990, 22000, to, 90, 100),
    ):
        with pytest.raises(AlreadyExists):
            await rig.lxd.change_forward(address, add=[rule, ForwardRule("udp", 1234, 1234, to, 1, 1)])
    assert await held(rig, address) == [first]
    await rig.lxd.change_forward(address, add=[ForwardRule("udp", 22000, 22009, to, 80, 89)])
    # a rule makes place for the one that takes its ports in the same change
    moved = ForwardRule("tcp", 22000, 22009, await target(rig, 79), 80, 89)
    await rig.lxd.change_forward(address, add=[moved], remove=[first])
    assert moved in await held(rig, address)
    assert first not in await held(rig, address)


async def test_a_container_keeps_a_pinned_address(rig: Rig) -> None:
    """Given while it is stopped, it has the address when it starts; while it runs, it keeps what it has."""
    await rig.make()
    wanted = await target(rig, 203)
    assert wanted not in {lease.address for lease in await rig.lxd.leases(rig.project)}
    await rig.lxd.pin_address(rig.project, "web1", wanted)
    await rig.lxd.pin_address(rig.project, "web1", wanted)
    await rig.lxd.start(rig.project, "web1")

    async def ipv4() -> str | None:
        return (await rig.state()).ipv4 or None

    assert await eventually(ipv4) == wanted
    assert (await rig.lxd.instance(rig.project, "web1")).fixed_ipv4 == wanted

    async def leased() -> bool:
        hwaddr = (await rig.lxd.instance(rig.project, "web1")).hwaddr.lower()
        return [lease.address for lease in await rig.lxd.leases(rig.project) if lease.hwaddr == hwaddr] == [wanted]

    await eventually(leased)
    await rig.lxd.pin_address(rig.project, "web1", wanted)  # while it runs
    await rig.make("web2", start=True)

    async def second() -> str | None:
        return (await rig.state("web2")).ipv4 or None

    given = await eventually(second)
    await rig.lxd.pin_address(rig.project, "web2", given)
    await rig.lxd.stop(rig.project, "web2", force=True)
    await rig.lxd.start(rig.project, "web2")
    assert await eventually(second) == given
    with pytest.raises(OpenLXDError):
        await rig.lxd.pin_address(rig.project, "web2", wanted)  # another's
    with pytest.raises(NotFound):
        await rig.lxd.pin_address(rig.project, "absent", wanted)


async def test_what_a_guest_puts_on_its_interface_is_not_its_lease(rig: Rig) -> None:
    """Root in a container can show any address; the lease stays what the bridge gave."""
    await rig.make(start=True)

    async def ipv4() -> str | None:
        return (await rig.state()).ipv4 or None

    given = await eventually(ipv4)
    claimed = await target(rig, 9)
    if isinstance(rig.lxd, FaultyLxd):
        rig.lxd.claim_address(rig.project, "web1", claimed)
    else:
        await rig.run("sh", "-c", f"ip addr flush dev eth0 scope global; ip addr add {claimed}/24 dev eth0")
    assert (await rig.state()).ipv4 == claimed
    assert {lease.address for lease in await rig.lxd.leases(rig.project)} == {given}


async def test_a_change_is_an_event(rig: Rig, address: str) -> None:
    """So that what somebody does with lxc is noticed."""
    seen: list[str] = []
    up = asyncio.Event()

    async def listen() -> None:
        async for event in rig.lxd.events():
            up.set()
            seen.append(event.action)

    listening = asyncio.create_task(listen())
    try:
        await asyncio.wait_for(up.wait(), 10)
        await rig.lxd.change_forward(address, add=[ForwardRule("tcp", 20080, 20080, await target(rig), 80, 80)])

        async def told() -> bool:
            return "network-forward-created" in seen

        await eventually(told)
    finally:
        listening.cancel()


def test_lists_of_ports_are_read_part_by_part() -> None:
    """As an operator writes them with lxc: several ports and ranges in one specification."""
    entry = {"protocol": "tcp", "listen_port": "80,443,8000-8002", "target_address": "10.0.0.2", "target_port": ""}
    read = list(read_forward_rules(entry))
    assert [(r.first, r.last, r.target_first, r.target_last) for r in read] == [
        (80, 80, 80, 80), (443, 443, 443, 443), (8000, 8002, 8000, 8002),
    ]  # fmt: skip
    assert [rule for entry in map(write_forward_rule, read) for rule in read_forward_rules(entry)] == read
    single = {**entry, "listen_port": "80-82", "target_port": "8080"}
    assert [(r.target_first, r.target_last) for r in read_forward_rules(single)] == [(8080, 8080)]
    for hostile in ("", "x", "80-", "-80", "１", "80;90", ","):
        read = list(read_forward_rules({**entry, "listen_port": hostile}))
        assert [rule.first for rule in read] in ([], [80])
