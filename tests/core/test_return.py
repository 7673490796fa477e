"""A deleted customer comes back: name and address are free, and nothing of the old account is the new one's."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.account import AccountStatus, before_freed, check_email, check_username, freed
from openlxd_core.domain.actor import SYSTEM, Actor, anonymous
from openlxd_core.domain.errors import (
    AlreadyExists,
    Conflict,
    NotFound,
    OpenLXDError,
    Unauthenticated,
    ValidationFailed,
)
from openlxd_core.domain.listing import Part, UserFilter
from openlxd_core.settings import Settings
from openlxd_core.storage import models
from openlxd_core.storage.database import open_database, upgrade
from tests.support.core import PASSWORD, actor_of, add_user, eventually, finish
from tests.support.faulty_lxd import FaultyLxd
from tests.support.upgrades import add_old_user, database_of

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO0dSNKEySqDEvAdAGBkLTdVD07Jvx5TAhUaBxLHHb7T alice@laptop"


async def come_back(core: Core, name: str = "alice", email: str = "alice@example.org") -> Actor:
    """As :func:`add_user` made it the first time, by the customer's own hand."""
    return actor_of(await core.accounts.register(anonymous("api"), name, email, PASSWORD + "!"))


@pytest.mark.parametrize("name", ["alice", "x" * 64, "a" * 240 + "@example.org", "alice (deleted 3)"])
def test_what_a_deleted_account_is_called_can_be_nobodys_name(name: str) -> None:
    """It fits its column, names no account or address that could be asked for, and leads back to what it was."""
    held = freed(name, 2_147_483_647)
    assert len(held) <= 255
    assert before_freed(held) == name[:230]
    for check in (check_username, check_email):
        with pytest.raises(ValidationFailed):
            check(held)
    assert len(freed("x" * 64, 2_147_483_647)) <= 100


async def test_nothing_of_the_old_account_opens_the_new_one(core: Core, alice: Actor, root: Actor) -> None:
    """Password, token, API key, SSH key, quota, audit: the old ones are dead or the old one's."""
    await core.keys.add(alice, ED25519)
    token = (await core.auth.issue_token(alice)).token
    key = await core.accounts.regenerate_key(alice)
    await core.quotas.set(root, "alice", (await core.quotas.get(root, "alice")).quota)
    await core.accounts.delete(root, "alice")
    new = await come_back(core)
    assert new.user_id != alice.user_id
    with pytest.raises(Unauthenticated):
        await core.auth.password_login("alice", PASSWORD, origin="ssh")
    assert (await core.auth.password_login("alice@example.org", PASSWORD + "!", origin="ssh")).user_id == new.user_id
    for attempt in (core.auth.token_login(token, origin="api"), core.auth.api_key_login(key, origin="api")):
        with pytest.raises(Unauthenticated):
            await attempt
    with pytest.raises(Unauthenticated):
        await core.auth.key_login(ED25519, "alice", origin="ssh")
    for call in (core.accounts.get(alice), core.quotas.get(alice), core.keys.list(alice)):  # a session still open
        with pytest.raises(NotFound):
            await call
    await core.keys.add(new, ED25519)
    assert (await core.auth.key_login(ED25519, origin="ssh")).user_id == new.user_id
    assert {entry.user_id for entry in await core.audit.list(new, limit=500)} == {new.user_id}
    old = [entry for entry in await core.audit.list(root, limit=500) if entry.user_id == alice.user_id]
    assert {"user.create", "key.add", "user.delete"} <= {entry.action for entry in old}
    assert {entry.target for entry in old if entry.action.startswith("user.")} == {"alice"}


async def test_containers_and_private_images_are_not_inherited(
    core: Core, alice: Actor, root: Actor, lxd: FaultyLxd
) -> None:
    """The account does not go while it has containers; the new one has its own project, and the old one's private
    images are gone from LXD, so that their names are free."""
    await finish(core, await core.containers.create(alice, "web1", "debian/12", 1, 512, 5120))
    await finish(core, await core.containers.stop(alice, "web1"))
    await finish(core, await core.images.publish(alice, "web1", "mine"))
    with pytest.raises(Conflict, match="still has 1 containers"):
        await core.accounts.delete(root, "alice")
    await core.accounts.delete(root, "alice", containers=True)
    new = await come_back(core)
    assert await core.containers.list(new) == []
    assert not [image for image in await core.images.list(new) if image.private]

    async def dropped() -> bool:
        return not await models.Image.filter(private=True).exists()

    await eventually(dropped, "the old private image dropped")
    assert not [alias for image in await lxd.images() for alias in image.aliases if alias.startswith("private/")]
    await finish(core, await core.containers.create(new, "web1", "debian/12", 1, 512, 5120))
    assert (await core.containers.get(new, "web1")).project == f"openlxd-{new.user_id}"
    with pytest.raises(NotFound):
        await core.containers.get(alice, "web1")
    await finish(core, await core.containers.stop(new, "web1"))
    await finish(core, await core.images.publish(new, "web1", "mine"))
    assert [image.alias for image in await core.images.list(new) if image.private] == ["private/alice/mine"]


