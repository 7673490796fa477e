"""Images over REST: browse, import, look, make a container, drop; and what a stranger and a tenant may not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.actor import Actor
from tests.api.conftest import Api
from tests.images.conftest import metadata, noise
from tests.support.core import make_settings
from tests.support.faulty_lxd import FaultyLxd
from tests.support.simplestreams import NEW, ImageServer


@pytest.fixture
async def server() -> AsyncIterator[ImageServer]:
    """An image server."""
    async with ImageServer() as made:
        made.add("alpine", "3.19", metadata=metadata(), squashfs=noise(50_000))
        made.add("ubuntu", "jammy", aliases="ubuntu/jammy,ubuntu/22.04", metadata=metadata("u"))
        yield made


@pytest.fixture
async def core(tmp_path: Path, server: ImageServer) -> AsyncIterator[Core]:
    """A core that knows it."""
    async with open_core(make_settings(tmp_path, images_url=server.url), lxd=FaultyLxd()) as opened:
        yield opened


async def test_from_the_catalogue_to_an_image_and_back(api: Api, alice: Actor, boss: Actor) -> None:
    """Browse, import by another spelling, look at it with the slash raw and encoded, drop it."""
    token = await api.sign_in("alice")
    remote = await (await api.ask("GET", "/images/remote?text=alpine+319", token=token)).json()
    assert remote["data"]["images"][0]["alias"] == "alpine/3.19"
    assert remote["data"]["stale"] is False
    answer = await api.ask("POST", "/images/import", token=token, json={"alias": "alpine319"})
    body = await answer.json()
    assert answer.status == 201, body
    assert body["data"]["status"] == "imported"
    for path in ("/images/alpine/3.19/info", "/images/alpine%2F3.19/info", "/images/alpine319/info"):
        info = (await (await api.ask("GET", path, token=token)).json())["data"]
        assert info["local"]["fingerprint"] == info["remote"]["fingerprint"] == body["data"]["fingerprint"]
        assert info["remote"]["current"] is True
    listed = (await (await api.ask("GET", "/images/list", token=token)).json())["data"]
    assert "alpine/3.19" in [image["alias"] for image in listed]
    assert (await api.ask("DELETE", "/images/alpine/3.19", token=token)).status == 403
    admin = await api.sign_in("boss")
    assert (await api.ask("DELETE", "/images/alpine%2F3.19", token=admin)).status == 200
    assert (await api.ask("DELETE", "/images/alpine/3.19", token=admin)).status == 404


async def test_an_import_that_takes_longer_is_followed_by_its_operation(
    api: Api, server: ImageServer, alice: Actor, bob: Actor
) -> None:
    """202 with the operation; another asker gets the same; it can be cancelled."""
    server.break_(server.path("alpine/3.19/amd64/default/" + NEW + "/rootfs", NEW), "silence")
    token, other = await api.sign_in("alice"), await api.sign_in("bob")
    ids = []
    for who in (token, other):
        answer = await api.ask("POST", "/images/import?wait=0", token=who, json={"alias": "alpine/3.19"})
        assert answer.status == 202
        ids.append((await answer.json())["data"]["operation_id"])
    assert ids[0] == ids[1]
    for who in (other, token):
        assert (await api.ask("DELETE", f"/operations/{ids[0]}", token=who)).status == 200
    ended = await api.core.operations.wait(alice, ids[0], 10)
    assert ended.status == "cancelled"


@pytest.mark.parametrize(
    ("body", "status"),
    [({"alias": "nothing/1"}, 422), ({"alias": "ubuntu/18.04"}, 422), ({"alias": ""}, 422), ({}, 422),
     ({"alias": 5}, 422), ({"alias": "alpine/3.19", "architecture": "riscv64"}, 422), ({"alias": "x" * 200}, 422),
     ({"alias": None}, 422)],
)  # fmt: skip
async def test_what_cannot_be_imported_says_why(api: Api, alice: Actor, body: object, status: int) -> None:
    """And begins nothing."""
    token = await api.sign_in("alice")
    answer = await api.ask("POST", "/images/import", token=token, json=body)
    assert answer.status == status, await answer.text()
    assert await api.core.operations.list(alice) == []


async def test_a_failing_server_is_said_so(api: Api, server: ImageServer, alice: Actor, boss: Actor) -> None:
    """503 with the reason in place of an import; the old copy is still shown, marked as stale."""
    token = await api.sign_in("alice")
    await api.ask("GET", "/images/remote", token=token)
    server.break_("*", "status", text="403 No")
    admin = await api.sign_in("boss")
    assert (await api.ask("POST", "/images/refresh", token=admin)).status == 200
    remote = await (await api.ask("GET", "/images/remote", token=token)).json()
    assert remote["data"]["images"]
    assert remote["data"]["stale"] is True
    assert "403" in remote["data"]["reason"]
    assert (await api.ask("POST", "/images/import", token=token, json={"alias": "alpine319"})).status == 503


async def test_the_operators_say_is_the_admins(api: Api, alice: Actor, boss: Actor) -> None:
    """A tenant can neither hide nor pin; what is hidden is gone for tenants."""
    token, admin = await api.sign_in("alice"), await api.sign_in("boss")
    await api.ask("GET", "/images/remote", token=token)
    assert (await api.ask("PATCH", "/images/ubuntu/22.04", token=token, json={"hidden": True})).status == 403
    answer = await api.ask("PATCH", "/images/ubuntu/22.04", token=admin, json={"hidden": True, "pinned": True})
    assert (await answer.json())["data"]["remote"]["hidden"] is True
    remote = await (await api.ask("GET", "/images/remote?distribution=ubuntu", token=token)).json()
    assert "ubuntu/22.04" not in [offer["alias"] for offer in remote["data"]["images"]]
    assert (await api.ask("GET", "/images/ubuntu/22.04/info", token=token)).status == 404


COLUMNS = {
    "id", "alias", "fingerprint", "distribution", "release", "architecture", "variant", "description", "size",
    "status", "imported_at", "created_at", "updated_at",
}  # fmt: skip
"""The design paper's table of images."""


