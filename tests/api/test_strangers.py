"""The stranger matrix: every endpoint, and everybody who should not get in. Each answer tells nothing."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer

from openlxd_api.app import all_endpoints, make_app
from openlxd_api.framework.endpoint import Access, Endpoint
from openlxd_core import key_files
from openlxd_core.bootstrap import open_core
from openlxd_core.domain.actor import SYSTEM, Actor, Role
from tests.api.conftest import Api
from tests.support.core import PASSWORD, add_user, finish, make_settings
from tests.support.faulty_lxd import FaultyLxd

ENDPOINTS = all_endpoints()
SECURED = [e for e in ENDPOINTS if e.access in (Access.SIGNED_IN, Access.ADMIN)]
ADMIN = [e for e in ENDPOINTS if e.access is Access.ADMIN]
BODIES: dict[str, dict[str, Any]] = {
    "register": {"username": "carol", "email": "carol@example.org", "password": "correct horse"},
    "sign_in": {"username": "carol", "password": "correct horse"},
    "change_profile": {"email": "new@example.org"},
    "change_password": {"old_password": PASSWORD, "new_password": "another horse"},
    "add_key": {"public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"},
    "create_user": {"username": "mallory", "email": "m@example.org", "password": "correct horse", "role": "admin"},
    "change_user": {"role": "admin"},
    "set_password": {"password": "another horse"},
    "set_quota": {"containers": 9, "cpu": 9, "memory_mb": "9GB", "disk_mb": "9GB", "snapshots": 9, "forwards": 9},
    "create_container": {"name": "web2", "image": "debian/12", "cpu": 1, "memory_mb": "128MB", "disk_mb": "1GB"},
    "resize_container": {"memory_mb": "256MB"},
    "set_root_password": {"password": "secret"},
    "create_snapshot": {"name": "two"},
    "create_forward": {"target": 80},
    "whmcs_create": {"name": "web2", "image": "debian/12", "memory": "128MB", "disk": "1GB"},
    "import_image": {"alias": "debian/12"},
    "publish_image": {"container": "web1", "alias": "mine"},
    "flag_image": {"hidden": True},
}
_WHMCS = {
    "whmcs_start", "whmcs_stop", "whmcs_restart", "whmcs_delete", "whmcs_config", "whmcs_suspend", "whmcs_unsuspend",
}  # fmt: skip
TOUCHES_ALICE = [
    e
    for e in ENDPOINTS
    if e.name in _WHMCS | {"whmcs_info", "publish_image"}
    or (set(e.path_parameters) & {"name", "snapshot", "id"} and e.access in (Access.SIGNED_IN, Access.ADMIN))
]
"""The endpoints that name something of alice's: a container, a snapshot, an operation, a key, the account."""


