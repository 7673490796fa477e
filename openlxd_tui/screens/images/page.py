"""The images screen: what image servers offer, what this host holds, and the way from the one to the other.

What is here and how far imports are is heard from the feed, so that every session sees the same bar move.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container as Box
from textual.message import Message

from openlxd_core.domain.errors import OpenLXDError
from openlxd_core.domain.feed import Change
from openlxd_core.domain.image import Image, Offer
from openlxd_core.domain.operation import Kind, Operation, OperationStatus
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _
from openlxd_core.outcomes import done_text, failed_text
from openlxd_tui.screens.images.bars import FilterBar, StaleNotice, TabBar
from openlxd_tui.screens.images.columns import Progress, image_columns, offer_columns
from openlxd_tui.screens.images.details import ImageDetails
from openlxd_tui.screens.images.lists import SEARCH, ImageLists
from openlxd_tui.widgets.banner import Banner
from openlxd_tui.widgets.filter_input import FilterInput
from openlxd_tui.widgets.key_bar import KeyBar
from openlxd_tui.widgets.record_table import RecordTable
from openlxd_tui.widgets.top_bar import TopBar

GATHER_SECONDS = 0.1
CLOCK_SECONDS = 30.0


class ImagesPage(ImageLists):
    """Screen 3."""

    PAGE = "images"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+r", "refresh", N_("Refresh from the image servers"), show=False),
    ]

    class Local(Message):
        """What is here was read, and what is under way."""

        def __init__(self, images: Sequence[Image], operations: Sequence[Operation]) -> None:
            super().__init__()
            self.images = images
            self.operations = operations

    class CatalogueRead(Message):
        """The catalogue is in memory."""

    class Ended(Message):
        """An import that this session asked for has ended."""

        def __init__(self, operation: Operation) -> None:
            super().__init__()
            self.operation = operation

    def __init__(self) -> None:
        super().__init__()
        self._again = False

    def compose(self) -> ComposeResult:
        """Bar, banner, panes, search, chips, tables and details, keys."""
        yield TopBar()
        yield Banner()
        yield TabBar()
        yield StaleNotice()
        yield FilterInput(_(SEARCH))
        yield FilterBar()
        with Box(id="body"):
            yield RecordTable[Offer](
                offer_columns(), lambda o: o.alias, sort_by="", span=self._offer_span, empty=self._no_offers,
                id="offers",
            )  # fmt: skip
            yield RecordTable[Image](
                image_columns(), lambda i: i.alias, sort_by="alias", span=self._image_span, empty=self._no_images,
                id="images",
            )  # fmt: skip
            yield ImageDetails(id="details")
        yield KeyBar()

    # Reading

    def on_mount(self) -> None:
        """Lay out for this terminal, then read."""
        self.show_pane("offers")
        self.place_details()
        self.load()
        self.set_interval(CLOCK_SECONDS, self.look_at_the_clock)

    @work(exclusive=True, group="load")
    async def load(self) -> None:
        """Read what is here, then see that the catalogue is there."""
        core, actor = self.session.core, self.session.actor
        try:
            await self._read_local()
            await core.images.ready()
            self.post_message(self.CatalogueRead())
            while self._again:
                self._again = False
                await asyncio.sleep(GATHER_SECONDS)
                await core.images.ready()
                await self._read_local()
                self.post_message(self.CatalogueRead())
            for alias, operation_id in list(self._mine.items()):
                operation = await core.operations.get(actor, operation_id)
                if operation.ended and alias in self._mine:
                    del self._mine[alias]
                    self.post_message(self.Ended(operation))
        except OpenLXDError as error:
            self.session.say_error(error)

    async def _read_local(self) -> None:
        core, actor = self.session.core, self.session.actor
        images = await core.images.overview(actor)
        operations = await core.operations.list(actor, active=True)
        self.post_message(self.Local(images, [o for o in operations if o.kind is Kind.IMPORT]))

    def read_again(self) -> None:
        """Read everything anew, soon; several wishes are one reading."""
        self._again = True
        if not any(worker.group == "load" and not worker.is_finished for worker in self.workers):
            self.load()

    @on(Local)
    def fill_images(self, message: Local) -> None:
        """Show what is here and what is on its way."""
        self._local = True
        told = {operation.target: Progress.of(operation) for operation in message.operations}
        self._cancellable = {operation.id for operation in message.operations} | set(self._mine.values())
        known = self._progress
        self._progress = {}
        for image in message.images:
            if image.alias in told:
                self._progress[image.alias] = told[image.alias]
            elif image.operation_id:
                before = known.get(image.alias)
                same = before is not None and before.operation_id == image.operation_id
                self._progress[image.alias] = before if same and before else Progress(image.operation_id, "queued", 0)
        self.images.fill(message.images)
        self._narrow_images()
        self.look_at()
        self.seek_sought()

    @on(CatalogueRead)
    def fill_offers(self) -> None:
        """Show the catalogue; at first only what can be had on this host."""
        self._ready = True
        every = self.session.core.images.offers(self.session.actor)
        self._total = sum(offer.available for offer in every)
        self._unavailable = len(every) - self._total
        self._own = next((offer.architecture for offer in every if offer.native), "")
        self.find(top=False)
        self.seek_sought()

    @on(Ended)
    def tell_the_end(self, message: Ended) -> None:
        """Say how an import of this session ended."""
        operation = message.operation
        if operation.status is OperationStatus.DONE:
            self.session.notify(done_text(operation))
        elif operation.status is OperationStatus.FAILED:
            self.session.notify(failed_text(operation), severity="error", timeout=10)
        else:
            text = _(N_("The import of {alias} was cancelled."))
            self.session.notify(text.format(alias=clean(operation.target, 100)))

    def hear(self, change: Change) -> None:
        """A download's progress is painted at once; whatever else changed is read."""
        if change.topic == "image" and change.verb == "progress":
            self._progress[change.key] = Progress.told(change.data)
            self.offers.touch()
            self.images.touch()
            self.look_at()
        elif change.topic in ("image", "resync", "lxd") or (
            change.topic == "container" and change.verb in ("created", "deleted")
        ):
            self.read_again()

    def look_at_the_clock(self) -> None:
        """Ages go on by themselves."""
        self.table.touch()
        self._tell_lines()

    @work(exclusive=True, group="refresh")
    async def action_refresh(self) -> None:
        """Ask the image servers now."""
        self.session.notify(_(N_("Querying the image servers…")))
        try:
            await self.session.core.images.refresh(self.session.actor)
        except OpenLXDError as error:
            self.session.say_error(error)
        self.read_again()
