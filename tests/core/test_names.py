"""User names: as billing systems make them, one person each, and never a number, a path or the operator."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from openlxd_core.bootstrap import Core
from openlxd_core.domain.account import FIRST_ADMIN, RESERVED_USERNAMES, check_email, check_username, fold_username
from openlxd_core.domain.actor import SYSTEM, Actor, Role, anonymous
from openlxd_core.domain.errors import AlreadyExists, NotFound, ValidationFailed
from openlxd_core.domain.quota import Quota
from openlxd_core.storage import models
from tests.support.core import PASSWORD, actor_of, add_user, finish

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO0dSNKEySqDEvAdAGBkLTdVD07Jvx5TAhUaBxLHHb7T alice@laptop"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("user_1", "user_1"), ("client.42", "client.42"), ("Client.42", "client.42"), ("12345", "12345"),
        ("1abc", "1abc"), ("a-b", "a-b"), ("con", "con"), ("a..b", "a..b"), ("abc.", "abc."), ("x" * 64, "x" * 64),
        ("ALICE", "alice"),
    ],
)  # fmt: skip
def test_a_billing_systems_names_are_taken_and_folded(given: str, kept: str) -> None:
    """3 to 64 of a-z, 0-9, dot, underscore and dash; capitals are the same person."""
    assert check_username(given) == kept


@pytest.mark.parametrize(
    "name",
    ["al", "..", "...", ".abc", "_abc", "-abc", "x" * 65, "", "a b c", "a/b", "../etc", "a\\b", "abc\n", "abc\0", "a+b",
     "a@b.c", "ａdmin", "a\u00adbc", "\u212aevin", "abc\u202e", "a%2fb", "用户一", None, 12345, True, ["abc"]],
)  # fmt: skip
def test_what_is_no_name_is_refused(name: object) -> None:
    """Paths, options, look-alikes, control characters, plus signs (they divide SSH login names), numbers."""
    with pytest.raises(ValidationFailed) as caught:
        check_username(name)
    assert list(caught.value.fields) == ["username"]


def test_folding_makes_no_letter_of_a_look_alike() -> None:
    """The Kelvin sign's lower case is a plain k: it stays what it is, and so is refused and finds nobody."""
    assert fold_username("\u212aevin") == "\u212aevin"
    assert fold_username("KEVIN") == "kevin"


@pytest.mark.parametrize("name", sorted(n for n in RESERVED_USERNAMES if len(n) >= 3))
def test_a_reserved_name_is_refused_in_every_spelling(name: str) -> None:
    """Capitals and separators make no other name of it."""
    for spelling in (name, name.upper(), f"{name[0]}-{name[1:]}", f"{name[:-1]}.{name[-1]}", f"{name}_"):
        with pytest.raises(ValidationFailed, match="reserved"):
            check_username(spelling)


async def test_nobody_registers_as_the_operator(core: Core, root: Actor) -> None:
    """Neither a stranger nor an admin's hand makes such an account; nothing is stored."""
    for name in ("admin", "root", "openlxd", "system", "OpenLXD", "open-lxd", "ad.min", "support"):
        with pytest.raises(ValidationFailed, match="reserved"):
            await core.accounts.register(anonymous("api"), name, "x@example.org", PASSWORD)
        for role in Role.TENANT, Role.ADMIN:
            with pytest.raises(ValidationFailed, match="reserved"):
                await core.accounts.create(root, name, "x@example.org", PASSWORD, role=role)
    assert await models.User.all().count() == 1


async def test_the_first_admin_alone_is_called_admin(core: Core) -> None:
    """By hand (``openlxd user add admin --role admin`` on a fresh server) as by the first start; once."""
    with pytest.raises(ValidationFailed, match="reserved"):
        await core.accounts.create(SYSTEM, FIRST_ADMIN, "a@example.org", PASSWORD)  # a tenant never
    with pytest.raises(ValidationFailed, match="reserved"):
        await core.accounts.create(SYSTEM, "root", "a@example.org", PASSWORD, role=Role.ADMIN)
    await core.accounts.create(SYSTEM, FIRST_ADMIN, "a@example.org", PASSWORD, role=Role.ADMIN)
    assert await core.accounts.ensure_first_admin() is None


async def test_an_account_of_an_older_version_keeps_a_name_that_is_reserved_now(core: Core, root: Actor) -> None:
    """It signs in, is found and changed; and an admin who is made later gets another name."""
    await core.accounts.delete(SYSTEM, "boss")
    row = await models.User.create(username="old", email="support@example.org", password_hash="x", role="user")
    await models.User.filter(id=row.id).update(username="admin")
    await core.accounts.set_password(SYSTEM, "admin", "their password")
    actor = await core.auth.password_login("Admin", "their password", origin="ssh")
    assert actor.user_id == row.id
    made = await core.accounts.ensure_first_admin()
    assert made is not None
    assert made[0].startswith("admin-")
    assert (await core.auth.password_login(*made, origin="ssh")).role is Role.ADMIN


