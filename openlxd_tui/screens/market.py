"""The image market: what image servers offer, what this host holds, and the way from the one to the other.

Searching asks the catalogue in memory with each key and paints the lines in view. What is here and how far imports
are is heard from the feed, so that every session sees the same bar move.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container as Box
from textual.message import Message
from textual.widgets import Input

from openlxd_core.domain.errors import OpenLXDError
from openlxd_core.domain.feed import Change
from openlxd_core.domain.image import Image, Offer
from openlxd_core.domain.operation import Kind, Operation, OperationStatus
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _
from openlxd_tui.present import Cell, matches, sentence
from openlxd_tui.screens.chooser import Chooser
from openlxd_tui.screens.market_actions import MarketActions
from openlxd_tui.widgets.filter_line import FilterLine
from openlxd_tui.widgets.image_columns import Progress, image_columns, import_cell, offer_columns
from openlxd_tui.widgets.image_details import ImageDetails
from openlxd_tui.widgets.lines import Banner, KeyBar, TopBar
from openlxd_tui.widgets.market_lines import CHIPS, ChipLine, PaneLine, StaleLine
from openlxd_tui.widgets.record_table import RecordTable, Span

GATHER_SECONDS = 0.1
CLOCK_SECONDS = 30.0


class MarketPage(MarketActions):
    """Two panes, one search, four filters."""

    PAGE = "market"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", N_("Search")),
        Binding("tab", "pane", N_("Other list")),
        Binding("space", "details", N_("Details")),
        Binding("f", "chip('distribution')", N_("Choose a distribution"), show=False),
        Binding("r", "chip('release')", N_("Choose a release"), show=False),
        Binding("a", "chip('architecture')", N_("Choose an architecture"), show=False),
        Binding("v", "chip('variant')", N_("Choose a variant"), show=False),
        Binding("ctrl+r", "refresh", N_("Ask the image servers"), show=False),
        Binding("escape", "clear", N_("Clear, or back"), show=False),
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
        self._pane = "offers"
        self._text = ""
        self._chips: dict[str, str] = {name: "" for _key, name, _title in CHIPS}
        self._own = ""
        self._local = False
        self._ready = False
        self._details_wanted: bool | None = None
        self._again = False

    def compose(self) -> ComposeResult:
        """Bar, banner, panes, search, chips, tables and details, keys."""
        yield TopBar()
        yield Banner()
        yield PaneLine()
        yield StaleLine()
        yield FilterLine(_(N_("/ searches: ubuntu 24, debian cloud, alpin")))
        yield ChipLine()
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

    # What stands where

    @property
    def offers(self) -> RecordTable[Offer]:
        """The table of the catalogue."""
        return self.query_one("#offers", RecordTable)

    @property
    def images(self) -> RecordTable[Image]:
        """The table of what is here."""
        return self.query_one("#images", RecordTable)

    @property
    def table(self) -> RecordTable[Offer] | RecordTable[Image]:
        """The table in view."""
        return self.offers if self._pane == "offers" else self.images

    @property
    def offer(self) -> Offer | None:
        """What is offered under the name that the cursor stands on."""
        if self._pane == "offers":
            return self.offers.current
        image = self.images.current
        if image is None or image.private:
            return None
        there = self.session.core.market.offers(self.session.actor, distribution=image.distribution.lower())
        return next((offer for offer in there if offer.alias == image.alias), None)

    @property
    def image(self) -> Image | None:
        """What is here under that name."""
        if self._pane == "images":
            return self.images.current
        key = self.offers.current_key
        return self.images.records().get(key) if key is not None else None

    def _offer_span(self, offer: Offer) -> Span | None:
        progress = self._progress.get(offer.alias)
        return Span("state", "end", lambda width: import_cell(progress, width)) if progress else None

    def _image_span(self, image: Image) -> Span | None:
        progress = self._progress.get(image.alias)
        return Span("state", "users", lambda width: import_cell(progress, width)) if progress else None

    def _no_offers(self) -> Sequence[Cell]:
        state = self.session.core.market.catalogue_state()
        if not self._has_servers:
            return (
                ((_(N_("No image server is set.")), "text"),),
                ((_(N_("The operator names one with OPENLXD_IMAGES_URL.")), "quiet"),),
            )
        if not self._ready:
            return (((_(N_("Asking the image servers…")), "faint"),),)
        if self._narrowed:
            return (
                ((_(N_("No image fits.")), "quiet"),),
                (("esc", "accent"), ("  " + _(N_("shows all again")), "quiet")),
            )
        if state.stale:
            return (
                ((clean(state.reason, 200), "bad"),),
                (("^r", "accent"), ("  " + _(N_("asks again")), "quiet")),
                (("tab", "accent"), ("  " + _(N_("what is on this host can be used all the same")), "quiet")),
            )
        return (((_(N_("The image servers offer nothing.")), "quiet"),),)

    def _no_images(self) -> Sequence[Cell]:
        if not self._local:
            return (((_(N_("Reading…")), "faint"),),)
        if self.images.total:
            return (
                ((_(N_("No image fits.")), "quiet"),),
                (("esc", "accent"), ("  " + _(N_("shows all again")), "quiet")),
            )
        return (
            ((_(N_("No image is here yet.")), "text"),),
            (("tab", "accent"), ("  " + _(N_("shows what can be had; i imports it")), "quiet")),
        )

    @property
    def _has_servers(self) -> bool:
        return bool(self.session.core.settings.images_servers)

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
            await core.market.ready()
            self.post_message(self.CatalogueRead())
            while self._again:
                self._again = False
                await asyncio.sleep(GATHER_SECONDS)
                await core.market.ready()
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
        images = await core.market.images(actor)
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

    @on(CatalogueRead)
    def fill_offers(self) -> None:
        """Show the catalogue; at first for this host's own architecture."""
        if not self._ready:
            self._ready = True
            every = self.session.core.market.offers(self.session.actor)
            self._own = next((o.architecture for o in every if not o.alias.endswith("/" + o.architecture)), "")
            self._chips["architecture"] = self._own
        self.find(top=False)

    @on(Ended)
    def tell_the_end(self, message: Ended) -> None:
        """Say how an import of this session ended."""
        operation = message.operation
        alias = clean(operation.target, 100)
        if operation.status is OperationStatus.DONE:
            self.session.notify(_(N_("{alias} is here.")).format(alias=alias))
        elif operation.status is OperationStatus.FAILED and operation.error is not None:
            self.session.notify(f"{alias}: {sentence(operation.error)}", severity="error", timeout=10)

    def hear(self, change: Change) -> None:
        """A download's progress is painted at once; whatever else changed is read."""
        if change.topic == "image" and change.verb == "progress":
            self._progress[change.key] = Progress.told(change.data)
            self.offers.touch()
            self.images.touch()
            self.look_at()
        elif change.topic in ("image", "resync", "container", "lxd"):
            self.read_again()

    def look_at_the_clock(self) -> None:
        """Ages go on by themselves."""
        self.table.touch()
        self._tell_lines()

    # Searching

    @property
    def _narrowed(self) -> bool:
        wishes = {**self._chips, "architecture": ""}
        return bool(self._text.strip() or any(wishes.values()) or self._chips["architecture"] != self._own)

    def find(self, *, top: bool = True) -> None:
        """Show what fits the text and the chips, the best first."""
        found = self.session.core.market.offers(self.session.actor, self._text.strip(), **self._chips)
        self.offers.fill(found, top=top)
        self._tell_lines()
        self.look_at()

    def _narrow_images(self) -> None:
        wish = self._text.strip()
        self.images.narrow((lambda i: matches(wish, (i.alias, i.description, *i.users))) if wish else None)
        self._tell_lines()

    def _tell_lines(self) -> None:
        state = self.session.core.market.catalogue_state() if self._ready else None
        self.query_one(PaneLine).tell(
            self._pane, len(self.offers.rows), len(self.images.rows), state, servers=self._has_servers
        )
        self.query_one(StaleLine).tell(state)
        self.query_one(ChipLine).tell(self._chips)

    @on(Input.Changed, "#filter")
    def search_while_typing(self, event: Input.Changed) -> None:
        """Each key narrows both lists."""
        if event.value != self._text:
            self._text = event.value
            self.find()
            self._narrow_images()
            self.look_at()

    @on(Input.Submitted, "#filter")
    def keep_search(self) -> None:
        """Into the rows, with the search kept."""
        self.table.focus()

    def action_focus_table(self) -> None:
        """From the search into the rows."""
        self.table.focus()

    def action_search(self) -> None:
        """Type to search."""
        self.query_one(FilterLine).focus()

    @work(group="ask")
    async def action_chip(self, name: str) -> None:
        """Choose what the list is narrowed to."""
        if self._pane != "offers":
            self.show_pane("offers")
        others = {**self._chips, name: ""}
        if name == "distribution":
            others["release"] = ""
        there = self.session.core.market.offers(self.session.actor, **others)
        attribute = "version" if name == "release" else name
        values = sorted({str(getattr(offer, attribute)) for offer in there}, key=_by_figures)
        title = next(title for _key, chip, title in CHIPS if chip == name)
        chosen = await self.app.push_screen_wait(Chooser(_(title), values, self._chips[name]))
        if chosen is not None:
            if name == "distribution" and chosen != self._chips[name]:
                self._chips["release"] = ""
            self._chips[name] = chosen
            self.find()

    @on(ChipLine.Chosen)
    def choose_chip(self, message: ChipLine.Chosen) -> None:
        """A click on a chip."""
        self.action_chip(message.name)

    def action_clear(self) -> None:
        """Everything again; where nothing was narrowed, back to the containers."""
        field = self.query_one(FilterLine)
        if not self._narrowed and not field.has_focus:
            self.session.go("containers")
            return
        self.table.focus()
        if self._narrowed:
            self._chips = dict.fromkeys(self._chips, "") | {"architecture": self._own}
            self._text = field.value = ""
            self.find()
            self._narrow_images()

    @work(exclusive=True, group="refresh")
    async def action_refresh(self) -> None:
        """Ask the image servers now."""
        self.session.notify(_(N_("Asking the image servers…")))
        try:
            await self.session.core.market.refresh(self.session.actor)
        except OpenLXDError as error:
            self.session.say_error(error)
        self.read_again()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The search's key means nothing while one types."""
        if action == "search":
            return not (self.is_mounted and self.query_one(FilterLine).has_focus)
        return super().check_action(action, parameters)

    # Panes and details

    def action_pane(self) -> None:
        """The other list."""
        self.show_pane("images" if self._pane == "offers" else "offers")

    @on(PaneLine.Chosen)
    def choose_pane(self, message: PaneLine.Chosen) -> None:
        """A click on a title."""
        self.show_pane(message.pane)

    def show_pane(self, pane: str) -> None:
        """Show one of the two lists."""
        self._pane = pane
        self.offers.display = pane == "offers"
        self.images.display = pane == "images"
        self.query_one(ChipLine).display = pane == "offers"
        self.table.focus()
        self._tell_lines()
        self.look_at()

    @on(RecordTable.Highlighted)
    def look_at(self, _message: RecordTable.Highlighted | None = None) -> None:
        """Tell the details and the key bar what the cursor stands on."""
        self.query_one(ImageDetails).tell(self.offer, self.image, self._progress.get(self.alias))
        self.refresh_bindings()

    @on(RecordTable.Selected)
    def use_selected(self) -> None:
        """A second click is Enter."""
        if self.check_action("use", ()):
            self.action_use()

    def on_resize(self) -> None:
        """Another size may have room for the details, or no longer."""
        self.place_details()

    def place_details(self) -> None:
        """Beside the table where it is wide, beneath it where it is tall or that was asked for."""
        width, height = self.app.size
        beside = width >= 118
        wanted = (beside or height >= 34) if self._details_wanted is None else self._details_wanted
        self.set_class(wanted and (beside or height >= 20), "-details")
        self.set_class(not beside, "-below")

    def action_details(self) -> None:
        """Show the details or put them away."""
        self._details_wanted = not self.has_class("-details")
        self.place_details()

    def retranslate(self) -> None:
        """The search's hint too."""
        super().retranslate()
        self.query_one(FilterLine).placeholder = _(N_("/ searches: ubuntu 24, debian cloud, alpin"))
        self.query_one(ImageDetails).refresh()
        self.look_at()


def _by_figures(value: str) -> tuple[int, int, int, int, str]:
    """Newest releases first, words in their order after them."""
    figures = [int(part) for part in re.findall(r"\d+", value)[:3]]
    if not value[:1].isdigit():
        return (1, 0, 0, 0, value)
    first, second, third = [*figures, 0, 0][:3]
    return (0, -first, -second, -third, value)
