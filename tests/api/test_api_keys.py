"""The API key that every account has from the start, over HTTP."""

from __future__ import annotations

from openlxd_core.domain.actor import Actor
from tests.api.conftest import Api
from tests.support.core import PASSWORD

FORM = {"username": "carol", "email": "c@example.org", "password": PASSWORD}


async def test_registering_answers_with_the_key_once(api: Api) -> None:
    """It opens at once; no later answer holds it."""
    answer = await api.ask("POST", "/users/register", json=FORM)
    told = await answer.json()
    assert answer.status == 201
    key = told["data"]["api_key"]
    assert len(key) == 64
    assert "not shown again" in told["message"]
    profile = await api.ask("GET", "/users/profile", headers={"X-API-Key": key})
    assert profile.status == 200
    data = (await profile.json())["data"]
    assert (data["username"], data["has_api_key"], data["api_key_shown"]) == ("carol", True, True)
    for text in (await profile.text(), await (await api.ask("POST", "/users/login", json={
        "username": "carol", "password": PASSWORD})).text()):  # fmt: skip
        assert key not in text


async def test_an_admin_hands_the_key_on(api: Api, boss: Actor) -> None:
    """``POST /users`` shows it, the list and the account do not."""
    token = await api.sign_in("boss")
    made = (await (await api.ask("POST", "/users", token=token, json=FORM)).json())["data"]
    assert (await api.ask("GET", "/users/profile", headers={"X-API-Key": made["api_key"]})).status == 200
    for path in ("/users", f"/users/{made['id']}"):
        assert made["api_key"] not in await (await api.ask("GET", path, token=token)).text()


async def test_a_repeated_registration_gets_the_same_key(api: Api) -> None:
    """The answer was lost on the way: the same request under the same idempotency key is given it again, and it is
    kept sealed; another's request under that key is not."""
    headers = {"Idempotency-Key": "order-1"}
    first = (await (await api.ask("POST", "/users/register", json=FORM, headers=headers)).json())["data"]
    again = (await (await api.ask("POST", "/users/register", json=FORM, headers=headers)).json())["data"]
    assert first == again
    stored = (api.core.settings.state_dir / "openlxd.sqlite3").read_bytes()
    assert first["api_key"].encode() not in stored
    other = await api.ask("POST", "/users/register", json=FORM | {"password": "another horse"}, headers=headers)
    assert other.status in (409, 422)
