"""The images and the snapshots of the screens' fake core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from openlxd_core.domain.actor import Actor
from openlxd_core.domain.errors import NotFound, QuotaExceeded
from openlxd_core.domain.image import CatalogueState, Image, ImageStatus, Offer
from openlxd_core.domain.operation import Kind, Operation, OperationStatus
from openlxd_core.domain.snapshot import Snapshot

if TYPE_CHECKING:
    from tests.tui.fakes import FakeCore

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
"""The moment at which all these things are; tests stop the clock here."""


def offer(alias: str, release: str = "", **more: Any) -> Offer:
    """An offer, plausible in every field that is not given."""
    distribution, _, version = alias.partition("/")
    version, _, variant = version.partition("/")
    release = release or version
    values: dict[str, Any] = {
        "alias": alias,
        "aliases": tuple(dict.fromkeys((f"{distribution}/{release}", alias))),
        "distribution": distribution,
        "release": release,
        "version": version,
        "architecture": "amd64",
        "variant": variant or "default",
        "size_bytes": 90_000_000 + sum(map(ord, alias)) * 40_000,
        "built_at": NOW - timedelta(hours=19),
        "serial": "20261121_17:00",
        "fingerprint": f"{sum(map(ord, alias)):04x}" * 16,
        "server": "https://images.example.org",
        "product": f"{distribution}:{release}:amd64:{variant or 'default'}",
        "end_of_life": None,
        "listed": True,
    }
    return Offer(**(values | more))


def many_offers() -> list[Offer]:
    """A small catalogue with something of everything."""
    gone: dict[str, Any] = {
        "published": False, "size_bytes": 0, "built_at": None, "fingerprint": "", "server": "", "product": "",
    }  # fmt: skip
    return [
        offer("alpine/3.21", end_of_life=date(2026, 11, 1), size_bytes=3_400_000),
        offer("alpine/3.22", end_of_life=date(2027, 5, 1), size_bytes=3_500_000),
        offer("almalinux/9", end_of_life=date(2032, 5, 31), listed=False),
        offer("archlinux/current", listed=False, size_bytes=210_000_000),
        offer("centos/9-Stream", end_of_life=date(2027, 5, 31)),
        offer("debian/13", "trixie", end_of_life=date(2030, 6, 30)),
        offer("debian/12", "bookworm", end_of_life=date(2028, 6, 30)),
        offer("debian/12/cloud", "bookworm", end_of_life=date(2028, 6, 30), listed=False),
        offer("fedora/43", end_of_life=date(2026, 12, 2), listed=False),
        offer("rockylinux/9", end_of_life=date(2032, 5, 31)),
        offer("ubuntu/24.04", "noble", end_of_life=date(2029, 5, 31)),
        offer("ubuntu/24.04/cloud", "noble", end_of_life=date(2029, 5, 31), listed=False),
        offer(
            "ubuntu/24.04/arm64",
            "noble",
            end_of_life=date(2029, 5, 31),
            architecture="arm64",
            variant="default",
            native=False,
        ),
        offer("ubuntu/22.04", "jammy", end_of_life=date(2027, 6, 1)),
        offer("centos/7", end_of_life=date(2024, 6, 30), **gone),
        offer("debian/10", "buster", end_of_life=date(2024, 6, 30), **gone),
    ]


class FakeImages:
    """The images service of a :class:`FakeCore`."""

    def __init__(self, core: FakeCore) -> None:
        self.core = core
        self.there: list[Offer] = []
        self.private: list[Image] = []
        self.hidden: set[str] = set()
        self.pinned: set[str] = set()
        self.newer: set[str] = set()
        self.state = CatalogueState(NOW - timedelta(minutes=12), False, "", 0)

    def open(self, offers: Sequence[Offer] | None = None) -> None:
        """Offer these, or a small catalogue."""
        self.there = list(many_offers() if offers is None else offers)
        self.state = replace(self.state, offers=sum(o.published for o in self.there))

    async def ready(self) -> None:
        """It is."""

    def catalogue_state(self) -> CatalogueState:
        """How fresh it is."""
        return self.state

    def _flagged(self, offer: Offer) -> Offer:
        under_way = self._under_way(offer.alias)
        held = any(image.alias == offer.alias for image in self.core.aliases)
        return replace(
            offer,
            held=held,
            current=held and offer.alias not in self.newer,
            hidden=offer.alias in self.hidden,
            pinned=offer.alias in self.pinned,
            operation_id=under_way.id if under_way else "",
            importing=under_way.progress if under_way else -1,
        )

    def _under_way(self, alias: str) -> Operation | None:
        found = (o for o in self.core.under_way.values() if o.kind is Kind.IMPORT and not o.ended)
        return next((o for o in found if o.target == alias), None)

    def offers(self, actor: Actor, text: str = "", **filters: str) -> Sequence[Offer]:
        """What fits."""
        words = text.lower().split()
        found = [
            self._flagged(o)
            for o in self.there
            if all(word in f"{o.alias} {o.release} {o.architecture} {o.variant}" for word in words)
            and all(not value or value in (getattr(o, name), *([o.version] if name == "release" else []))
                    for name, value in filters.items())
            and (actor.is_admin or o.alias not in self.hidden)
        ]  # fmt: skip
        return sorted(found, key=lambda o: not o.pinned)

    async def list(self, _actor: Actor) -> Sequence[Image]:
        """What LXD holds."""
        return self.core.aliases

    async def overview(self, _actor: Actor) -> Sequence[Image]:
        """What is here, and what is on its way."""
        core = self.core
        here = [
            replace(
                image,
                users=sorted(c.name for c in core.rows.values() if c.image == image.alias),
                operation_id=under_way.id if (under_way := self._under_way(image.alias)) else "",
                pinned=image.alias in self.pinned,
                newer=image.alias in self.newer,
                imported_at=NOW - timedelta(days=9),
                end_of_life=next((o.end_of_life for o in self.there if o.alias == image.alias), None),
            )
            for image in core.aliases
        ]
        for operation in core.under_way.values():
            new = all(image.alias != operation.target for image in here)
            if new and operation.kind is Kind.IMPORT and not operation.ended:
                here.append(
                        Image(operation.target, "", "", "", "amd64", "default", "", 0, ImageStatus.DOWNLOADING, None,
                              operation_id=operation.id)
                    )  # fmt: skip
        return [*here, *self.private]

    async def import_image(self, actor: Actor, alias: str) -> Operation:
        """Begin an import, or join it."""
        self.core.calls.append(("import", alias))
        self.core._fail()
        under_way = self._under_way(alias)
        if under_way is not None:
            return under_way
        operation = Operation(
            f"op-{alias}", Kind.IMPORT, actor.user_id, actor.username, alias, OperationStatus.QUEUED, "queued", 0, "",
            None, {}, NOW, NOW,
        )  # fmt: skip
        self.core.under_way[operation.id] = operation
        self.core.feed.send("image", "updated", alias, None)
        return operation

    def download(self, alias: str, percent: int, rate: int = 3_250_000, left: int = 12) -> None:
        """Let the download get that far, and say so."""
        operation = self.core.under_way[f"op-{alias}"]
        detail = {"bytes": percent * 900_000, "total": 90_000_000, "rate": rate, "seconds_left": left}
        self.core.under_way[operation.id] = replace(
            operation, status=OperationStatus.RUNNING, stage="download", progress=percent, detail=detail
        )
        told = {"operation": operation.id, "stage": "download", "percent": percent, **detail}
        self.core.feed.send("image", "progress", alias, None, **told)

    def arrive(self, alias: str) -> None:
        """Let the import be done."""
        operation = self.core.under_way[f"op-{alias}"]
        self.core.under_way[operation.id] = replace(operation, status=OperationStatus.DONE, progress=100, stage="done")
        self.core.aliases.append(
            Image(alias, "1" * 64, alias.split("/")[0], "", "amd64", "default", "", 90_000_000, ImageStatus.IMPORTED,
                  NOW)
        )  # fmt: skip
        self.core.feed.send("image", "imported", alias, None)

    async def give_up(self, operation_id: str) -> Operation:
        """Cancel one."""
        operation = replace(self.core.under_way[operation_id], status=OperationStatus.CANCELLED)
        self.core.under_way[operation_id] = operation
        self.core.feed.send("image", "cancelled", operation.target, None)
        return operation

    async def delete(self, _actor: Actor, alias: str) -> None:
        """Drop one."""
        self.core.calls.append(("delete_image", alias))
        self.core._fail()
        self.core.aliases = [image for image in self.core.aliases if image.alias != alias]
        self.private = [image for image in self.private if image.alias != alias]
        self.core.feed.send("image", "deleted", alias, None)

    async def publish(self, _actor: Actor, container: str, alias: str, snapshot: str | None = None) -> Operation:
        """Begin to make an image."""
        from tests.tui.fakes import operation

        self.core.calls.append(("publish", container, alias, snapshot))
        self.core._fail()
        return self.core.run(operation(container, Kind.PUBLISH, stage="publish", progress=0))

    async def pin(self, _actor: Actor, alias: str, flag: bool) -> None:
        """Pin or unpin."""
        self.core.calls.append(("pin", alias, flag))
        (self.pinned.add if flag else self.pinned.discard)(alias)
        self.core.feed.send("image", "flagged", alias, None)

    async def hide(self, _actor: Actor, alias: str, flag: bool) -> None:
        """Hide or show."""
        self.core.calls.append(("hide", alias, flag))
        (self.hidden.add if flag else self.hidden.discard)(alias)
        self.core.feed.send("image", "flagged", alias, None)

    async def refresh(self, _actor: Actor) -> CatalogueState:
        """Ask the servers."""
        self.core.calls.append(("refresh",))
        self.core._fail()
        self.state = replace(self.state, fetched_at=NOW, stale=False, reason="")
        self.core.feed.send("image", "catalogue", "", None)
        return self.state


class FakeSnapshots:
    """The snapshots service of a :class:`FakeCore`."""

    def __init__(self, core: FakeCore) -> None:
        self.core = core
        self.held: dict[str, list[Snapshot]] = {}

    def add(self, container: str, name: str, ready: bool = True, days: float = 1) -> None:
        """Hold one."""
        snapshot = Snapshot(name, container, 2, ready, NOW - timedelta(days=days))
        self.held.setdefault(container, []).append(snapshot)

    async def list(self, _actor: Actor, name: str) -> Sequence[Snapshot]:
        """A container's."""
        if name not in self.core.rows:
            raise NotFound("There is no container {name}.", name=name)
        return list(self.held.get(name, ()))

    async def create(self, _actor: Actor, name: str, snapshot: str | None = None) -> Operation:
        """Take one."""
        from tests.tui.fakes import operation

        self.core.calls.append(("snapshot", name, snapshot))
        self.core._fail()
        if sum(map(len, self.held.values())) >= 10:
            raise QuotaExceeded("Your quota allows {limit} snapshots, and all are in use.", limit=10)
        named = snapshot or "20261122-120000"
        self.add(name, named, ready=False, days=0)
        args = {"snapshot": named}
        return self.core.run(operation(name, Kind.SNAPSHOT, stage="work", progress=0, args=args))

    async def restore(self, _actor: Actor, name: str, snapshot: str) -> Operation:
        """Put it back."""
        from tests.tui.fakes import operation

        self.core.calls.append(("restore", name, snapshot))
        self.core._fail()
        return self.core.run(operation(name, Kind.RESTORE, stage="work", progress=0, args={"snapshot": snapshot}))

    async def delete(self, _actor: Actor, name: str, snapshot: str) -> Operation:
        """Drop one."""
        from tests.tui.fakes import operation

        self.core.calls.append(("delete_snapshot", name, snapshot))
        self.core._fail()
        self.held[name] = [held for held in self.held[name] if held.name != snapshot]
        return self.core.run(
            operation(name, Kind.SNAPSHOT_DELETE, stage="work", progress=0, args={"snapshot": snapshot})
        )
