"""Accounts: who gets in, what a secret is worth, and when it ends."""

from __future__ import annotations

import asyncio
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter

import jwt
import pytest

from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.account import AccountStatus
from openlxd_core.domain.actor import SYSTEM, Actor, Role, anonymous
from openlxd_core.domain.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    NotFound,
    RateLimited,
    Suspended,
    TokenExpired,
    Unauthenticated,
    ValidationFailed,
)
from openlxd_core.domain.quota import Quota
from openlxd_core.settings import Settings
from openlxd_core.storage import models
from tests.support.core import PASSWORD, add_user, make_settings
from tests.support.faulty_lxd import FaultyLxd

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO0dSNKEySqDEvAdAGBkLTdVD07Jvx5TAhUaBxLHHb7T alice@laptop"


@pytest.fixture
def rsa_1024(tmp_path: Path) -> str:
    """A key too short to be let in."""
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "1024", "-N", "", "-f", tmp_path / "k"], check=True)
    return (tmp_path / "k.pub").read_text()


async def test_registering_leads_to_signing_in_by_name_or_address(core: Core) -> None:
    """An account made by its owner opens with either of its names."""
    user = await core.accounts.register(anonymous("api"), "carol", "Carol@example.org", PASSWORD)
    assert (user.role, user.status, user.api_key_shown) == (Role.TENANT, AccountStatus.ACTIVE, True)
    for name in ("carol", "carol@EXAMPLE.org"):
        actor = await core.auth.password_login(name, PASSWORD, origin="ssh", address="198.51.100.1")
        assert (actor.user_id, actor.role, actor.origin, actor.address) == (user.id, Role.TENANT, "ssh", "198.51.100.1")


async def test_a_taken_name_or_address_makes_nothing(core: Core, alice: Actor) -> None:
    """One sentence says which; no second row is there."""
    with pytest.raises(AlreadyExists, match="alice is taken"):
        await core.accounts.register(anonymous("api"), "alice", "x@example.org", PASSWORD)
    with pytest.raises(AlreadyExists, match="email"):
        await core.accounts.register(anonymous("api"), "alice2", "ALICE@example.org", PASSWORD)
    assert await models.User.all().count() == 1


async def test_ten_askers_for_one_name_make_one_account(core: Core) -> None:
    """The check and the row are one unit."""
    made = await asyncio.gather(
        *(core.accounts.register(anonymous("api"), "dora", f"d{n}@example.org", PASSWORD) for n in range(10)),
        return_exceptions=True,
    )
    assert sum(not isinstance(result, Exception) for result in made) == 1
    assert all(isinstance(result, AlreadyExists) for result in made if isinstance(result, Exception))


async def test_a_form_with_every_field_wrong_says_so_of_each(core: Core) -> None:
    """73 bytes are one too many; nothing is made."""
    with pytest.raises(ValidationFailed) as caught:
        await core.accounts.register(anonymous("api"), "No", "nowhere", "x" * 73)
    assert set(caught.value.fields) == {"username", "email", "password"}
    assert await models.User.all().count() == 0


async def test_closed_registration_lets_only_admins_make_accounts(tmp_path: Path) -> None:
    """A stranger is told to ask the operator."""
    async with open_core(make_settings(tmp_path, registration="off"), lxd=FaultyLxd()) as core:
        with pytest.raises(Forbidden, match="operator"):
            await core.accounts.register(anonymous("api"), "carol", "c@example.org", PASSWORD)
        assert (await add_user(core, "carol")).username == "carol"


async def test_unknown_and_wrong_answer_alike(core: Core, alice: Actor) -> None:
    """The same sentence, and the same work is done for it."""
    texts = set()
    for account, password in (("alice", "wrong"), ("nobody", "wrong"), ("alice", "密" * 25), ("", ""), ("a\x1b", "x")):
        with pytest.raises(Unauthenticated) as caught:
            await core.auth.password_login(account, password, origin="ssh", address=account)
        texts.add(str(caught.value))
    assert len(texts) == 1


async def test_unknown_and_wrong_take_the_same_time(settings: Settings) -> None:
    """An unknown account costs a hash as well: the medians are near each other, not a hundredfold apart."""
    async with open_core(settings.model_copy(update={"bcrypt_rounds": 8}), lxd=FaultyLxd()) as core:
        await add_user(core, "alice")
        times: dict[str, list[float]] = {"alice": [], "nobody": []}
        for number in range(15):
            for account, taken in times.items():
                begun = perf_counter()
                with pytest.raises(Unauthenticated):
                    await core.auth.password_login(account, "wrong", origin="ssh", address=f"192.0.2.{number}")
                taken.append(perf_counter() - begun)
        ratio = median(times["nobody"]) / median(times["alice"])
        assert 0.5 < ratio < 2


