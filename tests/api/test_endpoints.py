"""What the endpoints do, as scripts and billing systems use them."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import SYSTEM, Actor, Role
from openlxd_core.domain.errors import LxdRefused
from tests.api.conftest import Api
from tests.support.core import PASSWORD, add_user, finish
from tests.support.faulty_lxd import FaultyLxd

ORDER = {"name": "web1", "image": "debian/12", "cpu": 2, "memory": "1GB", "disk": "10GB"}


async def _data(answer: Any, status: int = 200) -> Any:
    body = await answer.json()
    assert answer.status == status, body
    assert set(body) - {"next"} == {"success", "data", "message"}
    assert body["success"] is True
    assert body["message"]
    return body["data"]


async def _error(answer: Any, status: int, code: str) -> dict[str, Any]:
    body: dict[str, Any] = await answer.json()
    assert (answer.status, body["error"]) == (status, code), body
    return body


async def test_somebody_registers_signs_in_and_gets_a_key(api: Api) -> None:
    """The whole way from nobody to a script with a key; the old key is dead once there is a new one."""
    form = {"username": "carol", "email": "carol@example.org", "password": "correct horse"}
    made = await _data(await api.ask("POST", "/users/register", json=form), 201)
    assert (made["username"], made["role"], made["status"]) == ("carol", "user", "active")
    await _error(await api.ask("POST", "/users/register", json=form), 409, "already_exists")
    token = await api.sign_in("carol")
    first = (await _data(await api.ask("POST", "/users/regenerate-key", token=token)))["api_key"]
    assert len(first) == 64
    second = (await _data(await api.ask("POST", "/users/regenerate-key", headers={"X-API-Key": first})))["api_key"]
    assert (await api.ask("GET", "/users/profile", headers={"X-API-Key": first})).status == 401
    profile = await _data(await api.ask("GET", "/users/profile", headers={"X-API-Key": second}))
    assert profile["has_api_key"] is True
    assert (await _data(await api.ask("GET", "/users/quota", token=token)))["left"]["containers"] == 3


async def test_nobody_registers_where_registration_is_off(core: Core) -> None:
    """Admins still make accounts."""
    from aiohttp.test_utils import TestClient, TestServer

    from openlxd_api.app import make_app

    closed = core.settings.model_copy(update={"registration": "off"})
    core.accounts._settings = closed
    async with TestClient(TestServer(make_app(core))) as client:
        form = {"username": "carol", "email": "carol@example.org", "password": "correct horse"}
        answer = await client.post("/api/v1/users/register", json=form)
        await _error(answer, 403, "forbidden")


async def test_a_new_password_ends_every_token(api: Api, alice: Actor) -> None:
    """The wrong old one changes nothing."""
    token = await api.sign_in("alice")
    wrong = {"old_password": "wrong horse", "new_password": "another horse"}
    await _error(await api.ask("POST", "/users/password", token=token, json=wrong), 401, "unauthenticated")
    right = {"old_password": PASSWORD, "new_password": "another horse"}
    await _data(await api.ask("POST", "/users/password", token=token, json=right))
    assert (await api.ask("GET", "/users/profile", token=token)).status == 401
    await api.sign_in("alice", "another horse")


async def test_keys_are_kept_and_forgotten(api: Api, alice: Actor) -> None:
    """A private key and garbage are named as the field that is wrong."""
    token = await api.sign_in("alice")
    line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB alice@laptop"
    key = await _data(await api.ask("POST", "/users/keys", token=token, json={"public_key": line}), 201)
    assert key["name"] == "alice@laptop"
    assert key["fingerprint"].startswith("SHA256:")
    bad = await _error(
        await api.ask("POST", "/users/keys", token=token, json={"public_key": "x"}), 422, "validation_failed"
    )
    assert "public_key" in bad["fields"]
    assert [k["id"] for k in await _data(await api.ask("GET", "/users/keys", token=token))] == [key["id"]]
    await _data(await api.ask("DELETE", f"/users/keys/{key['id']}", token=token))
    await _error(await api.ask("DELETE", f"/users/keys/{key['id']}", token=token), 404, "not_found")


async def test_an_admin_keeps_accounts(api: Api, boss: Actor) -> None:
    """Make, change, suspend, activate, give a quota, delete; never lock oneself out."""
    token = await api.sign_in("boss")

    async def ask(method: str, path: str, status: int = 200, **body: Any) -> Any:
        return await _data(await api.ask(method, path, token=token, **({"json": body} if body else {})), status)

    quota = {"containers": 1, "cpu": 1, "memory": "1GB", "disk": "10GiB", "snapshots": 0, "forwards": 0}
    form = {"username": "carol", "email": "c@example.org", "password": "correct horse"}
    carol = await ask("POST", "/users", 201, **form, quota=quota)
    where = f"/users/{carol['id']}"
    assert (await ask("GET", f"{where}/quota"))["quota"]["memory_mb"] == 1024
    assert (await ask("PUT", f"{where}/quota", **{**quota, "cpu": 2}))["quota"]["cpu"] == 2
    assert (await ask("PATCH", where, email="carol@example.org"))["email"] == "carol@example.org"
    assert (await ask("POST", f"{where}/suspend", reason="unpaid"))["suspended_reason"] == "unpaid"
    assert (await ask("POST", f"{where}/activate"))["status"] == "active"
    assert (await ask("POST", f"{where}/password", password="another horse"))["username"] == "carol"
    hers = await api.sign_in("carol", "another horse")
    assert (await ask("PATCH", where, role="admin"))["role"] == "admin"
    assert (await api.ask("GET", "/users/profile", token=hers)).status == 401
    assert len((await ask("POST", f"{where}/regenerate-key"))["api_key"]) == 64
    await ask("PATCH", where, role="user")
    order = {**ORDER, "cpu": 1, "owner": "carol"}
    assert (await ask("POST", "/containers", 201, **order))["owner"] == "carol"
    await _error(await api.ask("DELETE", where, token=token), 409, "conflict")
    assert (await ask("DELETE", f"{where}?containers=delete"))["status"] == "deleted"
    assert await api.core.containers.list(SYSTEM) == []
    assert [user["username"] for user in await ask("GET", "/users")] == ["boss"]
    own = f"/users/{boss.user_id}"
    for method, path, body in (
        ("DELETE", own, None),
        ("POST", f"{own}/suspend", None),
        ("PATCH", own, {"role": "user"}),
    ):
        await _error(await api.ask(method, path, token=token, json=body), 409, "conflict")


async def test_a_container_lives_its_life(api: Api, alice: Actor) -> None:
    """Create to delete, each answer the container as it then is."""
    token = await api.sign_in("alice")

    async def ask(method: str, path: str, status: int = 200, **body: Any) -> Any:
        options = {"json": body} if body else {}
        return await _data(await api.ask(method, f"/containers{path}", token=token, **options), status)

    made = await ask("POST", "", 201, **ORDER)
    assert (made["status"], made["memory_mb"], made["disk_mb"]) == ("running", 1024, 10240)
    assert made["ipv4"]
    for verb, status in (
        ("pause", "frozen"), ("resume", "running"), ("stop", "stopped"), ("stop", "stopped"), ("start", "running"),
        ("start", "running"), ("restart", "running"),
    ):  # fmt: skip
        assert (await ask("POST", f"/web1/{verb}"))["status"] == status, verb
    assert (await ask("PATCH", "/web1", memory="2GiB"))["memory_mb"] == 2048
    snapshot = await ask("POST", "/web1/snapshots", 201, name="one")
    assert (snapshot["name"], snapshot["ready"]) == ("one", True)
    assert (await ask("POST", "/web1/snapshots/one/restore"))["status"] == "running"
    assert [s["name"] for s in await ask("GET", "/web1/snapshots")] == ["one"]
    assert (await ask("DELETE", "/web1/snapshots/one"))["status"] == "deleted"
    made = await ask("POST", "/web1/forwards", 201, target=80, description="shop")
    assert (made["protocol"], made["target"], made["status"]) == ("tcp", "80", "active")
    assert [f["id"] for f in await ask("GET", "/web1/forwards")] == [made["id"]]
    assert (await ask("DELETE", f"/web1/forwards/{made['id']}"))["status"] == "deleted"
    assert (await ask("POST", "/web1/reinstall", image="alpine/3.20"))["image"] == "alpine/3.20"
    refused = await api.ask("POST", "/containers/web1/password", token=token, json={"password": "s3cret"})
    await _error(refused, 409, "conflict")  # the simulated shell has no chpasswd; tests/live sets one
    usage = await ask("GET", "/web1/metrics")
    assert usage["now"]["memory_mb"] > 0
    assert usage["history"] == []
    assert await ask("DELETE", "/web1") == {"name": "web1", "status": "deleted"}
    await _error(await api.ask("GET", "/containers/web1", token=token), 404, "not_found")


@pytest.mark.parametrize("memory", ["1GB", "1GiB", "1024MB", "1024MiB", "1024", 1024, "1G"])
async def test_a_billing_system_orders_and_keeps_a_container(api: Api, alice: Actor, memory: str | int) -> None:
    """The design paper's body and answer; by name or id; repeats are safe; every spelling of a size is one size."""
    key = {"X-API-Key": await api.core.accounts.regenerate_key(alice)}

    async def post(verb: str, status: int = 200, **body: Any) -> Any:
        return await _data(await api.ask("POST", f"/whmcs/container/{verb}", headers=key, json=body), status)

    order = {**ORDER, "memory": memory, "cpu": "2", "ipv4": "auto", "ipv6": "auto"}
    made = await post("create", 201, **order)
    assert set(made) == {"container_id", "name", "status", "ipv4", "ipv6"}
    assert (made["name"], made["status"]) == ("web1", "running")
    await _error(await api.ask("POST", "/whmcs/container/create", headers=key, json=order), 409, "already_exists")
    number = made["container_id"]
    for name in ({"name": "web1"}, {"container_id": number}, {"container_id": str(number)}):
        assert (await post("start", **name))["status"] == "running"
        shown = await _data(await api.ask("GET", "/whmcs/container/info", headers=key, params=name))
        details = {"cpu": 2, "memory": 1024, "disk": 10240, "image": "debian/12", "error": ""}
        details |= {"suspended": False, "suspended_reason": ""}
        assert shown == {**made, **details}
    assert (await api.core.containers.get(alice, "web1")).memory_mib == 1024
    assert (await post("config", name="web1", memory="2GB", cpu=1, disk=20480))["status"] == "running"
    changed = await api.core.containers.get(alice, "web1")
    assert (changed.cpu, changed.memory_mib, changed.disk_mib) == (1, 2048, 20480)
    assert (await post("stop", name="web1"))["status"] == "stopped"
    assert (await post("restart", name="web1"))["status"] == "running"
    gone = await post("delete", container_id=number)
    assert (gone["status"], gone["container_id"]) == ("deleted", number)
    await _error(await api.ask("POST", "/whmcs/container/delete", headers=key, json={"name": "web1"}), 404, "not_found")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"ipv4": "8.8.8.8"}, "ipv4"), ({"ipv6": "10.0.0.9"}, "ipv6"), ({"ipv4": "x"}, "ipv4"),
        ({"memory": "1.0001GB"}, "memory"),
        ({"memory": "lots"}, "memory"), ({"memory": True}, "memory"), ({"name": None}, "name"),
        ({"disk": -1}, "disk"), ({"cpu": 0}, "cpu"), ({"cpu": "1;id"}, "cpu"), ({"name": "-a"}, "name"),
        ({"name": "a" * 64}, "name"), ({"name": "a/../b"}, "name"), ({"image": "no/such"}, "image"),
        ({"image": None}, "image"), ({"disk": {"size": "10GB"}}, "disk"),
    ],
)  # fmt: skip
async def test_an_order_that_cannot_be_is_refused_by_its_field(
    api: Api, alice: Actor, change: dict[str, Any], field: str
) -> None:
    """In one sentence each, in both languages; nothing is made."""
    token = await api.sign_in("alice")
    for language in ("en", "zh"):
        answer = await api.ask(
            "POST",
            "/whmcs/container/create",
            token=token,
            json={**ORDER, **change},
            headers={"Accept-Language": language},
        )
        assert field in (await _error(answer, 422, "validation_failed"))["fields"]
    assert await api.core.containers.list(alice) == []


