"""Pages of lists: whole, in order, each row once, whatever happens meanwhile and whatever a cursor holds."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from openlxd_core.bootstrap import Core
from openlxd_core.domain.account import AccountStatus
from openlxd_core.domain.actor import Actor, Role, anonymous
from openlxd_core.domain.container import Container, State
from openlxd_core.domain.errors import Forbidden, Unauthenticated, ValidationFailed
from openlxd_core.domain.listing import ContainerFilter, Cursor, Page, Part, UserFilter
from openlxd_core.storage import models
from tests.support.core import add_user

ALL = ContainerFilter()
EVERYBODY = UserFilter()
CONTAINER_ORDERS: dict[str, Callable[[Container], Any]] = {
    "name": lambda c: c.name,
    "status": lambda c: c.status.value,
    "owner": lambda c: c.owner,
    "image": lambda c: c.image,
    "cpu": lambda c: c.cpu,
    "memory_mb": lambda c: c.memory_mib,
    "disk_mb": lambda c: c.disk_mib,
    "created_at": lambda c: c.created_at,
}


async def _make(user: Actor, *names: str, **columns: Any) -> None:
    values = {"project": f"p{user.user_id}", "status": "running", "cpu": 1, "memory_mb": 128, "disk_mb": 1024}
    await models.Container.bulk_create(
        [models.Container(name=name, user_id=user.user_id, **{**values, **columns}) for name in names]
    )


async def _make_many(core: Core, users: list[Actor], count: int, seed: int) -> None:
    chance = random.Random(seed)
    for number in chance.sample(range(10_000), count):
        await _make(
            chance.choice(users),
            f"c{number}",
            status=chance.choice(list(State)).value,
            image=chance.choice(["debian/12", "alpine/3.20", "", "镜像"]),
            cpu=chance.randint(1, 3),
            memory_mb=chance.choice([64, 128]),
            disk_mb=chance.choice([64, 128]),
        )


async def _walk(core: Core, actor: Actor, sort: str, limit: int, wanted: ContainerFilter = ALL) -> list[Container]:
    found: list[Container] = []
    after = ""
    while True:
        page = await core.containers.page(actor, wanted, Part(limit, after, sort))
        assert len(page.items) <= limit
        assert bool(page.next) is (len(page.items) == limit and bool(page.next))
        found += page.items
        if not page.next:
            return found
        after = page.next


@pytest.mark.parametrize("descending", [False, True], ids=["up", "down"])
@pytest.mark.parametrize("field", CONTAINER_ORDERS)
async def test_pages_joined_are_the_list_in_order(
    core: Core, alice: Actor, bob: Actor, root: Actor, field: str, descending: bool
) -> None:
    """For an admin and for a tenant, with many rows alike in what they are sorted by, in pages of every size."""
    await _make_many(core, [alice, bob], 60, seed=1)
    for actor in (root, alice):
        every = list(await core.containers.list(actor))
        place = CONTAINER_ORDERS[field]
        expected = sorted(every, key=lambda c: (place(c), c.id), reverse=descending)
        for limit in (7, 59, 60, 1000):
            assert await _walk(core, actor, f"{'-' if descending else ''}{field}", limit) == expected


@pytest.mark.parametrize("sort", ["name", "-created_at", "cpu", "-owner"])
async def test_a_row_that_stays_is_seen_once_whatever_comes_and_goes(
    core: Core, alice: Actor, bob: Actor, root: Actor, sort: str
) -> None:
    """Rows are made and deleted between two pages, the one that the cursor names among them."""
    await _make_many(core, [alice, bob], 80, seed=2)
    chance = random.Random(3)
    stays = {c.name for c in chance.sample(list(await core.containers.list(root)), 40)}
    seen: list[str] = []
    after, made = "", 0
    while True:
        page = await core.containers.page(root, ALL, Part(6, after, sort))
        seen += [c.name for c in page.items]
        if not page.next:
            break
        after = page.next
        goes = {c.name for c in page.items[-2:]} - stays
        goes |= set(chance.sample([c.name for c in await core.containers.list(root)], 3)) - stays
        await models.Container.filter(name__in=goes).delete()
        if made < 30:
            await _make(alice, f"new{made}", f"a{made}", image="debian/12")
            made += 1
    assert len(seen) == len(set(seen))
    assert stays <= set(seen)


async def test_a_tenant_pages_through_their_own_alone(core: Core, alice: Actor, bob: Actor, root: Actor) -> None:
    """Whatever filter or cursor they send, an admin's cursor included."""
    await _make(alice, "a1", "a2", "a3", image="alpine/3.20")
    await _make(bob, "b1", "b2", image="alpine/3.20")
    theirs = (await core.containers.page(root, ALL, Part(1))).next
    for wanted in (
        ALL,
        ContainerFilter(owner="alice"),
        ContainerFilter(search="a"),
        ContainerFilter(image="alpine/3.20"),
    ):
        for after in ("", theirs):
            page = await core.containers.page(bob, wanted, Part(10, after))
            assert {c.owner for c in page.items} <= {"bob"}
    assert [c.name for c in (await core.containers.page(bob, ALL, Part(10, theirs))).items] == ["b1", "b2"]
    with pytest.raises(Unauthenticated):
        await core.containers.page(anonymous("api"), ALL, Part())
    for actor in (bob, alice):
        with pytest.raises(Forbidden):
            await core.accounts.page(actor, EVERYBODY, Part())


