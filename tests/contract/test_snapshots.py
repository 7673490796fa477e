"""Snapshots, and moving a container aside with its address: both adapters keep the same promises."""

from __future__ import annotations

from ipaddress import ip_interface

import pytest

from openlxd_core.domain.errors import AlreadyExists, NotFound, OpenLXDError
from tests.contract.rig import Rig, eventually


async def names(rig: Rig) -> list[str]:
    return [snapshot.name for snapshot in await rig.lxd.snapshots(rig.project, "web1")]


async def test_a_snapshot_is_taken_listed_restored_and_dropped(rig: Rig) -> None:
    """Of a running container; what came after it is gone when it is restored."""
    await rig.make(start=True)
    if rig.kind == "real":
        await rig.run("sh", "-c", "echo before > /root/f")
    await rig.lxd.create_snapshot(rig.project, "web1", "one")
    await rig.lxd.create_snapshot(rig.project, "web1", "two")
    assert await names(rig) == ["one", "two"]
    if rig.kind == "real":
        await rig.run("sh", "-c", "echo after > /root/f")
    await rig.lxd.restore_snapshot(rig.project, "web1", "one")
    await rig.lxd.start(rig.project, "web1")
    if rig.kind == "real":
        assert (await rig.run("cat", "/root/f"))[1] == b"before\n"
    await rig.lxd.delete_snapshot(rig.project, "web1", "one")
    await rig.lxd.delete_snapshot(rig.project, "web1", "one")  # one that is gone is a success
    assert await names(rig) == ["two"]


async def test_what_cannot_be_is_refused(rig: Rig) -> None:
    """A taken name, a snapshot or a container that is not there, a hostile name."""
    await rig.make()
    await rig.lxd.create_snapshot(rig.project, "web1", "one")
    with pytest.raises(AlreadyExists):
        await rig.lxd.create_snapshot(rig.project, "web1", "one")
    with pytest.raises(NotFound):
        await rig.lxd.restore_snapshot(rig.project, "web1", "absent")
    with pytest.raises(NotFound):
        await rig.lxd.snapshots(rig.project, "absent")
    with pytest.raises(NotFound):
        await rig.lxd.create_snapshot(rig.project, "absent", "one")
    for hostile in ("../x", "a/b", "", "-", "A", "a?project=default"):
        with pytest.raises(OpenLXDError):
            await rig.lxd.create_snapshot(rig.project, "web1", hostile)
        with pytest.raises(OpenLXDError):
            await rig.lxd.rename_instance(rig.project, "web1", hostile)
    assert await names(rig) == ["one"]


async def test_an_address_can_be_chosen_or_left_out(rig: Rig) -> None:
    """A free address of the bridge is the container's own; ``none`` leaves it without IPv4."""
    own, _own6 = await rig.lxd.bridge_addresses(rig.network)
    wanted = str(ip_interface(own).network[200])
    await rig.lxd.create_instance(rig.spec("chosen", ipv4=wanted))
    await rig.lxd.create_instance(rig.spec("without", ipv4="none"))
    await rig.lxd.start(rig.project, "chosen")
    await rig.lxd.start(rig.project, "without")

    async def address() -> str | None:
        return (await rig.state("chosen")).ipv4 or None

    assert await eventually(address) == wanted

    async def other() -> str | None:
        return (await rig.state("without")).ipv6 or None

    await eventually(other)
    assert (await rig.state("without")).ipv4 == ""


async def test_one_takes_anothers_name_and_address(rig: Rig) -> None:
    """Aside goes the old one, off the network; the new one has its MAC, and so its IPv4; and back again."""
    await rig.make(start=True)

    async def address() -> str | None:
        return (await rig.state()).ipv4 or None

    before = await eventually(address)
    old = await rig.lxd.instance(rig.project, "web1")
    assert old.hwaddr
    with pytest.raises(OpenLXDError):  # not while it runs
        await rig.lxd.rename_instance(rig.project, "web1", "aside")
    await rig.lxd.stop(rig.project, "web1", force=True)
    await rig.lxd.connect_nic(rig.project, "web1", connected=False)
    await rig.lxd.rename_instance(rig.project, "web1", "aside")
    await rig.lxd.create_instance(rig.spec("web1", hwaddr=old.hwaddr))
    await rig.lxd.start(rig.project, "web1")
    assert await eventually(address) == before
    with pytest.raises(AlreadyExists):
        await rig.lxd.rename_instance(rig.project, "aside", "web1")
    await rig.lxd.delete_instance(rig.project, "web1")
    await rig.lxd.rename_instance(rig.project, "aside", "web1")
    await rig.lxd.connect_nic(rig.project, "web1", connected=True)
    await rig.lxd.start(rig.project, "web1")
    assert await eventually(address) == before
