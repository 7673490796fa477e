"""The catalogue: what image servers offer, in memory, so that browsing it costs nothing.

One process refreshes the copy on disk once an hour; the others read it when they are told that it changed. When a
server fails, the old copy stays in use and its age is shown.
"""

from __future__ import annotations

import asyncio
import contextlib
import platform
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import structlog

from openlxd_core.domain.actor import Actor
from openlxd_core.domain.errors import ImageSourceUnavailable, Message, OpenLXDError, ValidationFailed
from openlxd_core.domain.image import CatalogueState, ImageRecord, ImageStatus, Offer
from openlxd_core.domain.listing import OfferFilter, Page, Part
from openlxd_core.domain.operation import ENDED, Kind, OperationStatus
from openlxd_core.domain.policy import Action, require
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _
from openlxd_core.lxd.gateway import LxdGateway
from openlxd_core.services.images.flags import Flags
from openlxd_core.services.images.pages import offer_page
from openlxd_core.services.images.refresh import Refresher, last_failure
from openlxd_core.services.lxd_status import LxdStatus
from openlxd_core.settings import Settings
from openlxd_core.simplestreams.downloader import ImageServers
from openlxd_core.simplestreams.index import Product
from openlxd_core.simplestreams.offers import Catalogue, choices, with_flags
from openlxd_core.storage import models

log = structlog.get_logger(__name__)

READY_SECONDS = 15.0
"""How long somebody waits for the first list of all."""
TENANT_REFRESH = timedelta(minutes=1)
"""How old the catalogue must be for a tenant's refresh to ask the servers."""
_ACTIVE = [status.value for status in OperationStatus if status not in ENDED]


