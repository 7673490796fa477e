"""Attacks on kept identities and answers: nothing that was revoked, changed or another's is served from memory."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from openlxd_api.app import all_endpoints
from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import SYSTEM, Actor, Role
from openlxd_core.services import auth
from openlxd_core.storage import models
from openlxd_core.storage.read_cache import ReadCache
from tests.api.conftest import Api
from tests.support.core import PASSWORD

ORDER = {"name": "web1", "image": "debian/12", "cpu": 1, "memory_mb": 128, "disk_mb": 1024}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGx1lMnMhT9XCHmsVn2zCc9WGJqGmRvJVUsHnB8Xo1rD laptop"
ELSEWHERE = """
import asyncio, sys
from pathlib import Path
from openlxd_core.bootstrap import open_core
from openlxd_core.domain.actor import SYSTEM, Role
from tests.support.core import make_settings
from tests.support.faulty_lxd import FaultyLxd
from openlxd_core.storage import models

async def main():
    async with open_core(make_settings(Path(sys.argv[1])), lxd=FaultyLxd(), background=False) as core:
        print("ready", flush=True)
        for line in sys.stdin:
            await eval(line)
            print("done", flush=True)

asyncio.run(main())
"""
"""Another process with the same database, which carries out what it is told."""


async def _row(user: Actor, name: str) -> None:
    await models.Container.create(
        name=name, project="p", user_id=user.user_id, status="stopped", cpu=1, memory_mb=64, disk_mb=64
    )


async def _names(api: Api, token: str) -> list[str]:
    answer = await api.ask("GET", "/containers", token=token)
    assert answer.status == 200, await answer.text()
    return [container["name"] for container in (await answer.json())["data"]]


async def _warm(api: Api, token: str) -> None:
    for _time in range(3):
        assert (await api.ask("GET", "/users/profile", token=token)).status == 200


REVOKED: dict[str, tuple[Callable[[Core, Actor], Awaitable[Any]], int, str]] = {
    "suspended": (lambda core, alice: core.accounts.suspend(SYSTEM, "alice", "unpaid"), 403, "suspended"),
    "deleted": (lambda core, alice: core.accounts.delete(SYSTEM, "alice"), 401, "unauthenticated"),
    "new password": (
        lambda core, alice: core.accounts.change_password(alice, PASSWORD, "another horse"), 401, "unauthenticated"
    ),
    "promoted": (lambda core, alice: core.accounts.update(SYSTEM, "alice", role=Role.ADMIN), 401, "unauthenticated"),
}  # fmt: skip


@pytest.mark.parametrize("what", REVOKED)
async def test_a_revoked_token_is_refused_by_the_next_request(api: Api, core: Core, alice: Actor, what: str) -> None:
    """However often it was taken just before, for an answer that is kept as well as for any other."""
    revoke, status, code = REVOKED[what]
    token = await api.sign_in("alice")
    await _warm(api, token)
    await revoke(core, alice)
    for path in ("/users/profile", "/containers", "/users/quota"):
        answer = await api.ask("GET", path, token=token)
        assert (answer.status, (await answer.json())["error"]) == (status, code), path


async def test_a_token_that_was_signed_out_is_refused_by_the_next_request(api: Api, alice: Actor) -> None:
    """Another token of the same account goes on."""
    token, other = await api.sign_in("alice"), await api.sign_in("alice")
    await _warm(api, token)
    await _warm(api, other)
    assert (await api.ask("POST", "/users/logout", token=token)).status == 200
    assert (await api.ask("GET", "/users/profile", token=token)).status == 401
    assert (await api.ask("GET", "/users/profile", token=other)).status == 200


async def test_a_kept_token_ends_at_its_time(api: Api, alice: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the database changes when a token expires."""
    monkeypatch.setattr(auth, "TOKEN_LIFE", timedelta(seconds=2))
    token = await api.sign_in("alice")
    await _warm(api, token)
    await asyncio.sleep(2.1)
    answer = await api.ask("GET", "/users/profile", token=token)
    assert (answer.status, (await answer.json())["error"]) == (401, "token_expired")


async def test_an_api_key_that_was_replaced_is_refused_by_the_next_request(api: Api, core: Core, alice: Actor) -> None:
    """The new one works at once."""
    old = await core.accounts.regenerate_key(alice)
    for _time in range(3):
        assert (await api.ask("GET", "/users/profile", headers={"X-API-Key": old})).status == 200
    new = await core.accounts.regenerate_key(alice)
    assert (await api.ask("GET", "/users/profile", headers={"X-API-Key": old})).status == 401
    assert (await api.ask("GET", "/users/profile", headers={"X-API-Key": new})).status == 200


