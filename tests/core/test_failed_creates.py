"""A create that failed is asked for again under the same name: the row is used anew, and by nobody but its owner."""

from __future__ import annotations

import asyncio

import pytest

from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.container import State
from openlxd_core.domain.errors import AlreadyExists, Conflict, LxdRefused, NotFound, QuotaExceeded, Suspended
from openlxd_core.domain.operation import Operation, OperationStatus
from openlxd_core.domain.quota import Quota
from openlxd_core.lxd.gateway import MARK_OPERATION, MARK_OWNER, InstanceSpec
from openlxd_core.services.quotas import project_name
from openlxd_core.storage import models
from tests.support.core import add_user, eventually, finish
from tests.support.faulty_lxd import FaultyLxd

pytestmark = pytest.mark.slow

REFUSED = LxdRefused("LXD says: {reason}", reason="no cgroup")


async def create(core: Core, actor: Actor, name: str = "web1", image: str = "debian/12", **more: object) -> Operation:
    cpu, memory, disk = more.pop("cpu", 1), more.pop("memory", 512), more.pop("disk", 5120)
    begun = await core.containers.create(actor, name, image, cpu, memory, disk, **more)  # type: ignore[arg-type]
    return await finish(core, begun)


@pytest.fixture
async def failed(core: Core, alice: Actor, lxd: FaultyLxd) -> int:
    """Alice's web1, which could not be created; its row's id."""
    lxd.fail_next("start", REFUSED)
    assert (await create(core, alice)).status is OperationStatus.FAILED
    container = await core.containers.get(alice, "web1")
    assert container.status is State.ERROR
    return container.id


async def test_the_same_request_makes_it(core: Core, alice: Actor, failed: int) -> None:
    """A billing system that sends its order once more gets the container, under the id that it has already."""
    again = await create(core, alice)
    assert again.status is OperationStatus.DONE
    container = await core.containers.get(alice, "web1")
    assert (container.id, container.status, container.error) == (failed, State.RUNNING, None)
    assert (await core.quotas.get(alice)).used == Quota(1, 1, 512, 5120, 0, 0)
    with pytest.raises(AlreadyExists, match="web1 is taken"):
        await create(core, alice)


async def test_another_order_under_the_name_counts_with_its_own_image_limits_and_address(
    core: Core, alice: Actor, root: Actor, lxd: FaultyLxd
) -> None:
    """Nothing of the failed one is left: not its limits in the quota, nor its address for others."""
    lxd.fail_next("start", REFUSED)
    await create(core, alice, ipv4="10.77.0.20")
    lxd.fail_next("start", REFUSED)
    await create(core, alice, ipv4="10.77.0.20")  # its own row does not hold the address against it
    await create(core, root, owner="alice", image="ubuntu/24.04", cpu=2, memory=1024, disk=10240, ipv4="10.77.0.21")
    made = await core.containers.get(alice, "web1")
    assert (made.image, made.cpu, made.memory_mib, made.disk_mib) == ("ubuntu/24.04", 2, 1024, 10240)
    assert made.ipv4 == "10.77.0.21"
    held = await lxd.instance(project_name(alice.user_id or 0), "web1")
    assert (held.cpu, held.memory_mib) == (2, 1024)
    assert (await core.quotas.get(alice)).used == Quota(1, 2, 1024, 10240, 0, 0)
    await create(core, root, "web2", owner="alice", ipv4="10.77.0.20")


async def test_a_stranger_hears_that_the_name_is_taken(core: Core, alice: Actor, bob: Actor, failed: int) -> None:
    """As of any other container; an admin's order for somebody else, too, does not move it."""
    with pytest.raises(AlreadyExists) as of_failed:
        await create(core, bob)
    await create(core, alice)
    with pytest.raises(AlreadyExists) as of_running:
        await create(core, bob)
    assert str(of_failed.value) == str(of_running.value)
    assert (await core.containers.get(alice, "web1")).id == failed


async def test_an_admins_order_for_another_owner_does_not_take_it(
    core: Core, alice: Actor, bob: Actor, root: Actor, failed: int
) -> None:
    """The row is alice's until she or an admin deletes it."""
    with pytest.raises(AlreadyExists):
        await create(core, root, owner="bob")
    assert (await core.containers.get(root, "web1")).owner == "alice"


async def test_the_quota_is_asked_anew(core: Core, root: Actor, lxd: FaultyLxd) -> None:
    """What failed holds nothing, so others may have filled the room since; then nothing changes."""
    tenant = await add_user(core, "tight", quota=Quota(1, 2, 1024, 10240, 0, 0))
    lxd.fail_next("start", REFUSED)
    await create(core, tenant)
    await create(core, tenant, "other")
    with pytest.raises(QuotaExceeded):
        await create(core, tenant)
    container = await core.containers.get(tenant, "web1")
    assert (container.status, container.operation_id) == (State.ERROR, "")
    await finish(core, await core.containers.delete(tenant, "other"))
    with pytest.raises(QuotaExceeded):
        await create(core, tenant, cpu=3)
    assert (await create(core, tenant, cpu=2)).status is OperationStatus.DONE


async def test_ten_askers_at_once_make_one(core: Core, alice: Actor, failed: int) -> None:
    """One takes the row over, the others hear that the name is taken; one container is counted."""
    begun = await asyncio.gather(
        *(core.containers.create(alice, "web1", "debian/12", 1, 512, 5120) for _ in range(5)),
        *(core.containers.retry(alice, "web1") for _ in range(5)),
        return_exceptions=True,
    )
    [operation] = [result for result in begun if isinstance(result, Operation)]
    assert all(isinstance(r, AlreadyExists | Conflict) for r in begun if not isinstance(r, Operation))
    assert (await finish(core, operation)).status is OperationStatus.DONE
    assert (await core.quotas.get(alice)).used.containers == 1


