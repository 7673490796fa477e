"""An LXD that hangs or is slow: the console stays alive, and what was asked is done when LXD is itself again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from openlxd_core.bootstrap import open_core
from openlxd_core.domain.container import State
from openlxd_core.domain.operation import OperationStatus
from tests.support.core import add_user, finish, make_settings
from tests.support.fixtures import require_live
from tests.support.lxd import LiveLxd

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def own_lxd() -> Iterator[LiveLxd]:
    """An LXD of this module's own, to be frozen."""
    require_live()
    lxd = LiveLxd.start(btrfs=False)
    try:
        lxd.import_image("busybox")
        yield lxd
    finally:
        lxd.stop()


async def test_a_frozen_lxd_freezes_nobody(tmp_path: Path, own_lxd: LiveLxd) -> None:
    """Lists and sign-ins answer meanwhile, the event loop never stalls, and the operation ends once LXD goes on."""
    settings = make_settings(tmp_path, lxd="socket", lxd_socket=own_lxd.socket)
    async with open_core(settings) as core:
        alice = await add_user(core, "alice")
        made = await finish(core, await core.containers.create(alice, "web1", "busybox", 1, 128, 512), 60)
        assert made.status is OperationStatus.DONE, made.error
        own_lxd.pause()
        try:
            operation = await core.containers.stop(alice, "web1")
            loop = asyncio.get_running_loop()
            for _ in range(20):
                begun = loop.time()
                assert [c.name for c in await core.containers.list(alice)] == ["web1"]
                await asyncio.sleep(0.1)
                assert loop.time() - begun < 2  # the loop turns
            assert not (await core.operations.get(alice, operation.id)).ended
        finally:
            own_lxd.resume()
        ended = await finish(core, operation, 90)
        assert ended.status is OperationStatus.DONE, ended.error
        assert (await core.containers.get(alice, "web1")).status is State.STOPPED
        await finish(core, await core.containers.delete(alice, "web1"), 60)


async def test_an_lxd_that_is_started_later_is_found(tmp_path: Path, own_lxd: LiveLxd) -> None:
    """Started before LXD, the console says so and goes to work when it comes."""
    settings = make_settings(tmp_path, lxd="socket", lxd_socket=own_lxd.socket)
    await asyncio.to_thread(own_lxd.kill)
    try:
        async with open_core(settings) as core:
            assert not core.lxd_status.state.reachable
            assert core.lxd_status.state.reason
            alice = await add_user(core, "alice")
            assert await core.containers.list(alice) == []
            await asyncio.to_thread(own_lxd.restart)
            async with asyncio.timeout(30):
                await core.lxd_status.until_reachable()
            made = await finish(core, await core.containers.create(alice, "late", "busybox", 1, 128, 512), 60)
            assert made.status is OperationStatus.DONE, made.error
            await finish(core, await core.containers.delete(alice, "late"), 60)
    finally:
        if not own_lxd._answers():
            own_lxd.restart()
