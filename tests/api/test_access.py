"""Who gets in, who does not, and what strangers learn: nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from openlxd_api.framework.client import client_of, parse_networks
from openlxd_core.domain.actor import SYSTEM, Actor
from openlxd_core.domain.errors import ConfigurationError
from tests.api.conftest import Api
from tests.support.core import PASSWORD, finish

BAD_CREDENTIALS: dict[str, dict[str, str]] = {
    "no scheme": {"Authorization": "abc"},
    "basic": {"Authorization": "Basic YWxpY2U6eA=="},
    "an empty token": {"Authorization": "Bearer "},
    "garbage": {"Authorization": "Bearer a.b.c"},
    "alg none": {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."},
    "a key of 63": {"X-API-Key": "a" * 63},
    "a key of 65": {"X-API-Key": "a" * 65},
    "an unknown key": {"X-API-Key": "a" * 64},
    "a key of 8000": {"X-API-Key": "a" * 8000},
    "an empty key": {"X-API-Key": ""},
}


@pytest.mark.parametrize("headers", BAD_CREDENTIALS.values(), ids=BAD_CREDENTIALS)
async def test_a_credential_that_is_none_is_refused(api: Api, headers: dict[str, str]) -> None:
    """Whatever is wrong with it, the answer is 401 and never a bug."""
    answer = await api.ask("GET", "/users/profile", headers=headers)
    assert answer.status == 401
    assert (await answer.json())["error"] == "unauthenticated"


async def test_two_credentials_are_one_too_many(api: Api, alice: Actor) -> None:
    """Nobody has to guess which of two counts."""
    token = await api.sign_in("alice")
    answer = await api.ask("GET", "/users/profile", token=token, headers={"X-API-Key": "a" * 64})
    assert answer.status == 400


async def test_a_token_and_a_key_name_the_same_person(api: Api, alice: Actor) -> None:
    """Signing in gives a token with its end and the account; an API key does for scripts."""
    answer = await api.ask("POST", "/users/login", json={"email": "alice@example.org", "password": PASSWORD})
    data = (await answer.json())["data"]
    assert data["user"]["username"] == "alice"
    assert data["expires_at"].endswith(("Z", "+00:00"))
    assert not {"password", "password_hash", "api_key"} & set(data["user"])
    key = await api.core.accounts.regenerate_key(alice)
    for headers in ({"Authorization": f"Bearer {data['token']}"}, {"X-API-Key": key}):
        profile = await api.ask("GET", "/users/profile", headers=headers)
        assert (await profile.json())["data"]["username"] == "alice"


async def test_an_unknown_account_and_a_wrong_password_look_alike(api: Api, alice: Actor) -> None:
    """Nobody learns which accounts there are."""
    answers = []
    for name in ("alice", "nobody", "alice@example.org", "no@body.org"):
        field = "email" if "@" in name else "username"
        answer = await api.ask("POST", "/users/login", json={field: name, "password": "wrong horse"})
        answers.append((answer.status, await answer.json()))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == 401


async def _suspend(api: Api, alice: Actor, _token: str) -> None:
    await api.core.accounts.suspend(SYSTEM, "alice", "unpaid")


async def _delete(api: Api, alice: Actor, _token: str) -> None:
    await api.core.accounts.delete(SYSTEM, "alice")


async def _new_password(api: Api, alice: Actor, _token: str) -> None:
    await api.core.accounts.set_password(SYSTEM, "alice", "another horse")


async def _sign_out(api: Api, alice: Actor, token: str) -> None:
    assert (await api.ask("POST", "/users/logout", token=token)).status == 200


@pytest.mark.parametrize(("end", "status"), [(_suspend, 403), (_delete, 401), (_new_password, 401), (_sign_out, 401)])
async def test_a_token_ends_with_what_it_stood_on(
    api: Api, alice: Actor, end: Callable[[Api, Actor, str], Awaitable[None]], status: int
) -> None:
    """Suspension, deletion, a new password and a sign-out are felt by the very next request."""
    token = await api.sign_in("alice")
    await end(api, alice, token)
    assert (await api.ask("GET", "/users/profile", token=token)).status == status


async def test_a_suspended_tenant_learns_why(api: Api, alice: Actor) -> None:
    """With the right password the reason is told; with a wrong one nothing is."""
    await api.core.accounts.suspend(SYSTEM, "alice", "unpaid")
    right = await api.ask("POST", "/users/login", json={"username": "alice", "password": PASSWORD})
    assert right.status == 403
    assert "unpaid" in (await right.json())["message"]
    wrong = await api.ask("POST", "/users/login", json={"username": "alice", "password": "wrong horse"})
    assert wrong.status == 401


async def test_an_api_key_has_nothing_to_sign_out(api: Api, alice: Actor) -> None:
    """The caller is told, rather than left in the belief that the key is dead."""
    key = await api.core.accounts.regenerate_key(alice)
    assert (await api.ask("POST", "/users/logout", headers={"X-API-Key": key})).status == 400


async def test_people_change_their_own_address(api: Api, alice: Actor) -> None:
    """A good address is taken; a bad one is named as the field that is wrong, and nothing is changed."""
    token = await api.sign_in("alice")
    answer = await api.ask("PATCH", "/users/profile", token=token, json={"email": "new@example.org"})
    assert (await answer.json())["data"]["email"] == "new@example.org"
    bad = await api.ask("PATCH", "/users/profile", token=token, json={"email": "no address"})
    assert bad.status == 422
    assert "email" in (await bad.json())["fields"]
    sneaky = await api.ask("PATCH", "/users/profile", token=token, json={"email": "a@b.org", "role": "admin"})
    assert sneaky.status == 422
    profile = (await (await api.ask("GET", "/users/profile", token=token)).json())["data"]
    assert (profile["email"], profile["role"]) == ("new@example.org", "user")


async def test_tenants_see_their_own_and_admins_see_all(api: Api, alice: Actor, bob: Actor, boss: Actor) -> None:
    """One list, scoped by who asks."""
    image = (await api.core.images.list(alice))[0].alias
    await finish(api.core, await api.core.containers.create(alice, "web1", image, 1, "128MiB", "1GiB"))
    seen = {}
    for name in ("alice", "bob", "boss"):
        token = await api.sign_in(name)
        answer = await (await api.ask("GET", "/containers", token=token)).json()
        seen[name] = [container["name"] for container in answer["data"]]
    assert seen == {"alice": ["web1"], "bob": [], "boss": ["web1"]}
    token = await api.sign_in("alice")
    shown = (await (await api.ask("GET", "/containers/web1", token=token)).json())["data"]
    assert (shown["owner"], shown["status"], shown["memory_mb"], shown["disk_mb"]) == ("alice", "running", 128, 1024)


async def test_health_says_what_is_simulated_and_names_no_path(api: Api) -> None:
    """Anyone may ask; the answer tells kinds and versions, and nothing about the host."""
    answer = await api.ask("GET", "/health")
    body = await answer.json()
    assert answer.status == 200
    assert body["data"]["status"] == "ok"
    assert body["data"]["lxd"]["simulated"] is True
    assert body["data"]["database"] == {"reachable": True, "writable": True, "error": ""}
    assert "/" not in str({**body["data"], "version": ""})


async def test_health_is_down_when_the_database_is(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """503, so that whoever balances load looks elsewhere; the reason stays in the log."""

    async def broken(*_args: object, **_named: object) -> None:
        raise OSError("disk I/O error on /secret/path")

    monkeypatch.setattr(api.core.audit, "list", broken)
    answer = await api.ask("GET", "/health")
    assert answer.status == 503
    assert "/secret" not in await answer.text()


class _Request:
    def __init__(self, remote: str, forwarded: list[str]) -> None:
        from multidict import CIMultiDict

        self.remote = remote
        self.headers = CIMultiDict([("X-Forwarded-For", value) for value in forwarded])


@pytest.mark.parametrize(
    ("remote", "forwarded", "found"),
    [
        ("203.0.113.5", ["10.0.0.1"], "203.0.113.5"),  # not from a proxy: the header is anybody's
        ("10.1.1.1", ["203.0.113.5"], "203.0.113.5"),
        ("10.1.1.1", ["1.1.1.1, 203.0.113.5"], "203.0.113.5"),  # what the client wrote itself is further left
        ("10.1.1.1", ["1.1.1.1", "203.0.113.5, 10.2.2.2"], "203.0.113.5"),
        ("10.1.1.1", ["nonsense"], "10.1.1.1"),
        ("10.1.1.1", [], "10.1.1.1"),
    ],
)
def test_nobody_writes_themselves_another_address(remote: str, forwarded: list[str], found: str) -> None:
    """Only proxies that the operator named are believed, from the right."""
    request: Any = _Request(remote, forwarded)
    assert client_of(request, parse_networks("10.0.0.0/8")).address == found


def test_a_wrong_list_of_proxies_stops_the_start() -> None:
    """It is named in one line."""
    with pytest.raises(ConfigurationError, match="trusted_proxies"):
        parse_networks("10.0.0.0/8, everybody")
