"""All there is to know about the image under the cursor: what is offered, and what is here."""

from __future__ import annotations

from urllib.parse import urlsplit

from rich.text import Text
from textual.widget import Widget

from openlxd_core.domain.image import Image, ImageStatus, Offer, offered_architecture
from openlxd_core.domain.text import clean
from openlxd_core.domain.units import format_bytes
from openlxd_core.i18n import N_, _
from openlxd_tui.present import Cell, age, bar, moment, now
from openlxd_tui.widgets.image_columns import (
    Progress,
    image_state,
    left_of,
    offer_state,
    rate_of,
    stage_of,
)
from openlxd_tui.widgets.paint import fit, style_for, width_of


class ImageDetails(Widget):
    """The pane beside or beneath the tables."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "ImageDetails { background: $ox-raised; padding: 1 2; overflow: hidden; }"

    def __init__(self, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._offer: Offer | None = None
        self._image: Image | None = None
        self._progress: Progress | None = None

    def tell(self, offer: Offer | None, image: Image | None, progress: Progress | None) -> None:
        """Speak of this from now on; either of the first two may be missing."""
        told = (offer, image, progress)
        if told != (self._offer, self._image, self._progress):
            self._offer, self._image, self._progress = told
            self.refresh()

    def render(self) -> Text:
        """Name, state, what runs, facts."""
        text = Text(no_wrap=False, overflow="fold", end="")
        offer, image = self._offer, self._image
        about = offer or image
        if about is None:
            return text
        text.append(clean(about.alias, 100) + "\n", style_for(self.app, "accent", bold=True))
        if self._progress is None:
            self._line(text, offer_state(offer) if offer is not None else image_state(image) if image else ())
        if image is not None and image.description:
            self._line(text, ((clean(image.description, 200), "quiet"),))
        if self._progress is not None:
            self._import(text, self._progress)
        self._warn(text)
        if self.size.height > 12:
            text.append("\n")
        facts = [self._fact(label, cell) for label, cell in self._facts()]
        if self.size.width >= 70:  # beneath the table: two beside each other
            half = -(-len(facts) // 2)
            column = self.size.width // 2 - 1
            for index in range(half):
                pair = facts[index::half]
                self._line(text, (*fit(pair[0], column), ("  ", "text"), *(fit(pair[1], column) if pair[1:] else ())))
        else:
            for fact in facts:
                self._line(text, fact)
        return text

    @staticmethod
    def _fact(label: str, cell: Cell) -> Cell:
        title = _(label)
        return ((title + " " * max(1, 13 - width_of(((title, "quiet"),))), "quiet"), *cell)

    def _line(self, text: Text, cell: Cell) -> None:
        for part, tint in cell:
            text.append(part, style_for(self.app, tint))
        text.append("\n")

    def _import(self, text: Text, progress: Progress) -> None:
        if self.size.height > 12:
            text.append("\n")
        full, empty = bar(progress.percent / 100, 20)
        self._line(text, ((stage_of(progress), "busy"),))
        self._line(text, ((full, "busy"), (empty, "faint"), (f" {progress.percent}%", "text")))
        facts = "  ".join(part for part in (rate_of(progress), left_of(progress)) if part)
        if facts:
            self._line(text, ((facts, "quiet"),))

    def _warn(self, text: Text) -> None:
        offer, image = self._offer, self._image
        end = (offer or image).end_of_life if offer or image else None  # type: ignore[union-attr]
        words: list[Cell] = []
        if end is not None and end < now().date():
            words.append(
                ((_(N_("Its security updates ended on {day}.")).format(day=end.isoformat()), "bad"),)
            )  # fmt: skip
        if offer is not None and offer.hidden:
            words.append(((_(N_("⊘ Hidden from tenants.")), "warn"),))
        if offer is not None and not offer.published:
            words.append(((_(N_("No image server builds it any more.")), "warn"),))
        if image is not None and image.status is ImageStatus.FAILED and self._progress is None:
            words.append(((_(N_("The import failed. Press i to try again.")), "bad"),))
        if words and self.size.height > 12:
            text.append("\n")
        for cell in words:
            self._line(text, cell)

    def _facts(self) -> list[tuple[str, Cell]]:
        offer, image = self._offer, self._image
        facts: list[tuple[str, Cell]] = []
        if offer is not None:
            others = [clean(alias, 100) for alias in offer.aliases if alias != offer.alias]
            if others:
                facts.append((N_("Also called"), ((", ".join(others), "text"),)))
            version = f"{offer.version} ({offer.release})" if offer.release != offer.version else offer.version
            facts.append((N_("Release"), ((clean(f"{offer.distribution} {version}", 80), "text"),)))
            facts.append((N_("Architecture"), ((clean(offer.architecture, 20), "text"),)))
            facts.append((N_("Variant"), ((clean(offer.variant, 40), "text"),)))
        elif image is not None:
            release = clean(f"{image.distribution} {image.release}".strip(), 80)
            if release:
                facts.append((N_("Release"), ((release, "text"),)))
            facts.append((N_("Architecture"), ((clean(offered_architecture(image.architecture), 20), "text"),)))
            if image.variant:
                facts.append((N_("Variant"), ((clean(image.variant, 40), "text"),)))
        size = (offer.size_bytes if offer else 0) or (image.size_bytes if image else 0)
        if size:
            facts.append((N_("Size"), ((format_bytes(size), "text"),)))
        if offer is not None and offer.built_at is not None:
            built = f"{moment(offer.built_at)[:10]}  "
            facts.append((N_("Built"), ((built, "text"), (age(offer.built_at), "quiet"))))
        end = offer.end_of_life if offer else image.end_of_life if image else None
        if end is not None:
            facts.append((N_("End of life"), ((end.isoformat(), "bad" if end < now().date() else "text"),)))
        if image is not None:
            if image.imported_at is not None:
                facts.append((N_("Came here"), ((moment(image.imported_at), "text"),)))
            if image.private:
                facts.append((N_("Whose"), ((_(N_("private")), "text"),)))
            if image.fingerprint:
                facts.append((N_("Used by"), self._users(image)))
        fingerprint = (image.fingerprint if image else "") or (offer.fingerprint if offer else "")
        if fingerprint:
            facts.append((N_("Fingerprint"), ((clean(fingerprint[:12], 12), "quiet"),)))
        if offer is not None and offer.server:
            facts.append((N_("Server"), ((clean(urlsplit(offer.server).netloc, 80), "quiet"),)))
        return facts

    @staticmethod
    def _users(image: Image) -> Cell:
        if not image.users:
            return ((_(N_("no container")), "quiet"),)
        return ((", ".join(clean(name, 63) for name in image.users), "text"),)
