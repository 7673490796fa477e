"""SIGKILL in the middle: of the SSH console, and of LXD itself. Nothing stays half made in either place."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.actor import SYSTEM
from openlxd_core.domain.container import State
from openlxd_core.domain.operation import OperationStatus
from openlxd_core.domain.quota import Quota
from tests.live.conftest import House, build_house, clear
from tests.support.core import eventually, finish
from tests.support.fixtures import require_live
from tests.support.lxd import LiveLxd
from tests.support.ssh import run_ssh, ssh_command
from tests.support.terminal import Terminal

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]
T = TypeVar("T")


@pytest.fixture(scope="module")
def slow_lxd() -> Iterator[LiveLxd]:
    """An LXD that unpacks its heavy image anew for each container, so that a create takes a while."""
    require_live()
    lxd = LiveLxd.start(btrfs=False)
    try:
        lxd.import_image("heavy", description="A heavy image", ballast_mib=300)
        yield lxd
    finally:
        lxd.stop()


@pytest.fixture
def spare_house(tmp_path: Path, slow_lxd: LiveLxd) -> Iterator[House]:
    """An installation on an LXD that may be killed."""
    built = build_house(tmp_path, slow_lxd)
    try:
        yield built
    finally:
        built.ssh.kill()
        clear(slow_lxd)


def ask(house: House, question: Callable[[Core], Awaitable[T]]) -> T:
    """Ask the database beside the running console."""

    async def main() -> T:
        async with open_core(house.settings, background=False) as core:
            return await question(core)

    return asyncio.run(main())


def lxd_instances(house: House) -> dict[str, dict[str, Any]]:
    found = house.lxd.call("GET", "/1.0/instances?recursion=1&all-projects=true")
    return {instance["name"]: instance for instance in found}


def settled(house: House, name: str, timeout: float = 60) -> State | None:
    """The container's state once no operation has it in hand."""

    async def wait(core: Core) -> State | None:
        async def free() -> bool:
            rows = [c for c in await core.containers.list(SYSTEM) if c.name == name]
            return not rows or not rows[0].operation_id

        await eventually(free, f"{name} settled", timeout)
        return next((c.status for c in await core.containers.list(SYSTEM) if c.name == name), None)

    return ask(house, wait)


@pytest.mark.parametrize("pause", [0.05, 0.3, 0.6, 1.0])
def test_a_console_killed_in_the_middle_of_a_create_leaves_no_ghost(spare_house: House, pause: float) -> None:
    """After the restart it is there, running and listed; or gone, its row in error and a retry possible."""
    house = spare_house
    house.ssh.start()
    with Terminal(ssh_command(house.ssh.port, key=house.alice.key, tty=True)) as terminal:
        terminal.wait_for("alice")
        begun = run_ssh(
            house.ssh.port, "create", "web1", "heavy", "--cpu", "1", "--memory", "256MiB", "--disk", "2GiB",
            "--no-wait", key=house.alice.key,
        )  # fmt: skip
        assert begun.returncode == 0, begun.stderr
        time.sleep(pause)
        house.ssh.kill()
    house.ssh.start()
    state = settled(house, "web1")
    if pause < 0.5:
        assert "operation_taken_over" in house.ssh.log()  # it was in the middle
    listed = json.loads(run_ssh(house.ssh.port, "list", "--json", key=house.alice.key).stdout)
    held = lxd_instances(house)
    if state is State.RUNNING:
        assert held["web1"]["status"] == "Running"
        assert [one["status"] for one in listed] == ["running"]
    else:
        assert state is State.ERROR
        assert "web1" not in held
        assert run_ssh(house.ssh.port, "retry", "web1", key=house.alice.key).returncode == 0
        assert settled(house, "web1") is State.RUNNING
    # usable, not merely there
    inside = run_ssh(house.ssh.port, "exec", "web1", "--", "hostname", key=house.alice.key)
    assert inside.stdout == b"web1\n", inside.stderr
    assert ask(house, lambda core: core.quotas.get(SYSTEM, "alice")).used == Quota(1, 1, 256, 2048, 0, 0)


@pytest.mark.parametrize("pause", [0.1, 0.5, 0.9])
def test_an_lxd_killed_in_the_middle_of_a_create_leaves_nothing_half_made(spare_house: House, pause: float) -> None:
    """When it is back the container is whole, the operation has its end, and the quota is what LXD holds."""
    house = spare_house

    async def main() -> None:
        async with open_core(house.settings) as core:
            alice = await core.auth.key_login(house.alice.key.with_suffix(".pub").read_text(), origin="test")
            operation = await core.containers.create(alice, "web1", "heavy", 1, "256MiB", "2GiB")
            await asyncio.sleep(pause)
            await asyncio.to_thread(house.lxd.kill)
            await eventually(lambda: not core.lxd_status.state.reachable, "LXD is known to be away")
            assert [c.name for c in await core.containers.list(alice)] == ["web1"]
            await asyncio.to_thread(house.lxd.restart)
            await eventually(lambda: core.lxd_status.state.reachable, "LXD is known to be back", 30)
            ended = await finish(core, operation, 90)
            container = await core.containers.get(alice, "web1")
            held = lxd_instances(house)
            if ended.status is OperationStatus.DONE:
                assert container.status is State.RUNNING
                assert held["web1"]["status"] == "Running"
                session = await core.consoles.open(alice, "web1", ["sh", "-c", "ls /bin | wc -l"])
                assert int((await session.read())[1]) > 50  # not a half-unpacked one
                await session.close()
                assert (await core.quotas.get(alice)).used.containers == 1
            else:
                assert ended.error is not None
                assert container.status is State.ERROR
                assert held == {}
                assert (await core.quotas.get(alice)).used.containers == 0
            deleted = await finish(core, await core.containers.delete(alice, "web1"))
            assert deleted.status is OperationStatus.DONE, deleted.error
            assert lxd_instances(house) == {}

    asyncio.run(main())
