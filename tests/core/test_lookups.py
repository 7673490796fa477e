"""Finding by id, and changing somebody's account, for the REST API."""

from __future__ import annotations

import pytest

from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import SYSTEM, Actor, Role
from openlxd_core.domain.errors import AlreadyExists, Conflict, Forbidden, NotFound, Unauthenticated, ValidationFailed
from tests.support.core import finish


async def test_an_id_tells_a_stranger_nothing(core: Core, alice: Actor, bob: Actor, root: Actor) -> None:
    """Another's container answers by its id exactly as none does: its name is not in the words."""
    await finish(core, await core.containers.create(alice, "web1", "debian/12", 1, "64MiB", "1GiB"))
    found = await core.containers.get(alice, "web1")
    assert await core.containers.by_id(alice, found.id) == found
    assert await core.containers.by_id(root, found.id) == found
    told = []
    for number in (found.id, 999):
        with pytest.raises(NotFound) as refused:
            await core.containers.by_id(bob, number)
        told.append(str(refused.value).replace(str(number), "N"))
    assert told[0] == told[1]
    assert "web1" not in told[0]


async def test_an_admin_changes_an_account(core: Core, alice: Actor, bob: Actor, root: Actor) -> None:
    """Address and role; what is left out stays; a new role ends every token; nobody changes their own role."""
    token = (await core.auth.issue_token(alice)).token
    assert (await core.accounts.update(root, "alice", email="new@example.org")).email == "new@example.org"
    assert (await core.auth.token_login(token, origin="test")).user_id == alice.user_id
    promoted = await core.accounts.update(root, "alice", role=Role.ADMIN)
    assert (promoted.role, promoted.email) == (Role.ADMIN, "new@example.org")
    with pytest.raises(Unauthenticated):
        await core.auth.token_login(token, origin="test")
    with pytest.raises(AlreadyExists):
        await core.accounts.update(root, "bob", email="NEW@example.org")
    with pytest.raises(ValidationFailed):
        await core.accounts.update(root, "bob", email="nowhere")
    with pytest.raises(Conflict):
        await core.accounts.update(root, root.user_id or 0, role=Role.TENANT)
    with pytest.raises(NotFound):
        await core.accounts.update(bob, "boss", role=Role.TENANT)
    with pytest.raises(Forbidden):
        await core.accounts.update(bob, "bob", role=Role.ADMIN)
    assert (await core.accounts.get(SYSTEM, "bob")).role is Role.TENANT