@pytest.mark.slow
async def test_who_does_not_wait_is_told_where_to_look(slow_api: Api) -> None:
    """wait=0 answers 202 at once with the operation, which then tells its own end."""
    api = slow_api
    token = await api.sign_in("alice")
    answer = await api.ask("POST", "/containers?wait=0", token=token, json=ORDER)
    pending = await _data(answer, 202)
    assert (pending["name"], pending["status"]) == ("web1", "creating")
    order = {**ORDER, "name": "web2", "cpu": 1}
    billed = await _data(await api.ask("POST", "/whmcs/container/create?wait=0", token=token, json=order), 202)
    assert billed["status"] == "creating"
    assert billed["container_id"]
    for one in (pending, billed):
        await finish(api.core, await api.core.operations.get(SYSTEM, one["operation_id"]))
        shown = await _data(await api.ask("GET", f"/operations/{one['operation_id']}", token=token))
        assert (shown["status"], shown["progress"], shown["stage_text"]) == ("done", 100, "Done")
    busy = [api.ask("POST", f"/containers/web1/{verb}?wait=0", token=token) for verb in ("restart", "stop")]
    assert sorted(answer.status for answer in await asyncio.gather(*busy)) == [202, 409]


@pytest.mark.parametrize("wait", ["-1", "61", "1.5", "x", "", "٣", "1_0", " 5"])
async def test_a_wait_that_is_none_is_refused(api: Api, alice: Actor, wait: str) -> None:
    """A whole number from 0 to 60."""
    token = await api.sign_in("alice")
    answer = await api.ask("POST", "/containers", token=token, json=ORDER, params={"wait": wait})
    assert "wait" in (await _error(answer, 422, "validation_failed"))["fields"]


