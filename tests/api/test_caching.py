"""Entity tags, gzip and what is left of a limit: what they save, and what they must not tell."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from typing import Any

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestClient, TestServer

from openlxd_api.app import make_app
from openlxd_api.framework.caching import takes_gzip
from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.actor import Actor
from openlxd_core.lxd.simulated import SimulatedLxd
from openlxd_core.storage import models
from tests.api.conftest import Api
from tests.support.core import PASSWORD, add_user, make_settings

ORDER = {"name": "web1", "image": "debian/12", "cpu": 1, "memory_mb": 128, "disk_mb": 1024}


async def _fill(user: Actor, count: int) -> None:
    await models.Container.bulk_create(
        [
            models.Container(
                name=f"web{number:03}",
                project="p",
                user_id=user.user_id,
                status="stopped",
                cpu=1,
                memory_mb=64,
                disk_mb=64,
            )
            for number in range(count)
        ]
    )


async def test_what_did_not_change_is_not_sent_again(api: Api, alice: Actor) -> None:
    """304 without a body for the tag that came with it, weak or strong, alone or among others; a change ends it."""
    token = await api.sign_in("alice")
    await api.ask("POST", "/containers", token=token, json=ORDER)
    first = await api.ask("GET", "/containers/web1", token=token)
    tag = first.headers["ETag"]
    assert re.fullmatch(r'W/"[0-9a-f]{32}"', tag)
    assert first.headers["Cache-Control"] == "private, no-cache"
    assert {"Accept-Language", "Authorization", "X-API-Key", "Accept-Encoding"} <= set(
        first.headers["Vary"].split(", ")
    )
    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = await api.ask("GET", "/containers/web1", token=token, headers={"If-None-Match": known})
        assert (again.status, await again.read()) == (304, b""), known
        assert again.headers["ETag"] == tag
        assert again.headers["Cache-Control"] == "private, no-cache"
        assert "X-Request-Id" in again.headers
    for unknown in ('"other"', "", "garbage", "W/", '"' * 100, f'"{tag}"'):
        again = await api.ask("GET", "/containers/web1", token=token, headers={"If-None-Match": unknown})
        assert again.status == 200, unknown
    await api.ask("PATCH", "/containers/web1", token=token, json={"memory_mb": 256})
    changed = await api.ask("GET", "/containers/web1", token=token, headers={"If-None-Match": tag})
    assert (changed.status, (await changed.json())["data"]["memory_mb"]) == (200, 256)
    chinese = await api.ask(
        "GET",
        "/containers/web1",
        token=token,
        headers={"If-None-Match": changed.headers["ETag"], "Accept-Language": "zh"},
    )
    assert chinese.status == 200


async def test_a_tag_opens_nothing(api: Api, alice: Actor, bob: Actor) -> None:
    """Another's tag, or any, is no credential: 401 and 404 as without it, and never stored."""
    token = await api.sign_in("alice")
    await api.ask("POST", "/containers", token=token, json=ORDER)
    tag = (await api.ask("GET", "/containers/web1", token=token)).headers["ETag"]
    for known in (tag, "*"):
        for who, status in (("", 401), (await api.sign_in("bob"), 404)):
            answer = await api.ask("GET", "/containers/web1", token=who, headers={"If-None-Match": known})
            assert answer.status == status
            assert answer.headers["Cache-Control"] == "no-store"
            assert "ETag" not in answer.headers
    refused = await api.ask("POST", "/containers/web1/start", token=token, headers={"If-None-Match": "*"})
    assert refused.status == 200


async def _raw(api: Api, method: str, path: str, token: str, accepts: str, **options: Any) -> Any:
    headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": accepts}
    where = api.client.make_url(f"/api/v1{path}")
    async with (
        ClientSession(auto_decompress=False) as session,
        session.request(method, where, headers=headers, **options) as answer,
    ):
        return answer, await answer.read()


@pytest.mark.parametrize("accepts", ["gzip", "deflate, gzip, br", "GZIP;q=0.5", "*", "br, *;q=0.1"])
async def test_a_long_answer_is_compressed(api: Api, alice: Actor, accepts: str) -> None:
    """By gzip where the client takes it; the tag is that of the answer as it is."""
    await _fill(alice, 230)
    token = await api.sign_in("alice")
    plain, whole = await _raw(api, "GET", "/containers?limit=230", token, "identity")
    assert "Content-Encoding" not in plain.headers
    answer, sent = await _raw(api, "GET", "/containers?limit=230", token, accepts)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert int(answer.headers["Content-Length"]) == len(sent) < len(whole) / 5
    assert gzip.decompress(sent) == whole
    assert answer.headers["ETag"] == plain.headers["ETag"]
    assert hashlib.sha256(whole).hexdigest().startswith(plain.headers["ETag"][3:-1])
    head, nothing = await _raw(api, "HEAD", "/containers?limit=230", token, accepts)
    assert (head.status, nothing, head.headers["ETag"]) == (200, b"", plain.headers["ETag"])


