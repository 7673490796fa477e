"""Every success says what was done to what, in the caller's language."""

from __future__ import annotations

import re
from typing import Any, get_args, get_origin

import pytest

from openlxd_api.app import all_endpoints
from openlxd_api.framework.endpoint import Endpoint
from openlxd_api.framework.responses import Answer
from openlxd_core.domain.actor import Actor
from tests.api.conftest import Api
from tests.support.core import PASSWORD

CHANGES = [endpoint for endpoint in all_endpoints() if endpoint.method != "GET"]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB alice@laptop"
ORDER = {"name": "web1", "image": "debian/12", "cpu": 1, "memory": "256MB", "disk": "1GB"}


@pytest.mark.parametrize("endpoint", CHANGES, ids=lambda endpoint: endpoint.name)
def test_every_change_has_its_sentence(endpoint: Endpoint) -> None:
    """The endpoint's own, or its operation's; only what changes nothing is just “OK”."""
    kinds = get_args(endpoint.answer) or (endpoint.answer,)
    follows_an_operation = any(getattr(kind, "unfinished", False) for kind in kinds)
    brings_its_own = any(get_origin(kind) is Answer or kind is Answer for kind in (*kinds, endpoint.answer))
    assert endpoint.message or follows_an_operation or (brings_its_own and endpoint.name == "delete_image")


STEPS: list[tuple[str, str, dict[str, Any] | None, str]] = [
    ("POST", "/containers", ORDER, "Container created successfully"),
    ("POST", "/containers/web1/stop", None, "Container web1 was stopped."),
    ("POST", "/containers/web1/start", None, "Container web1 was started."),
    ("POST", "/containers/web1/restart", None, "Container web1 was restarted."),
    ("POST", "/containers/web1/pause", None, "Container web1 was paused."),
    ("POST", "/containers/web1/resume", None, "Container web1 was resumed."),
    ("PATCH", "/containers/web1", {"memory": 512}, "Container web1 was resized."),
    ("POST", "/containers/web1/snapshots", {"name": "one"}, "Snapshot one of web1 was taken."),
    ("POST", "/containers/web1/snapshots/one/restore", None, "Container web1 was restored to snapshot one."),
    ("DELETE", "/containers/web1/snapshots/one", None, "Snapshot one of web1 was deleted."),
    (
        "POST",
        "/containers/web1/forwards",
        {"target": 80, "listen": 20080},
        "Port 20080 of 198.51.100.7 is forwarded to web1.",
    ),
    ("DELETE", "/containers/web1/forwards/1", None, "Port 20080 of 198.51.100.7 is no longer forwarded to web1."),
    ("POST", "/containers/web1/reinstall", {}, "Container web1 was reinstalled from debian/12."),
    ("POST", "/containers/web1/suspend", None, "Container web1 was suspended."),
    ("POST", "/containers/web1/unsuspend", None, "Container web1 was unsuspended."),
    ("POST", "/whmcs/container/stop", {"name": "web1"}, "Container web1 was stopped."),
    ("POST", "/whmcs/container/suspend", {"name": "web1"}, "Container web1 was suspended."),
    ("POST", "/whmcs/container/unsuspend", {"name": "web1"}, "Container web1 was unsuspended."),
    ("POST", "/whmcs/container/config", {"name": "web1", "cpu": 2}, "Container web1 was resized."),
    ("POST", "/whmcs/container/delete", {"name": "web1"}, "Container web1 was deleted."),
    ("POST", "/whmcs/container/create", ORDER, "Container created successfully"),
    ("DELETE", "/containers/web1", None, "Container web1 was deleted."),
    ("POST", "/users/keys", {"public_key": KEY}, "SSH key SHA256:"),
    (
        "PATCH",
        "/users/profile",
        {"email": "boss@example.com"},
        "The email address of boss was changed to boss@example.",
    ),
    ("PATCH", "/users/1", {"email": "alice@example.com"}, "Account alice was changed."),
    ("POST", "/users/1/suspend", {"reason": "x"}, "Account alice was suspended."),
    ("POST", "/users/1/activate", None, "Account alice was reactivated."),
    ("POST", "/users/1/password", {"password": "another horse"}, "The password of alice was changed."),
    ("POST", "/users/1/regenerate-key", None, "A new API key was created for account 1"),
    ("DELETE", "/users/1", None, "Account alice was deleted."),
    ("GET", "/containers", None, "OK"),
]


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_each_step_says_what_it_did(api: Api, alice: Actor, boss: Actor, language: str) -> None:
    """The design paper's own sentence for a create; names stay as they are in Chinese, the rest is translated."""
    token = await api.sign_in("boss")
    assert alice.user_id == 1
    for method, path, body, sentence in STEPS:
        headers = {"Accept-Language": language}
        answer = await api.ask(method, path, token=token, headers=headers, **({"json": body} if body else {}))
        said = (await answer.json())["message"]
        assert answer.status in (200, 201), (path, said)
        if language == "en":
            assert said.startswith(sentence), (path, said)
            continue
        assert re.search(r"[\u4e00-\u9fff]", said), (path, said)
        for word in ("web1", "one", "alice@example.com", "debian/12", "boss@example.com"):
            if re.search(rf"\b{word}\b", sentence):
                assert word in said, (path, said)


async def test_accounts_are_named(api: Api) -> None:
    """Registering, signing in and out."""
    form = {"username": "carol", "email": "carol@example.org", "password": PASSWORD}
    said = (await (await api.ask("POST", "/users/register", json=form)).json())["message"]
    assert said.startswith("Account carol was created.")
    answer = await (await api.ask("POST", "/users/login", json={"username": "carol", "password": PASSWORD})).json()
    assert answer["message"] == "Signed in as carol."
    out = await (await api.ask("POST", "/users/logout", token=answer["data"]["token"])).json()
    assert out["message"] == "You are signed out."


async def test_a_name_with_braces_fills_in_nothing(api: Api, boss: Actor) -> None:
    """What comes from outside is never read as a template."""
    token = await api.sign_in("boss")
    answer = await api.ask("PATCH", "/images/{data}", token=token, json={"pinned": True})
    assert answer.status in (200, 404, 422)
    assert "message" in await answer.json()