async def test_a_failed_operation_answers_with_its_own_error(core: Core, api: Api, alice: Actor) -> None:
    """Status, code and words are the operation's, in the caller's language; the container is left in error."""
    lxd = core.containers._lxd
    assert isinstance(lxd, FaultyLxd)
    lxd.fail_next("create_instance", LxdRefused("LXD refused: {reason}", reason="the disk is full"))
    token = await api.sign_in("alice")
    answer = await api.ask("POST", "/containers", token=token, json=ORDER)
    body = await _error(answer, 409, "lxd_refused")
    assert "disk" in body["message"]
    assert (await core.containers.get(alice, "web1")).status == "error"


async def test_a_quota_for_three_makes_exactly_three_of_a_hundred(api: Api, alice: Actor) -> None:
    """However many ask at once, by both doors; the rest are told so, and LXD holds what the rows say."""
    token = await api.sign_in("alice")

    async def order(number: int) -> int:
        path = "/containers" if number % 2 else "/whmcs/container/create"
        body = {**ORDER, "name": f"web{number}", "cpu": 1, "memory": "64MB", "disk": "1GB"}
        answer = await api.ask("POST", path, token=token, json=body)
        if answer.status != 201:
            await _error(answer, 409, "quota_exceeded")
        return answer.status

    answers = await asyncio.gather(*(order(number) for number in range(100)))
    assert answers.count(201) == 3
    assert answers.count(409) == 97
    held = await api.core.containers.list(SYSTEM)
    assert len(held) == 3
    lxd = api.core.containers._lxd
    assert len(await lxd.instances()) == 3