@pytest.mark.parametrize(
    "accepts", ["", "identity", "gzip;q=0", "*;q=0", "gzip;q=0, *", "br", "deflate", "gzipped", "x" * 3000]
)
def test_nobody_gets_gzip_who_does_not_take_it(accepts: str) -> None:
    """A weight of zero, another coding's name and garbage."""
    assert not takes_gzip((accepts,))


async def test_what_holds_a_secret_is_not_compressed(api: Api, alice: Actor) -> None:
    """Tokens and keys, and every answer to another method than GET: a length tells what repeats (BREACH)."""
    await _fill(alice, 1)
    token = await api.sign_in("alice")
    for path, body in (
        ("/users/login", {"username": "alice", "password": PASSWORD}),
        ("/users/regenerate-key", None),
        ("/users/login", {"username": "x" * 300, "password": PASSWORD}),
    ):
        answer, sent = await _raw(api, "POST", path, token, "gzip", **({"json": body} if body else {}))
        assert "Content-Encoding" not in answer.headers
        assert "ETag" not in answer.headers
        assert answer.headers["Cache-Control"] == "no-store"
        json.loads(sent)
    short, _sent = await _raw(api, "GET", "/users/quota", token, "gzip")
    assert "Content-Encoding" not in short.headers


async def test_everybody_sees_what_is_left(tmp_path: Any) -> None:
    """With each answer, failures included; past it 429, and the wait is said twice and alike."""
    settings = make_settings(tmp_path, rate_api="5/minute", rate_login="3/minute")
    async with open_core(settings, lxd=SimulatedLxd()) as core, TestClient(TestServer(make_app(core))) as client:
        api = Api(client, core)
        alice = await add_user(core, "alice")
        token = (await core.auth.issue_token(alice)).token
        for left in (4, 3, 2, 1, 0):
            path = "/users/profile" if left % 2 else "/containers/none"
            answer = await api.ask("GET", path, token=token)
            assert answer.headers["RateLimit-Limit"] == "5"
            assert answer.headers["RateLimit-Remaining"] == str(left)
            assert 1 <= int(answer.headers["RateLimit-Reset"]) <= 60
        refused = await api.ask("GET", "/users/profile", token=token)
        assert refused.status == 429
        assert refused.headers["RateLimit-Remaining"] == "0"
        assert refused.headers["RateLimit-Reset"] == refused.headers["Retry-After"]
        assert refused.headers["RateLimit-Limit"] == "5"


async def test_signing_in_tells_its_own_limit_and_nobody_elses(tmp_path: Any) -> None:
    """The scarcer limit is told; that of an account's name is not, lest it shows that somebody else tries."""
    settings = make_settings(tmp_path, rate_api="1000/minute", rate_login="3/minute", trusted_proxies="127.0.0.1")
    async with open_core(settings, lxd=SimulatedLxd()) as core, TestClient(TestServer(make_app(core))) as client:
        api = Api(client, core)
        await add_user(core, "alice")
        form = {"username": "alice", "password": "wrong wrong"}

        async def sign_in(address: str) -> Any:
            return await api.ask("POST", "/users/login", json=form, headers={"X-Forwarded-For": address})

        assert [(await sign_in("203.0.113.5")).headers["RateLimit-Remaining"] for _ in range(2)] == ["2", "1"]
        other = await sign_in("203.0.113.6")
        assert (other.headers["RateLimit-Limit"], other.headers["RateLimit-Remaining"]) == ("3", "2")
        full = await sign_in("203.0.113.7")
        assert (full.status, full.headers["RateLimit-Remaining"]) == (429, "0")


async def test_a_page_of_another_origin_may_read_these_headers(tmp_path: Any) -> None:
    """Where it is let in: the tag, what is left, and the right to send If-None-Match."""
    settings = make_settings(tmp_path, cors_origins="https://panel.example.org")
    async with open_core(settings, lxd=SimulatedLxd()) as core, TestClient(TestServer(make_app(core))) as client:
        origin = {"Origin": "https://panel.example.org"}
        answer = await client.get("/api/v1/health", headers=origin)
        shown = answer.headers["Access-Control-Expose-Headers"].split(", ")
        assert {"ETag", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Idempotency-Replayed"} <= set(
            shown
        )
        asked = {**origin, "Access-Control-Request-Method": "GET"}
        allowed = (await client.options("/api/v1/health", headers=asked)).headers["Access-Control-Allow-Headers"]
        assert "If-None-Match" in allowed.split(", ")


async def test_the_document_and_a_stream_fit(core: Core, api: Api, alice: Actor) -> None:
    """The document is compressed and tagged; a stream of events is neither."""
    token = await api.sign_in("alice")
    answer, sent = await _raw(api, "GET", "/openapi.json", token, "gzip")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(sent))["openapi"].startswith("3.1")
    headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "gzip"}
    async with api.client.get("/api/v1/events", headers=headers) as stream:
        assert stream.status == 200
        assert "Content-Encoding" not in stream.headers
        assert "ETag" not in stream.headers