def _ids(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"


@dataclass
class House:
    """An API in which alice has something of everything."""

    api: Api
    alice: Actor
    operation_id: str
    key_id: int
    forward_id: int
    container_id: int
    credentials: dict[str, dict[str, str]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """One for all of these tests: nothing of what they try may change it."""
    directory = tmp_path_factory.mktemp("strangers")
    settings = make_settings(directory, rate_api="1000000/minute", rate_login="10000/minute")
    async with open_core(settings, lxd=FaultyLxd()) as core:
        alice, bob = await add_user(core, "alice"), await add_user(core, "bob")
        boss, gone = await add_user(core, "boss", role=Role.ADMIN), await add_user(core, "gone")
        late = await add_user(core, "late")
        operation = await core.containers.create(alice, "web1", "debian/12", 1, "128MiB", "1GiB")
        await finish(core, operation)
        await finish(core, await core.snapshots.create(alice, "web1", "one"))
        key = await core.keys.add(alice, BODIES["add_key"]["public_key"].replace("BBB", "CCC"))
        container = await core.containers.get(alice, "web1")
        made = await finish(core, await core.forwards.create(alice, "web1", 80))

        async def token(actor: Actor) -> str:
            return (await core.auth.issue_token(actor)).token

        signed_out, ended, old = await token(alice), await token(gone), await token(late)
        api_key = await core.accounts.regenerate_key(gone)
        claims = jwt.decode(await token(boss), options={"verify_signature": False})
        none = ".".join(
            base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
            for part in ({"alg": "none", "typ": "JWT"}, claims)
        )
        past = {**claims, "iat": int(time.time()) - 90_000, "exp": int(time.time()) - 3_600}
        await core.auth.revoke_token(signed_out)
        await core.accounts.suspend(SYSTEM, "gone", "unpaid")
        await core.accounts.set_password(SYSTEM, "late", "another horse")
        secret = key_files.jwt_secret(settings.keys_dir)

        def bearer(text: str) -> dict[str, str]:
            return {"Authorization": f"Bearer {text}"}

        credentials = {
            "nothing": {},
            "garbage": bearer("a.b.c"),
            "basic": {"Authorization": "Basic YWxpY2U6eA=="},
            "alg none": bearer(f"{none}."),
            "another secret": bearer(jwt.encode(claims, b"x" * 32, "HS256")),
            "another algorithm": bearer(jwt.encode(claims, secret.ljust(64, b"\0"), "HS512")),
            "expired": bearer(jwt.encode(past, secret, "HS256")),
            "never ending": bearer(jwt.encode({**claims, "exp": 10**11}, secret, "HS256")),
            "signed out": bearer(signed_out),
            "an old password": bearer(old),
            "an unknown key": {"X-API-Key": "a" * 64},
            "suspended, by token": bearer(ended),
            "suspended, by key": {"X-API-Key": api_key},
            "alice": bearer(await token(alice)),
            "bob": bearer(await token(bob)),
            "boss": bearer(await token(boss)),
        }
        async with TestClient(TestServer(make_app(core))) as client:
            yield House(
                Api(client, core), alice, operation.id, key.id, int(made.args["forward"]), container.id, credentials
            )


BAD = [
    "nothing", "garbage", "basic", "alg none", "another secret", "another algorithm", "expired", "never ending",
    "signed out", "an old password", "an unknown key", "suspended, by token", "suspended, by key",
]  # fmt: skip


async def _ask(house: House, endpoint: Endpoint, who: str, *, missing: bool = False) -> tuple[int, Any, Any]:
    """Ask about what is alice's, or about what is not there at all."""
    name, snapshot = ("web9", "nine") if missing else ("web1", "one")
    path = endpoint.path.removeprefix("/api/v1")
    if "/users/keys/" in path:
        number = 999_999 if missing else house.key_id
    elif "/forwards/" in path:
        number = 999_999 if missing else house.forward_id
    else:
        number = 999_999 if missing else house.alice.user_id or 0
    operation = "00000000-0000-0000-0000-000000000000" if missing else house.operation_id
    path = path.replace("{name}", name).replace("{snapshot}", snapshot).replace("{alias}", "debian/12")
    path = path.replace("{id}", operation if "/operations/" in path else str(number))
    options: dict[str, Any] = {}
    if endpoint.body is not None:
        options["json"] = dict(BODIES.get(endpoint.name, {}))
    if endpoint.name in _WHMCS:
        options["json"] = {"container_id": 999_999 if missing else house.container_id}
    if endpoint.name == "publish_image":
        options["json"] |= {"container": name}
    if endpoint.name == "whmcs_info":
        options["params"] = {"name": name}
    answer = await house.api.client.request(
        endpoint.method, f"/api/v1{path}", headers=house.credentials[who], **options
    )
    return answer.status, json.loads(await answer.text()), answer.headers


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("endpoint", SECURED, ids=_ids)
async def test_nobody_gets_in_with_a_credential_that_does_not_hold(house: House, endpoint: Endpoint) -> None:
    """Whatever is wrong with it: 401 in the envelope, or 403 with the reason for who is suspended."""
    for who in BAD:
        status, body, headers = await _ask(house, endpoint, who)
        if who.startswith("suspended"):
            assert (status, body["error"]) == (403, "suspended"), who
            assert "unpaid" in body["message"]
        else:
            assert (status, body["error"]) == (401, "token_expired" if who == "expired" else "unauthenticated"), who
            assert headers["WWW-Authenticate"] == "Bearer"
        assert body["data"] is None
        told = json.dumps(body)
        assert not any(word in told for word in ("alice", "web1", "web9", "boss")), who


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("endpoint", ADMIN, ids=_ids)
async def test_a_tenant_does_nothing_on_an_admins_path(house: House, endpoint: Endpoint) -> None:
    """Another's account answers exactly as none; what needs no account is forbidden."""
    status, body, _headers = await _ask(house, endpoint, "bob")
    if endpoint.name in _WHMCS or "/containers/" in endpoint.path:
        assert (status, body["error"]) == (404, "not_found")
        owner = await _ask(house, endpoint, "alice")
        assert (owner[0], owner[1]["error"]) == (403, "forbidden")
    elif "{id}" in endpoint.path:
        missing = await _ask(house, endpoint, "bob", missing=True)
        assert (status, body["error"]) == (404, "not_found")
        assert body["message"].replace(str(house.alice.user_id), "N") == missing[1]["message"].replace("999999", "N")
    else:
        assert (status, body["error"]) == (403, "forbidden")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("endpoint", TOUCHES_ALICE, ids=_ids)
async def test_a_stranger_learns_nothing(house: House, endpoint: Endpoint) -> None:
    """What is another tenant's answers as what is not there: the same status, code and words."""
    theirs = await _ask(house, endpoint, "bob")
    missing = await _ask(house, endpoint, "bob", missing=True)
    assert theirs[0] == missing[0] == 404

    def told(body: Any) -> str:
        text = json.dumps(body)
        for value in ("web1", "web9", "one", "nine", str(house.container_id), "999999", str(house.alice.user_id)):
            text = text.replace(f" {value}.", " X.").replace(f"named {value}", "named X")
        return text

    assert told(theirs[1]) == told(missing[1])
    assert set(theirs[2]) == set(missing[2])


@pytest.mark.asyncio(loop_scope="module")
async def test_after_all_of_this_nothing_has_changed(house: House) -> None:
    """Alice, her container, snapshot, key and quota are as they were; nobody was made or promoted."""
    core = house.api.core
    assert [c.name for c in await core.containers.list(SYSTEM)] == ["web1"]
    assert (await core.containers.get(house.alice, "web1")).memory_mib == 128
    assert [s.name for s in await core.snapshots.list(house.alice, "web1")] == ["one"]
    assert [f.id for f in await core.forwards.list(house.alice)] == [house.forward_id]
    assert [k.id for k in await core.keys.list(house.alice)] == [house.key_id]
    assert (await core.quotas.get(house.alice)).quota.containers == 3
    users = {user.username: (user.role.value, user.status.value) for user in await core.accounts.list(SYSTEM)}
    assert users == {
        "alice": ("user", "active"),
        "bob": ("user", "active"),
        "boss": ("admin", "active"),
        "gone": ("user", "suspended"),
        "late": ("user", "active"),
    }
    assert await core.auth.password_login("alice", PASSWORD, origin="test")


@pytest.mark.asyncio(loop_scope="module")
async def test_the_audit_and_the_lists_are_ones_own(house: House) -> None:
    """Bob sees neither alice's entries, nor her operations, nor her containers; the admin sees all."""
    for path in ("/audit", "/operations", "/containers"):
        seen = {}
        for who in ("alice", "bob", "boss"):
            answer = await house.api.ask("GET", path, headers=house.credentials[who])
            seen[who] = json.dumps((await answer.json())["data"])
        assert "web1" in seen["alice"], path
        assert "web1" in seen["boss"], path
        assert "web1" not in seen["bob"], path


def test_every_endpoint_is_tried() -> None:
    """A body that misses here would make the matrix prove nothing."""
    needed = {e.name for e in ENDPOINTS if e.body is not None and e.body_needed} - _WHMCS
    assert needed - BODIES.keys() == set()
