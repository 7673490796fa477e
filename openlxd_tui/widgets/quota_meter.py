"""What is used of a quota, always in view."""

from __future__ import annotations

from collections.abc import Iterable

from openlxd_core.domain.container import Container
from openlxd_core.domain.quota import Quota, in_use
from openlxd_core.domain.units import format_mib
from openlxd_core.i18n import N_, _
from openlxd_tui.formatting import Cell, Piece, bar, load_role, short_mib
from openlxd_tui.widgets.paint import fit, width_of
from openlxd_tui.widgets.text_bar import TextBar

PARTS: tuple[tuple[str, str], ...] = (
    ("containers", N_("Containers")),
    ("cpu", N_("CPU")),
    ("memory_mib", N_("Memory")),
    ("disk_mib", N_("Disk")),
)
"""What a quota limits now, with its word."""


def amount(name: str, value: int) -> str:
    """A figure of a quota as people read it."""
    return format_mib(value) if name.endswith("_mib") else str(value)


class QuotaMeter(TextBar):
    """One line: a bar for each part of the quota, or sums where there is no quota to measure by."""

    DEFAULT_CSS = "QuotaMeter { background: $ox-ground; }"
    GROUND = "ox-ground"

    def __init__(self, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id)
        self._quota: Quota | None = None
        self._used: Quota | None = None

    def measure(self, quota: Quota, used: Quota) -> None:
        """Show a quota and what is used of it."""
        if (quota, used) != (self._quota, self._used):
            self._quota, self._used = quota, used
            self.refresh()

    def sum_up(self, containers: Iterable[Container]) -> None:
        """Show what all these containers hold together."""
        used = in_use(containers)
        if (None, used) != (self._quota, self._used):
            self._quota, self._used = None, used
            self.refresh()

    def pieces(self, width: int) -> Cell:
        """With long bars, short bars, or figures alone, as the width allows."""
        if self._used is None:
            return ()
        for meter, spare in ((12, 4), (8, 3), (4, 3), (4, 2), (0, 3), (0, 2)):
            cell = self._line(meter, spare, long=True)
            if width_of(cell) <= width:
                return cell
        for spare in (3, 2):
            cell = self._line(0, spare, long=False)
            if width_of(cell) <= width:
                return cell
        return fit(self._tightest(), width)

    def _line(self, meter: int, spare: int, *, long: bool) -> Cell:
        pieces: list[Piece] = [(" ", "text")]
        for name, word in PARTS:
            pieces += self._part(name, word, meter, long=long)
            pieces.append((" " * spare, "text"))
        return tuple(pieces[:-1])

    def _part(self, name: str, word: str, meter: int, *, long: bool) -> list[Piece]:
        assert self._used is not None
        used = getattr(self._used, name)
        shown = str(used) if not name.endswith("_mib") else format_mib(used) if long else short_mib(used)
        pieces: list[Piece] = [(_(word) + " ", "quiet")]
        if self._quota is None:
            return [*pieces, (shown, "text")]
        limit = getattr(self._quota, name)
        share = used / limit if limit else 1.0
        tint = load_role(share) if used else "text"
        if meter:
            full, empty = bar(share, meter)
            pieces += [(full, load_role(share)), (empty, "faint"), (" ", "text")]
        if name.endswith("_mib") and long:
            number, unit = format_mib(limit).split(" ")
            have, have_unit = format_mib(used).split(" ")
            shown = have if have_unit == unit or used == 0 else f"{have} {have_unit}"
            return [*pieces, (shown, tint), (f"/{number} {unit}", "quiet")]
        total = short_mib(limit) if name.endswith("_mib") else str(limit)
        return [*pieces, (shown, tint), (f"/{total}", "quiet")]

    def _tightest(self) -> Cell:
        """On a very narrow line: the part that runs out first."""
        assert self._used is not None
        if self._quota is None:
            return ((" ", "text"), *self._part(*PARTS[0], 0, long=False))
        shares = [
            (getattr(self._used, name) / max(1, getattr(self._quota, name)), -index)
            for index, (name, _word) in enumerate(PARTS)
        ]
        return ((" ", "text"), *self._part(*PARTS[-max(shares)[1]], 0, long=False))
