"""The image market: what servers offer, what is here, and the way from the one to the other.

The catalogue stands in memory, so that browsing costs nothing. One process refreshes the copy on disk once an hour;
the others read it when they are told that it changed. When a server fails, the old copy goes on being used and its age
is shown.
"""

from __future__ import annotations

import asyncio
import contextlib
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import structlog

from openlxd_core.domain.actor import SYSTEM, Actor
from openlxd_core.domain.errors import ImageSourceUnavailable, Message, NotFound, OpenLXDError, ValidationFailed
from openlxd_core.domain.image import CatalogueState, Image, Offer, lxd_architecture, offered_architecture
from openlxd_core.domain.listing import ImageFilter, OfferFilter, Page, Part
from openlxd_core.domain.operation import ENDED, Kind, Operation, OperationStatus
from openlxd_core.domain.policy import Action, require
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _
from openlxd_core.lxd.gateway import LxdGateway
from openlxd_core.market.catalogue import Catalogue, choices, with_flags
from openlxd_core.market.simplestreams import Product
from openlxd_core.market.source import ImageServers
from openlxd_core.services import audit
from openlxd_core.services.feed import Feed, announce
from openlxd_core.services.idempotency import repeatable
from openlxd_core.services.image_pages import image_page, offer_page
from openlxd_core.services.images import PRIVATE, HeldImage, Images
from openlxd_core.services.imports import Imports
from openlxd_core.services.live import Live
from openlxd_core.services.operations import Operations
from openlxd_core.services.publish import Publishing
from openlxd_core.services.records import pack_message, unpack_message
from openlxd_core.services.runner import Runner
from openlxd_core.services.workers import FileLock, Workers
from openlxd_core.settings import Settings
from openlxd_core.storage import models
from openlxd_core.storage.transaction import transaction

log = structlog.get_logger(__name__)

REFRESH_EVERY = timedelta(hours=1)
RETRY_SECONDS = 300.0
"""After a refresh that failed."""
READY_SECONDS = 15.0
"""How long somebody waits for the first list of all."""
TENANT_REFRESH = timedelta(minutes=1)
"""How old the catalogue must be for a tenant's refresh to ask the servers."""
ROUND_SECONDS, SETTLE_SECONDS = 30.0, 0.2
"""How often things are looked at, and how long to let several changes come together."""
HIDDEN, PINNED, REFRESHED = "market.hidden", "market.pinned", "market.refreshed"
_ACTIVE = [status.value for status in OperationStatus if status not in ENDED]


@dataclass(frozen=True)
class ImageInfo:
    """All that is known of one image: what is offered under its name, and what is here."""

    offer: Offer | None
    image: Image | None


@dataclass(frozen=True)
class Choice:
    """What a container is to be made from: an image that LXD holds, or an offer that is imported first."""

    alias: str
    architecture: str
    fingerprint: str
    offer: Offer | None