async def test_what_another_process_does_counts_for_the_next_request(
    api: Api, core: Core, alice: Actor, tmp_path: Path
) -> None:
    """A row that it makes is listed, an account that it suspends is refused, and let in again."""
    token = await api.sign_in("alice")
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ELSEWHERE, str(core.settings.state_dir.parent), stdin=-1, stdout=-1,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert other.stdin is not None
    assert other.stdout is not None

    async def there(done: str) -> None:
        assert other.stdin is not None
        assert other.stdout is not None
        if done:
            other.stdin.write(f"{done}\n".encode())
        async for line in other.stdout:
            if line.strip() in (b"ready", b"done"):
                return
        raise AssertionError("the other process ended")

    await there("")
    assert await _names(api, token) == []
    for number in range(5):
        await there(
            f"models.Container.create(name='web{number}', project='p', user_id={alice.user_id}, status='stopped', "
            "cpu=1, memory_mb=64, disk_mb=64)"
        )
        assert len(await _names(api, token)) == number + 1
    await there("core.accounts.suspend(SYSTEM, 'alice')")
    assert (await api.ask("GET", "/containers", token=token)).status == 403
    await there("core.accounts.activate(SYSTEM, 'alice')")
    assert len(await _names(api, await api.sign_in("alice"))) == 5
    other.stdin.close()
    await other.wait()


async def test_nobody_gets_an_answer_that_was_made_for_another(
    api: Api, core: Core, alice: Actor, bob: Actor, boss: Actor
) -> None:
    """The same path, asked by two tenants and an admin in turn; an admin who is one no more sees their own."""
    await _row(alice, "hers")
    await _row(bob, "his")
    tokens = {name: await api.sign_in(name) for name in ("alice", "bob", "boss")}
    seen = {"alice": ["hers"], "bob": ["his"], "boss": ["hers", "his"]}
    for _time in range(3):
        for name, token in tokens.items():
            assert await _names(api, token) == seen[name]
            hers = await api.ask("GET", "/containers/hers", token=token)
            assert hers.status == (404 if name == "bob" else 200)
            profile = await api.ask("GET", "/users/profile", token=token)
            assert (await profile.json())["data"]["username"] == name
    await core.accounts.update(SYSTEM, "boss", role=Role.TENANT)
    assert await _names(api, await api.sign_in("boss")) == []


async def test_a_kept_answer_is_in_the_language_and_coding_that_was_asked_for(api: Api, alice: Actor) -> None:
    """English and Chinese, plain and gzip, in turn."""
    for number in range(12):
        await _row(alice, f"web{number}")
    token = await api.sign_in("alice")
    for _time in range(2):
        for language, coding in (("en", "gzip"), ("zh", "gzip"), ("en", "identity"), ("zh", "identity")):
            headers = {"Accept-Language": language, "Accept-Encoding": coding}
            answer = await api.ask("GET", "/containers", token=token, headers=headers)
            assert answer.headers["Content-Language"] == language
            assert answer.headers.get("Content-Encoding", "identity") == coding
            assert ((await answer.json())["message"] == "OK") is (language == "en")


async def test_a_kept_answer_counts_as_a_request(api: Api, alice: Actor, boss: Actor) -> None:
    """Against the limit, in the metrics, and with a request id of its own."""
    token = await api.sign_in("alice")
    answers = [await api.ask("GET", "/users/profile", token=token) for _time in range(4)]
    left = [int(answer.headers["RateLimit-Remaining"]) for answer in answers]
    assert left == list(range(left[0], left[0] - 4, -1))
    assert len({answer.headers["X-Request-Id"] for answer in answers}) == 4
    metrics = await api.client.get("/api/v1/metrics")
    line = 'openlxd_http_requests_total{method="GET",path="/api/v1/users/profile",status="200"} 4.0'
    assert line in await metrics.text()


async def test_kept_answers_are_those_that_would_be_made_anew(
    api: Api, core: Core, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every endpoint that keeps its answers, after every change: the same status, headers and body as without."""
    paths = [endpoint.path.replace("{name}", "web1") for endpoint in all_endpoints() if endpoint.from_database]
    assert len(paths) >= 4
    token = await api.sign_in("alice")
    read = ReadCache.read

    async def straight(self: ReadCache, key: Any, make: Callable[[], Awaitable[Any]], **_: Any) -> Any:
        return await make()

    async def answers(reader: Any) -> list[Any]:
        monkeypatch.setattr(ReadCache, "read", reader)
        found = []
        for path in paths:
            answer = await api.client.get(path, headers={"Authorization": f"Bearer {token}"})
            told = {name: answer.headers.get(name) for name in ("ETag", "Vary", "Cache-Control", "Content-Type")}
            found.append((answer.status, told, json.loads(await answer.text())))
        return found

    async def order() -> None:
        assert (await api.ask("POST", "/containers?wait=20", token=token, json=ORDER)).status == 201

    async def add_key() -> None:
        assert (await api.ask("POST", "/users/keys", token=token, json={"public_key": KEY})).status == 201

    async def change_email() -> None:
        assert (await api.ask("PATCH", "/users/profile", token=token, json={"email": "a@b.example"})).status == 200

    async def stop() -> None:
        assert (await api.ask("POST", "/containers/web1/stop?wait=20", token=token)).status == 200

    for change in (order, add_key, change_email, stop):
        await answers(read)
        await change()
        kept = await answers(read)
        again = await answers(read)
        assert kept == again == await answers(straight)
        monkeypatch.setattr(ReadCache, "read", read)
