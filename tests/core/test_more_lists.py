"""The lists of operations, the audit, snapshots, keys and images, in pages; and what the database does for them."""

from __future__ import annotations

import random
from contextvars import ContextVar
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from tortoise import Tortoise
from tortoise.backends.sqlite.client import SqliteClient

from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import Actor, anonymous
from openlxd_core.domain.errors import NotFound, Unauthenticated, ValidationFailed
from openlxd_core.domain.image import Image, ImageStatus, Offer
from openlxd_core.domain.listing import (
    AuditFilter,
    ContainerFilter,
    Cursor,
    ImageFilter,
    OfferFilter,
    OperationFilter,
    Page,
    Part,
    UserFilter,
)
from openlxd_core.domain.operation import Kind, OperationStatus
from openlxd_core.services.images.pages import image_page, offer_page
from openlxd_core.storage import models
from tests.support.core import add_user, finish

START = datetime(2026, 8, 1, tzinfo=UTC)

ASKING: ContextVar[bool] = ContextVar("asking", default=False)
"""Whether the queries of this task are recorded."""


async def _operation(core: Core, number: int, user: Actor, **columns: Any) -> None:
    values = {
        "kind": "start",
        "actor": user.username,
        "target": "web1",
        "status": "done",
        "stage": "done",
        "worker": core.operations._workers.id,  # or the reconciler takes those under way for a dead process's
    }
    made = await models.Operation.create(
        id=f"00000000-0000-0000-0000-{number:012}", user_id=user.user_id, args={}, **{**values, **columns}
    )
    await models.Operation.filter(id=made.id).update(created_at=START + timedelta(seconds=number // 3))


async def test_operations_come_in_pages_the_newest_first(core: Core, alice: Actor, bob: Actor, root: Actor) -> None:
    """Many at the same moment, each once; a tenant's own, an admin's all; filtered by what they are about."""
    for number in range(40):
        await _operation(
            core, number, [alice, bob][number % 2], kind=["start", "stop"][number % 4 // 2],
            status=["done", "failed", "running"][number % 3], target=f"web{number % 5}",
        )  # fmt: skip

    async def walk(actor: Actor, sort: str, limit: int, **wanted: Any) -> list[str]:
        found, after = [], ""
        while True:
            page = await core.operations.page(actor, OperationFilter(**wanted), Part(limit, after, sort))
            found += [operation.id for operation in page.items]
            if not page.next:
                return [str(int(name[-12:])) for name in found]
            after = page.next

    newest = [str(number) for number in reversed(range(40))]
    assert await walk(root, "", 7) == newest
    assert await walk(root, "created_at", 7) == newest[::-1]
    assert await walk(alice, "", 3) == [number for number in newest if int(number) % 2 == 0]
    assert await walk(root, "", 100, owner="bob") == [number for number in newest if int(number) % 2]
    assert await walk(bob, "", 100, owner="alice") == []
    assert await walk(root, "", 100, active=True) == [number for number in newest if int(number) % 3 == 2]
    assert await walk(root, "", 2, status=OperationStatus.FAILED) == [n for n in newest if int(n) % 3 == 1]
    assert await walk(root, "", 100, kind=Kind.STOP) == [n for n in newest if int(n) % 4 >= 2]
    assert await walk(root, "", 100, target="web3") == [n for n in newest if int(n) % 5 == 3]
    with pytest.raises(Unauthenticated):
        await core.operations.page(anonymous("api"), OperationFilter(), Part())


async def test_who_joined_an_import_finds_it_in_a_page_and_nobody_elses_name(
    core: Core, alice: Actor, bob: Actor
) -> None:
    """As in the list: the work, without who began it; and once only."""
    await _operation(core, 1, alice, kind="image.import", status="running", target="debian/12")
    await models.Operation.all().update(args={"askers": [alice.user_id, bob.user_id]})
    await _operation(core, 2, bob)
    page = await core.operations.page(bob, OperationFilter(), Part(10))
    assert [(operation.target, operation.actor) for operation in page.items] == [("web1", "bob"), ("debian/12", "")]
    assert [o.actor for o in (await core.operations.page(alice, OperationFilter(), Part(10))).items] == ["alice"]


async def test_the_audit_is_filtered_and_paged(core: Core, alice: Actor, bob: Actor, root: Actor) -> None:
    """By who, what, to whom, how it ended, from where and when; a tenant's own whatever they ask for."""
    chance = random.Random(5)
    for number in range(60):
        await models.AuditEntry.create(
            actor=chance.choice(["alice", "bob"]), user_id=chance.choice([alice.user_id, bob.user_id]),
            origin=chance.choice(["api", "ssh"]), address="", action=chance.choice(["container.start", "key.add"]),
            target=f"web{number % 3}", outcome=chance.choice(["ok", "busy"]),
        )  # fmt: skip
    rows = await models.AuditEntry.all()
    for row in rows:
        await models.AuditEntry.filter(id=row.id).update(at=START + timedelta(minutes=row.id))
    rows = await models.AuditEntry.all().order_by("-id")

    async def walk(who: Actor, /, **wanted: Any) -> list[int]:
        found, after = [], ""
        while True:
            page = await core.audit.page(who, AuditFilter(**wanted), Part(9, after))
            found += [entry.id for entry in page.items]
            if not page.next:
                return found
            after = page.next

    assert await walk(root) == [row.id for row in rows]
    for field in ("actor", "action", "target", "outcome", "origin"):
        for value in {getattr(row, field) for row in rows}:
            assert await walk(root, **{field: value}) == [row.id for row in rows if getattr(row, field) == value]
    since, until = START + timedelta(minutes=20), START + timedelta(minutes=40)
    assert await walk(root, since=since, until=until) == [row.id for row in rows if since <= row.at < until]
    assert await walk(root, before=30) == [row.id for row in rows if row.id < 30]
    assert await walk(alice) == [row.id for row in rows if row.user_id == alice.user_id]
    assert set(await walk(alice, actor="bob")) <= {row.id for row in rows if row.user_id == alice.user_id}
    assert await walk(root, target="' OR 1=1 --") == []


async def test_snapshots_and_keys_come_in_pages(core: Core, alice: Actor, bob: Actor) -> None:
    """In each order; another's are not found."""
    await finish(core, await core.containers.create(alice, "web1", "debian/12", 1, "64MiB", "1GiB"))
    for name in ("c", "a", "b"):
        await finish(core, await core.snapshots.create(alice, "web1", name))
        await models.SshKey.create(
            user_id=alice.user_id, name=name, fingerprint=f"SHA256:{name}", public_key="ssh-ed25519 A"
        )

    async def names(sort: str, *, keys: bool = False) -> list[str]:
        found, after = [], ""
        while True:
            part = Part(2, after, sort)
            page: Page[Any] = await (core.keys.page(alice, part) if keys else core.snapshots.page(alice, "web1", part))
            found += [one.name for one in page.items]
            if not page.next:
                return found
            after = page.next

    for keys in (False, True):
        assert await names("", keys=keys) == ["c", "a", "b"]
        assert await names("-created_at", keys=keys) == ["b", "a", "c"]
        assert await names("name", keys=keys) == ["a", "b", "c"]
    with pytest.raises(NotFound):
        await core.snapshots.page(bob, "web1", Part())
    assert (await core.keys.page(bob, Part())).items == []


def _offer(alias: str, **values: Any) -> Offer:
    plain = Offer(
        alias=alias, aliases=[alias], distribution=alias.split("/")[0], release="x", version="1", architecture="amd64",
        variant="default", size_bytes=1, built_at=None, serial="", fingerprint="", server="s", product=alias,
        end_of_life=date(2030, 1, 1), listed=True,
    )  # fmt: skip
    return replace(plain, **values)


def test_offers_keep_their_place_when_the_catalogue_changes() -> None:
    """A page goes on after the same offer, wherever a refreshed catalogue has it; nothing is shown twice."""
    offers = [_offer(f"os/{number}") for number in (5, 3, 9, 1, 7, 2)]
    first, total = offer_page(offers, OfferFilter(), Part(2))
    assert ([o.alias for o in first.items], total) == (["os/5", "os/3"], 6)
    refreshed = [_offer("os/0"), *offers]
    second, total = offer_page(refreshed, OfferFilter(), Part(2, first.next))
    assert ([o.alias for o in second.items], total) == (["os/9", "os/1"], 7)
    gone = [offer for offer in refreshed if offer.alias != "os/1"]
    third, _total = offer_page(gone, OfferFilter(), Part(10, second.next))
    assert "os/2" in [o.alias for o in third.items]
    assert not {o.alias for o in third.items} & {"os/5", "os/3", "os/9"}
    assert third.next == ""
    assert offer_page([], OfferFilter(), Part(2, second.next))[0] == Page([], "")
    by_name, _total = offer_page(offers, OfferFilter(), Part(4, "", "-alias"))
    assert [o.alias for o in by_name.items] == ["os/9", "os/7", "os/5", "os/3"]
    assert [o.alias for o in offer_page(offers, OfferFilter(), Part(4, by_name.next, "-alias"))[0].items] == [
        "os/2",
        "os/1",
    ]
    assert [o.alias for o in offer_page(offers, OfferFilter(), Part(2), offset=4)[0].items] == ["os/7", "os/2"]
    held = [*offers, _offer("mine/1", held=True, listed=False)]
    assert [o.alias for o in offer_page(held, OfferFilter(held=True), Part())[0].items] == ["mine/1"]
    assert len(offer_page(held, OfferFilter(supported=True), Part())[0].items) == 6


def test_a_forged_place_among_offers_is_a_place_or_a_refusal() -> None:
    """Never a bug, and never more than there is."""
    offers = [_offer(f"os/{number}") for number in range(3)]
    for place in (-(2**63) + 1, -1, 3, 2**63 - 1):
        page, _total = offer_page(offers, OfferFilter(), Part(2, Cursor("offers:best", place, "none").encode()))
        assert len(page.items) <= 2
    for bad in (Part(2, Cursor("offers:alias", "x", "x").encode()), Part(2, "x"), Part(2, "", "nothing")):
        with pytest.raises(ValidationFailed):
            offer_page(offers, OfferFilter(), bad)
    cursor = offer_page(offers, OfferFilter(), Part(1))[0].next
    for wrong in (Part(1, cursor), Part(1, "", "alias")):
        with pytest.raises(ValidationFailed) as refused:
            offer_page(offers, OfferFilter(), wrong, offset=1)
        assert set(refused.value.fields) == {"offset"}


def test_images_that_are_here_are_filtered_and_sorted() -> None:
    """An architecture by either name, a release by its number or its code name."""
    plain = Image(
        "debian/12",
        "f1",
        "debian",
        "12",
        "amd64",
        "default",
        "Debian 12",
        50,
        ImageStatus.IMPORTED,
        START,
        codename="bookworm",
    )
    images = [
        plain,
        replace(plain, alias="private/alice/web", fingerprint="f2", private=True, size_bytes=70, description="My web"),
        replace(plain, alias="alpine/3.20", distribution="alpine", release="3.20", codename="", architecture="arm64",
                size_bytes=3, status=ImageStatus.FAILED, imported_at=None, variant="cloud", description=""),
    ]  # fmt: skip

    def names(sort: str = "", **wanted: Any) -> list[str]:
        return [image.alias for image in image_page(images, ImageFilter(**wanted), Part(10, "", sort)).items]

    assert names() == ["alpine/3.20", "debian/12", "private/alice/web"]
    assert names("-size") == ["private/alice/web", "debian/12", "alpine/3.20"]
    assert names("imported_at")[0] == "alpine/3.20"
    assert names(architecture="amd64") == names(architecture="x86_64") == ["debian/12", "private/alice/web"]
    assert names(release="12", private=False) == names(release="Bookworm", private=False) == ["debian/12"]
    assert names(status=ImageStatus.FAILED) == names(variant="cloud") == names(distribution="Alpine") == ["alpine/3.20"]
    assert names(search="WEB") == names(private=True) == ["private/alice/web"]
    first = image_page(images, ImageFilter(), Part(1, "", "-size"))
    assert [i.alias for i in image_page(images, ImageFilter(), Part(2, first.next, "-size")).items] == [
        "debian/12",
        "alpine/3.20",
    ]


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What the database is asked, in order, once the test has set ASKING: background tasks ask it, too."""
    asked: list[tuple[str, Any]] = []
    true = SqliteClient.execute_query

    async def execute(self: SqliteClient, query: str, values: Any = None) -> Any:
        if ASKING.get():
            asked.append((query, values))
        return await true(self, query, values)

    monkeypatch.setattr(SqliteClient, "execute_query", execute)
    return asked


async def test_lists_that_grow_are_read_by_an_index(
    core: Core, alice: Actor, root: Actor, queries: list[tuple[str, Any]]
) -> None:
    """First page or later one: neither a scan nor a sort of the whole table, and no query for each row."""
    for number in range(60):
        await _operation(core, number, alice)
        await models.AuditEntry.create(
            actor="alice", user_id=alice.user_id, origin="api", address="", action="a", target="t", outcome="ok"
        )
        await add_user(core, f"user-{number}")
        await models.Container.create(
            name=f"c{number}", project="p", user_id=alice.user_id, status="running", cpu=1, memory_mb=1, disk_mb=1
        )
    audit, operations, containers = core.audit.page, core.operations.page, core.containers.page
    asked = {
        "users": lambda part: core.accounts.page(root, UserFilter(), part),
        "containers of an admin": lambda part: containers(root, ContainerFilter(), part),
        "containers of a tenant": lambda part: containers(alice, ContainerFilter(), part),
        "operations of an admin": lambda part: operations(root, OperationFilter(), part),
        "operations on one thing": lambda part: operations(root, OperationFilter(target="web1"), part),
        "operations of a tenant": lambda part: operations(alice, OperationFilter(), part),
        "audit of an admin": lambda part: audit(root, AuditFilter(), part),
        "audit of a tenant": lambda part: audit(alice, AuditFilter(), part),
        "audit by actor": lambda part: audit(root, AuditFilter(actor="alice"), part),
        "audit by target": lambda part: audit(root, AuditFilter(target="t"), part),
        "audit by action": lambda part: audit(root, AuditFilter(action="a"), part),
    }
    sorted_in_memory = {"operations on one thing"}  # few rows each
    client = Tortoise.get_connection("default")
    ASKING.set(True)
    for what, ask in asked.items():
        after = ""
        for _page in range(2):
            queries.clear()
            page: Page[Any] = await ask(Part(20, after))
            after = page.next
            assert len(page.items) == 20, what
            told = list(queries)
            assert len(told) <= 2, (what, told)
            for query, values in told:
                _count, rows = await client.execute_query(f"EXPLAIN QUERY PLAN {query}", values)
                plan = [row["detail"] for row in rows]
                rowid = "SCAN audit" if what == "audit of an admin" else ""  # backwards by id, up to the limit
                scans = [step for step in plan if step.startswith("SCAN") and "USING" not in step and step != rowid]
                sorts = [step for step in plan if step == "USE TEMP B-TREE FOR ORDER BY"]
                assert not scans, (what, query, plan)
                assert not sorts or what in sorted_in_memory, (what, query, plan)
