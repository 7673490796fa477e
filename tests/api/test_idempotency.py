"""`Idempotency-Key` over HTTP: one request, however often it is sent; and what is not the same request."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from openlxd_api.app import make_app
from openlxd_api.framework.body import canonical, parse_json
from openlxd_core.bootstrap import open_core
from openlxd_core.domain.actor import SYSTEM, Actor
from openlxd_core.domain.errors import StorageUnavailable
from openlxd_core.domain.quota import Quota
from openlxd_core.lxd.simulated import SimulatedLxd
from openlxd_core.services.idempotency import Idempotency
from openlxd_core.storage import transaction
from tests.api.conftest import Api
from tests.support.core import PASSWORD, add_user, make_settings

ORDER = {"name": "web1", "image": "debian/12", "cpu": 2, "memory_mb": 1024, "disk_mb": "10GB"}


async def _send(api: Api, key: str, token: str, body: Any, path: str = "/containers") -> tuple[int, Any, bool]:
    """The status, the body and whether it says that it was given before."""
    raw = body if isinstance(body, str | bytes | io.BytesIO) else json.dumps(body)
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    answer = await api.ask("POST", path, token=token, data=raw, headers=headers)
    return answer.status, await answer.json(), answer.headers.get("Idempotency-Replayed") == "true"


async def test_fifty_at_once_make_one_container_and_get_one_answer(api: Api, alice: Actor, bob: Actor) -> None:
    """Fifty at once and one later are answered alike, all but the first as replayed; another's key is theirs."""
    token = await api.sign_in("alice")
    answers = await asyncio.gather(*(_send(api, "order-7", token, ORDER) for _ in range(50)))
    assert {status for status, _body, _replayed in answers} == {201}
    assert len({json.dumps(body) for _status, body, _replayed in answers}) == 1
    assert sorted(replayed for _status, _body, replayed in answers) == [False] + [True] * 49
    assert await _send(api, "order-7", token, ORDER) == (201, answers[0][1], True)
    status, body, replayed = await _send(api, "order-7", token, {**ORDER, "cpu": 1})
    assert (status, body["error"], set(body["fields"]), replayed) == (
        422,
        "validation_failed",
        {"Idempotency-Key"},
        False,
    )
    status, body, _replayed = await _send(api, "order-7", token, {}, "/containers/web1/start")
    assert (status, set(body["fields"])) == (422, {"Idempotency-Key"})
    assert len(await api.core.containers.list(alice)) == 1
    assert (await _send(api, "order-7", await api.sign_in("bob"), {**ORDER, "name": "web2"}))[0] == 201


async def test_a_refusal_is_not_kept(api: Api, alice: Actor) -> None:
    """With more quota, the same request under the same key is carried out."""
    token = await api.sign_in("alice")
    big = {**ORDER, "cpu": 99}
    for _try in range(2):
        status, body, replayed = await _send(api, "k", token, big)
        assert (status, body["error"], replayed) == (409, "quota_exceeded", False)
    await api.core.quotas.set(SYSTEM, "alice", Quota(9, 99, 9999, 99999, 9, 9))
    assert (await _send(api, "k", token, big))[::2] == (201, False)
    assert (await _send(api, "k", token, big))[::2] == (201, True)
    for bad in ("", "a b", "x" * 256, "é"):
        answer = await api.ask("POST", "/containers", token=token, json=big, headers={"Idempotency-Key": bad})
        assert answer.status in (400, 422), bad


@pytest.mark.slow
async def test_fifty_refused_at_once_are_answered_alike(api: Api, alice: Actor) -> None:
    """The refusal goes to all who waited for it."""
    token = await api.sign_in("alice")
    answers = await asyncio.gather(*(_send(api, "k", token, {**ORDER, "cpu": 99}) for _ in range(50)))
    assert {(status, json.dumps(body)) for status, body, _replayed in answers} == {(409, json.dumps(answers[0][1]))}
    assert await api.core.containers.list(alice) == []


