"""A create that LXD refuses, and the same name asked for again: on the real thing, by the API's own process."""

from __future__ import annotations

import asyncio

import pytest

from openlxd_core.bootstrap import open_core
from openlxd_core.domain.actor import SYSTEM
from openlxd_core.domain.container import State
from openlxd_core.domain.errors import AlreadyExists
from openlxd_core.domain.operation import OperationStatus
from openlxd_core.domain.quota import Quota
from tests.live.conftest import House
from tests.support.core import finish

FOREIGN = {
    "name": "web1",
    "source": {"type": "image", "alias": "busybox", "project": "default"},
    "config": {"limits.cpu": "1", "limits.memory": "64MiB"},
    "devices": {"root": {"type": "disk", "path": "/", "pool": "default", "size": "128MiB"}},
}
"""As somebody makes it by lxc, past us."""
pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]


def test_a_failed_create_is_ordered_again_with_other_limits(house: House) -> None:
    """Somebody's own instance stands in the way: the create fails and leaves it alone, also when asked again.

    Once it is gone the same name is made, with the second order's limits, in LXD as in the quota.
    """

    async def main() -> None:
        async with open_core(house.settings, background=False) as core:
            alice = await core.auth.key_login(house.alice.key.with_suffix(".pub").read_text(), origin="test")
            await finish(core, await core.containers.create(alice, "first", "busybox", 1, 128, 1024))
            await finish(core, await core.containers.delete(alice, "first"))
            project = f"openlxd-{house.alice.id}"
            house.lxd.call("POST", f"/1.0/instances?project={project}", FOREIGN)
            failed = await finish(core, await core.containers.create(alice, "web1", "busybox", 1, 128, 1024))
            assert (failed.status, failed.error_code) == (OperationStatus.FAILED, "already_exists")
            with pytest.raises(AlreadyExists):
                await core.containers.create(alice, "web1", "busybox", 2, 256, 2048)
            held = house.lxd.call("GET", f"/1.0/instances/web1?project={project}")
            assert held["config"]["limits.memory"] == "64MiB"
            house.lxd.call("DELETE", f"/1.0/instances/web1?project={project}")

            made = await finish(core, await core.containers.create(alice, "web1", "busybox", 2, 256, 2048), 90)
            assert made.status is OperationStatus.DONE, made.error
            container = await core.containers.get(alice, "web1")
            assert (container.status, container.cpu, container.memory_mib) == (State.RUNNING, 2, 256)
            held = house.lxd.call("GET", f"/1.0/instances/web1?project={project}")
            assert (held["status"], held["config"]["limits.cpu"]) == ("Running", "2")
            assert (await core.quotas.get(SYSTEM, "alice")).used == Quota(1, 2, 256, 2048, 0, 0)

    asyncio.run(main())


def test_a_half_made_instance_of_a_failed_create_is_replaced(house: House) -> None:
    """What an earlier try left, marked as its own and never finished, goes; the new one is whole."""

    async def main() -> None:
        async with open_core(house.settings, background=False) as core:
            alice = await core.auth.key_login(house.alice.key.with_suffix(".pub").read_text(), origin="test")
            project = f"openlxd-{house.alice.id}"
            await core.quotas.ensure_project(house.alice.id)
            house.lxd.call("POST", f"/1.0/instances?project={project}", FOREIGN)
            failed = await finish(core, await core.containers.create(alice, "web1", "busybox", 1, 128, 1024))
            assert failed.status is OperationStatus.FAILED
            marks = {"user.openlxd.op": failed.id, "user.openlxd.user": str(house.alice.id)}
            house.lxd.call("PATCH", f"/1.0/instances/web1?project={project}", {"config": marks})
            made = await finish(core, await core.containers.create(alice, "web1", "busybox", 1, 128, 1024), 90)
            assert made.status is OperationStatus.DONE, made.error
            held = house.lxd.call("GET", f"/1.0/instances/web1?project={project}")
            assert held["config"]["user.openlxd.op"] == made.id
            assert held["config"]["user.openlxd.ready"] == "1"

    asyncio.run(main())