async def test_guessing_is_slowed_for_the_guesser_alone(core: Core, alice: Actor) -> None:
    """Five failures a minute for one account from one address; her own laptop still gets in."""
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await core.auth.password_login("alice", "guess", origin="ssh", address="198.51.100.66")
    with pytest.raises(RateLimited) as caught:
        await core.auth.password_login("alice", PASSWORD, origin="ssh", address="198.51.100.66")
    assert 1 <= caught.value.retry_after <= 60
    assert (await core.auth.password_login("alice", PASSWORD, origin="ssh", address="203.0.113.5")).username == "alice"


async def test_spraying_many_accounts_from_one_address_is_slowed(core: Core) -> None:
    """Thirty failures a minute for one address, whatever the names."""
    refused = 0
    for number in range(32):
        try:
            await core.auth.password_login(f"user{number}", "x", origin="ssh", address="198.51.100.7")
        except RateLimited:
            refused += 1
        except Unauthenticated:
            pass
    assert refused == 2


async def test_a_suspended_account_is_shut_at_every_door(core: Core, alice: Actor, root: Actor) -> None:
    """Password, key, token and API key: each says why, and none lets in."""
    await core.keys.add(alice, ED25519)
    token = (await core.auth.issue_token(alice)).token
    api_key = await core.accounts.regenerate_key(alice)
    await core.accounts.suspend(root, "alice", "unpaid invoice")
    for attempt in (
        core.auth.password_login("alice", PASSWORD, origin="ssh"),
        core.auth.key_login(ED25519, origin="ssh"),
        core.auth.token_login(token, origin="api"),
        core.auth.api_key_login(api_key, origin="api"),
    ):
        with pytest.raises(Suspended, match="unpaid invoice"):
            await attempt
    with pytest.raises(Unauthenticated):  # the reason is not for those who do not know the password
        await core.auth.password_login("alice", "wrong", origin="ssh")
    await core.accounts.activate(root, "alice")
    assert (await core.auth.key_login(ED25519, origin="ssh")).username == "alice"
    with pytest.raises(Unauthenticated):  # a token from before stays dead
        await core.auth.token_login(token, origin="api")


async def test_only_the_digest_of_an_api_key_is_kept(core: Core, alice: Actor, settings: Settings) -> None:
    """64 hex digits, shown once; the old one is dead, and the stored digest opens nothing."""
    old, new = await core.accounts.regenerate_key(alice), await core.accounts.regenerate_key(alice)
    assert len(new) == 64
    assert int(new, 16) >= 0
    assert (await core.auth.api_key_login(new, origin="api")).username == "alice"
    stored = (await models.User.get(username="alice")).api_key
    assert stored is not None
    for dead in (old, stored, "", "0" * 63, "0" * 65, "0" * 10_000, "é" * 64):
        with pytest.raises(Unauthenticated):
            await core.auth.api_key_login(dead, origin="api")
    assert new.encode() not in (settings.state_dir / "openlxd.sqlite3").read_bytes()


async def test_a_token_ends_with_sign_out_password_role_and_account(core: Core, alice: Actor, root: Actor) -> None:
    """Each of them ends it at once, everywhere."""

    async def refused(token: str) -> None:
        with pytest.raises(Unauthenticated):
            await core.auth.token_login(token, origin="api")

    token = (await core.auth.issue_token(alice)).token
    assert (await core.auth.token_login(token, origin="api")).user_id == alice.user_id
    await core.auth.revoke_token(token)
    await core.auth.revoke_token(token)
    await refused(token)
    token = (await core.auth.issue_token(alice)).token
    await core.accounts.change_password(alice, PASSWORD, "another password")
    await refused(token)
    token = (await core.auth.issue_token(alice)).token
    await models.User.filter(username="alice").update(role="admin")
    await refused(token)
    await models.User.filter(username="alice").update(role="user")
    await core.accounts.delete(root, "alice")
    await refused(token)
    with pytest.raises(Unauthenticated):
        await core.auth.issue_token(alice)