SAME = [
    '{"name":"web1","image":"debian/12","cpu":2,"memory_mb":1024,"disk_mb":"10GB"}',
    '{"disk_mb": "10GB", "memory_mb": 1024, "cpu": 2, "image": "debian/12", "name": "web1"}',
    ' {\n"name"\t:"web1",\r\n"image":"debian\\/12","cpu":2.0,"memory_mb":1.024e3,"disk_mb":"10\\u0047B"}\n',
    '{"n\\u0061me":"web1","image":"debian/12","cpu":20e-1,"memory_mb":1024.000,"disk_mb":"10GB"}',
]
OTHERS = [
    {**ORDER, "cpu": "2"}, {**ORDER, "cpu": True}, {**ORDER, "cpu": 3}, {**ORDER, "name": "Web1"},
    {**ORDER, "name": "web1 "}, {**ORDER, "owner": "alice"}, {**ORDER, "disk_mb": 10240},
]  # fmt: skip


async def test_the_same_json_is_the_same_request_however_it_is_written(api: Api, alice: Actor) -> None:
    """In another order of keys, with other white space, escapes and ways to write a number; other values are not."""
    token = await api.sign_in("alice")
    first = await _send(api, "k", token, SAME[0])
    assert first[0] == 201, first
    for text in SAME[1:]:
        assert await _send(api, "k", token, text) == (201, first[1], True), text
    for other in OTHERS:
        status, body, _replayed = await _send(api, "k", token, other)
        assert (status, set(body["fields"])) == (422, {"Idempotency-Key"}), other
    assert (await _send(api, "k", token, SAME[0], "/containers?wait=9"))[0] == 422
    twice = SAME[0].replace('"cpu":2', '"cpu":1,"cpu":2')
    assert (await _send(api, "k", token, twice))[:1] == (400,)
    assert (await _send(api, "k", token, SAME[0]))[::2] == (201, True)


def test_the_canonical_form_tells_apart_what_differs() -> None:
    """Numbers alike in value are one; text, truth, null and nesting are not mixed up; letters are not folded."""
    same = [b'{"a":1,"b":[1,{"c":-0.0}]}', b'{"b":[1.0,{"c":0}],"a":10e-1}']
    assert len({canonical(parse_json(raw)) for raw in same}) == 1
    different = [
        b'{"a":1}', b'{"a":"1"}', b'{"a":true}', b'{"a":null}', b'{"a":[1]}', b'{"a":{"b":1}}', b'{"b":1}', b"{}",
        b'{"a":1.5}', b'{"a":"\\u00e9"}', b'{"a":"e\\u0301"}', b'{"a":"\\u212b"}', b'{"a":"\\u00c5"}', b'{"A":1}',
        b'{"a":123456789012345678}', b'{"a":123456789012345679}',
    ]  # fmt: skip
    assert len({canonical(parse_json(raw)) for raw in different}) == len(different)


async def test_a_body_that_cannot_be_read_takes_no_key(api: Api, alice: Actor) -> None:
    """Not JSON, another type, too long: the key is free for the request that was meant."""
    token = await api.sign_in("alice")
    assert (await _send(api, "k", token, "{"))[0] == 400
    assert (await _send(api, "k", token, b"\xff"))[0] == 400
    assert (await _send(api, "k", token, io.BytesIO(b" " * 1_100_000)))[0] == 413
    assert (await _send(api, "k", token, ORDER))[0] == 201
    for body in ("", "{}", "[]", " null "):  # an empty body is written in many ways
        assert (await _send(api, "s", token, body, "/containers/web1/restart"))[0] == 200, body
    assert len([o for o in await api.core.operations.list(alice) if o.kind == "restart"]) == 1


