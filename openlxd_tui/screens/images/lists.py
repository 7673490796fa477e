"""The images screen's two lists: which one is in view, what they are narrowed to, and what the cursor stands on.

Searching asks the catalogue in memory with each key and paints the lines in view.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.widgets import Input

from openlxd_core.domain.image import Image, Offer
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _
from openlxd_tui.formatting import Cell, matches
from openlxd_tui.screens.chooser import Chooser
from openlxd_tui.screens.images.actions import ImageActions
from openlxd_tui.screens.images.bars import CHIPS, UNAVAILABLE, FilterBar, StaleNotice, TabBar, Tally
from openlxd_tui.screens.images.columns import import_cell
from openlxd_tui.screens.images.details import ImageDetails
from openlxd_tui.widgets.filter_input import FilterInput
from openlxd_tui.widgets.record_table import RecordTable, Span

SEARCH = N_("/ searches: ubuntu 24, debian cloud, alpin")


class ImageLists(ImageActions):
    """Two panes, one search, four filters; :class:`ImagesPage` brings what is in them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", N_("Search")),
        Binding("tab", "pane", N_("Switch tab")),
        Binding("space", "details", N_("Details")),
        Binding("J,shift+down", "scroll_details(1)", N_("Scroll the details down"), show=False),
        Binding("K,shift+up", "scroll_details(-1)", N_("Scroll the details up"), show=False),
        Binding("f", "chip('distribution')", N_("Choose a distribution"), show=False),
        Binding("r", "chip('release')", N_("Choose a release"), show=False),
        Binding("a", "chip('architecture')", N_("Choose an architecture"), show=False),
        Binding("v", "chip('variant')", N_("Choose a variant"), show=False),
        Binding("u", "unavailable", N_("Show unavailable images"), show=False),
        Binding("escape", "clear", N_("Clear, or back"), show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._pane = "offers"
        self._text = ""
        self._chips: dict[str, str] = {name: "" for _key, name, _title in CHIPS}
        self._own = ""
        self._total = 0
        """How many images can be had; every count of the catalogue is this one, or of what is narrowed to."""
        self._unavailable = 0
        self._kept_back = 0
        """How many of those that fit cannot be had."""
        self._with_unavailable = False
        self._local = False
        self._ready = False
        self._sought = ""
        self._details_wanted: bool | None = None

    # What stands where

    @property
    def offers(self) -> RecordTable[Offer]:
        """The table of the catalogue."""
        return self.query_one("#offers", RecordTable)

    @property
    def images(self) -> RecordTable[Image]:
        """The table of what is here."""
        return self.query_one("#images", RecordTable)

    def expect(self, alias: str) -> None:
        """The cursor of what is here goes to it; in the catalogue it stands there already."""
        self.images.expect(alias)

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
        there = self.session.core.images.offers(self.session.actor, distribution=image.distribution.lower())
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
        state = self.session.core.images.catalogue_state()
        if not self._has_servers:
            return (
                ((_(N_("No image server is set.")), "text"),),
                ((_(N_("The operator sets one with OPENLXD_IMAGES_URL.")), "quiet"),),
            )
        if not self._ready:
            return (((_(N_("Querying the image servers…")), "faint"),),)
        if self._narrowed:
            kept_back = (("u", "accent"), ("  " + _(N_("shows unavailable images")), "quiet"))
            return (
                ((_(N_("No matching images")), "quiet"),),
                *((kept_back,) if self._kept_back and not self._shows_unavailable else ()),
                (("esc", "accent"), ("  " + _(N_("shows all again")), "quiet")),
            )
        if state.stale:
            return (
                ((clean(state.reason, 500), "bad"),),
                (("^r", "accent"), ("  " + _(N_("refreshes")), "quiet")),
                (("tab", "accent"), ("  " + _(N_("images on this host can still be used")), "quiet")),
            )
        return (((_(N_("The image servers offer no images.")), "quiet"),),)

    def _no_images(self) -> Sequence[Cell]:
        if not self._local:
            return (((_(N_("Reading…")), "faint"),),)
        if self.images.total:
            return (
                ((_(N_("No matching images")), "quiet"),),
                (("esc", "accent"), ("  " + _(N_("shows all again")), "quiet")),
            )
        return (
            ((_(N_("There are no images on this host yet.")), "text"),),
            (("tab", "accent"), ("  " + _(N_("shows images to import; press i to import one")), "quiet")),
        )

    @property
    def _has_servers(self) -> bool:
        return bool(self.session.core.settings.images_servers)

    # Searching

    @property
    def _narrowed(self) -> bool:
        return bool(self._text.strip() or any(self._chips.values()) or self._with_unavailable)

    def find(self, *, top: bool = True) -> None:
        """Show what fits the text and the chips, the best first."""
        found = self._there(self._text.strip(), self._chips)
        shown = found if self._shows_unavailable else [offer for offer in found if offer.available]
        self._kept_back = sum(not offer.available for offer in found)
        self.offers.fill(shown, top=top)
        self._tell_lines()
        self.look_at()

    def _there(self, text: str, chips: Mapping[str, str]) -> Sequence[Offer]:
        """What fits, whether it can be had or not."""
        return self.session.core.images.offers(self.session.actor, text, **chips)

    @property
    def _shows_unavailable(self) -> bool:
        """Asked for, or asked for an architecture that this host does not have."""
        return self._with_unavailable or self._chips["architecture"] not in ("", self._own)

    def action_unavailable(self) -> None:
        """Show what cannot be had here, too, each with the reason; or put it away again."""
        if self._pane != "offers":
            self.show_pane("offers")
        self._with_unavailable = not self._with_unavailable
        self.find(top=False)

    def _narrow_images(self) -> None:
        wish = self._text.strip()
        self.images.narrow((lambda i: matches(wish, (i.alias, i.description, *i.users))) if wish else None)
        self._tell_lines()

    def _tell_lines(self) -> None:
        state = self.session.core.images.catalogue_state() if self._ready else None
        offers = Tally(len(self.offers.rows), self._total + self._unavailable * self._shows_unavailable)
        images = Tally(len(self.images.rows), self.images.total)
        self.query_one(TabBar).tell(self._pane, offers, images, state, servers=self._has_servers)
        self.query_one(StaleNotice).tell(state)
        self.query_one(FilterBar).tell(self._chips, self._kept_back, shown=self._shows_unavailable)

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
        self.action_focus_table()

    def action_focus_table(self) -> None:
        """From the search into the rows."""
        self.remove_class("-searching")
        self.table.focus()

    def action_search(self) -> None:
        """Type to search."""
        self.add_class("-searching")  # where the terminal is tiny, the line comes up only now
        line = self.query_one(FilterInput)
        if line.display:
            self.screen.set_focus(line)  # at once: what is typed right after the slash is the search
        else:
            self.call_after_refresh(line.focus)

    @work(group="ask")
    async def action_chip(self, name: str) -> None:
        """Choose what the list is narrowed to."""
        if self._pane != "offers":
            self.show_pane("offers")
        others = {**self._chips, name: ""}
        if name == "distribution":
            others["release"] = ""
        there = self._there("", others)
        if name != "architecture" and not self._shows_unavailable:
            there = [offer for offer in there if offer.available]
        attribute = "version" if name == "release" else name
        values = sorted({str(getattr(offer, attribute)) for offer in there}, key=_by_figures)
        title = next(title for _key, chip, title in CHIPS if chip == name)
        chosen = await self.app.push_screen_wait(Chooser(_(title), values, self._chips[name]))
        if chosen is not None:
            if name == "distribution" and chosen != self._chips[name]:
                self._chips["release"] = ""
            self._chips[name] = chosen
            self.find()

    @on(FilterBar.Chosen)
    def choose_chip(self, message: FilterBar.Chosen) -> None:
        """A click on a chip."""
        if message.name == UNAVAILABLE:
            self.action_unavailable()
        else:
            self.action_chip(message.name)

    def show(self, alias: str) -> None:
        """Put the cursor on an image, now or as soon as the lists are there."""
        self._sought = alias
        self.seek_sought()

    def seek_sought(self) -> None:
        """Look for the image that was asked for: in the catalogue, whatever narrows it, else on this host."""
        if not self._sought or not self._ready or not self._local:
            return
        alias, self._sought = self._sought, ""
        every = self.session.core.images.offers(self.session.actor)
        offer = next((offer for offer in every if offer.alias == alias), None)
        if offer is None:
            self.show_pane("images")
            self.images.expect(alias)
            return
        if all(row.alias != alias for row in self.offers.rows):
            self._chips = dict.fromkeys(self._chips, "") | {"architecture": offer.architecture}
            self._text = self.query_one(FilterInput).value = ""
            self.find()
            self._narrow_images()
        self.show_pane("offers")
        self.offers.expect(alias)

    def action_clear(self) -> None:
        """Everything again; where nothing was narrowed, back to the containers."""
        field = self.query_one(FilterInput)
        if not self._narrowed and not field.has_focus:
            self.session.go("containers")
            return
        self.action_focus_table()
        if self._narrowed:
            self._chips = dict.fromkeys(self._chips, "")
            self._with_unavailable = False
            self._text = field.value = ""
            self.find()
            self._narrow_images()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The search's key means nothing while one types."""
        if action == "search":
            return not (self.is_mounted and self.query_one(FilterInput).has_focus)
        return super().check_action(action, parameters)

    # Panes and details

    def action_pane(self) -> None:
        """Switch to the other tab."""
        self.show_pane("images" if self._pane == "offers" else "offers")

    @on(TabBar.Chosen)
    def choose_pane(self, message: TabBar.Chosen) -> None:
        """A click on a title."""
        self.show_pane(message.pane)

    def show_pane(self, pane: str) -> None:
        """Show one of the two lists."""
        self._pane = pane
        self.offers.display = pane == "offers"
        self.images.display = pane == "images"
        self.set_class(pane == "images", "-local")
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
        if self._details_wanted and not self.has_class("-details"):
            self.session.notify(_(N_("The terminal is too small for the details.")), severity="warning")

    def retranslate(self) -> None:
        """The search's hint too."""
        super().retranslate()
        self.query_one(FilterInput).placeholder = _(SEARCH)
        self.query_one(ImageDetails).say()
        self.look_at()


def _by_figures(value: str) -> tuple[int, int, int, int, str]:
    """Newest releases first, words in their order after them."""
    figures = [int(part) for part in re.findall(r"\d+", value)[:3]]
    if not value[:1].isdigit():
        return (1, 0, 0, 0, value)
    first, second, third = [*figures, 0, 0][:3]
    return (0, -first, -second, -third, value)
