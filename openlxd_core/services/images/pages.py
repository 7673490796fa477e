"""Pages of images: of those that are here, and of those on offer. Both lists stand in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from openlxd_core.domain.errors import ValidationFailed
from openlxd_core.domain.image import Image, Offer, offered_architecture
from openlxd_core.domain.listing import LIMIT_MAX, Cursor, ImageFilter, OfferFilter, Page, Part, read_cursor
from openlxd_core.i18n import N_
from openlxd_core.services.paging import MemoryOrder, page_of

BEST = "best"
"""The order of a search: the best match first."""


def _moment(at: datetime | None) -> int:
    return int(at.timestamp()) if at is not None else -1


IMAGES: MemoryOrder[Image] = MemoryOrder(
    "images",
    {
        "alias": (str, lambda image: image.alias),
        "distribution": (str, lambda image: image.distribution),
        "status": (str, lambda image: image.status.value),
        "size": (int, lambda image: image.size_bytes),
        "imported_at": (int, lambda image: _moment(image.imported_at)),
    },
    default="alias",
    id=lambda image: image.alias,
)
OFFERS: MemoryOrder[Offer] = MemoryOrder(
    "offers",
    {
        "alias": (str, lambda offer: offer.alias),
        "size": (int, lambda offer: offer.size_bytes),
        "built_at": (int, lambda offer: _moment(offer.built_at)),
    },
    default="alias",
    id=lambda offer: offer.alias,
)


def image_page(images: Sequence[Image], wanted: ImageFilter, part: Part) -> Page[Image]:
    """One page of the images that are here. Raises ValidationFailed."""
    return page_of([image for image in images if _takes(wanted, image)], IMAGES, part)


def _takes(wanted: ImageFilter, image: Image) -> bool:
    distribution = image.distribution.lower()
    releases = {image.release.lower(), image.codename.lower()} - {""}
    return (
        (wanted.status is None or image.status is wanted.status)
        and (wanted.distribution is None or distribution == wanted.distribution.lower())
        and (wanted.release is None or wanted.release.lower() in releases)
        and (
            wanted.architecture is None
            or offered_architecture(image.architecture) == offered_architecture(wanted.architecture)
        )
        and (wanted.variant is None or image.variant == wanted.variant)
        and (wanted.private is None or image.private is wanted.private)
        and (
            wanted.search is None
            or wanted.search.lower() in f"{image.alias} {image.description} {image.fingerprint}".lower()
        )
    )


def offer_page(offers: Sequence[Offer], wanted: OfferFilter, part: Part, offset: int = 0) -> tuple[Page[Offer], int]:
    """One page of what is offered, and how many offers fit in all. Raises ValidationFailed.

    ``offers`` are in the order of the search, which is the page's unless another is asked for. ``offset`` leaves
    out the first ones in place of a cursor.
    """
    fitting = [
        offer
        for offer in offers
        if (wanted.held is None or offer.held is wanted.held)
        and (wanted.supported is None or offer.listed is wanted.supported)
    ]
    if offset and part.after:
        raise ValidationFailed.of("offset", N_("Send a cursor or an offset, not both."))
    if (part.sort or BEST) != BEST:
        if offset:
            raise ValidationFailed.of(
                "offset", N_("An offset works only with the default order of a search. Use a cursor.")
            )
        return page_of(fitting, OFFERS, part), len(fitting)
    of, begin = f"offers:{BEST}", offset
    if part.after:
        after = read_cursor(part.after, of, int, str)
        begin = int(after.value)
        names = (number for number, offer in enumerate(fitting, 1) if offer.alias == after.id)
        begin = next(names, begin)  # after the same offer, wherever a refreshed catalogue has it now
    limit = max(1, min(part.limit, LIMIT_MAX))
    shown, end = fitting[max(0, begin) : max(0, begin) + limit], max(0, begin) + limit
    more = end < len(fitting)
    return Page(shown, Cursor(of, end, shown[-1].alias).encode() if more and shown else ""), len(fitting)