async def test_containers_are_filtered(core: Core, alice: Actor, bob: Actor, root: Actor) -> None:
    """By state, owner, image and any part of what is shown; a per cent sign and an underscore are themselves."""
    await _make(alice, "web1", image="debian/12", ipv4="10.77.0.9")
    await _make(alice, "web2", image="alpine/3.20", status="stopped")
    await _make(bob, "db1", image="private/bob/a_b%c")

    async def names(**wanted: Any) -> list[str]:
        return [c.name for c in (await core.containers.page(root, ContainerFilter(**wanted), Part())).items]

    assert await names() == ["db1", "web1", "web2"]
    assert await names(status=State.STOPPED) == ["web2"]
    assert await names(owner="alice") == ["web1", "web2"]
    assert await names(owner="ali") == []
    assert await names(image="debian/12") == ["web1"]
    assert await names(search="WEB") == ["web1", "web2"]
    assert await names(search="77.0.9") == ["web1"]
    assert await names(search="bob") == ["db1"]
    assert await names(search="_b%") == ["db1"]
    assert await names(search="%") == ["db1"]
    assert await names(search="w_b") == []
    assert await names(search="'; DROP TABLE containers; --") == []
    assert await names(owner="alice", status=State.RUNNING, search="web") == ["web1"]


async def test_users_are_filtered_and_sorted(core: Core, alice: Actor, bob: Actor, root: Actor) -> None:
    """By name, address, role and status; deleted ones only where they are asked for."""
    await add_user(core, "gone")
    await core.accounts.delete(root, "gone")
    await core.accounts.suspend(root, "bob", "unpaid")

    async def names(sort: str = "", **wanted: Any) -> list[str]:
        page = await core.accounts.page(root, UserFilter(**wanted), Part(10, "", sort))
        return [user.username for user in page.items]

    assert await names() == ["alice", "bob", "boss"]
    assert await names("-username") == ["boss", "bob", "alice"]
    assert await names("created_at") == ["alice", "bob", "boss"]
    assert await names(username="bob") == ["bob"]
    assert await names(email="ALICE@example.org") == ["alice"]
    assert await names(role=Role.ADMIN) == ["boss"]
    assert await names(status=AccountStatus.SUSPENDED) == ["bob"]
    assert len(await names(status=AccountStatus.DELETED)) == 1
    assert await names(search="bo") == ["bob", "boss"]
    assert await names(search="example.org", role=Role.TENANT) == ["alice", "bob"]


