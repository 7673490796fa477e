"""The system API key at a real API process: what docs/operations.md promises of the file in the keys directory."""

from __future__ import annotations

import json
import secrets as random
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from openlxd_core import key_files
from openlxd_core.bootstrap import open_core
from openlxd_core.domain.actor import Role
from openlxd_core.settings import Settings
from tests.support.core import add_user, make_settings
from tests.support.faulty_lxd import FaultyLxd
from tests.support.processes import Server

pytestmark = pytest.mark.slow


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[Settings, Server]]:
    """An API process on a database in which a first start made the first admin, and a tenant."""
    settings = make_settings(tmp_path, api_tls="off")
    async with open_core(settings, lxd=FaultyLxd(), background=False) as core:
        assert await core.accounts.ensure_first_admin()
        await add_user(core, "alice")
        await add_user(core, "second", role=Role.ADMIN)
    server = Server("openlxd_api", settings, tmp_path / "api.log")
    yield settings, server.start()
    server.stop()


def key_of(settings: Settings) -> str:
    return (settings.keys_dir / key_files.SYSTEM_API_KEY).read_text().strip()


def ask(server: Server, key: str, path: str, body: Any = None, method: str = "") -> tuple[int, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/api/v1{path}",
        None if body is None else json.dumps(body).encode(),
        {"X-API-Key": key, "Content-Type": "application/json"},
        method=method or ("GET" if body is None else "POST"),
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_the_key_in_the_file_does_what_an_admins_does(served: tuple[Settings, Server]) -> None:
    """Accounts, a billing system's order for a tenant, the audit; and a new file counts without a restart."""
    settings, server = served
    key = key_of(settings)
    assert ask(server, key, "/users/profile")[1]["data"]["username"] == "admin"
    assert {user["username"] for user in ask(server, key, "/users")[1]["data"]} == {"admin", "alice", "second"}
    order = {"name": "web1", "image": "debian/12", "cpu": 1, "memory": "512MB", "disk": "5GB", "owner": "alice"}
    status, answer = ask(server, key, "/whmcs/container/create", order)
    assert (status, answer["data"]["status"]) == (201, "running"), answer
    assert ask(server, key, "/whmcs/container/info?name=web1")[0] == 200
    entry = next(e for e in ask(server, key, "/audit")[1]["data"] if e["action"] == "container.create")
    assert (entry["actor"], entry["origin"], entry["target"]) == ("admin", "system key", "web1")

    new = random.token_hex(32)
    draft = settings.keys_dir / "new"
    draft.touch(0o600)
    draft.write_text(new)
    draft.rename(settings.keys_dir / key_files.SYSTEM_API_KEY)
    assert ask(server, key, "/users/profile")[0] == 401
    assert ask(server, new, "/users/profile")[0] == 200
    server.kill()
    server.start()
    assert ask(server, new, "/users/profile")[0] == 200
    assert new not in server.log()
    assert key not in server.log()


def test_a_suspended_or_deleted_first_admin_shuts_it(served: tuple[Settings, Server]) -> None:
    """No other admin's name is lent to it."""
    settings, server = served
    key = key_of(settings)
    users = {user["username"]: user["id"] for user in ask(server, key, "/users")[1]["data"]}
    other = ask(server, key, f"/users/{users['second']}/regenerate-key", {})[1]["data"]["api_key"]
    assert ask(server, key, f"/users/{users['admin']}/suspend", {})[0] == 409  # it acts as that account itself
    assert ask(server, other, f"/users/{users['admin']}/suspend", {"reason": "lost"})[0] == 200
    status, answer = ask(server, key, "/users/profile")
    assert (status, answer["error"]) == (403, "suspended")
    assert "lost" in answer["message"]
    assert ask(server, other, f"/users/{users['admin']}", method="DELETE")[0] == 200
    assert ask(server, key, "/users/profile")[0] == 401