async def test_every_refusal_is_said_in_the_callers_language(api: Api, alice: Actor) -> None:
    """Sentence and fields, of the front end's own errors and the core's, and of an operation's."""
    token = await api.sign_in("alice")
    await _data(await api.ask("POST", "/containers", token=token, json=ORDER), 201)
    for method, path, body in (
        ("POST", "/containers", ORDER),
        ("POST", "/containers", {**ORDER, "name": "web2", "cpu": 99}),
        ("POST", "/containers", {"name": "-"}),
        ("POST", "/containers?wait=x", ORDER),
        ("POST", "/whmcs/container/create", {**ORDER, "name": "web3", "ipv4": "8.8.8.8"}),
        ("POST", "/whmcs/container/start", {}),
        ("GET", "/containers/none", None),
        ("GET", "/users", None),
        ("GET", "/nothing", None),
        ("PUT", "/containers", None),
    ):
        answer = await api.ask(method, path, token=token, json=body, headers={"Accept-Language": "zh-CN"})
        refused = await answer.json()
        assert answer.status >= 400
        for sentence in (refused["message"], *refused.get("fields", {}).values()):
            assert re.search(r"[\u4e00-\u9fff]", sentence), (path, sentence)


async def test_the_audit_tells_who_did_what(api: Api, alice: Actor) -> None:
    """In pages, the newest first."""
    token = await api.sign_in("alice")
    await _data(await api.ask("POST", "/containers", token=token, json=ORDER), 201)
    entries = await _data(await api.ask("GET", "/audit?limit=2", token=token))
    assert entries[0]["action"] == "container.create"
    assert (entries[0]["origin"], entries[0]["target"], entries[0]["outcome"]) == ("api", "web1", "ok")
    older = await _data(await api.ask("GET", f"/audit?before={entries[-1]['id']}", token=token))
    assert all(entry["id"] < entries[-1]["id"] for entry in older)


@pytest.mark.slow
async def test_an_operation_that_cannot_be_given_up_says_so(slow_api: Api) -> None:
    """A create goes on; one that has ended stays as it is."""
    api = slow_api
    token = await api.sign_in("alice")
    pending = await _data(await api.ask("POST", "/containers?wait=0", token=token, json=ORDER), 202)
    where = f"/operations/{pending['operation_id']}"
    listed = await _data(await api.ask("GET", "/operations?active=true", token=token))
    assert [one["id"] for one in listed] == [pending["operation_id"]]
    await _error(await api.ask("DELETE", where, token=token), 409, "conflict")
    await finish(api.core, await api.core.operations.get(SYSTEM, pending["operation_id"]))
    assert (await _data(await api.ask("DELETE", where, token=token)))["status"] == "done"


