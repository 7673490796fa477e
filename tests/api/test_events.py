"""Event streams: they beat, resume, end with the sign-in, and tell each person their own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientResponse

from openlxd_api.framework import sse as streams
from openlxd_api.framework.app_keys import STOPPING
from openlxd_core.domain.actor import SYSTEM, Actor
from tests.api.conftest import Api
from tests.support.core import finish


class Listener:
    """Reads a stream as a browser's EventSource does."""

    def __init__(self, response: ClientResponse) -> None:
        self.response = response

    async def next(self, name: str = "") -> dict[str, Any] | None:
        """The next event (of this name); None when the stream has ended."""
        async with asyncio.timeout(20):
            event: dict[str, Any] = {}
            while line := (await self.response.content.readline()).decode():
                field, _, value = line.rstrip("\n").partition(": ")
                if field in ("id", "event"):
                    event[field] = value
                elif field == "data":
                    event["data"] = json.loads(value)
                elif not field and event:
                    if not name or event["event"] == name:
                        return event
                    event = {}
            return None

    async def beat(self) -> str:
        """The next comment."""
        async with asyncio.timeout(20):
            while line := (await self.response.content.readline()).decode():
                if line.startswith(":"):
                    return line.strip()
        return ""


async def _listen(api: Api, path: str, token: str, **headers: str) -> Listener:
    answer = await api.ask("GET", path, token=token, headers=headers)
    assert answer.status == 200, await answer.text()
    assert answer.content_type == "text/event-stream"
    assert answer.headers["X-Request-Id"]
    listener = Listener(answer)
    assert await listener.beat() == ": connected"
    return listener


async def _make(api: Api, actor: Actor, name: str) -> None:
    await finish(api.core, await api.core.containers.create(actor, name, "debian/12", 1, "64MiB", "1GiB"))


async def test_everybody_hears_of_their_own(api: Api, alice: Actor, bob: Actor) -> None:
    """What bob does reaches bob's stream and never alice's."""
    hers = await _listen(api, "/events", await api.sign_in("alice"))
    his = await _listen(api, "/events", await api.sign_in("bob"))
    await _make(api, bob, "bobs")
    await _make(api, alice, "alices")
    event = await his.next("container.created")
    assert event is not None
    assert event["data"]["key"] == "bobs"
    while (event := await hers.next()) is not None:
        assert "bobs" not in json.dumps(event)
        if event["event"] == "operation.updated" and event["data"]["data"]["status"] == "done":
            break
    hers.response.close()
    his.response.close()


async def test_a_stream_goes_on_where_it_broke_off(api: Api, alice: Actor) -> None:
    """Last-Event-ID: nothing is missed and nothing comes twice."""
    token = await api.sign_in("alice")
    first = await _listen(api, "/events", token)
    await _make(api, alice, "web1")
    seen = await first.next("container.created")
    assert seen is not None
    first.response.close()
    await _make(api, alice, "web2")
    again = await _listen(api, "/events", token, **{"Last-Event-ID": seen["id"]})
    await _make(api, alice, "web3")
    ids, made = [], []
    while len(made) < 2:
        event = await again.next()
        assert event is not None
        ids.append(int(event["id"]))
        if event["event"] == "container.created":
            made.append(event["data"]["key"])
    assert made == ["web2", "web3"]
    assert ids == sorted(set(ids))
    assert ids[0] > int(seen["id"])
    again.response.close()


@pytest.mark.parametrize("said", ["x", "-1", "1.5", "9" * 19, "٣"])
async def test_an_id_that_is_none_is_refused(api: Api, alice: Actor, said: str) -> None:
    """In the envelope, before a stream begins."""
    token = await api.sign_in("alice")
    answer = await api.ask("GET", "/events", token=token, headers={"Last-Event-ID": said})
    assert answer.status == 400
    assert (await answer.json())["error"] == "bad_request"


async def _suspend(api: Api, token: str) -> None:
    await api.core.accounts.suspend(SYSTEM, "alice", "unpaid")


async def _sign_out(api: Api, token: str) -> None:
    await api.ask("POST", "/users/logout", token=token)


async def _password(api: Api, token: str) -> None:
    await api.core.accounts.set_password(SYSTEM, "alice", "another horse")


@pytest.mark.parametrize(
    ("end", "code"), [(_suspend, "suspended"), (_sign_out, "unauthenticated"), (_password, "unauthenticated")]
)
async def test_a_stream_ends_with_the_sign_in_it_stands_on(
    api: Api, alice: Actor, end: Callable[[Api, str], Awaitable[None]], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Suspension, sign-out and a new password end it with the reason as its last event."""
    monkeypatch.setattr(streams, "LOOK_SECONDS", 0.2)
    token = await api.sign_in("alice")
    listener = await _listen(api, "/events", token)
    await end(api, token)
    last = await listener.next("end")
    assert last is not None
    assert last["data"]["error"] == code
    assert await listener.next() is None


@pytest.mark.slow
async def test_an_operation_is_followed_to_its_end(slow_api: Api) -> None:
    """Progress only grows, the last event is the end, and then the stream closes; a finished one is told at once."""
    api = slow_api
    token = await api.sign_in("alice")
    order = {"name": "web1", "image": "debian/12", "cpu": 1, "memory": "64MB", "disk": "1GB"}
    pending = (await (await api.ask("POST", "/containers?wait=0", token=token, json=order)).json())["data"]
    path = f"/operations/{pending['operation_id']}/events"
    listener = await _listen(api, path, token)
    shown = []
    while (event := await listener.next("operation")) is not None:
        shown.append(event["data"])
    assert shown[-1]["status"] == "done"
    assert len(shown) > 1
    assert [one["progress"] for one in shown] == sorted(one["progress"] for one in shown)
    again = await _listen(api, path, token)
    event = await again.next()
    assert event is not None
    assert event["data"]["status"] == "done"
    assert await again.next() is None


async def test_silence_has_a_beat_and_a_stop_ends_it(api: Api, alice: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy takes a quiet stream for dead; and a server that is told to stop does not wait for it."""
    monkeypatch.setattr(streams, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(streams, "BEAT_SECONDS", 0.1)
    listener = await _listen(api, "/events", await api.sign_in("alice"))
    assert await listener.beat() == ": alive"
    assert api.client.app is not None
    api.client.app[STOPPING].set()
    assert await listener.beat() in ("", ": alive")
    async with asyncio.timeout(10):
        await listener.response.content.read()


async def test_nobody_holds_streams_without_end(api: Api, alice: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than allowed is 429 with Retry-After; a HEAD leaves none open."""
    monkeypatch.setattr(streams, "STREAMS_EACH", 2)
    token = await api.sign_in("alice")
    for _ in range(5):
        answer = await api.ask("HEAD", "/events", token=token)
        assert answer.status == 200
    listeners = [await _listen(api, "/events", token) for _ in range(2)]
    refused = await api.ask("GET", "/events", token=token)
    assert refused.status == 429
    assert int(refused.headers["Retry-After"]) >= 1
    for listener in listeners:
        listener.response.close()
