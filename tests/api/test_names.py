"""User names over HTTP: what billing sends is taken, what would pass for somebody else is not."""

from __future__ import annotations

import pytest

from openlxd_core.domain.actor import Actor
from openlxd_core.storage import models
from tests.api.conftest import Api
from tests.support.core import PASSWORD


@pytest.mark.parametrize(("name", "kept"), [("user_1", "user_1"), ("Client.42", "client.42"), ("12345", "12345")])
async def test_a_billing_systems_name_registers_and_signs_in(api: Api, name: str, kept: str) -> None:
    """Folded to lower case; it opens however it is written."""
    form = {"username": name, "email": "c@example.org", "password": PASSWORD}
    answer = await api.ask("POST", "/users/register", json=form)
    assert answer.status == 201
    assert (await answer.json())["data"]["username"] == kept
    token = await api.sign_in(name.upper())
    profile = await api.ask("GET", "/users/profile", token=token)
    assert (await profile.json())["data"]["username"] == kept
    again = await api.ask("POST", "/users/register", json=form | {"username": name.upper(), "email": "d@example.org"})
    assert (again.status, (await again.json())["error"]) == (409, "already_exists")


@pytest.mark.parametrize("name", ["admin", "Root", "open-lxd", "system", "support", "..", "a/b", "al", 12345, "x" * 65])
async def test_a_name_that_would_mislead_is_refused(api: Api, boss: Actor, name: object) -> None:
    """By registration and for an admin alike, with the field that is wrong."""
    form = {"username": name, "email": "c@example.org", "password": PASSWORD}
    token = await api.sign_in("boss")
    for answer in (
        await api.ask("POST", "/users/register", json=form),
        await api.ask("POST", "/users", token=token, json=form | {"role": "admin"}),
    ):
        assert answer.status == 422
        assert "username" in (await answer.json())["fields"]
    assert await models.User.all().count() == 1


async def test_a_name_of_digits_never_reaches_another_account_by_its_id(api: Api, boss: Actor) -> None:
    """The attack: be called what another's id is. Paths take ids and ``owner`` takes names, never the other."""
    await models.User.create(id=12345, username="victim", email="v@example.org", password_hash="x")
    form = {"username": "12345", "email": "e@example.org", "password": PASSWORD}
    attacker = (await (await api.ask("POST", "/users/register", json=form)).json())["data"]
    token, admin = await api.sign_in("12345"), await api.sign_in("boss")
    profile = (await (await api.ask("GET", "/users/profile", token=token)).json())["data"]
    assert profile["id"] == attacker["id"] != 12345
    shown = (await (await api.ask("GET", "/users/12345", token=admin)).json())["data"]
    assert shown["username"] == "victim"
    assert (await api.ask("GET", "/users/12345", token=token)).status == 404
    order = {"name": "mine", "image": "debian/12", "cpu": 1, "memory": 512, "disk": 5120}
    for path in ("/whmcs/container/create", "/containers"):
        by_number = await api.ask("POST", path, token=admin, json=order | {"owner": 12345})
        assert by_number.status == 422
    made = await api.ask("POST", "/containers", token=admin, json=order | {"owner": "12345"})
    assert made.status == 201, await made.text()
    assert (await models.Container.get(name="mine")).user_id == attacker["id"]
