"""All there is to know about the image under the cursor: what is offered, and what is here."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from openlxd_core.domain.image import Image, ImageStatus, Offer, offered_architecture
from openlxd_core.domain.text import clean
from openlxd_core.domain.units import format_bytes
from openlxd_core.i18n import N_, _
from openlxd_tui.formatting import Cell, age, bar, moment, now
from openlxd_tui.screens.images.columns import Progress, image_state, left_of, offer_state, rate_of, stage_of
from openlxd_tui.widgets.pane import Fact, Pane


class ImageDetails(Pane):
    """The pane beside or beneath the tables."""

    LABELS = 13

    def __init__(self, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._offer: Offer | None = None
        self._image: Image | None = None
        self._progress: Progress | None = None

    def tell(self, offer: Offer | None, image: Image | None, progress: Progress | None) -> None:
        """Show this image; either of the first two may be missing."""
        told = (offer, image, progress)
        if told == (self._offer, self._image, self._progress):
            return
        before = self._alias
        self._offer, self._image, self._progress = told
        if self._alias != before:
            self.start_over()
        else:
            self.say()

    @property
    def _alias(self) -> str:
        about = self._offer or self._image
        return about.alias if about is not None else ""

    def head(self) -> Sequence[Cell]:
        """Name, state, what runs, what to beware of."""
        offer, image = self._offer, self._image
        if offer is None and image is None:
            return ()
        lines: list[Cell] = [((clean(self._alias, 100), "accent"),)]
        if self._progress is None:
            lines.append(offer_state(offer) if offer is not None else image_state(image) if image else ())
        if image is not None and image.description:
            lines.append(((clean(image.description, 200), "quiet"),))
        if self._progress is not None:
            lines += self._import(self._progress)
        warnings = self._warnings()
        return [*lines, *([()] if warnings else []), *warnings, ()]

    def facts(self) -> Sequence[Fact]:
        """What is offered under that name, and what is here."""
        return self._facts()

    @staticmethod
    def _import(progress: Progress) -> list[Cell]:
        full, empty = bar(progress.percent / 100, 20)
        lines: list[Cell] = [(), ((stage_of(progress), "busy"),)]
        lines.append(((full, "busy"), (empty, "faint"), (f" {progress.percent}%", "text")))
        figures = "  ".join(part for part in (rate_of(progress), left_of(progress)) if part)
        return [*lines, ((figures, "quiet"),)] if figures else lines

    def _warnings(self) -> list[Cell]:
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
            words.append(((_(N_("No image server offers it.")), "warn"),))
        if offer is not None and not offer.native:
            text = _(N_("It is built for {architecture}. This host cannot run it."))
            words.append(((text.format(architecture=clean(offer.architecture, 20)), "warn"),))
        if image is not None and image.status is ImageStatus.FAILED and self._progress is None:
            words.append(((_(N_("The import failed. Press i to try again.")), "bad"),))
        return words

    def _facts(self) -> list[Fact]:
        offer, image = self._offer, self._image
        facts: list[Fact] = []
        if offer is not None:
            others = [clean(alias, 100) for alias in offer.aliases if alias != offer.alias]
            if others:
                facts.append((N_("Also called"), ((", ".join(others), "text"),)))
            version = f"{offer.version} ({offer.release})" if offer.release != offer.version else offer.version
            facts.append((N_("Release"), ((clean(f"{offer.distribution} {version}", 80), "text"),)))
            facts.append((N_("Architecture"), ((clean(offer.architecture, 20), "text"),)))
            facts.append((N_("Variant"), ((clean(offer.variant, 40), "text"),)))
        elif image is not None:
            version = f"{image.release} ({image.codename})" if image.codename else image.release
            release = clean(f"{image.distribution} {version}".strip(), 80)
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
                facts.append((N_("Imported"), ((moment(image.imported_at), "text"),)))
            if image.private:
                facts.append((N_("Owner"), ((_(N_("private")), "text"),)))
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