async def test_capitals_are_the_same_person_everywhere(core: Core, root: Actor) -> None:
    """Registering, signing in, keys, quotas and lookups all fold."""
    user = await core.accounts.register(anonymous("api"), "Client.42", "c42@example.org", PASSWORD)
    assert user.username == "client.42"
    for name in ("client.42", "CLIENT.42", "Client.42"):
        assert (await core.auth.password_login(name, PASSWORD, origin="ssh")).user_id == user.id
        assert (await core.accounts.get(root, name)).id == user.id
        assert (await core.quotas.get(root, name)).quota
    await core.keys.add(root, ED25519, "", "CLIENT.42")
    assert (await core.auth.key_login(ED25519, "Client.42", origin="ssh")).user_id == user.id
    for other in ("client.42", "CLIENT.42"):
        with pytest.raises(AlreadyExists):
            await core.accounts.register(anonymous("api"), other, "other@example.org", PASSWORD)


async def test_two_who_differ_in_capitals_make_one_account(core: Core) -> None:
    """At once: one gets the name, the other hears that it is taken."""
    made = await asyncio.gather(
        core.accounts.register(anonymous("api"), "Twin", "a@example.org", PASSWORD),
        core.accounts.register(anonymous("api"), "tWIN", "b@example.org", PASSWORD),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in made) == ["AlreadyExists", "CreatedUser"]


async def test_a_name_of_digits_is_never_somebody_elses_id(core: Core, root: Actor, alice: Actor) -> None:
    """The attack: register under the number that is the victim's id, then be taken for the victim, or have the admin's
    commands about oneself land on the victim. A text is a name, a number is an id, and nothing guesses between them.
    """
    await models.User.create(id=12345, username="victim", email="v@example.org", password_hash="x", role="admin")
    attacker = await core.accounts.register(anonymous("api"), "12345", "evil@example.org", PASSWORD)
    assert attacker.id != 12345
    actor = await core.auth.password_login("12345", PASSWORD, origin="ssh")
    assert (actor.user_id, actor.role) == (attacker.id, Role.TENANT)
    with pytest.raises(NotFound):
        await core.accounts.get(actor, 12345)
    token = (await core.auth.issue_token(actor)).token
    assert (await core.auth.token_login(token, origin="api")).user_id == attacker.id

    await core.quotas.set(root, "12345", Quota(9, 9, 9216, 90 * 1024, 9, 9))
    assert (await core.quotas.get(root, attacker.id)).quota.containers == 9
    assert (await core.quotas.get(root, 12345)).quota.containers == 3
    await finish(core, await core.containers.create(root, "digits", "debian/12", 1, 512, 5120, owner="12345"))
    assert (await core.containers.get(root, "digits")).user_id == attacker.id
    await finish(core, await core.containers.delete(root, "digits"))
    await core.accounts.suspend(root, "12345", "abuse")
    assert (await models.User.get(id=12345)).status == "active"
    assert (await models.User.get(id=attacker.id)).status == "suspended"
    await core.accounts.delete(root, "12345")
    with pytest.raises(NotFound):
        await core.accounts.get(root, "12345")
    assert (await core.accounts.get(root, 12345)).username == "victim"


async def test_odd_names_leave_files_and_lxd_as_they_are(core: Core, root: Actor, tmp_path: Path) -> None:
    """``a..b`` and ``con`` get a project by id and no file of their own; their addresses are addresses."""
    before = {path.name for path in tmp_path.rglob("*")}
    for number, name in enumerate(("a..b", "con", "aux.", "nul", "x" * 64)):
        user = await add_user(core, name)
        await finish(core, await core.containers.create(user, f"odd{number}", "debian/12", 1, 512, 5120))
        assert (await core.containers.get(root, f"odd{number}")).project == f"openlxd-{user.user_id}"
        assert check_email(f"{name}@localhost.invalid")
        mine = [entry.target for entry in await core.audit.list(user)]
        assert name in mine
    assert {path.name for path in tmp_path.rglob("*")} - before <= {"openlxd.sqlite3-journal", "openlxd.sqlite3-wal",
                                                                    "openlxd.sqlite3-shm"}  # fmt: skip


async def test_a_long_name_leaves_room_for_private_images_or_says_so(core: Core, root: Actor) -> None:
    """An image's name holds its owner's: what does not fit the column is one sentence, not a bug."""
    long = actor_of(await core.accounts.create(root, "x" * 64, "long@example.org", PASSWORD))
    await finish(core, await core.containers.create(long, "roomy", "debian/12", 1, 512, 5120))
    await finish(core, await core.containers.stop(long, "roomy"))
    with pytest.raises(ValidationFailed, match="too long"):
        await core.images.publish(long, "roomy", "n" * 40)
    await finish(core, await core.images.publish(long, "roomy", "n" * 20))