def _forged(*told: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")


HOSTILE = [
    "x", "=", "====", "é", "a b", "\0", "%00", "../..", "null", "A" * 2048, "A" * 2049, "9" * 100_000,
    base64.urlsafe_b64encode(b"[" * 1500).decode(),
    base64.urlsafe_b64encode(b'{"a": 1}').decode(),
    base64.urlsafe_b64encode(b"[1,\"containers:name\",NaN,1]").decode(),
    base64.urlsafe_b64encode(b"[1,\"containers:name\",\"\\ud800\",1]").decode(),
    base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    _forged(), _forged(1), _forged(1, "containers:name", "web1", 1, 1),
    _forged(2, "containers:name", "web1", 1), _forged(1, "users:username", "web1", 1),
    _forged(1, "containers:-name", "web1", 1), _forged(1, "containers:name", 5, 1),
    _forged(1, "containers:name", "web1", "1"), _forged(1, "containers:name", "web1", 10**30),
    _forged(1, "containers:name", "web1", True), _forged(1, "containers:name", "web1", None),
    _forged(1, "containers:name", ["web1"], 1), _forged(1, "containers:name", "a\0b", 1),
    _forged(1, ["containers:name"], "web1", 1), _forged(True, "containers:name", {"a": 1}, 1),
]  # fmt: skip


async def test_a_cursor_that_is_none_is_refused(core: Core, alice: Actor, root: Actor) -> None:
    """Garbage, another list's, another order's, huge ones and forged ones: a refusal by its field, never a bug."""
    for cursor in HOSTILE:
        for actor in (alice, root):
            with pytest.raises(ValidationFailed) as refused:
                await core.containers.page(actor, ALL, Part(10, cursor))
            assert set(refused.value.fields) == {"after"}, cursor[:50]


async def test_a_forged_moment_is_only_a_place_in_the_list(core: Core, alice: Actor) -> None:
    """A cursor of the right shape shows no more than the list, whatever moment it names."""
    await _make(alice, "web1")
    for moment in (-(2**63) + 1, -1, 0, 2**53, 2**63 - 1):
        cursor = Cursor("containers:created_at", moment, 1).encode()
        page = await core.containers.page(alice, ALL, Part(10, cursor, "created_at"))
        assert [c.name for c in page.items] in (["web1"], [])


async def test_an_order_that_is_none_is_refused(core: Core, root: Actor) -> None:
    """By its field; a column's own name is none."""
    for sort in ("nothing", "--name", "-", "user__username", "id", "password_hash", "name,owner"):
        part = Part(10, "", sort)
        with pytest.raises(ValidationFailed) as refused:
            await core.containers.page(root, ALL, part)
        assert set(refused.value.fields) == {"sort"}
        with pytest.raises(ValidationFailed):
            await core.accounts.page(root, EVERYBODY, part)


@pytest.mark.slow
async def test_a_long_list_gives_others_their_turn(core: Core, alice: Actor, bob: Actor, root: Actor) -> None:
    """While an admin's 2,000 containers are read, the event loop runs other tasks after every few rows."""
    await _make(alice, *(f"a{number}" for number in range(1000)))
    await _make(bob, *(f"b{number}" for number in range(1000)))
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    try:
        assert len(await core.containers.list(root)) == 2000
        assert turns >= 2000 // 50
        turns = 0
        page = await core.containers.page(root, ALL, Part(1000))
        assert (len(page.items), turns >= 1000 // 50) == (1000, True)
    finally:
        task.cancel()


async def test_a_page_of_an_email_as_long_as_it_may_be_has_a_next_one(core: Core, root: Actor) -> None:
    """The cursor holds the longest value that a list is sorted by."""
    address = "é" * 64 + "@" + "镜" * 186 + ".org"
    for number in range(3):
        await core.accounts.create(root, f"user-{number}", f"{number}{address[1:]}", "correct horse")
    part, found = Part(1, "", "email"), []
    while True:
        page: Page[Any] = await core.accounts.page(root, UserFilter(search="é"), part)
        found += [user.username for user in page.items]
        if not page.next:
            break
        part = Part(1, page.next, "email")
    assert found == ["user-0", "user-1", "user-2"]
