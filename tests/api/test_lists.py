"""Lists over HTTP: pages, orders and filters; what a list does not know is refused."""

from __future__ import annotations

import base64
from typing import Any, get_args

import pytest

from openlxd_api.app import all_endpoints
from openlxd_api.framework.endpoint import Endpoint
from openlxd_core.domain.actor import Actor
from openlxd_core.storage import models
from tests.api.conftest import Api
from tests.support.core import add_user

LISTS = [e for e in all_endpoints() if str(e.answer).startswith("openlxd_api.framework.responses.Paged")]


async def _ask(api: Api, path: str, token: str, expected: int = 200, /, **query: Any) -> dict[str, Any]:
    answer = await api.ask("GET", path, token=token, params=query)
    body: dict[str, Any] = await answer.json()
    assert answer.status == expected, body
    return body


async def _make(user: Actor, *names: str, **columns: Any) -> None:
    values = {"project": f"p{user.user_id}", "status": "running", "cpu": 1, "memory_mb": 128, "disk_mb": 1024}
    await models.Container.bulk_create(
        [models.Container(name=name, user_id=user.user_id, **{**values, **columns}) for name in names]
    )


async def test_a_client_follows_next_to_the_end(api: Api, alice: Actor, boss: Actor) -> None:
    """A hundred at a time where nothing is said; `next` stands beside `data`, and is null on the last page."""
    await _make(alice, *(f"web{number:03}" for number in range(230)))
    token = await api.sign_in("boss")
    seen: list[str] = []
    sizes: list[int] = []
    query: dict[str, Any] = {}
    while True:
        body = await _ask(api, "/containers", token, **query)
        assert set(body) == {"success", "data", "message", "next"}
        seen += [found["name"] for found in body["data"]]
        sizes.append(len(body["data"]))
        if body["next"] is None:
            break
        query = {"after": body["next"]}
    assert sizes == [100, 100, 30]
    assert seen == [f"web{number:03}" for number in range(230)]
    assert len((await _ask(api, "/containers", token, limit=1000))["data"]) == 230


async def test_lists_are_filtered_and_sorted(api: Api, alice: Actor, bob: Actor, boss: Actor) -> None:
    """By what the document names: the database does it, and the answer holds nothing else."""
    await _make(alice, "a1", "a2", memory_mb=64)
    await _make(bob, "b1", status="stopped", memory_mb=256)
    token = await api.sign_in("boss")

    async def names(path: str, field: str, **query: Any) -> list[str]:
        return [found[field] for found in (await _ask(api, path, token, **query))["data"]]

    assert await names("/containers", "name", owner="alice") == ["a1", "a2"]
    assert await names("/containers", "name", status="stopped") == ["b1"]
    assert await names("/containers", "name", sort="-memory_mb", limit=1) == ["b1"]
    assert await names("/containers", "name", search="1") == ["a1", "b1"]
    assert await names("/users", "username", username="alice") == ["alice"]
    assert await names("/users", "username", email="bob@example.org") == ["bob"]
    assert await names("/users", "username", role="admin") == ["boss"]
    assert await names("/users", "username", sort="-username") == ["boss", "bob", "alice"]
    await add_user(api.core, "gone")
    await api.core.accounts.delete(boss, "gone")
    assert "gone" not in await names("/users", "username")
    assert [found["status"] for found in (await _ask(api, "/users", token, status="deleted"))["data"]] == ["deleted"]


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("/users", {"name": "x"}, "name"),
        ("/users", {"status": "gone"}, "status"),
        ("/users", {"role": "system"}, "role"),
        ("/users", {"username": ""}, "username"),
        ("/users", {"username": "x" * 256}, "username"),
        ("/containers", {"ram": "1"}, "ram"),
        ("/containers", {"status": "RUNNING"}, "status"),
        ("/containers", {"sort": "password"}, "sort"),
        ("/containers", {"sort": ""}, "sort"),
        ("/containers", {"limit": "0"}, "limit"),
        ("/containers", {"limit": "1001"}, "limit"),
        ("/containers", {"limit": "-1"}, "limit"),
        ("/containers", {"limit": "1e2"}, "limit"),
        ("/containers", {"limit": "٣"}, "limit"),
        ("/containers", {"after": "garbage"}, "after"),
        ("/containers", {"after": ""}, "after"),
        ("/containers", {"after": "A" * 4000}, "after"),
        ("/containers", {"offset": "1"}, "offset"),
    ],
)
async def test_what_a_list_does_not_know_is_refused(
    api: Api, boss: Actor, path: str, query: dict[str, str], field: str
) -> None:
    """With 422 and the field's name, not with everything there is."""
    body = await _ask(api, path, await api.sign_in("boss"), 422, **query)
    assert (body["error"], set(body["fields"])) == ("validation_failed", {field})


