"""What keeps a tenant in, on a real LXD: looked at from inside the container and from LXD's side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from openlxd_core.domain.errors import OpenLXDError
from openlxd_core.lxd.adapter import LxdAdapter
from tests.contract.rig import Rig, eventually, rig_on
from tests.support.lxd import LiveLxd, LxdCallFailed

pytestmark = pytest.mark.live


@pytest.fixture
async def real(live_lxd: LiveLxd) -> AsyncIterator[Rig]:
    """The real one only: the simulated LXD has no walls."""
    async with rig_on(LxdAdapter(live_lxd.socket), live_lxd) as made:
        yield made


def lxd_of(rig: Rig) -> LiveLxd:
    """LXD's own side."""
    assert rig.live is not None
    return rig.live


async def addresses(rig: Rig, name: str) -> tuple[str, str]:
    """Both addresses of a container."""

    async def both() -> tuple[str, str] | None:
        state = await rig.state(name)
        return (state.ipv4, state.ipv6) if state.ipv4 and state.ipv6 else None

    return await eventually(both)


async def test_every_container_has_every_limit(real: Rig) -> None:
    """CPU, memory, processes and disk; isolated, unprivileged, no nesting."""
    await real.make()
    found = await asyncio.to_thread(lxd_of(real).call, "GET", f"/1.0/instances/web1?project={real.project}")
    config = found["expanded_config"]
    assert config["limits.cpu"] == "1"
    assert config["limits.memory"] == "64MiB"
    assert int(config["limits.processes"]) > 0
    assert found["expanded_devices"]["root"]["size"] == "128MiB"
    assert (config["security.privileged"], config["security.nesting"]) == ("false", "false")
    assert config["security.idmap.isolated"] == "true"


async def test_the_disk_limit_holds(real: Rig) -> None:
    """A write past the root disk's size fails."""
    await real.make(start=True)
    status, _, _ = await real.run("dd", "if=/dev/urandom", "of=/root/big", "bs=1M", "count=200", "conv=fsync")
    assert status != 0


async def test_a_container_cannot_take_anothers_address(real: Rig) -> None:
    """A second address of its own choosing is not heard; its neighbour's port is not reached."""
    await real.make("web1", start=True)
    await real.make("web2", start=True)
    (mine, mine6), (theirs, _) = await addresses(real, "web1"), await addresses(real, "web2")
    gateway = mine.rsplit(".", 1)[0] + ".1"
    gateway6 = mine6.split("::")[0] if "::" in mine6 else ":".join(mine6.split(":")[:4])

    async def reaches(*target: str) -> bool:
        return (await real.run("ping", *target, "-c1", "-W1"))[0] == 0

    await eventually(lambda: reaches(gateway))
    await eventually(lambda: reaches("-6", f"{gateway6}::1"))  # an address is tentative for its first second
    assert (await real.run("ping", "-c1", "-W1", theirs))[0] != 0
    fake = mine.rsplit(".", 1)[0] + ".250"
    script = f"ip addr add {fake}/24 dev eth0 && ping -c1 -W1 -I {fake} {gateway}"
    assert (await real.run("sh", "-c", script))[0] != 0


async def test_a_fork_bomb_is_stopped_by_force(real: Rig) -> None:
    """With every process used up, a stop by force still works."""
    await real.make(start=True)
    bomb = await real.exec(["sh", "-c", "while :; do sleep 1000 & done"])
    over = asyncio.create_task(bomb.wait())  # a shell that cannot fork any more ends

    async def full() -> bool:
        if over.done():
            return True
        try:
            async with asyncio.timeout(5):
                return (await real.run("true"))[0] != 0
        except (OpenLXDError, TimeoutError):
            return True  # not even the exec can start, or get on

    await eventually(full, seconds=60)
    await real.lxd.stop(real.project, "web1", force=True)
    assert (await real.state()).status == "stopped"
    await bomb.close()
    over.cancel()
    await asyncio.gather(over, return_exceptions=True)


async def test_a_protected_container_can_be_deleted(real: Rig) -> None:
    """LXD's delete protection is lifted first: whoever may delete has confirmed already."""
    await real.make()
    body = {"config": {"security.protection.delete": "true"}}
    await asyncio.to_thread(lxd_of(real).call, "PATCH", f"/1.0/instances/web1?project={real.project}", body)
    await real.lxd.delete_instance(real.project, "web1")
    assert await real.names() == set()


@pytest.mark.parametrize(
    "body",
    [
        {"config": {"security.privileged": "true"}},
        {"config": {"security.nesting": "true"}},
        {"config": {"raw.lxc": "lxc.apparmor.profile=unconfined"}},
        {"devices": {"host": {"type": "disk", "source": "/etc", "path": "/mnt"}}},
        {"devices": {"tty": {"type": "unix-char", "path": "/dev/kmsg"}}},
        {"devices": {"p": {"type": "proxy", "listen": "tcp:0.0.0.0:2000", "connect": "unix:/tmp/x"}}},
        {"devices": {"n": {"type": "nic", "nictype": "macvlan", "parent": "eth0"}}},
    ],
    ids=lambda body: next(iter(next(iter(body.values())))),
)
async def test_the_project_is_a_second_wall(real: Rig, body: dict[str, object]) -> None:
    """What our code never asks, LXD would refuse in this project."""
    await real.make()
    with pytest.raises(LxdCallFailed):
        await asyncio.to_thread(lxd_of(real).call, "PATCH", f"/1.0/instances/web1?project={real.project}", body)