@pytest.mark.parametrize("again", ["create", "retry"])
async def test_what_the_failed_try_left_half_made_is_no_obstacle(
    core: Core, alice: Actor, lxd: FaultyLxd, again: str
) -> None:
    """Its own marks name it; the reconciler need not have swept it up. Also where a third try follows a second."""
    lxd.fail_next("start", REFUSED)
    first = await create(core, alice)
    lxd.fail_next("create_instance", REFUSED)
    await create(core, alice)
    project = project_name(alice.user_id or 0)
    image = (await lxd.images())[0]
    marks = {MARK_OPERATION: first.id, MARK_OWNER: str(alice.user_id)}
    await lxd.create_instance(InstanceSpec(project, "web1", image.fingerprint, 1, 512, 5120, marks=marks))
    begun = await (core.containers.retry(alice, "web1") if again == "retry"
                   else core.containers.create(alice, "web1", "debian/12", 1, 512, 5120))  # fmt: skip
    ended = await finish(core, begun)
    assert ended.status is OperationStatus.DONE, ended.error
    assert (await lxd.instance(project, "web1")).marks[MARK_OPERATION] == begun.id


@pytest.mark.parametrize("whose", ["somebody else's", "a whole one of ours"])
async def test_an_instance_that_holds_data_is_never_replaced(
    core: Core, alice: Actor, lxd: FaultyLxd, failed: int, whose: str
) -> None:
    """LXD may hold a whole container under a row in error (LXD itself said error, or lxc made it): it stays, and the
    name is taken."""
    project = project_name(alice.user_id or 0)
    image = (await lxd.images())[0]
    await lxd.create_instance(InstanceSpec(project, "web1", image.fingerprint, 3, 777, 7777))
    if whose == "a whole one of ours":
        operation = await models.Operation.filter(kind="create", target="web1").first()
        assert operation is not None
        await lxd.set_marks(project, "web1", {MARK_OPERATION: operation.id, "user.openlxd.ready": "1"})
        await models.Container.filter(id=failed).update(status="error")
    with pytest.raises(AlreadyExists, match="taken"):
        await create(core, alice)
    assert (await lxd.instance(project, "web1")).cpu == 3


async def test_a_container_that_was_made_and_that_lxd_calls_broken_is_not_made_anew(
    core: Core, alice: Actor, lxd: FaultyLxd
) -> None:
    """Its row says error, its last create succeeded: neither create nor retry touches it."""
    await create(core, alice)
    await models.Container.filter(name="web1").update(status="error", operation_id="")
    with pytest.raises(AlreadyExists):
        await core.containers.create(alice, "web1", "debian/12", 1, 512, 5120)
    with pytest.raises(Conflict, match="could not be created"):
        await core.containers.retry(alice, "web1")
    assert await lxd.instance(project_name(alice.user_id or 0), "web1")


async def test_a_suspended_one_is_not_freed_by_ordering_it_again(
    core: Core, alice: Actor, root: Actor, failed: int
) -> None:
    """What an admin stopped a tenant does not start by another name for it."""
    await models.Container.filter(id=failed).update(suspended_by="boss")
    with pytest.raises(Suspended):
        await create(core, alice)
    assert (await core.containers.get(root, "web1")).status is State.ERROR


async def test_a_failed_one_that_was_deleted_leaves_its_name_to_anybody(
    core: Core, alice: Actor, bob: Actor, failed: int
) -> None:
    """The other way to free it; and what failed for alice is no business of bob's."""
    await finish(core, await core.containers.delete(alice, "web1"))
    assert (await create(core, bob)).status is OperationStatus.DONE
    assert (await core.containers.get(bob, "web1")).id != failed
    with pytest.raises(NotFound):
        await core.containers.get(alice, "web1")


async def test_a_create_cut_short_by_lxd_is_taken_up_again_by_the_same_request(
    core: Core, alice: Actor, lxd: FaultyLxd
) -> None:
    """Lost five times in the middle, given up, left half made: the next order is a whole container."""
    for _ in range(5):
        lxd.lose_connection_during("create_instance", outcome="half")
    await create(core, alice)

    async def in_error() -> bool:
        return (await core.containers.get(alice, "web1")).status is State.ERROR

    await eventually(in_error, "given up", 60)
    assert (await create(core, alice)).status is OperationStatus.DONE
    assert (await core.containers.get(alice, "web1")).status is State.RUNNING


async def test_the_reconciler_takes_no_foreign_instance_for_the_one_that_failed(
    core: Core, alice: Actor, lxd: FaultyLxd, failed: int
) -> None:
    """Somebody makes an instance of that name by lxc: the row stays in error, and deleting the row leaves it alone."""
    project = project_name(alice.user_id or 0)
    image = (await lxd.images())[0]
    await lxd.create_instance(InstanceSpec(project, "web1", image.fingerprint, 1, 256, 1024))
    await create(core, alice, "web2")  # long enough for the reconciler to have looked at what LXD told it

    async def looked() -> bool:
        return (await core.containers.get(alice, "web2")).status is State.RUNNING

    await eventually(looked, "web2 running")
    await asyncio.sleep(1.5)
    assert (await core.containers.get(alice, "web1")).status is State.ERROR
    await finish(core, await core.containers.delete(alice, "web1"))
    assert await lxd.instance(project, "web1")
