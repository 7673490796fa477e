"""The product's own processes on a real LXD, with two tenants who have keys."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from openlxd_core.bootstrap import open_core
from openlxd_core.settings import Settings
from tests.support.core import add_user, make_settings
from tests.support.lxd import LiveLxd
from tests.support.processes import Server
from tests.support.ssh import make_key


@dataclass
class Tenant:
    """A tenant and the file of their private key."""

    name: str
    id: int
    key: Path


@dataclass
class House:
    """An installation: settings, the SSH console and the tenants."""

    settings: Settings
    lxd: LiveLxd
    ssh: Server
    api: Server
    alice: Tenant
    bob: Tenant


async def _people(settings: Settings, directory: Path) -> list[Tenant]:
    found = []
    async with open_core(settings, background=False) as core:
        for name in ("alice", "bob"):
            key, public = make_key(directory, name)
            actor = await add_user(core, name)
            await core.keys.add(actor, public)
            assert actor.user_id is not None
            found.append(Tenant(name, actor.user_id, key))
    return found


def build_house(directory: Path, lxd: LiveLxd) -> House:
    """An installation on ``lxd``; its servers are not started yet."""
    settings = make_settings(directory, lxd="socket", lxd_socket=lxd.socket)
    alice, bob = asyncio.run(_people(settings, directory))
    ssh = Server("openlxd_tui", settings, directory / "ssh.log")
    api = Server("openlxd_api", settings, directory / "api.log")
    return House(settings, lxd, ssh, api, alice, bob)


def clear(lxd: LiveLxd) -> None:
    """Delete every tenant's container and project, for tests that share one LXD."""
    for instance in lxd.call("GET", "/1.0/instances?recursion=1&all-projects=true"):
        project, name = instance["project"], instance["name"]
        if instance["status"] != "Stopped":
            lxd.call("PUT", f"/1.0/instances/{name}/state?project={project}", {"action": "stop", "force": True})
        lxd.call("DELETE", f"/1.0/instances/{name}?project={project}")
    for project in lxd.call("GET", "/1.0/projects?recursion=1"):
        if project["name"].startswith("openlxd-"):
            lxd.call("DELETE", f"/1.0/projects/{project['name']}")


@pytest.fixture
def house(tmp_path: Path, live_lxd: LiveLxd) -> Iterator[House]:
    """A running installation."""
    built = build_house(tmp_path, live_lxd)
    built.ssh.start()
    try:
        yield built
    finally:
        built.api.kill()
        built.ssh.kill()
        clear(live_lxd)
