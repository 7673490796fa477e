"""Limits, other origins, figures, and what a list costs."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
from aiohttp.test_utils import TestClient, TestServer

from openlxd_api.app import make_app
from openlxd_api.framework.limiting import source_of
from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.actor import Actor, Role
from openlxd_core.domain.errors import ConfigurationError
from openlxd_core.settings import load_settings
from tests.support.core import PASSWORD, add_user, make_settings
from tests.support.faulty_lxd import FaultyLxd

FROM = {"X-Forwarded-For": "203.0.113.7"}


@asynccontextmanager
async def served(directory: Any, **changes: Any) -> AsyncIterator[tuple[Core, TestClient[Any, Any]]]:
    """An API with these settings; who asks stands behind a proxy that is believed."""
    settings = make_settings(directory, trusted_proxies="127.0.0.0/8", **changes)
    async with (
        open_core(settings, lxd=FaultyLxd()) as core,
        TestClient(TestServer(make_app(core))) as client,
    ):
        yield core, client


async def _refused(answer: Any) -> None:
    body = await answer.json()
    assert (answer.status, body["error"]) == (429, "rate_limited")
    assert 1 <= int(answer.headers["Retry-After"]) <= 3600
    assert answer.headers["Retry-After"] in body["message"] or body["message"]


async def test_signing_in_is_limited_by_address_and_by_account(tmp_path: Any) -> None:
    """Right passwords count, too; another address and another account are not in the way of each other."""
    async with served(tmp_path, rate_login="3/minute") as (core, client):
        for name in ("alice", "bob", "carol"):
            await add_user(core, name)

        async def sign_in(name: str, address: str) -> Any:
            form = {"username": name, "password": PASSWORD}
            return await client.post("/api/v1/users/login", json=form, headers={"X-Forwarded-For": address})

        for name in ("alice", "bob", "alice"):
            assert (await sign_in(name, "203.0.113.1")).status == 200
        await _refused(await sign_in("carol", "203.0.113.1"))
        assert (await sign_in("alice", "203.0.113.2")).status == 200
        await _refused(await sign_in("alice", "203.0.113.3"))  # the account's third came from the second address
        assert (await sign_in("carol", "203.0.113.4")).status == 200


async def test_registering_is_limited(tmp_path: Any) -> None:
    """By address; another address may."""
    async with served(tmp_path, rate_register="2/hour") as (_core, client):

        async def register(name: str, address: str) -> Any:
            form = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
            return await client.post("/api/v1/users/register", json=form, headers={"X-Forwarded-For": address})

        assert [(await register(f"user-{n}", "203.0.113.1")).status for n in range(2)] == [201, 201]
        await _refused(await register("user-2", "203.0.113.1"))
        assert (await register("user-3", "203.0.113.2")).status == 201


async def test_an_account_asks_generously_and_not_without_end(tmp_path: Any) -> None:
    """By account wherever it asks from; guessed keys by address."""
    async with served(tmp_path, rate_api="5/minute") as (core, client):
        key = await core.accounts.regenerate_key(await add_user(core, "alice"))
        asked = [
            await client.get("/api/v1/containers", headers={"X-API-Key": key, "X-Forwarded-For": f"203.0.113.{n}"})
            for n in range(6)
        ]
        assert [answer.status for answer in asked[:5]] == [200] * 5
        await _refused(asked[5])
        guessed = [
            (await client.get("/api/v1/containers", headers={"X-API-Key": f"{n:064x}", **FROM})).status
            for n in range(6)
        ]
        assert guessed == [401] * 5 + [429]


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("", ""),
    ],
)
def test_an_ipv6_customer_is_one_source(address: str, source: str) -> None:
    """Their /64 has more addresses than there are limits."""
    assert source_of(address) == source


async def test_other_origins_are_let_in_by_name_alone(tmp_path: Any) -> None:
    """Off unless configured; then the origin named, without credentials of the browser's own."""
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    async with served(tmp_path, cors_origins="https://panel.example.org") as (_core, client):
        for origin, let_in in (("https://panel.example.org", True), ("https://evil.example", False), ("null", False)):
            before = await client.options("/api/v1/users/login", headers={"Origin": origin, **ask})
            after = await client.get("/api/v1/health", headers={"Origin": origin})
            assert before.status == (204 if let_in else 405)
            for answer in (before, after):
                assert answer.headers.get("Access-Control-Allow-Origin") == (origin if let_in else None)
                assert "Access-Control-Allow-Credentials" not in answer.headers
                assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize(
    ("name", "value"), [("rate_login", "often"), ("cors_origins", "*"), ("cors_origins", "https://a.org/path")]
)
def test_a_wrong_setting_stops_the_start(name: str, value: str) -> None:
    """In one line that names it."""
    with pytest.raises(ConfigurationError, match=name):
        load_settings({name: value}, environment={})


