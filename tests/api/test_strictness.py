"""What is not asked for: refused where it stands, and ignored where billing systems send it along."""

from __future__ import annotations

from typing import Any

import pytest

from openlxd_api.app import all_endpoints
from openlxd_api.framework.endpoint import Access, Endpoint
from openlxd_core.domain.actor import SYSTEM, Actor
from openlxd_core.lxd.simulated import SimulatedLxd
from tests.api.conftest import Api

ENDPOINTS = all_endpoints()
STRICT = [endpoint for endpoint in ENDPOINTS if not endpoint.lenient and endpoint.access is not Access.ANYONE]
WITHOUT_BODY = [endpoint for endpoint in STRICT if endpoint.body is None]
PAPER = {
    "/users/register", "/users/login", "/users/logout", "/users/regenerate-key", "/users/profile",
    "/images/list", "/images/remote", "/images/import", "/images/{alias}/info", "/images/{alias}",
}  # fmt: skip
EXTRAS = {"serviceid": 42, "clientsdetails": {"companyname": "Example"}, "configoptions": [], "otp": None}
ORDER = {"name": "web1", "image": "debian/12", "cpu": 1, "memory": "512MB", "disk": "2GB"}


def _ids(endpoint: Endpoint) -> str:
    return endpoint.name


def _path(endpoint: Endpoint) -> str:
    values = {"name": "web1", "snapshot": "one", "alias": "debian/12", "id": "1" if endpoint.numbers else "x" * 36}
    path = endpoint.path.removeprefix("/api/v1")
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", value)
    return path


async def _refused(answer: Any, field: str) -> None:
    body = await answer.json()
    assert (answer.status, body["error"]) == (422, "validation_failed"), body
    assert field in body["fields"]
    assert body["data"] is None


@pytest.mark.parametrize("endpoint", STRICT, ids=_ids)
async def test_an_unknown_query_field_is_refused(api: Api, boss: Actor, endpoint: Endpoint) -> None:
    """A filter that does not exist must not answer with everything, nor a misspelt option be left out silently."""
    token = await api.sign_in("boss")
    answer = await api.ask(endpoint.method, _path(endpoint), token=token, params={"no_such_field": "x"})
    await _refused(answer, "no_such_field")


@pytest.mark.parametrize("endpoint", WITHOUT_BODY, ids=_ids)
async def test_a_body_that_nobody_reads_is_refused(api: Api, boss: Actor, endpoint: Endpoint) -> None:
    """With the field's name, and before anything is done; what is no JSON is a bad request."""
    token = await api.sign_in("boss")
    answer = await api.ask(endpoint.method, _path(endpoint), token=token, json={"force": True})
    await _refused(answer, "force")
    for raw in (b"force=1", b"[1]", b"7", b"{", b"\xff"):
        answer = await api.ask(endpoint.method, _path(endpoint), token=token, data=raw)
        assert answer.status == 400, (raw, await answer.text())
        assert (await answer.json())["error"] == "bad_request"


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"null", b" {}\n"])
async def test_an_empty_body_is_none(api: Api, alice: Actor, raw: bytes) -> None:
    """PHP clients send an empty array, some of them with a content type of their own."""
    token = await api.sign_in("alice")
    made = await api.ask("POST", "/containers", token=token, json=ORDER)
    assert made.status == 201
    for headers in ({"Content-Type": "application/json"}, {"Content-Type": "application/x-www-form-urlencoded"}):
        answer = await api.ask("POST", "/containers/web1/start", token=token, data=raw, headers=headers)
        assert answer.status == 200, await answer.text()


async def test_null_is_a_mistake_where_the_paper_says_nothing(api: Api, alice: Actor) -> None:
    """Left out is left out; null there is more likely a bug of the caller's."""
    token = await api.sign_in("alice")
    answer = await api.ask("POST", "/containers", token=token, json={**ORDER, "owner": None})
    await _refused(answer, "owner")
    assert await api.core.containers.list(alice) == []


def test_the_papers_endpoints_and_no_others_are_lenient() -> None:
    """Billing systems call these; of the rest a client learns at once what it got wrong."""
    for endpoint in ENDPOINTS:
        path = endpoint.path.removeprefix("/api/v1")
        paper = path.startswith("/whmcs/") or (path in PAPER and endpoint.method != "PATCH")
        assert endpoint.lenient is paper, endpoint.path


async def test_a_billing_system_sends_what_it_likes(api: Api, alice: Actor) -> None:
    """Unknown fields are ignored, null leaves an optional one out; none of it reaches LXD."""
    key = {"X-API-Key": await api.core.accounts.regenerate_key(alice)}
    order = {
        **ORDER, **EXTRAS, "cpu": None, "memory": None, "disk": None, "ipv4": None, "ipv6": None, "owner": None,
        "privileged": True, "config": {"security.nesting": "true"}, "user_id": 1,
    }  # fmt: skip
    answer = await api.ask("POST", "/whmcs/container/create?cb=1", headers=key, json=order)
    assert answer.status == 201, await answer.text()
    found = await api.core.containers.get(alice, "web1")
    assert (found.cpu, found.memory_mib, found.disk_mib, found.owner) == (1, 512, 10240, "alice")
    lxd = api.core.containers._lxd
    assert isinstance(lxd, SimulatedLxd)
    instance = await lxd.instance(found.project, "web1")
    assert set(instance.marks) <= {"user.openlxd.op", "user.openlxd.user", "user.openlxd.ready"}
    for verb in ("stop", "start", "restart", "config"):
        body = {"name": "web1", "container_id": None, "cpu": None, **EXTRAS}
        answer = await api.ask("POST", f"/whmcs/container/{verb}?_=7", headers=key, json=body)
        assert answer.status == 200, await answer.text()
    answer = await api.ask("GET", "/whmcs/container/info?name=web1&serviceid=42", headers=key)
    assert (await answer.json())["data"]["status"] == "running"
    answer = await api.ask("POST", "/whmcs/container/delete", headers=key, json={"name": "web1", **EXTRAS})
    assert (await answer.json())["data"]["status"] == "deleted"


async def test_a_client_of_the_paper_registers_and_signs_in_with_extras(api: Api) -> None:
    """A role that is sent along is ignored as any other field: nobody makes themselves an admin."""
    form = {"username": "carol", "email": "carol@example.org", "password": "correct horse"}
    answer = await api.ask("POST", "/users/register?from=whmcs", json={**form, **EXTRAS, "role": "admin", "id": 1})
    assert answer.status == 201, await answer.text()
    assert (await answer.json())["data"]["role"] == "user"
    sign_in = {"username": "carol", "email": None, "password": "correct horse", **EXTRAS}
    answer = await api.ask("POST", "/users/login", json=sign_in)
    token = (await answer.json())["data"]["token"]
    for method, path in (("GET", "/users/profile"), ("POST", "/users/regenerate-key"), ("GET", "/images/list")):
        assert (await api.ask(method, f"{path}?_=7", token=token, json=EXTRAS)).status == 200, path
    assert [user.role.value for user in await api.core.accounts.list(SYSTEM)] == ["user"]