@pytest.mark.parametrize("name", ["ubuntu/22.04", "ubuntu/jammy"])
async def test_every_shape_of_an_image_has_the_columns_of_its_table(api: Api, alice: Actor, name: str) -> None:
    """Offered, imported, listed and looked at: the release is a number, the architecture is Debian's name for it."""
    token = await api.sign_in("alice")

    async def get(path: str) -> dict[str, Any]:
        return dict(await (await api.ask("GET", path, token=token)).json())

    offered = (await get("/images/remote?release=22.04"))["data"]["images"][0]
    assert set(offered) >= COLUMNS
    assert (offered["status"], offered["id"], offered["imported_at"]) == ("available", None, None)
    info = (await get(f"/images/{name}/info"))["data"]
    assert set(info) >= COLUMNS
    assert (info["status"], info["local"]) == ("available", None)
    assert info["remote"]["alias"] == info["alias"] == "ubuntu/22.04"
    made = await (await api.ask("POST", "/images/import", token=token, json={"alias": name})).json()
    assert set(made["data"]) >= COLUMNS, made
    [listed] = (await get("/images/list?release=jammy"))["data"]
    info = (await get(f"/images/{name}/info"))["data"]
    remote = (await get("/images/remote?release=jammy"))["data"]["images"][0]
    for shown in (made["data"], listed, info, info["local"], remote, info["remote"]):
        assert set(shown) >= COLUMNS
        assert (shown["release"], shown["codename"], shown["architecture"]) == ("22.04", "jammy", "amd64")
        assert (shown["alias"], shown["distribution"], shown["status"]) == ("ubuntu/22.04", "ubuntu", "imported")
        assert shown["id"] == listed["id"] > 0
        assert shown["created_at"] == listed["created_at"]
        assert shown["updated_at"]
    order = {"name": "web1", "image": name, "cpu": 1, "memory": "128MB", "disk": "1GB"}
    container = await (await api.ask("POST", "/containers", token=token, json=order)).json()
    assert (container["data"]["image"], container["data"]["architecture"]) == ("ubuntu/22.04", "amd64")