async def test_a_cursor_is_of_one_list_in_one_order(api: Api, alice: Actor, boss: Actor) -> None:
    """Another list's cursor, or that of another order, is refused; filters may change on the way."""
    await _make(alice, "a1", "a2", "a3")
    token = await api.sign_in("boss")
    cursor = (await _ask(api, "/containers", token, limit=1))["next"]
    await _ask(api, "/users", token, 422, after=cursor)
    await _ask(api, "/containers", token, 422, after=cursor, sort="-name")
    rest = await _ask(api, "/containers", token, after=cursor, owner="alice")
    assert [found["name"] for found in rest["data"]] == ["a2", "a3"]


def test_every_list_says_how_it_is_asked() -> None:
    """A list comes in pages, and its query names a limit, a cursor and an order."""
    assert [e.name for e in all_endpoints() if str(e.answer).startswith("list[")] == []
    for endpoint in LISTS:
        assert endpoint.query is not None, endpoint.name
        assert {"limit", "after", "sort"} <= set(endpoint.query.model_fields), endpoint.name


@pytest.mark.parametrize("endpoint", LISTS, ids=lambda endpoint: endpoint.name)
async def test_every_list_takes_its_pages_and_refuses_what_is_none(api: Api, boss: Actor, endpoint: Endpoint) -> None:
    """Each order that the document names works; limits, orders and cursors that are none are a 422 by their field."""
    await _make(boss, "web1")
    token = await api.sign_in("boss")
    path = endpoint.path.removeprefix("/api/v1").replace("{name}", "web1")
    assert endpoint.query is not None
    for sort in get_args(endpoint.query.model_fields["sort"].annotation):
        body = await _ask(api, path, token, sort=sort)
        assert body["next"] is None
        assert isinstance(body["data"], list | dict)
    nested = base64.urlsafe_b64encode(b"[" * 1400).decode()
    for field, value in (
        ("after", "garbage"), ("after", "A" * 2048), ("after", "A" * 5000), ("after", nested), ("after", "é"),
        ("after", "%00"), ("limit", "0"), ("limit", "1001"), ("limit", "x"), ("sort", "password_hash"),
        ("sort", "--name"),
    ):  # fmt: skip
        body = await _ask(api, path, token, 422, **{field: value})
        assert set(body["fields"]) == {field}, value


async def test_the_audit_takes_moments_with_a_zone(api: Api, boss: Actor) -> None:
    """From and until; what is no moment is refused by its field."""
    token = await api.sign_in("boss")
    assert (await _ask(api, "/audit", token, since="2020-01-01T00:00:00Z", until="2199-01-01T00:00:00+02:00"))["data"]
    assert not (await _ask(api, "/audit", token, since="2199-01-01T00:00:00Z"))["data"]
    for bad in ("yesterday", "2026-08-01", "2026-08-01T00:00:00", "1", "0001-01-01T00:00:00+14:00", "", "9" * 300):
        body = await _ask(api, "/audit", token, 422, since=bad)
        assert set(body["fields"]) == {"since"}, bad
