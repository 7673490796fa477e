"""Every account's quota and use at once, as the users screen shows them."""

from __future__ import annotations

import pytest

from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.errors import Forbidden
from openlxd_core.domain.quota import Quota
from openlxd_core.storage import models
from tests.core.test_more_lists import queries

__all__ = ["queries"]


async def _container(name: str, user_id: int, status: str = "running") -> models.Container:
    return await models.Container.create(
        name=name, project="p", user_id=user_id, created_by="x", image="debian/12", architecture="x86_64",
        status=status, cpu=2, memory_mb=512, disk_mb=1024,
    )  # fmt: skip


async def test_all_at_once_says_what_each_one_says(
    core: Core, alice: Actor, bob: Actor, root: Actor, queries: list[object]
) -> None:
    """Sums, snapshots and limits are the same as for one; the number of queries does not grow with the accounts."""
    assert alice.user_id is not None
    assert bob.user_id is not None
    for index in range(3):
        row = await _container(f"a{index}", alice.user_id, ("running", "stopped", "error")[index])
        await models.Snapshot.create(container_id=row.id, name="s")
    await core.quotas.set(root, "bob", Quota(9, 9, 9999, 99999, 9, 9))
    await models.Quota.filter(user_id=alice.user_id).delete()  # then the default holds
    queries.clear()
    found = await core.quotas.list(root)
    assert len(queries) <= 4
    assert found[alice.user_id].used == Quota(2, 4, 1024, 2048, 3, 0)
    assert found[bob.user_id].quota.cpu == 9
    for user in await core.accounts.list(root):
        assert found[user.id] == await core.quotas.get(root, user.id)


async def test_only_who_may_see_all_accounts_sees_all_quotas(core: Core, alice: Actor) -> None:
    """A tenant learns nothing of others."""
    with pytest.raises(Forbidden):
        await core.quotas.list(alice)