async def test_a_forged_token_opens_nothing(core: Core, alice: Actor, settings: Settings) -> None:
    """alg none, other keys, missing or absurd claims: all one refusal, never a crash."""
    secret = (
        (settings.keys_dir / "jwt_secret").read_bytes() if (settings.keys_dir / "jwt_secret").exists() else b"s" * 32
    )
    now = datetime.now(UTC)
    good = {
        "sub": str(alice.user_id), "role": "user", "ver": 0, "jti": "x", "iat": now, "exp": now + timedelta(hours=1),
    }  # fmt: skip
    tokens = [jwt.encode(good, "k" * 32, "HS256"), jwt.encode(good, "", "none"), "", "a.b.c", "é", "x" * 10_000]
    for change in (
        {"exp": None}, {"sub": 1}, {"sub": "9" * 30}, {"sub": "١"}, {"exp": 10**30}, {"exp": now + timedelta(days=400)},
        {"jti": 5}, {"ver": "0"}, {"role": "admin"}, {"extra": 1},
    ):  # fmt: skip
        claims = {key: value for key, value in (good | change).items() if value is not None}
        try:
            tokens.append(jwt.encode(claims, secret, "HS256"))
        except TypeError:  # this jwt refuses to write it
            continue
    for token in tokens:
        with pytest.raises(Unauthenticated):
            await core.auth.token_login(token, origin="api")
    issued = (await core.auth.issue_token(alice)).token
    head, body, signature = issued.split(".")
    with pytest.raises(Unauthenticated):
        await core.auth.token_login(f"{head}.{body}.{signature[:-4]}AAAA", origin="api")


