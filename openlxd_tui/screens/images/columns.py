"""The columns of the images screen's two tables, and how an import under way looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from openlxd_core.domain.image import Image, ImageStatus, Offer, offered_architecture
from openlxd_core.domain.operation import STAGES, Operation, OperationStatus
from openlxd_core.domain.text import clean
from openlxd_core.domain.units import format_bytes
from openlxd_core.i18n import N_, _
from openlxd_tui.formatting import Cell, Piece, age, bar, now
from openlxd_tui.widgets.paint import width_of
from openlxd_tui.widgets.record_table import Column


@dataclass(frozen=True)
class Progress:
    """How far an import is, as everybody may know."""

    operation_id: str
    stage: str
    percent: int
    rate: int = 0
    """Bytes a second; 0 while that is not known."""
    seconds_left: int | None = None

    @classmethod
    def of(cls, operation: Operation) -> Progress:
        """As an operation says it."""
        stage = "queued" if operation.status is OperationStatus.QUEUED else operation.stage
        return cls.told({**operation.detail, "operation": operation.id, "stage": stage, "percent": operation.progress})

    @classmethod
    def told(cls, data: Mapping[str, Any]) -> Progress:
        """As the feed says it."""
        left = data.get("seconds_left")
        return cls(
            str(data.get("operation") or ""),
            str(data.get("stage") or "queued"),
            int(data.get("percent") or 0),
            int(data.get("rate") or 0),
            None if left is None else int(left),
        )


def stage_of(progress: Progress) -> str:
    """What an import is doing."""
    return _(STAGES.get(progress.stage, STAGES["work"]))


def rate_of(progress: Progress) -> str:
    """How fast, where that is known."""
    if not progress.rate:
        return ""
    mib = progress.rate / 1024 / 1024
    size = f"{mib:.1f} MiB" if 0.95 <= mib < 100 else format_bytes(progress.rate)
    return _(N_("{size}/s")).format(size=size)


def left_of(progress: Progress) -> str:
    """How long still, where that is known."""
    if progress.seconds_left is None:
        return ""
    minutes, seconds = divmod(max(0, progress.seconds_left), 60)
    return _(N_("{minutes}:{seconds:02d} left")).format(minutes=minutes, seconds=seconds)


def import_cell(progress: Progress, width: int) -> Cell:
    """An import in ``width`` cells: stage, bar, percent, rate, time left, as far as there is room."""
    head: Cell = (("◐ ", "busy"), (stage_of(progress), "busy"), (f" {progress.percent}%", "text"))
    rate = "  " + rate_of(progress) if progress.rate else ""
    left = "  " + left_of(progress) if progress.seconds_left is not None else ""
    for length, parts in ((16, rate + left), (10, rate + left), (6, rate + left), (6, rate), (6, "")):
        full, empty = bar(progress.percent / 100, length)
        cell: Cell = (*head, ("  ", "text"), (full, "busy"), (empty, "faint"), (parts, "quiet"))
        if width_of(cell) <= width:
            return cell
    return head


def built_cell(offer: Offer) -> Cell:
    """How long ago it was built."""
    return ((age(offer.built_at), "quiet"),) if offer.built_at else (("–", "faint"),)


def size_cell(size: int) -> Cell:
    """Its size, or a dash where there is nothing."""
    return ((format_bytes(size), "text"),) if size else (("–", "faint"),)


def end_cell(end: date | None) -> Cell:
    """Until when it is mended; marked once that is over."""
    if end is None:
        return (("–", "faint"),)
    if end < now().date():
        return (("✗ ", "bad"), (end.isoformat(), "bad"))
    return (("  ", "text"), (end.isoformat(), "quiet"))


def offer_state(offer: Offer) -> Cell:
    """Whether it is here, and whether it can be had."""
    if offer.held and offer.published and not offer.current:
        return (("↑ ", "warn"), (_(N_("newer build")), "warn"))
    if offer.held:
        return (("● ", "good"), (_(N_("on this host")), "good"))
    if not offer.published:
        return (("✗ ", "faint"), (_(N_("no longer published")), "faint"))
    if not offer.native:
        return (("✗ ", "faint"), (_(N_("other architecture")), "faint"))
    return (("○ ", "faint"), (_(N_("available")), "faint"))


def image_state(image: Image) -> Cell:
    """What an image of this host is: usable, on its way, failed."""
    if image.status is ImageStatus.DOWNLOADING:
        words = _(N_("being created")) if image.private else _(N_("importing"))
        return (("◐ ", "busy"), (words, "busy"))
    if image.status is ImageStatus.FAILED:
        return (("✗ ", "bad"), (_(N_("failed")), "bad"))
    if image.newer:
        return (("↑ ", "warn"), (_(N_("newer build")), "warn"))
    return (("● ", "good"), (_(N_("on this host")), "good"))


def _named(alias: str, *, pinned: bool, hidden: bool) -> Cell:
    """A name, with its marks where it is pinned, and where it is hidden from tenants."""
    pieces: list[Piece] = [("★ ", "accent")] if pinned else []
    if hidden:
        pieces.append(("⊘ ", "warn"))
    return (*pieces, (clean(alias, 100), "faint" if hidden else "text"))


def offer_columns() -> list[Column[Offer]]:
    """Name, state, code name, architecture, variant, size, build, end of life."""
    return [
        Column("alias", N_("Name"), lambda o, _w: _named(o.alias, pinned=o.pinned, hidden=o.hidden), 18, 0, 3, 44,
               fair=26, sort=lambda o: o.alias),
        Column("state", N_("State"), lambda o, _w: offer_state(o), 21, 1,
               sort=lambda o: (not o.held, not o.available)),
        Column("release", N_("Release"), lambda o, _w: ((clean(o.release, 30), "quiet"),), 9, 5, 1, 16,
               sort=lambda o: o.release),
        Column("architecture", N_("Architecture"), lambda o, _w: ((clean(o.architecture, 20), "quiet"),), 12, 7,
               sort=lambda o: o.architecture),
        Column("variant", N_("Variant"), lambda o, _w: ((clean(o.variant, 30), "quiet"),), 9, 6, 1, 14,
               sort=lambda o: o.variant),
        Column("size", N_("Size"), lambda o, _w: size_cell(o.size_bytes), 9, 2, align="right",
               sort=lambda o: o.size_bytes or None, largest_first=True),
        Column("built", N_("Built"), lambda o, _w: built_cell(o), 8, 3, align="right",
               sort=lambda o: -o.built_at.timestamp() if o.built_at else None),
        Column("end", N_("End of life"), lambda o, _w: end_cell(o.end_of_life), 12, 4,
               sort=lambda o: o.end_of_life),
    ]  # fmt: skip


def _used_by(image: Image) -> Cell:
    if not image.users:
        return (("–", "faint"),)
    names = ", ".join(clean(name, 63) for name in image.users)
    return ((str(len(image.users)), "text"), ("  " + names, "quiet"))


def image_columns() -> list[Column[Image]]:
    """Name, state, size, when it came, end of life, and which containers were made from it."""
    return [
        Column("alias", N_("Name"), lambda i, _w: _named(i.alias, pinned=i.pinned, hidden=False), 20, 0, 2, 40,
               fair=26, sort=lambda i: (i.private, i.alias)),
        Column("state", N_("State"), lambda i, _w: image_state(i), 14, 1, sort=lambda i: i.status.value),
        Column("architecture", N_("Architecture"),
               lambda i, _w: ((clean(offered_architecture(i.architecture), 20), "quiet"),), 12, 6,
               sort=lambda i: i.architecture),
        Column("size", N_("Size"), lambda i, _w: size_cell(i.size_bytes), 9, 2, align="right",
               sort=lambda i: i.size_bytes or None, largest_first=True),
        Column("imported", N_("Age"), lambda i, _w: ((age(i.imported_at) if i.imported_at else "–", "quiet"),), 8, 5,
               align="right", sort=lambda i: -i.imported_at.timestamp() if i.imported_at else None),
        Column("end", N_("End of life"), lambda i, _w: end_cell(i.end_of_life), 12, 4,
               sort=lambda i: i.end_of_life),
        Column("users", N_("Used by"), lambda i, _w: _used_by(i), 12, 3, 3, 50,
               sort=lambda i: len(i.users), largest_first=True),
    ]  # fmt: skip
