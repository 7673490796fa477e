"""A cheaper repaint of a few lines than Textual's.

For any change Textual asks every widget that overlaps the change's bounding box for all its lines, cuts them at every
edge of the screen and puts the pieces together: 5 ms for the two figures of an idle list, a hundred times every three
seconds with a hundred sessions. Where each changed region lies within one widget that nothing covers, that widget's
changed lines are the answer. Everything else is left to Textual.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from textual._compositor import ChopsUpdate, Compositor
from textual.geometry import Region

if TYPE_CHECKING:
    from textual.strip import Strip
    from textual.widget import Widget

_MOST = 64  # changed regions; more of them are a repaint of most of the screen

_whole: Any = Compositor.render_partial_update


def render_partial_update(compositor: Compositor) -> ChopsUpdate | None:
    """As the compositor's own."""
    found = _owners(compositor)
    if found is None:
        whole: ChopsUpdate | None = _whole(compositor)
        return whole
    compositor._dirty_regions.clear()
    height = compositor.size.height
    chops: list[dict[int, Strip | None]] = [{} for _ in range(height)]
    ends: list[list[int]] = [[] for _ in range(height)]
    spans: list[tuple[int, int, int]] = []
    for widget, (region, dirty) in found.items():
        top, bottom = min(one.y for one in dirty), max(one.bottom for one in dirty)
        strips = widget.render_lines(Region(0, top - region.y, region.width, bottom - top))
        for one in dirty:
            left, right = one.x, one.right
            for y in range(one.y, one.bottom):
                strip = strips[y - top]
                if one.width != region.width:
                    strip = strip.crop(left - region.x, right - region.x)
                chops[y][left] = strip
                ends[y].append(right)  # in the order of the pieces, which is what the update goes by
                spans.append((y, left, right))
    if not spans:
        return None
    spans.sort()
    return ChopsUpdate(chops, spans, ends)


def _owners(compositor: Compositor) -> dict[Widget, tuple[Region, list[Region]]] | None:
    """The changed regions by the one widget that shows there; None where it is not as simple as that."""
    regions = compositor._dirty_regions
    if not 0 < len(regions) <= _MOST or _overlap(list(regions)):
        return None
    visible = compositor.visible_widgets
    found: dict[Widget, tuple[Region, list[Region]]] = {}
    for dirty in regions:
        for widget, (region, clip) in visible.items():  # from the front to the back
            shown = region.intersection(clip)
            if shown.contains_region(dirty):
                found.setdefault(widget, (region, []))[1].append(dirty)
                break
            if shown.overlaps(dirty):
                return None
        else:
            return None
    return found


def _overlap(regions: Sequence[Region]) -> bool:
    """Whether any two of the regions share a cell."""
    ordered = sorted((y, r.x, r.right) for r in regions for y in range(r.y, r.bottom))
    return any(a[0] == b[0] and b[1] < a[2] for a, b in pairwise(ordered))


def install() -> None:
    """Let every app of this process repaint in this way. Safe to call again."""
    Compositor.render_partial_update = render_partial_update  # type: ignore[method-assign, assignment]
