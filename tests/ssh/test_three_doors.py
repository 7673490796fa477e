"""The same things asked for by SSH, on the command line and over REST: one JSON shape, field by field."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from openlxd_api.app import make_app
from openlxd_core.domain.actor import SYSTEM
from tests.ssh.rig import Rig
from tests.support.core import PASSWORD, finish
from tests.support.processes import environment_of

ROOT = Path(__file__).resolve().parents[2]


async def openlxd(rig: Rig, *words: str) -> tuple[int | None, Any]:
    """The ``openlxd`` program beside the running console: its exit code and its JSON."""
    command = [sys.executable, "-m", "openlxd_tui.cli", *words, "--json"]
    environment = environment_of(rig.core.settings, LANG="C.UTF-8")
    process = await asyncio.create_subprocess_exec(*command, env=environment, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    out, _err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, json.loads(out)


@pytest.mark.slow
async def test_one_container_one_account_one_failure_by_every_door(rig: Rig) -> None:
    """A running container, a suspended one and one that failed; the account; what is missing."""
    core = rig.core
    for name in ("web2", "web3"):
        await finish(core, await core.containers.create(rig.alice, name, "debian/12", 1, "256MiB", "1GiB"))
    await finish(core, await core.containers.suspend(SYSTEM, "web2", "unpaid “invoice” \u202e"))
    await finish(core, await core.containers.stop(rig.alice, "web3"))
    async with rig.connect() as ssh, TestClient(TestServer(make_app(core))) as client:

        async def by_ssh(words: str) -> Any:
            return json.loads((await ssh.run(f"{words} --json")).stdout)

        signed_in = await client.post("/api/v1/users/login", json={"username": "alice", "password": PASSWORD})
        token = (await signed_in.json())["data"]["token"]

        async def by_rest(path: str, method: str = "GET") -> Any:
            answer = await client.request(method, f"/api/v1{path}", headers={"Authorization": f"Bearer {token}"})
            return await answer.json()

        one = {found["name"]: found for found in (await by_rest("/containers"))["data"]}
        assert one == {found["name"]: found for found in await by_ssh("list")}
        assert one == {found["name"]: found for found in (await openlxd(rig, "container", "list"))[1]}
        for name, status in (("web1", "running"), ("web2", "stopped"), ("web3", "stopped")):
            shown = (await by_rest(f"/containers/{name}"))["data"]
            assert shown == await by_ssh(f"info {name}") == one[name]
            assert (shown["status"], shown["suspended"]) == (status, name == "web2")

        begun = await by_ssh("restart web1")
        assert begun == (await by_rest(f"/operations/{begun['id']}"))["data"]
        assert begun["status"] == "done"

        account = (await by_rest("/users/profile"))["data"]
        assert account == await by_ssh("whoami")
        assert account in (await openlxd(rig, "user", "list"))[1]

        missing = await by_rest("/containers/web9")
        assert missing == await by_ssh("info web9")
        nobody = {**missing, "message": "There is no user nobody."}
        assert await openlxd(rig, "user", "quota", "nobody") == (3, nobody)
