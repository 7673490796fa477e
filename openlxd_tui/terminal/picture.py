"""What a client's screen shows, and what the app wants it to show: the difference, cell by cell, is what is sent.

Textual repaints whole widgets or lines. Of a list whose figures moved that was 13.8 kB every three seconds, though a
person saw twenty digits change. Two pictures are kept here, by line; a line that does not differ is the same object in
both (2 kB for 120 cells). Since the newest picture is always at hand, a client on a slow line misses what came between
and never falls behind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rich.cells import cell_len
from rich.color import ColorSystem
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.strip import Strip

from openlxd_tui.textual_compat.output_sanitizer import without_harm

_GAP = 4  # cells that did not change, but cost less to send again than to jump over

_NARROW = re.compile("[ -~\u00a1-\u00ff\u2013\u2014\u2026\u2190-\u21ff\u2500-\u25ff]+")
"""Bars, marks and arrows: none of these characters takes no cell, so that as many cells as characters are one each."""

Cells = tuple[list[str], list[str]]
"""Of each cell of a line its text (empty behind a wide character) and its style's escape codes."""


class Picture:
    """One client's screen."""

    def __init__(self, width: int, height: int) -> None:
        self._pen = ""
        self.resize(width, height)

    def resize(self, width: int, height: int) -> None:
        """The window has another size: what it shows is unknown, and what it is to show has not come yet."""
        self.width, self.height = width, height
        self._wanted: list[Cells | None] = [None] * height
        self._shown: list[Cells | None] = [None] * height
        self._dirty: set[int] = set()

    def forget_shown(self) -> None:
        """Somebody else has painted on the screen."""
        self._shown = [None] * self.height
        self._dirty = {y for y, cells in enumerate(self._wanted) if cells is not None}
        self._pen = ""

    @property
    def dirty(self) -> list[int]:
        """The lines that may have to be painted, from the top."""
        return sorted(self._dirty)

    # what the app wants

    def take(self, update: LayoutUpdate | ChopsUpdate) -> None:
        """The compositor's next update."""
        if isinstance(update, LayoutUpdate):
            for y, strips in enumerate(update.strips, update.region.y):
                self._put_all(y, update.region.x, strips)
            return
        for y, left, right in update.spans:
            # the pieces that Textual itself would have sent, see ChopsUpdate.render_segments
            for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
                if strip is None or x > right or end <= left:
                    continue
                self._put(y, x, strip if end <= right else strip.crop(0, right - x))

    def put(self, x: int, y: int, strip: Strip) -> None:
        """A piece of a line."""
        self._put(y, x, strip)

    def _put_all(self, y: int, x: int, strips: Iterable[Strip]) -> None:
        """A whole line, in pieces."""
        self._put(y, x, Strip([segment for strip in strips for segment in strip._segments]))

    def _put(self, y: int, x: int, strip: Strip) -> None:
        if not 0 <= y < self.height or not 0 <= x < self.width:
            return
        texts, styles = _cells(strip)
        before = self._wanted[y]
        end = x + len(texts)
        if end > self.width:  # of a window that has just become smaller
            del texts[self.width - x :], styles[self.width - x :]
            end = self.width
            if texts and cell_len(texts[-1]) == 2:
                texts[-1] = " "
        if x > 0 or end < self.width:
            if before is None:
                before = [" "] * self.width, [""] * self.width
            elif before[0][x:end] == texts and before[1][x:end] == styles:
                return
            whole, all_styles = before[0].copy(), before[1].copy()
            if whole[x] == "":  # the piece covers one half of a wide character
                whole[x - 1] = " "
            if end < self.width and whole[end] == "":
                whole[end] = " "
            whole[x:end], all_styles[x:end] = texts, styles
            texts, styles = whole, all_styles
        self._wanted[y] = texts, styles
        self._dirty.add(y)

    # what is sent

    def line(self, y: int) -> str:
        """What brings line ``y`` of the client's screen up to date; it counts as sent from now on."""
        self._dirty.discard(y)
        wanted, shown = self._wanted[y], self._shown[y]
        if wanted is None or wanted is shown:
            return ""
        if shown == wanted:
            self._wanted[y] = shown
            return ""
        self._shown[y] = wanted
        if shown is None:
            return self._run(y, 0, self.width, wanted, None)
        parts, at = [], None
        for left, right in _differences(shown, wanted):
            parts.append(self._run(y, left, right, wanted, at))
            at = right
        return "".join(parts)

    def rest_pen(self) -> str:
        """What leaves the terminal without colours."""
        if not self._pen:
            return ""
        self._pen = ""
        return "\x1b[0m"

    def _run(self, y: int, left: int, right: int, cells: Cells, at: int | None) -> str:
        parts = [f"\x1b[{y + 1};{left + 1}H" if at is None else f"\x1b[{left - at}C"]
        texts, styles = cells
        pen = self._pen
        begun = left
        for x in range(left, right):
            style = styles[x]
            if style != pen:
                parts.append("".join(texts[begun:x]))
                begun = x
                parts.append(f"\x1b[0;{style}m" if pen and style else f"\x1b[{style or '0'}m")
                pen = style
        parts.append("".join(texts[begun:right]))
        self._pen = pen
        return "".join(parts)


def _cells(strip: Strip) -> Cells:
    """A strip, taken apart."""
    texts: list[str] = []
    styles: list[str] = []
    for text, style, _control in strip._segments:
        codes = ""
        if style is not None:
            found = style._ansi
            codes = Strip.render_ansi(style, ColorSystem.TRUECOLOR) if found is None else found
        if text.isascii() and text.isprintable():
            texts.extend(text)
            styles.extend([codes] * len(text))
        else:
            _add_wide(texts, styles, text, codes)
    return texts, styles


def _add_wide(texts: list[str], styles: list[str], text: str, codes: str) -> None:
    """Add text with wide or combining characters; what could act on a terminal is left out, its room stays."""
    begun = len(texts)
    safe = without_harm(text)
    if safe == text and _NARROW.fullmatch(text) and cell_len(text) == len(text):
        texts.extend(text)
        styles.extend([codes] * len(text))
        return
    for character in safe:
        width = cell_len(character)
        if width == 0:
            if len(texts) > begun:
                base = len(texts) - 1 if texts[-1] else len(texts) - 2
                texts[base] += character
            continue
        texts.append(character)
        if width == 2:
            texts.append("")
    texts.extend(" " * (begun + cell_len(text) - len(texts)))
    styles.extend([codes] * (len(texts) - begun))


def _differences(before: Cells, after: Cells) -> Iterable[tuple[int, int]]:
    """The runs of cells that differ, never beginning or ending within a wide character of either picture."""
    old_texts, old_styles = before
    texts, styles = after
    width = len(texts)
    runs: list[list[int]] = []
    for x in range(width):
        if texts[x] == old_texts[x] and styles[x] == old_styles[x]:
            continue
        left, right = x, x + 1
        while left > 0 and not (texts[left] and old_texts[left]):
            left -= 1
        while right < width and not (texts[right] and old_texts[right]):
            right += 1
        if runs and left - runs[-1][1] <= _GAP:
            runs[-1][1] = max(runs[-1][1], right)
        else:
            runs.append([left, right])
    return [(left, right) for left, right in runs]
