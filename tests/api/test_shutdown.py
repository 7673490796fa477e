"""A server that is told to stop lets what runs come to its end, and keeps connections while it serves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import ClientSession, TCPConnector

from openlxd_api.framework import pending as waiting
from openlxd_api.server import listening
from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.actor import SYSTEM
from tests.support.core import add_user, eventually, make_settings
from tests.support.faulty_lxd import FaultyLxd

ORDER = {"name": "web1", "image": "debian/12", "cpu": 1, "memory": "64MB", "disk": "1GB"}


@pytest.fixture
async def slow_core(tmp_path: Path) -> AsyncIterator[Core]:
    """A core whose LXD takes a second for a container."""
    async with open_core(make_settings(tmp_path, api_tls="off"), lxd=FaultyLxd(pace=0.3)) as core:
        yield core


async def _stopped_in_the_middle(core: Core) -> tuple[int, dict[str, object]]:
    """Stop the server while a create is waited for; what the caller is answered."""
    key = await core.accounts.regenerate_key(await add_user(core, "alice"))
    async with ClientSession() as client, AsyncExitStack() as stack:
        address = await stack.enter_async_context(listening(core, core.settings))
        headers = {"X-API-Key": key}
        asked = asyncio.ensure_future(client.post(f"{address}/api/v1/containers", json=ORDER, headers=headers))

        async def begun() -> bool:
            return bool(await core.containers.list(SYSTEM))

        await eventually(begun, "the create has begun")
        await stack.aclose()
        answer = await asked
        return answer.status, json.loads(await answer.text())


@pytest.mark.slow
async def test_a_request_that_runs_is_answered(slow_core: Core) -> None:
    """What is done within the grace is answered as if nothing were."""
    status, body = await _stopped_in_the_middle(slow_core)
    assert (status, body["success"]) == (201, True)


async def test_a_request_that_would_take_too_long_is_told_where_to_look(
    slow_core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    """202 with the operation, which the next process goes on with."""
    monkeypatch.setattr(waiting, "LAST_SECONDS", 0.05)
    status, body = await _stopped_in_the_middle(slow_core)
    assert status == 202
    data = body["data"]
    assert isinstance(data, dict)
    assert data["status"] == "creating"
    assert data["operation_id"]


async def test_a_connection_serves_many_requests(core: Core) -> None:
    """HTTP/1.1 keep-alive, over TLS with the self-signed pair."""
    import ssl

    async with listening(core, core.settings) as address:
        context = ssl.create_default_context(cafile=str(core.settings.keys_dir / "tls_cert.pem"))
        url = address.replace("127.0.0.1", "localhost") + "/api/v1/health"
        made = 0

        class Counting(TCPConnector):
            async def _create_connection(self, *arguments: object, **named: object) -> object:
                nonlocal made
                made += 1
                return await super()._create_connection(*arguments, **named)  # type: ignore[arg-type]

        async with ClientSession(connector=Counting(ssl=context)) as client:
            for _ in range(5):
                async with client.get(url) as answer:
                    assert answer.status == 200
                    await answer.read()
        assert made == 1
