"""Painting single lines of a widget without a round through Textual's compositor.

``Widget.refresh`` of a few lines costs 0.7 ms of messages, timers and compositor work before the first byte is sent,
for each of a hundred idle sessions every three seconds. A widget that draws its own lines knows which of them differ:
where it is in view and nothing covers it, they go to the driver's picture of the screen at once. Everything else is
left to ``refresh``. Textual's privates that are used here: the screen's flags of pending work, the compositor's dirty
regions, and the widget's cache of styled lines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.color import TRANSPARENT
from textual.filter import ANSIToTruecolor
from textual.geometry import Offset, Region
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

PaintStrip = Callable[[int, int, Strip], None]
"""A driver's ``paint_strip(x, y, strip)``: shows a strip at these cells of the screen with the next frame."""


def paint_lines(widget: Widget, lines: Sequence[int]) -> None:
    """Draw these lines of a widget's content anew, counted from its top.

    For widgets that draw whole lines (``render_line``) in 24-bit colours with a background of their own, without
    opacity, tint or hatch.
    """
    if not lines:
        return
    app = widget.app
    paint: PaintStrip | None = getattr(app._driver, "paint_strip", None)
    origin = _origin(widget) if paint is not None else None
    if paint is None or origin is None:
        for y in lines:
            widget.refresh(Region(0, y, widget.size.width, 1))
        return
    # the filter that most sessions have replaces colours of the terminal's own palette, and there are none here
    filters = [one for one in widget.get_line_filters() if not isinstance(one, ANSIToTruecolor)]
    background = widget.background_colors[1] if filters else TRANSPARENT
    inset, width, height = widget.content_offset.y, widget.outer_size.width, widget.size.height
    for y in lines:
        if not 0 <= y < height:
            continue
        strip = widget.render_line(y)
        for one in filters:
            strip = strip.apply_filter(one, background)
        widget._styles_cache.set_dirty(Region(0, y + inset, width, 1))  # what Textual has kept of it is outdated
        paint(origin.x, origin.y + y, strip)


def _origin(widget: Widget) -> Offset | None:
    """Where the widget's content begins on the screen; None unless all of it is in view and nothing else is pending."""
    app = widget.app
    screen: Screen[object] = app.screen
    if app._batch_count or not app._running:
        return None
    if screen._layout_required or screen._scroll_required or screen._repaint_required or screen._dirty_widgets:
        return None
    compositor = screen._compositor  # knows no widget of another screen
    if compositor._dirty_regions or widget._repaint_required or widget._layout_required:
        return None
    visible = compositor.visible_widgets
    if widget not in visible:
        return None
    region, clip = visible[widget]
    if not clip.contains_region(region):
        return None
    for other, (covers, shown) in visible.items():  # from the front to the back
        if other is widget:
            return region.offset + widget.content_offset
        if covers.overlaps(region) and covers.intersection(shown).overlaps(region) and widget not in other.ancestors:
            return None
    return None