async def test_an_instance_is_not_adopted_for_an_account_that_has_just_gone(
    core: Core, alice: Actor, root: Actor, lxd: FaultyLxd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleted between the question and the row: the container would be nobody's to delete."""
    await finish(core, await core.containers.create(alice, "web1", "debian/12", 1, 512, 5120))
    await models.Container.filter(name="web1").delete()
    listed = lxd.instances

    async def slow() -> object:
        found = await listed()
        await core.accounts.delete(root, "alice")
        return found

    monkeypatch.setattr(lxd, "instances", slow)
    with pytest.raises(NotFound):
        await core.containers.adopt(root, f"openlxd-{alice.user_id}", "web1", "alice")
    assert await models.Container.all().count() == 0


async def test_a_customer_who_comes_and_goes_leaves_a_row_each_time(core: Core, root: Actor) -> None:
    """Ten times the same name and address; every row says what it was."""
    ids = set()
    for _ in range(10):
        user = await come_back(core, "again", "again@example.org")
        ids.add(user.user_id)
        await core.accounts.delete(root, "again")
    part = Part(limit=100)
    wanted = UserFilter(status=AccountStatus.DELETED, username="Again")
    assert {user.id for user in (await core.accounts.page(root, wanted, part)).items} == ids
    by_address = UserFilter(status=AccountStatus.DELETED, email="AGAIN@example.org")
    found = (await core.accounts.page(root, by_address, part)).items
    assert {(user.username, user.email) for user in found} == {("again", "again@example.org")}
    assert (await core.accounts.page(root, UserFilter(username="again"), part)).items == []


async def test_going_and_coming_at_once_never_makes_two_of_one_name(core: Core, root: Actor) -> None:
    """Whichever is first: the name is taken by one living account or by none, and every row is whole."""
    rng = random.Random(3)
    await come_back(core)

    async def go() -> None:
        await asyncio.sleep(rng.random() * 0.02)
        await core.accounts.delete(root, "alice")

    async def come() -> Actor:
        await asyncio.sleep(rng.random() * 0.02)
        return await come_back(core)

    for _ in range(20):
        results = await asyncio.gather(go(), come(), come(), return_exceptions=True)
        assert all(isinstance(r, OpenLXDError | Actor) or r is None for r in results), results
        living = await models.User.filter(username="alice").values_list("status", flat=True)
        assert living in ([], ["active"])
        if not living:
            await come_back(core)
    names = await models.User.exclude(status="active").values_list("username", "id")
    assert all(name == f"alice (deleted {number})" for name, number in names)


async def test_two_who_ask_for_a_freed_name_make_one_account(core: Core, alice: Actor, root: Actor) -> None:
    """One has it, the other hears that it is taken."""
    await core.accounts.delete(root, "alice")
    made = await asyncio.gather(
        *(come_back(core, email=f"{number}@example.org") for number in range(5)), return_exceptions=True
    )
    assert sum(isinstance(result, Actor) for result in made) == 1
    assert sum(isinstance(result, AlreadyExists) for result in made) == 4


@pytest.mark.slow
async def test_names_that_older_versions_kept_are_freed_by_the_upgrade(settings: Settings) -> None:
    """Rows deleted before: kept, renamed, and the customer comes back; a second upgrade changes nothing."""
    file = settings.state_dir / "openlxd.sqlite3"
    os.unlink(file)
    await database_of("0005_wanted_addresses", file)
    add_old_user(file, 3, "alice", status="deleted", password_hash="$2b$04$" + "x" * 53)
    add_old_user(file, 4, "bob")
    add_old_user(file, 5, "long", status="deleted", email="a" * 243 + "@example.org")
    async with open_core(settings, lxd=FaultyLxd()) as core:
        gone = await models.User.get(id=3)
        assert (gone.username, gone.email) == ("alice (deleted 3)", "alice@example.org (deleted 3)")
        assert (await models.User.get(id=4)).username == "bob"
        assert len((await models.User.get(id=5)).email) <= 255
        new = await come_back(core)
        assert new.user_id not in (3, 4, 5)
        await add_user(core, "long")
        part = Part(limit=10)
        old = (await core.accounts.page(SYSTEM, UserFilter(status=AccountStatus.DELETED), part)).items
        assert sorted(user.username for user in old) == ["alice", "long"]


@pytest.mark.slow
async def test_the_upgrade_of_names_can_be_cut_short_and_run_again(tmp_path: Path) -> None:
    """A crash after its work and before its note: nothing is renamed twice."""
    import sqlite3

    file = tmp_path / "openlxd.sqlite3"
    await database_of("0005_wanted_addresses", file)
    add_old_user(file, 3, "alice", status="deleted")
    await upgrade(f"sqlite://{file}")
    with sqlite3.connect(file) as raw:
        raw.execute("DELETE FROM tortoise_migrations WHERE name = '0008_freed_names'")
    raw.close()
    await upgrade(f"sqlite://{file}")
    async with open_database(f"sqlite://{file}"):
        assert (await models.User.get(id=3)).username == "alice (deleted 3)"