class ImageCatalogue:
    """The catalogue."""

    def __init__(
        self,
        settings: Settings,
        lxd: LxdGateway,
        lxd_status: LxdStatus,
        servers: ImageServers,
        refresher: Refresher,
        flags: Flags,
    ) -> None:
        self._settings = settings
        self._lxd = lxd
        self._lxd_status = lxd_status
        self._servers = servers
        self._refresher = refresher
        self._flags = flags
        self._architecture = ""
        self._catalogue = Catalogue([], complete=False)
        self._products: dict[tuple[str, str], Product] = {}
        self._loaded: tuple[Any, ...] | None = None
        self._loading = asyncio.Lock()
        self._state = CatalogueState(None, False, "", 0)
        self._reason: Message | None = None
        self._held: dict[str, str] = {}
        self._records: dict[str, ImageRecord] = {}
        self._under_way: dict[str, tuple[str, int]] = {}
        self._refreshing: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Give up a refresh under way."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)

    # -- browsing --------------------------------------------------------------------------------------------------

    async def ready(self) -> None:
        """See that the catalogue is in memory: from the copy on disk, or from the servers where there is none yet.

        Never fails: :meth:`state` tells what is the matter.
        """
        await self.load()
        may_ask = self._is_refreshing or not self._refresher.just_failed
        if self._servers.urls and self._state.fetched_at is None and may_ask:
            with contextlib.suppress(TimeoutError):  # it goes on; whoever asks again finds what came
                async with asyncio.timeout(READY_SECONDS):
                    await self.refresh_now()

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
        hidden = frozenset() if actor.is_admin else self._flags.hidden
        # few: the others go by untouched, with each key that somebody types
        special = {*self._records, *self._flags.hidden, *self._flags.pinned, *self._under_way}
        shown = [
            self._flagged(offer) if offer.alias in special else offer for offer in found if offer.alias not in hidden
        ]
        if self._flags.pinned:
            shown.sort(key=lambda offer: not offer.pinned)
        return shown

    def page(self, actor: Actor, wanted: OfferFilter, part: Part, offset: int = 0) -> tuple[Page[Offer], int]:
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

    def state(self) -> CatalogueState:
        """How fresh the catalogue is; the reason in the reader's language."""
        return replace(
            self._state,
            reason=self._reason.text(_) if self._reason else "",
            stale=self._reason is not None,
            refreshing=self._is_refreshing,
        )

    # -- finding ---------------------------------------------------------------------------------------------------

    def find(self, actor: Actor, name: str, architecture: str = "", variant: str = "") -> Offer:
        """The offer that ``name`` means. Raises ValidationFailed, with close names."""
        offer = self._flagged(self._catalogue.resolve(name, architecture, variant))
        if offer.hidden and not actor.is_admin:
            raise ValidationFailed.of("image", N_("There is no image {alias}."), alias=clean(name, 100))
        return offer

    def _flagged(self, offer: Offer) -> Offer:
        flags = self._flags
        return with_flags(
            offer,
            held=self._held,
            hidden=flags.hidden,
            pinned=flags.pinned,
            imports=self._under_way,
            records=self._records,
        )

    def newer(self, alias: str, fingerprint: str) -> Offer | None:
        """The offer that is newer than the build with this fingerprint."""
        offer = self._catalogue.get(alias)
        known = offer is not None and offer.published and bool(fingerprint)
        return offer if offer is not None and known and offer.fingerprint != fingerprint else None

    async def product(self, server: str, key: str) -> Product | None:
        """What an image server offers under a product's key."""
        await self.ready()
        return self._products.get((server, key))

    @property
    def is_current(self) -> bool:
        """Whether there is a catalogue, and its servers answered when they were last asked."""
        return bool(len(self._catalogue)) and self._reason is None

    def require_any(self, name: str) -> None:
        """Raise ImageSourceUnavailable, or ValidationFailed for ``name``, where nothing at all is offered."""
        if len(self._catalogue):
            return
        if self._reason is not None:
            raise ImageSourceUnavailable(self._reason.template, **dict(self._reason.params))
        raise ValidationFailed.of("image", N_("There is no image {alias} on this host."), alias=clean(name, 100))

    # -- keeping fresh ---------------------------------------------------------------------------------------------

    async def refresh(self, actor: Actor) -> CatalogueState:
        """Ask the servers now. Tenants may, too, once a minute in all; one refresh serves all who ask meanwhile."""
        require(actor, Action.IMAGE_VIEW)
        await self.load()
        fetched = self._state.fetched_at
        old = fetched is None or datetime.now(UTC) - fetched > TENANT_REFRESH
        if actor.is_admin or (old and not self._refresher.just_failed):
            await self.refresh_now()
        return self.state()

    async def refresh_now(self) -> None:
        """Ask the servers, or join the refresh under way. It goes on where the caller is cancelled."""
        await asyncio.shield(self._begin_refresh())

    def refresh_if_due(self) -> None:
        """Begin a refresh where one is due; not waited for."""
        if self._refresher.is_due(self._state.fetched_at):
            self._begin_refresh()

    @property
    def _is_refreshing(self) -> bool:
        return self._refreshing is not None and not self._refreshing.done()

    def _begin_refresh(self) -> asyncio.Task[None]:
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh_and_load())
            self._refreshing.add_done_callback(_log_failure)
        return self._refreshing

    async def _refresh_and_load(self) -> None:
        await self._refresher.refresh()
        await self.load()

    async def load(self) -> None:
        """Bring memory in line with the copies on disk and with what the database says."""
        async with self._loading:
            if not self._architecture and self._lxd_status.state.reachable:
                with contextlib.suppress(OpenLXDError):
                    self._architecture = (await self._lxd.server()).architecture
            architecture = self._architecture or platform.machine()
            mark = (architecture, self._servers.copies_changed_at())
            if mark != self._loaded:
                await asyncio.to_thread(self._build, architecture)
                self._loaded = mark
            await self.load_rows()

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
        self._products = {(server, product.key): product for server, product in found}
        self._catalogue = catalogue
        complete = len(checked) == len(self._servers.urls)
        self._state = CatalogueState(min(checked) if checked and complete else None, False, "", len(catalogue))

    async def load_rows(self) -> None:
        """Read what the database says about images: those here, those being imported, flags, the last refresh."""
        rows = await models.Image.filter(private=False)
        self._held = {row.alias: row.fingerprint for row in rows if row.fingerprint}
        self._records = {
            row.alias: ImageRecord(row.id, ImageStatus(row.status), row.imported_at, row.created_at, row.updated_at)
            for row in rows
        }
        active = await models.Operation.filter(kind=Kind.IMPORT.value, status__in=_ACTIVE)
        self._under_way = {row.target: (row.id, row.progress) for row in active}
        await self._flags.load()
        self._reason = await last_failure()

    def told_progress(self, alias: str, operation_id: str, percent: int) -> None:
        """Show an import's progress without reading anything."""
        self._under_way[alias] = (operation_id, percent)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("refresh_failed", exc_info=error)
