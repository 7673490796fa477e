"""A thing has one name: what an answer calls it goes into a body under the same name, with the value it came with."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import BaseModel

from openlxd_api.app import all_endpoints
from openlxd_api.framework.endpoint import Endpoint
from openlxd_core.domain.actor import Actor
from tests.api.conftest import Api

CHANGES = [e for e in all_endpoints() if e.method in ("PATCH", "PUT") and e.body is not None]
ORDER = {"name": "web1", "image": "debian/12", "cpu": 1}


async def _ask(api: Api, method: str, path: str, token: str, expected: int, body: Any = None) -> Any:
    answer = await api.ask(method, path, token=token, **({"json": body} if body is not None else {}))
    told = await answer.json()
    assert answer.status == expected, told
    return told["data"] if expected < 400 else told["fields"]


def _views(answer: Any) -> list[type[BaseModel]]:
    if isinstance(answer, type) and issubclass(answer, BaseModel):
        inner = [kind for field in answer.model_fields.values() for kind in _views(field.annotation)]
        return [answer, *inner]
    return [view for part in get_args(answer) for view in _views(part)]


@pytest.mark.parametrize("endpoint", CHANGES, ids=lambda endpoint: endpoint.name)
def test_a_body_that_changes_a_thing_names_it_as_its_view_does(endpoint: Endpoint) -> None:
    """Every field of a PATCH or PUT stands in the answer under that name."""
    assert endpoint.body is not None
    views = _views(endpoint.answer)
    assert any(set(endpoint.body.model_fields) <= set(view.model_fields) for view in views), views


async def test_what_get_returns_can_be_sent_back(api: Api, alice: Actor, boss: Actor) -> None:
    """Limits of a container, a quota, an account: with the values as they came, or as text."""
    token, admin = await api.sign_in("alice"), await api.sign_in("boss")
    made = await _ask(
        api, "POST", "/containers", token, 201, {**ORDER, "memory_mb": 256, "disk_mb": "2GB", "ipv4": "none"}
    )
    assert (made["memory_mb"], made["disk_mb"], made["ipv4"]) == (256, 2048, "")
    same = {name: made[name] for name in ("cpu", "memory_mb", "disk_mb")}
    for change in (same, {"memory_mb": "512MiB"}, {"memory_mb": 512, "disk_mb": "4096"}):
        shown = await _ask(api, "PATCH", "/containers/web1", token, 200, change)
    assert (shown["memory_mb"], shown["disk_mb"]) == (512, 4096)
    where = f"/users/{alice.user_id}"
    quota = (await _ask(api, "GET", f"{where}/quota", admin, 200))["quota"]
    assert (await _ask(api, "PUT", f"{where}/quota", admin, 200, quota))["quota"] == quota
    text = {**quota, "memory_mb": "6GiB", "disk_mb": 0}
    changed = (await _ask(api, "PUT", f"{where}/quota", admin, 200, text))["quota"]
    assert changed == {**quota, "memory_mb": 6144, "disk_mb": 0}
    user = await _ask(api, "GET", where, admin, 200)
    assert (await _ask(api, "PATCH", where, admin, 200, {"email": user["email"], "role": user["role"]}))["id"] == user[
        "id"
    ]
    profile = await _ask(api, "GET", "/users/profile", token, 200)
    await _ask(api, "PATCH", "/users/profile", token, 200, {"email": profile["email"]})


async def test_former_names_go_on_working(api: Api, alice: Actor, boss: Actor) -> None:
    """`memory` and `disk`, as the first documents had them; not both names at once."""
    token, admin = await api.sign_in("alice"), await api.sign_in("boss")
    made = await _ask(api, "POST", "/containers", token, 201, {**ORDER, "memory": "256MB", "disk": 2048})
    assert (made["memory_mb"], made["disk_mb"]) == (256, 2048)
    assert "memory" not in made
    assert (await _ask(api, "PATCH", "/containers/web1", token, 200, {"memory": 512}))["memory_mb"] == 512
    both = {"memory": 512, "memory_mb": 512}
    assert set(await _ask(api, "PATCH", "/containers/web1", token, 422, both)) == {"memory"}
    quota = {"containers": 2, "cpu": 2, "memory": "2GB", "disk": "20GB", "snapshots": 1, "forwards": 1}
    changed = await _ask(api, "PUT", f"/users/{alice.user_id}/quota", admin, 200, quota)
    assert (changed["quota"]["memory_mb"], changed["quota"]["disk_mb"]) == (2048, 20480)


@pytest.mark.parametrize("bad", ["lots", "1.0001GB", True, -1, 0, None, [], "1" * 30])
async def test_a_wrong_size_is_named_as_it_was_sent(api: Api, alice: Actor, boss: Actor, bad: Any) -> None:
    """By the new name or by the former one, at the top or inside a quota; whether type or value is wrong."""
    token, admin = await api.sign_in("alice"), await api.sign_in("boss")
    for memory, disk in (("memory_mb", "disk_mb"), ("memory", "disk")):
        order = {**ORDER, memory: bad, disk: "2GB"}
        assert set(await _ask(api, "POST", "/containers", token, 422, order)) == {memory}
        quota = {"containers": 2, "cpu": 2, memory: "2GB", disk: bad if bad != 0 else -5, "snapshots": 1, "forwards": 1}
        assert set(await _ask(api, "PUT", f"/users/{alice.user_id}/quota", admin, 422, quota)) == {disk}
        form = {"username": "carol", "email": "c@example.org", "password": "correct horse", "quota": quota}
        assert set(await _ask(api, "POST", "/users", admin, 422, form)) == {f"quota.{disk}"}
    missing = await _ask(api, "POST", "/containers", token, 422, ORDER)
    assert set(missing) == {"memory_mb", "disk_mb"}