async def test_figures_are_for_this_machine_and_for_admins(tmp_path: Any) -> None:
    """Through a proxy nobody is local; a tenant's key does not open them."""
    async with served(tmp_path) as (core, client):
        alice = await core.accounts.regenerate_key(await add_user(core, "alice"))
        boss = await core.accounts.regenerate_key(await add_user(core, "boss", role=Role.ADMIN))
        await client.get("/api/v1/containers", headers={"X-API-Key": alice})
        local = await client.get("/api/v1/metrics")
        assert local.status == 200
        assert local.content_type == "text/plain"
        text = await local.text()
        assert 'openlxd_http_requests_total{method="GET",path="/api/v1/containers",status="200"} 1.0' in text
        assert 'openlxd_users{status="active"} 2.0' in text
        assert "openlxd_lxd_reachable 1.0" in text
        assert "alice" not in text
        for headers, status in (
            (FROM, 401),
            ({"X-API-Key": alice}, 403),
            ({**FROM, "X-API-Key": alice}, 403),
            ({**FROM, "X-API-Key": boss}, 200),
            ({"Forwarded": "for=203.0.113.7"}, 401),
            ({"X-Forwarded-For": "127.0.0.1"}, 401),
        ):
            assert (await client.get("/api/v1/metrics", headers=headers)).status == status, headers


async def test_a_list_costs_lxd_nothing_and_no_query_grows_with_the_others(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten of a thousand: the same few queries as ten of ten, each by an index, and not one call to LXD."""
    from tortoise.backends.sqlite.client import SqliteClient

    from openlxd_core.storage import models

    queries: list[str] = []
    real = SqliteClient.execute_query

    async def counted(self: Any, query: str, values: Any = None) -> Any:
        if "request_id" in structlog.contextvars.get_contextvars():  # not what runs beside, for everybody
            queries.append(query)
        return await real(self, query, values)

    async with served(tmp_path) as (core, client):
        alice, bob = await add_user(core, "alice"), await add_user(core, "bob")
        key = await core.accounts.regenerate_key(alice)

        async def fill(actor: Actor, start: int, count: int) -> None:
            await models.Container.bulk_create(
                models.Container(
                    name=f"web{start + n}", project="p", user_id=actor.user_id, status="running", image="debian/12",
                    cpu=1, memory_mb=64, disk_mb=1024,
                )
                for n in range(count)
            )  # fmt: skip

        async def ask() -> list[str]:
            queries.clear()
            before = lxd.calls.total()
            answer = await client.get("/api/v1/containers", headers={"X-API-Key": key})
            assert len((await answer.json())["data"]) == 10
            assert lxd.calls.total() == before
            return list(queries)

        lxd: Any = core.containers._lxd
        await fill(alice, 0, 10)
        monkeypatch.setattr(SqliteClient, "execute_query", counted)
        alone = await ask()
        await fill(bob, 10, 990)
        crowded = await ask()
        assert crowded == alone
        assert 1 <= len(alone) <= 3
        for query in alone:
            connection = models.Container._meta.db
            _count, plan = await real(connection, "EXPLAIN QUERY PLAN " + query, [1] * query.count("?"))  # type: ignore[arg-type]
            told = " | ".join(str(row["detail"]) for row in plan)
            assert "SCAN" not in told, f"{query}: {told}"


@pytest.mark.slow
async def test_a_database_that_another_process_holds_is_503_and_one_line(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change that waited for its whole patience says when to come again; the log has a line and no traceback."""
    from openlxd_core.storage import client as storage_client

    monkeypatch.setattr(storage_client, "PATIENCE_SECONDS", 0.3)
    async with served(tmp_path) as (core, client):
        alice = await add_user(core, "alice")
        key = {"X-API-Key": await core.accounts.regenerate_key(alice)}
        other = sqlite3.connect(
            core.settings.state_dir / "openlxd.sqlite3", isolation_level=None, check_same_thread=False
        )
        for how, status in (("IMMEDIATE", 200), ("EXCLUSIVE", 503)):
            await asyncio.to_thread(other.execute, f"BEGIN {how}")
            with structlog.testing.capture_logs() as lines:
                answer = await client.post("/api/v1/users/regenerate-key", headers=key)
                read = await client.get("/api/v1/containers", headers=key)
            other.execute("ROLLBACK")
            assert (answer.status, (await answer.json())["error"]) == (503, "database_busy")
            assert int(answer.headers["Retry-After"]) >= 1
            assert read.status == status
            told = [line for line in lines if line["log_level"] in ("warning", "error")]
            assert [line["code"] for line in told] == ["database_busy"] * (1 if status == 200 else 2)
            assert all("exc_info" not in line for line in told)
        other.close()
        assert (await client.post("/api/v1/users/regenerate-key", headers=key)).status == 200
