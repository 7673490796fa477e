"""An image from the catalogue to LXD and away again, by the API and by the console, on a real LXD."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from openlxd_core.bootstrap import open_core
from openlxd_core.domain.actor import SYSTEM, Role
from tests.live.conftest import House, build_house, clear
from tests.support.core import add_user
from tests.support.lxd import LiveLxd
from tests.support.processes import Server
from tests.support.simplestreams import ImageServer, offer_real_images
from tests.support.ssh import make_key, run_ssh, ssh_command
from tests.support.terminal import Terminal

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]
ALIAS = "alpine/3.19"


@pytest.fixture(scope="module")
def image_server() -> Iterator[tuple[str, str]]:
    """A server of real images in a thread of its own: its address, and the newest fingerprint of ALIAS."""
    server = ImageServer()
    published = offer_real_images(server)[ALIAS]
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(20)
    try:
        yield server.url, published
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()


@pytest.fixture
def market_house(tmp_path: Path, live_lxd: LiveLxd, image_server: tuple[str, str]) -> Iterator[House]:
    """An installation that knows the server, with both its processes; LXD's images are as before afterwards."""
    before = set(live_lxd.call("GET", "/1.0/images"))
    built = build_house(tmp_path, live_lxd)
    settings = built.settings.model_copy(update={"images_url": image_server[0]})
    ssh = Server("openlxd_tui", settings, tmp_path / "ssh.log").start()
    api = Server("openlxd_api", settings, tmp_path / "api.log").start()
    try:
        yield replace(built, settings=settings, ssh=ssh, api=api)
    finally:
        api.kill()
        ssh.kill()
        clear(live_lxd)
        for image in set(live_lxd.call("GET", "/1.0/images")) - before:
            live_lxd.call("DELETE", image)


def fingerprints(lxd: LiveLxd) -> dict[str, str]:
    """What LXD holds, by alias."""
    images = lxd.call("GET", "/1.0/images?recursion=1")
    return {alias["name"]: image["fingerprint"] for image in images for alias in image["aliases"]}


def make_admin(house: House, directory: Path) -> tuple[Path, str]:
    """An admin's private key file and API key."""
    file, public = make_key(directory, "boss")

    async def make() -> str:
        async with open_core(house.settings, background=False) as core:
            boss = await add_user(core, "boss", role=Role.ADMIN)
            await core.keys.add(boss, public)
            return await core.accounts.regenerate_key(boss)

    return file, asyncio.run(make())


def alices_key(house: House) -> str:
    """A fresh API key of hers."""

    async def make() -> str:
        async with open_core(house.settings, background=False) as core:
            return await core.accounts.regenerate_key(SYSTEM, house.alice.id)

    return asyncio.run(make())


def test_an_image_comes_and_goes_by_the_api(market_house: House, image_server: tuple[str, str], tmp_path: Path) -> None:
    """Imported by a tenant with curl, as published; a container of it runs; an admin deletes it."""
    house = market_house
    _file, admin = make_admin(house, tmp_path)
    tenant = alices_key(house)

    def ask(key: str, method: str, path: str, body: object = None) -> tuple[int, Any]:
        words = ["curl", "-sk", "-X", method, "-w", "\n%{http_code}", "-H", f"X-API-Key: {key}"]
        if body is not None:
            words += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
        done = subprocess.run(
            [*words, f"https://127.0.0.1:{house.api.port}/api/v1{path}"], check=True, capture_output=True, text=True
        )
        text, _, code = done.stdout.rpartition("\n")
        return int(code), json.loads(text)["data"]

    listed = ask(tenant, "GET", "/images/remote")[1]
    assert ALIAS in json.dumps(listed)
    code, made = ask(tenant, "POST", "/images/import?wait=60", {"alias": ALIAS})
    assert code in (200, 201), made
    assert fingerprints(house.lxd)[ALIAS] == image_server[1]
    wish = {"name": "web1", "image": ALIAS, "cpu": 1, "memory": "64MiB", "disk": "256MiB"}
    code, made = ask(tenant, "POST", "/containers?wait=60", wish)
    assert (code, made["status"]) == (201, "running")
    assert ask(tenant, "POST", "/containers/web1/password", {"password": "S3cret-enough"})[0] == 200
    told = run_ssh(house.ssh.port, "exec", "web1", "--", "cat", "/root/told-chpasswd", key=house.alice.key)
    assert told.stdout == b"root:S3cret-enough\n", told.stderr
    assert ask(tenant, "DELETE", f"/images/{ALIAS}")[0] == 403
    assert ask(admin, "DELETE", f"/images/{ALIAS}")[0] == 200
    assert ALIAS not in fingerprints(house.lxd)
    assert ask(tenant, "GET", "/containers/web1")[1]["status"] == "running"


def test_an_image_comes_and_goes_by_the_console(
    market_house: House, image_server: tuple[str, str], tmp_path: Path
) -> None:
    """Imported by a tenant from the keyboard, as published; a container of it runs; an admin deletes it."""
    house = market_house
    file, _key = make_admin(house, tmp_path)
    with Terminal(ssh_command(house.ssh.port, key=house.alice.key, tty=True)) as alice:
        alice.wait_for("alice", "/3")
        alice.keys("3")
        alice.wait_for(ALIAS, "alpine/3.20")
        alice.keys("/")
        alice.type("alpine 3.19")
        alice.keys("Enter")
        alice.wait_for(ALIAS, gone=["alpine/3.20"])
        alice.keys("i")
        wait_until(lambda: fingerprints(house.lxd).get(ALIAS) == image_server[1], alice)
        alice.keys("Enter")
        alice.wait_for("New container", ALIAS, "left of")
        alice.type("web1")
        alice.keys("C-s")
        alice.wait_for("web1")
        alice.keys("1")
        alice.wait_for("web1", "running", "10.", timeout=60)
    with Terminal(ssh_command(house.ssh.port, key=file, tty=True)) as boss:
        boss.wait_for("boss", "web1")
        boss.keys("3")
        boss.wait_for("alpine/3.20")
        boss.keys("Tab")
        boss.wait_for("busybox", ALIAS)
        boss.keys("/")
        boss.type("alpine 3.19")
        boss.keys("Enter")
        boss.wait_for(ALIAS, gone=["busybox "])
        boss.keys("d")
        boss.wait_for("Delete", "web1")
        boss.type(ALIAS)
        boss.keys("Enter")
        wait_until(lambda: ALIAS not in fingerprints(house.lxd), boss)
        boss.keys("1")
        boss.wait_for("web1", "running")


def wait_until(condition: Any, terminal: Terminal, timeout: float = 60) -> None:
    """Wait for what LXD holds; fail showing the screen."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, terminal.screen()
        time.sleep(0.1)