async def test_an_admin_suspends_one_container(api: Api, alice: Actor, boss: Actor) -> None:
    """By its own path and by billing's; the owner sees the reason and can do nothing with it."""
    token, admin = await api.sign_in("alice"), await api.sign_in("boss")
    await _data(await api.ask("POST", "/containers", token=token, json=ORDER), 201)
    where = "/containers/web1"
    shut = await _data(await api.ask("POST", f"{where}/suspend", token=admin, json={"reason": "unpaid"}))
    assert (shut["status"], shut["suspended"], shut["suspended_by"]) == ("stopped", True, "boss")
    seen = await _data(await api.ask("GET", where, token=token))
    assert (seen["suspended"], seen["suspended_reason"]) == (True, "unpaid")
    assert seen["suspended_at"]
    for method, path in (("POST", f"{where}/start"), ("DELETE", where), ("POST", f"{where}/stop")):
        refused = await _error(await api.ask(method, path, token=token), 403, "suspended")
        assert "unpaid" in refused["message"]
    await _error(await api.ask("POST", f"{where}/start", token=admin), 403, "suspended")
    back = await _data(await api.ask("POST", f"{where}/unsuspend", token=admin))
    assert (back["status"], back["suspended"], back["suspended_reason"]) == ("running", False, "")
    assert (await api.ask("POST", f"{where}/stop", token=token)).status == 200


async def test_billing_suspends_whatever_there_is(api: Api, alice: Actor, boss: Actor) -> None:
    """Again and again, in every state, by name or id, with fields of its own; only with an admin's key."""
    token = await api.sign_in("alice")
    hers = {"X-API-Key": await api.core.accounts.regenerate_key(alice)}
    key = {"X-API-Key": await api.core.accounts.regenerate_key(boss)}
    made = await _data(await api.ask("POST", "/containers", token=token, json=ORDER), 201)

    async def post(verb: str, **body: Any) -> Any:
        return await _data(await api.ask("POST", f"/whmcs/container/{verb}", headers=key, json=body))

    for body in ({"name": "web1", "reason": "Overdue", "serviceid": 7}, {"container_id": made["id"], "reason": None}):
        answer = await post("suspend", **body)
        assert (answer["name"], answer["status"]) == ("web1", "stopped")
    info = await _data(await api.ask("GET", "/whmcs/container/info?name=web1", headers=hers))
    assert (info["status"], info["suspended"], info["suspended_reason"]) == ("stopped", True, "Overdue")
    for verb in ("suspend", "unsuspend"):
        refused = await api.ask("POST", f"/whmcs/container/{verb}", headers=hers, json={"name": "web1"})
        await _error(refused, 403, "forbidden")
    assert (await post("unsuspend", name="web1"))["status"] == "running"
    assert (await post("unsuspend", name="web1"))["status"] == "running"
    await post("stop", name="web1")
    assert (await post("suspend", name="web1"))["status"] == "stopped"
    assert (await post("unsuspend", name="web1"))["status"] == "stopped"
    lxd = api.core.containers._lxd
    await lxd.delete_instance(f"openlxd-{alice.user_id}", "web1")
    assert (await post("suspend", name="web1"))["name"] == "web1"
    missing = await api.ask("POST", "/whmcs/container/suspend", headers=key, json={"name": "web9"})
    await _error(missing, 404, "not_found")
    assert (await post("delete", name="web1"))["status"] == "deleted"


@pytest.mark.slow
async def test_a_suspension_that_takes_longer_is_followed_by_its_operation(slow_api: Api) -> None:
    """Billing does not wait longer than it says, and gets no conflict for what is under way."""
    api = slow_api
    await add_user(api.core, "boss", role=Role.ADMIN)
    token, admin = await api.sign_in("alice"), await api.sign_in("boss")
    await _data(await api.ask("POST", "/containers?wait=0", token=token, json=ORDER), 202)
    body = {"name": "web1", "reason": "unpaid"}
    pending = await _data(await api.ask("POST", "/whmcs/container/suspend?wait=0", token=admin, json=body), 202)
    assert pending["status"] == "suspending"
    await _error(await api.ask("POST", "/containers/web1/restart", token=token), 403, "suspended")
    ended = await finish(api.core, await api.core.operations.get(SYSTEM, pending["operation_id"]))
    assert ended.status == "done"
    assert (await api.core.containers.get(SYSTEM, "web1")).status == "stopped"