class Market:
    """The market."""

    def __init__(
        self,
        settings: Settings,
        lxd: LxdGateway,
        live: Live,
        images: Images,
        operations: Operations,
        runner: Runner,
        workers: Workers,
        feed: Feed,
    ) -> None:
        directory = settings.state_dir / "market"
        self._settings = settings
        self._lxd = lxd
        self._live = live
        self._images = images
        self._operations = operations
        self._runner = runner
        self._workers = workers
        self._feed = feed
        self._directory = directory
        self._servers = ImageServers(settings.images_servers, directory / "lists", settings.images_ca)
        self._imports = Imports(settings, lxd, live, images, operations, self._servers, directory / "downloads")
        self._publishing = Publishing(settings, lxd, live, images, operations, runner)
        self._imports.prepare = self.ready
        runner.others[Kind.IMPORT] = self._imports.run
        runner.others[Kind.PUBLISH] = self._publishing.run
        runner.fetch_image = self._imports.wait_for
        self._architecture = ""
        self._catalogue = Catalogue([], complete=False)
        self._loaded: tuple[Any, ...] | None = None
        self._loading = asyncio.Lock()
        self._state = CatalogueState(None, False, "", 0)
        self._reason: Message | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._failed_at = 0.0
        self._updated_from: datetime | None = None
        self._held: dict[str, str] = {}
        self._hidden: frozenset[str] = frozenset()
        self._pinned: frozenset[str] = frozenset()
        self._under_way: dict[str, tuple[str, int]] = {}
        self._wake = asyncio.Event()

    async def close(self) -> None:
        """Let go of connections."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)
        await self._servers.close()

    # -- browsing --------------------------------------------------------------------------------------------------

    async def ready(self) -> None:
        """See that the catalogue is in memory: from the copy on disk, or from the servers where there is none yet.

        Never fails: :meth:`catalogue_state` tells what is the matter.
        """
        await self._load()
        if self._servers.urls and self._state.fetched_at is None and (self._is_refreshing or not self._just_failed()):
            with contextlib.suppress(TimeoutError):  # it goes on; whoever asks again finds what came
                async with asyncio.timeout(READY_SECONDS):
                    await self._refresh_once()

    def offers(
        self,
        actor: Actor,
        text: str = "",
        *,
        distribution: str = "",
        release: str = "",
        architecture: str = "",
        variant: str = "",
    ) -> Sequence[Offer]:
        """What is offered, the best first; from memory. ``text`` is several words, typed roughly; filters are exact."""
        require(actor, Action.IMAGE_VIEW)
        found = self._catalogue.search(
            text, distribution=distribution, release=release, architecture=architecture, variant=variant
        )
        hidden = frozenset() if actor.is_admin else self._hidden
        special = self._special  # few: the others go by untouched, with each key that somebody types
        shown = [
            self._flagged(offer) if offer.alias in special else offer for offer in found if offer.alias not in hidden
        ]
        if self._pinned:
            shown.sort(key=lambda offer: not offer.pinned)
        return shown

    def offer_page(self, actor: Actor, wanted: OfferFilter, part: Part, offset: int = 0) -> tuple[Page[Offer], int]:
        """One page of :meth:`offers`, and how many offers fit in all. Raises ValidationFailed."""
        found = self.offers(
            actor,
            wanted.search,
            distribution=wanted.distribution,
            release=wanted.release,
            architecture=wanted.architecture,
            variant=wanted.variant,
        )
        return offer_page(found, wanted, part, offset)

    def filters(self, actor: Actor) -> dict[str, Sequence[str]]:
        """The values that each filter can take, for chips."""
        offers = self.offers(actor)
        names: tuple[Literal["distribution", "release", "architecture", "variant"], ...]
        names = ("distribution", "release", "architecture", "variant")
        return {name: choices(offers, name) for name in names}

    @property
    def _special(self) -> set[str]:
        return {*self._held, *self._hidden, *self._pinned, *self._under_way}

    def _flagged(self, offer: Offer) -> Offer:
        return with_flags(
            offer, held=self._held, hidden=self._hidden, pinned=self._pinned, imports=self._under_way
        )  # fmt: skip

    def catalogue_state(self) -> CatalogueState:
        """How fresh the catalogue is; the reason in the reader's language."""
        return replace(
            self._state,
            reason=self._reason.text(_) if self._reason else "",
            stale=self._reason is not None,
            refreshing=self._is_refreshing,
        )

    async def info(self, actor: Actor, alias: str) -> ImageInfo:
        """What is known of one image, by any of its names. Raises NotFound."""
        require(actor, Action.IMAGE_VIEW)
        name = alias[:200]
        await self._load()
        image = await self._images.get(actor, name)
        if image is None:  # what is here is told without waiting for a server
            await self.ready()
        offer: Offer | None = None
        with contextlib.suppress(ValidationFailed):
            offer = self._find(actor, image.alias if image else name)
        if image is None:
            image = await self._images.get(actor, offer.alias if offer else name)
        if image is None and offer is None:
            raise NotFound(N_("There is no image {alias}."), alias=clean(name, 100))
        return ImageInfo(offer, self._with_market(image) if image else None)

    def _find(self, actor: Actor, name: str, architecture: str = "", variant: str = "") -> Offer:
        offer = self._flagged(self._catalogue.resolve(name, architecture, variant))
        if offer.hidden and not actor.is_admin:
            raise ValidationFailed.of("image", N_("There is no image {alias}."), alias=clean(name, 100))
        return offer

    # -- what is here ----------------------------------------------------------------------------------------------

    async def images(self, actor: Actor) -> Sequence[Image]:
        """The local images, with the containers made from each that the actor may see; imports under way and failed
        ones, too."""
        return [self._with_market(image) for image in await self._images.overview(actor)]

    async def image_page(self, actor: Actor, wanted: ImageFilter, part: Part) -> Page[Image]:
        """One page of :meth:`images`. Raises ValidationFailed."""
        return image_page(await self.images(actor), wanted, part)

    def _with_market(self, image: Image) -> Image:
        newer = not image.private and self._newer(image.alias, image.fingerprint) is not None
        return replace(image, newer=newer, pinned=image.alias in self._pinned)

    def _newer(self, alias: str, fingerprint: str) -> Offer | None:
        """The offer that is newer than the build that is here."""
        offer = self._catalogue.get(alias)
        known = offer is not None and offer.published and bool(fingerprint)
        return offer if offer is not None and known and offer.fingerprint != fingerprint else None

    async def delete(self, actor: Actor, alias: str) -> Image:
        """Drop a local image; what it was, with the containers that came from it (they keep working)."""
        return await self._images.delete(actor, alias)

    async def publish(self, actor: Actor, container: str, alias: str, snapshot: str | None = None) -> Operation:
        """Make a private image of a stopped container, or of one of its snapshots."""
        return await self._publishing.publish(actor, container, alias, snapshot)

    # -- importing -------------------------------------------------------------------------------------------------

    @repeatable(Kind.IMPORT)
    async def import_image(
        self, actor: Actor, alias: str, architecture: str | None = None, variant: str | None = None
    ) -> Operation:
        """Import an image by any of its names. Who asks for one that is on its way joins.

        While the image servers cannot be asked, one that LXD holds counts as imported. Raises ValidationFailed (with
        close names), Forbidden, QuotaExceeded, Busy, LxdUnavailable, ImageSourceUnavailable.
        """
        require(actor, Action.IMAGE_IMPORT)
        await self._load()
        if not self._can_ask and (held := await self._already_held(actor, alias, architecture or "", variant or "")):
            done = await self._imports.already_here(actor, held.alias, held.image.fingerprint)
            return await self._operations.get(actor, done)
        await self.ready()
        if not len(self._catalogue) and self._reason is not None:
            raise ImageSourceUnavailable(self._reason.template, **dict(self._reason.params))
        offer = self._importable(self._find(actor, alias, architecture or "", variant or ""))
        self._live.require_reachable()
        operation_id = await self._imports.begin(actor, offer)
        await self._start(operation_id)
        return await self._operations.get(actor, operation_id)

    @property
    def _can_ask(self) -> bool:
        """Whether there is a catalogue, and its servers answered when they were last asked."""
        return bool(len(self._catalogue)) and self._reason is None

    async def _already_held(self, actor: Actor, name: str, architecture: str, variant: str) -> HeldImage | None:
        """A public image that LXD holds by this name, for this architecture and variant where they are asked for."""
        held = await self._images.find(actor, name)
        if held is None or held.alias.startswith(PRIVATE):
            return None
        row = await models.Image.filter(alias=held.alias).first()
        its_variant = held.image.properties.get("variant") or (row.variant if row else "") or "default"
        its_architecture = offered_architecture(held.image.architecture)
        fits = (not architecture or offered_architecture(architecture) == its_architecture) and (
            not variant or variant == its_variant
        )
        return held if fits else None

    async def _start(self, operation_id: str) -> None:
        row = await models.Operation.filter(id=operation_id).first()
        if row is not None and row.worker == self._workers.id:  # one that was joined runs where it began
            self._runner.start(operation_id)

    def _importable(self, offer: Offer) -> Offer:
        if not offer.published:
            raise ValidationFailed.of(
                "image", N_("{alias} is no longer published by any image server."), alias=offer.alias
            )
        return offer

    async def choose(self, actor: Actor, name: str) -> Choice:
        """What a container is to be made from: an image that is here, at once, whatever the image servers do.

        Raises ValidationFailed with close names, LxdUnavailable, ImageSourceUnavailable.
        """
        await self._load()
        held = await self._images.find(actor, name)
        offer: Offer | None = None
        if held is None:
            await self.ready()
            if not len(self._catalogue):
                if self._reason is not None:
                    raise ImageSourceUnavailable(self._reason.template, **dict(self._reason.params))
                raise ValidationFailed.of(
                    "image", N_("There is no image {alias} on this host."), alias=clean(name, 100)
                )
            offer = self._find(actor, name)
            held = await self._images.find(actor, offer.alias)
        if held is not None:
            return Choice(held.alias, held.image.architecture, held.image.fingerprint, None)
        assert offer is not None
        return Choice(offer.alias, lxd_architecture(offer.architecture), "", self._importable(offer))

    async def choice_args(self, actor: Actor, choice: Choice) -> dict[str, Any]:
        """What the operation that makes the container keeps of it: begins the import where one is needed. Inside the
        transaction that writes that operation; :meth:`start_import` comes after it."""
        if choice.offer is None:
            return {"fingerprint": choice.fingerprint}
        return {"import": await self._imports.begin(actor, choice.offer)}

    async def start_import(self, args: Any) -> None:
        """Start what :meth:`choice_args` began."""
        if "import" in args:
            await self._start(str(args["import"]))

    # -- the operator's say ----------------------------------------------------------------------------------------

    async def hide(self, actor: Actor, alias: str, flag: bool) -> None:
        """Hide an offer from tenants, or show it again."""
        await self._set_flag(actor, HIDDEN, "image.hide" if flag else "image.show", alias, flag)

    async def pin(self, actor: Actor, alias: str, flag: bool) -> None:
        """Show an image first and leave the build that is held alone; or let go of it."""
        await self._set_flag(actor, PINNED, "image.pin" if flag else "image.unpin", alias, flag)

    async def _set_flag(self, actor: Actor, key: str, action: str, alias: str, flag: bool) -> None:
        require(actor, Action.IMAGE_MANAGE)
        await self._load()
        name = alias
        if await self._images.get(actor, alias) is None:
            await self.ready()
            name = self._find(actor, alias).alias
        await self._store_flag(actor, key, action, name, flag)
        await self._look_around()

    @transaction
    async def _store_flag(self, actor: Actor, key: str, action: str, alias: str, flag: bool) -> None:
        row, _new = await models.Setting.get_or_create(key=key, defaults={"value": []})
        row.value = sorted({*row.value, alias} if flag else {a for a in row.value if a != alias})
        await row.save()
        await audit.record(actor, action, alias)
        await announce("image", "flagged", alias, None)

    # -- keeping fresh ---------------------------------------------------------------------------------------------

    async def refresh(self, actor: Actor) -> CatalogueState:
        """Ask the servers now. Tenants may, too, once a minute in all; one refresh serves all who ask meanwhile."""
        require(actor, Action.IMAGE_VIEW)
        await self._load()
        fetched = self._state.fetched_at
        old = fetched is None or datetime.now(UTC) - fetched > TENANT_REFRESH
        if actor.is_admin or (old and not self._just_failed()):
            await self._refresh_once()
        return self.catalogue_state()

    def _just_failed(self) -> bool:
        return self._failed_at > 0 and time.monotonic() - self._failed_at < 30

    @property
    def _is_refreshing(self) -> bool:
        return self._refreshing is not None and not self._refreshing.done()

    async def _refresh_once(self) -> None:
        await asyncio.shield(self._begin_refresh())

    def _begin_refresh(self) -> asyncio.Task[None]:
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh())
            self._refreshing.add_done_callback(_seen)
        return self._refreshing

    async def _refresh(self) -> None:
        lock = FileLock(self._directory / "refresh.lock")
        if not lock.acquire():  # the other process is at it: wait for what it brings
            while not lock.acquire():  # noqa: ASYNC110 - a kernel's lock tells nobody
                await asyncio.sleep(0.2)
            lock.release()
            await self._load()
            return
        try:
            failed: Message | None = None
            for url in self._servers.urls:
                try:
                    await self._servers.refresh(url)
                except OpenLXDError as error:
                    log.warning("image_server_failed", server=url, reason=str(error))
                    failed = failed or error.message
                except Exception:
                    log.exception("image_server_failed", server=url)
                    failed = failed or Message(N_("The image server's answer could not be used."))
            await self._store_refreshed(failed)
        finally:
            lock.release()
        await self._load()
        self._failed_at = time.monotonic() if failed else 0.0

    @transaction
    async def _store_refreshed(self, failed: Message | None) -> None:
        row, _new = await models.Setting.get_or_create(key=REFRESHED, defaults={"value": {}})
        row.value = {"failed": pack_message(failed), "at": datetime.now(UTC).isoformat()}
        await row.save()
        await announce("image", "catalogue", "", None)

    async def _load(self) -> None:
        """Bring memory in line with the copies on disk and with what the database says."""
        async with self._loading:
            if not self._architecture and self._live.state.reachable:
                with contextlib.suppress(OpenLXDError):
                    self._architecture = (await self._lxd.server()).architecture
            architecture = self._architecture or platform.machine()
            mark = (architecture, self._servers.copies_changed_at())
            if mark != self._loaded:
                await asyncio.to_thread(self._build, architecture)
                self._loaded = mark
            await self._look_around()

    def _build(self, architecture: str) -> None:
        """Read the copies and make the catalogue; in a thread."""
        wanted = {part.strip().lower() for part in self._settings.images_distributions.split(",") if part.strip()}
        found: list[tuple[str, Product]] = []
        checked: list[datetime] = []
        for url in self._servers.urls:
            copy = self._servers.copy(url)
            if copy is not None:
                checked.append(copy.checked_at)
                found += [(url, p) for p in copy.products if not wanted or p.distribution in wanted]
        catalogue = Catalogue(found, architecture, distributions=wanted, complete=bool(found))
        self._imports.products = {(server, product.key): product for server, product in found}
        self._catalogue = catalogue
        complete = len(checked) == len(self._servers.urls)
        self._state = CatalogueState(min(checked) if checked and complete else None, False, "", len(catalogue))

    async def _look_around(self) -> None:
        """What the database says about images: those here, those on their way, flags, the last refresh."""
        self._held = {row.alias: row.fingerprint for row in await models.Image.exclude(fingerprint="")}
        active = await models.Operation.filter(kind=Kind.IMPORT.value, status__in=_ACTIVE)
        self._under_way = {row.target: (row.id, row.progress) for row in active}
        settings = {row.key: row.value for row in await models.Setting.filter(key__in=[HIDDEN, PINNED, REFRESHED])}
        self._hidden = frozenset(settings.get(HIDDEN) or ())
        self._images.hidden = self._hidden
        self._pinned = frozenset(settings.get(PINNED) or ())
        self._reason = unpack_message((settings.get(REFRESHED) or {}).get("failed"))

    # -- behind ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the catalogue fresh, the rows in step with LXD and older builds moving on, for ever."""
        listener = asyncio.create_task(self._listen())
        try:
            while True:
                try:
                    await self._round()
                except OpenLXDError as error:
                    log.info("market_waits", reason=str(error))
                except Exception:
                    log.exception("market_round_failed")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ROUND_SECONDS):
                        await self._images.changed.wait()
                self._images.changed.clear()
                await asyncio.sleep(SETTLE_SECONDS)
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)

    async def _listen(self) -> None:
        async with self._feed.subscribe(SYSTEM) as changes:
            async for change in changes:
                try:
                    if change.topic == "image" and change.verb == "progress":
                        told = (str(change.data.get("operation", "")), int(change.data.get("percent", 0)))
                        self._under_way[change.key] = told
                    elif change.topic == "image" and change.verb == "catalogue":
                        await self._load()
                    elif change.topic in ("image", "resync"):
                        await self._look_around()
                    elif change.topic == "user" and change.verb == "deleted":
                        self._images.changed.set()
                except OpenLXDError as error:
                    log.info("market_waits", reason=str(error))
                except Exception:
                    log.exception("market_listen_failed")

    async def _round(self) -> None:
        await self._load()
        if not self._workers.leader.held:
            return
        await self._imports.sweep()
        if self._due():
            self._begin_refresh()  # not waited for: a slow server must not keep the rows from following LXD
        if self._updated_from != self._state.fetched_at:  # once for each list: one that fails is not tried for ever
            self._updated_from = self._state.fetched_at
            await self.update_imported()
        if self._live.state.reachable:
            await self._images.sync()
            await self._images.drop_unused()
            await self._images.drop_of_deleted_accounts()

    def _due(self) -> bool:
        if not self._servers.urls:
            return False
        if self._failed_at:
            return time.monotonic() - self._failed_at > RETRY_SECONDS
        fetched = self._state.fetched_at
        return fetched is None or datetime.now(UTC) - fetched > REFRESH_EVERY

    async def update_imported(self) -> None:
        """Import newer builds of what is here, where the operator wants that."""
        if self._settings.images_update != "on" or not self._live.state.reachable:
            return
        for row in await models.Image.filter(private=False, status="imported").exclude(product=""):
            if row.alias in self._pinned:
                continue
            with contextlib.suppress(OpenLXDError):
                if offer := self._newer(row.alias, row.fingerprint):
                    await self._start(await self._imports.begin(SYSTEM, offer))


def _seen(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("refresh_failed", exc_info=error)