async def test_an_old_token_says_that_it_has_expired(core: Core, alice: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was good once, and the client learns to sign in again."""
    from openlxd_core.services import auth

    monkeypatch.setattr(auth, "TOKEN_LIFE", timedelta(seconds=-1))
    token = (await core.auth.issue_token(alice)).token
    with pytest.raises(TokenExpired):
        await core.auth.token_login(token, origin="api")


async def test_a_key_names_one_account(core: Core, alice: Actor, bob: Actor) -> None:
    """The same key cannot be registered twice, under any comment."""
    key = await core.keys.add(alice, ED25519)
    assert (key.name, key.fingerprint) == ("alice@laptop", "SHA256:" + key.fingerprint[7:])
    with pytest.raises(AlreadyExists):
        await core.keys.add(bob, ED25519.replace("alice@laptop", "bob"))
    assert await core.auth.key_known(ED25519)
    assert await core.auth.key_known(ED25519, "alice")
    assert not await core.auth.key_known(ED25519, "bob")
    with pytest.raises(Unauthenticated):
        await core.auth.key_login(ED25519, "bob", origin="ssh")
    assert (await core.auth.key_login(ED25519, "alice", origin="ssh")).user_id == alice.user_id


async def test_the_fingerprint_is_the_one_ssh_keygen_prints(core: Core, alice: Actor, tmp_path: Path) -> None:
    """People compare it with their own tool's."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", tmp_path / "k"], check=True)
    key = await core.keys.add(alice, (tmp_path / "k.pub").read_text())
    printed = subprocess.run(["ssh-keygen", "-lf", tmp_path / "k.pub"], check=True, capture_output=True, text=True)
    assert key.fingerprint in printed.stdout


async def test_what_is_not_a_public_key_is_refused(core: Core, alice: Actor, rsa_1024: str) -> None:
    """Garbage, private keys, options, short RSA and several lines: one sentence each, nothing stored."""
    private = "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----"
    for bad in (
        "", "hello", "ssh-ed25519", "ssh-ed25519 !!!!", "ssh-dss AAAAB3NzaC1kc3M=", private, rsa_1024,
        'command="sh" ' + ED25519, ED25519 + "\n" + ED25519, ED25519.replace("ssh-ed25519", "ssh-rsa", 1),
        "ssh-ed25519 " + "A" * 20_000, "ssh-ed25519 AAAA", "\x1b[2J",
    ):  # fmt: skip
        with pytest.raises(ValidationFailed) as caught:
            await core.keys.add(alice, bad)
        assert list(caught.value.fields) == ["public_key"]
    assert await core.keys.list(alice) == []


async def test_a_strangers_key_and_account_do_not_exist(core: Core, alice: Actor, bob: Actor) -> None:
    """Another's key cannot be seen or deleted; another's account cannot be read or changed."""
    key = await core.keys.add(alice, ED25519)
    with pytest.raises(NotFound):
        await core.keys.delete(bob, key.id)
    for call in (
        core.accounts.get(bob, "alice"),
        core.keys.list(bob, "alice"),
        core.quotas.get(bob, "alice"),
        core.accounts.suspend(bob, "alice"),
        core.accounts.activate(bob, "alice"),
        core.accounts.delete(bob, "alice"),
        core.accounts.set_password(bob, "alice", "12345678"),
        core.accounts.regenerate_key(bob, "alice"),
        core.quotas.set(bob, "alice", Quota()),
    ):
        with pytest.raises(NotFound, match="There is no user alice"):
            await call
    with pytest.raises(NotFound, match="There is no user nobody"):
        await core.accounts.get(bob, "nobody")
    for refused in (
        core.accounts.list(bob),
        core.accounts.create(bob, "x" * 5, "x@example.org", PASSWORD),
        core.quotas.set(bob, "bob", Quota(99, 99, 99, 99)),
        core.accounts.suspend(bob, "bob"),
    ):
        with pytest.raises(Forbidden):
            await refused
    await core.keys.delete(alice, key.id)
    assert not await core.auth.key_known(ED25519)


async def test_a_deleted_account_keeps_its_row_and_nothing_else(core: Core, alice: Actor, root: Actor) -> None:
    """Its keys are free, nobody gets in; what it was called is told, and held by nobody."""
    await core.keys.add(alice, ED25519)
    gone = await core.accounts.delete(root, "alice")
    assert (gone.username, gone.email, gone.status) == ("alice", "alice@example.org", AccountStatus.DELETED)
    row = await models.User.get(id=alice.user_id)
    assert (row.status, row.username) == ("deleted", f"alice (deleted {alice.user_id})")
    assert "alice" not in {user.username for user in await core.accounts.list(root)}
    for name in ("alice", row.username, row.email):
        with pytest.raises(Unauthenticated):
            await core.auth.password_login(name, PASSWORD, origin="ssh")
        with pytest.raises(NotFound):
            await core.accounts.get(root, name)
    assert not await core.auth.key_known(ED25519)


async def test_an_admin_cannot_lock_themselves_out(core: Core, root: Actor) -> None:
    """Suspending or deleting oneself is refused."""
    for call in (core.accounts.suspend(root, "boss"), core.accounts.delete(root, "boss")):
        with pytest.raises(Conflict):
            await call


async def test_the_old_password_is_asked_for(core: Core, alice: Actor) -> None:
    """A session left open does not give the account away."""
    with pytest.raises(Unauthenticated):
        await core.accounts.change_password(alice, "wrong", "new password")
    with pytest.raises(ValidationFailed):
        await core.accounts.change_password(alice, PASSWORD, "short")
    await core.accounts.change_password(alice, PASSWORD, "new password")
    assert await core.auth.password_login("alice", "new password", origin="ssh")


async def test_the_first_admin_is_made_once(settings: Settings) -> None:
    """However many processes start at once; the password is told once."""
    async with open_core(settings, lxd=FaultyLxd()) as core:
        made = await asyncio.gather(*(core.accounts.ensure_first_admin() for _ in range(5)))
        told = [one for one in made if one]
        assert len(told) == 1
        name, password = told[0]
        actor = await core.auth.password_login(name, password, origin="ssh")
        assert actor.role is Role.ADMIN
        assert (await core.auth.local_login("tui")).username == name


async def test_everything_that_matters_is_in_the_audit(core: Core, alice: Actor, bob: Actor, root: Actor) -> None:
    """Who, what, to whom, how it ended; a tenant reads their own, an admin all."""
    with pytest.raises(Unauthenticated):
        await core.auth.password_login("alice", "wrong", origin="ssh", address="198.51.100.1")
    await core.keys.add(alice, ED25519)
    await core.accounts.suspend(root, "bob", "spam")
    mine = await core.audit.list(alice)
    assert {entry.action for entry in mine} >= {"login.password", "key.add", "user.create"}
    failed = next(entry for entry in mine if entry.action == "login.password")
    assert (failed.outcome, failed.address, failed.target) == ("unauthenticated", "198.51.100.1", "alice")
    assert all(entry.user_id == alice.user_id for entry in mine)
    everything = await core.audit.list(root, limit=500)
    assert any(
        entry.action == "user.suspend" and entry.target == "bob" and entry.actor == "boss" for entry in everything
    )
    page = await core.audit.list(root, limit=1)
    assert (await core.audit.list(root, limit=1, before=page[0].id))[0].id < page[0].id
    with pytest.raises(Unauthenticated):
        await core.audit.list(anonymous("api"))


async def test_hostile_text_is_clean_in_the_audit(core: Core, root: Actor) -> None:
    """An account name that clears a terminal does so nowhere."""
    with pytest.raises(Unauthenticated):
        await core.auth.password_login("\x1b[2J\u202eevil\nFAKE", "x", origin="ssh")
    await add_user(core, "eve")
    await core.accounts.suspend(root, "eve", "\x1b]0;owned\x07 because")
    for entry in await core.audit.list(SYSTEM):
        assert "\x1b" not in entry.target + entry.detail
        assert "\n" not in entry.target
    assert (await core.accounts.get(root, "eve")).suspended_reason == "]0;owned because"


async def test_somebody_who_has_not_signed_in_owns_nothing(core: Core) -> None:
    """Anonymous callers are told to sign in."""
    nobody = anonymous("api")
    for call in (
        core.containers.list(nobody), core.accounts.get(nobody), core.keys.list(nobody), core.quotas.get(nobody),
        core.images.list(nobody), core.operations.list(nobody), core.accounts.list(nobody),
    ):  # fmt: skip
        with pytest.raises(Unauthenticated):
            await call
    assert replace(nobody, role=Role.TENANT).user_id is None