async def test_strangers_do_not_meet_over_a_key(tmp_path: Path) -> None:
    """Who has not signed in is told apart by address: one's key and answer are nobody else's."""
    settings = make_settings(tmp_path, trusted_proxies="127.0.0.1")
    async with open_core(settings, lxd=SimulatedLxd()) as core, TestClient(TestServer(make_app(core))) as client:
        api = Api(client, core)
        await add_user(core, "alice")
        form = {"username": "alice", "password": PASSWORD}

        async def sign_in(address: str, **change: str) -> Any:
            headers = {"Idempotency-Key": "1", "X-Forwarded-For": address}
            return await api.ask("POST", "/users/login", json={**form, **change}, headers=headers)

        one = await sign_in("203.0.113.5")
        again = await sign_in("203.0.113.5")
        assert (await one.json(), again.headers["Idempotency-Replayed"]) == (await again.json(), "true")
        other = await sign_in("203.0.113.6")
        assert "Idempotency-Replayed" not in other.headers
        assert (await other.json())["data"]["token"] != (await one.json())["data"]["token"]
        assert (await sign_in("203.0.113.7", password="wrong wrong")).status == 401


async def test_an_answer_that_was_lost_with_its_process_is_given_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends after the container was begun and before its answer was kept: the next one finds it."""
    settings, lxd = make_settings(tmp_path), SimulatedLxd()

    async def never(*_given: Any) -> None:
        """What is to be kept is lost."""

    async with open_core(settings, lxd=lxd) as core, TestClient(TestServer(make_app(core))) as client:
        await add_user(core, "alice")
        api = Api(client, core)
        token = await api.sign_in("alice")
        with monkeypatch.context() as killed:
            killed.setattr(Idempotency, "_finish", never)
            killed.setattr(Idempotency, "_forget", never)
            first = await _send(api, "k", token, ORDER)
    async with open_core(settings, lxd=lxd) as core, TestClient(TestServer(make_app(core))) as client:
        api = Api(client, core)
        second = await _send(api, "k", token, ORDER)
        assert (first[0], second[0], second[2]) == (201, 201, False)
        assert second[1]["data"]["id"] == first[1]["data"]["id"]
        assert await _send(api, "k", token, ORDER) == (201, second[1], True)
        assert len(await lxd.instances()) == 1


async def test_an_answer_that_cannot_be_kept_yet_is_given_all_the_same(
    api: Api, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No room for it: it is kept once there is, and who asks meanwhile waits."""
    token = await api.sign_in("alice")
    true = Idempotency._finish
    tries = 0

    async def full(self: Idempotency, *given: Any) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise StorageUnavailable("no room")
        await true(self, *given)

    monkeypatch.setattr(Idempotency, "_finish", full)
    monkeypatch.setattr(transaction, "SURELY_SECONDS", (0.2, 0.2))
    assert (await _send(api, "k", token, ORDER))[0] == 201
    assert (await _send(api, "k", token, ORDER))[::2] == (201, True)
    assert tries == 3


async def test_a_secret_is_answered_again_and_kept_from_the_database(api: Api, alice: Actor) -> None:
    """The same sign-in gets the same key; the file on disk holds neither it nor a quick digest of the password."""
    token = await api.sign_in("alice")

    async def ask(key: str, path: str, token: str = "", body: Any = None) -> Any:
        answer = await api.ask("POST", path, token=token, headers={"Idempotency-Key": key}, json=body)
        return await answer.json()

    first = (await ask("key-1", "/users/regenerate-key", token))["data"]
    assert (await ask("key-1", "/users/regenerate-key", token))["data"] == first
    other = await api.sign_in("alice")
    assert (await ask("key-1", "/users/regenerate-key", other))["error"] == "conflict"
    form = {"username": "alice", "password": PASSWORD}
    one = (await ask("in", "/users/login", body=form))["data"]
    two = (await ask("in", "/users/login", body=dict(reversed(form.items()))))["data"]
    assert one["token"] == two["token"]
    stored = b"".join(path.read_bytes() for path in api.core.settings.state_dir.glob("openlxd.sqlite3*"))
    assert first["api_key"].encode() not in stored
    assert one["token"].encode() not in stored
