"""A served API over a real core, a fresh database and a simulated LXD, with people who can sign in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from openlxd_api.app import make_app
from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.actor import Actor, Role
from tests.support.core import PASSWORD, add_user, make_settings
from tests.support.faulty_lxd import FaultyLxd


@dataclass
class Api:
    """The API as a client meets it."""

    client: TestClient[Any, Any]
    core: Core

    async def ask(self, method: str, path: str, *, token: str = "", **options: Any) -> ClientResponse:
        """One request to ``/api/v1``, signed in with ``token`` where one is given."""
        headers = dict(options.pop("headers", {}))
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return await self.client.request(method, f"/api/v1{path}", headers=headers, **options)

    async def sign_in(self, username: str, password: str = PASSWORD) -> str:
        """A token."""
        answer = await self.ask("POST", "/users/login", json={"username": username, "password": password})
        assert answer.status == 200, await answer.text()
        return str((await answer.json())["data"]["token"])


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Core]:
    """A core of the test's own."""
    async with open_core(make_settings(tmp_path), lxd=FaultyLxd()) as opened:
        yield opened


@pytest.fixture
async def api(core: Core) -> AsyncIterator[Api]:
    """The API, served on a free port."""
    async with TestClient(TestServer(make_app(core))) as client:
        yield Api(client, core)


@pytest.fixture
async def alice(core: Core) -> Actor:
    """A tenant."""
    return await add_user(core, "alice")


@pytest.fixture
async def bob(core: Core) -> Actor:
    """Another tenant."""
    return await add_user(core, "bob")


@pytest.fixture
async def boss(core: Core) -> Actor:
    """An admin."""
    return await add_user(core, "boss", role=Role.ADMIN)


@pytest.fixture
async def slow_api(tmp_path: Path) -> AsyncIterator[Api]:
    """An API on an LXD that takes its time, with alice in it."""
    async with open_core(make_settings(tmp_path), lxd=FaultyLxd(pace=0.3)) as core:
        await add_user(core, "alice")
        async with TestClient(TestServer(make_app(core))) as client:
            yield Api(client, core)
