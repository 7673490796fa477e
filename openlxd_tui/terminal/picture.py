"""What a client's screen shows, and what the app wants it to show: the difference, cell by cell, is what is sent.

Textual repaints whole widgets or lines. Of a list whose figures moved that was 13.8 kB every three seconds, though a
person saw twenty digits change. Two pictures are kept here, by line, as the strips that Textual made anyway. A line is
taken apart into cells only where both pictures know it and differ. Since the newest picture is always at hand, a
client on a slow line misses what came between and never falls behind.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.cells import cell_len
from rich.color import ColorSystem
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.strip import Strip

from openlxd_tui.guard import without_harm

_GAP = 4  # cells that did not change, but cost less to send again than to jump over

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
        self._wanted: list[Strip | None] = [None] * height
        self._shown: list[Strip | None] = [None] * height
        self._dirty: set[int] = set()

    def forget_shown(self) -> None:
        """Somebody else has painted on the screen."""
        self._shown = [None] * self.height
        self._dirty = {y for y, strip in enumerate(self._wanted) if strip is not None}
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
                self._put(y, update.region.x, Strip.join(strips))
            return
        for y, left, right in update.spans:
            # the pieces that Textual itself would have sent, see ChopsUpdate.render_segments
            for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
                if strip is None or x > right or end <= left:
                    continue
                self._put(y, x, strip if end <= right else strip.crop(0, right - x))

    def _put(self, y: int, x: int, strip: Strip) -> None:
        if not 0 <= y < self.height:
            return
        before = self._wanted[y]
        length = strip.cell_length
        if x > 0 or length < self.width:
            base = before or Strip.blank(self.width)
            strip = Strip.join([base.crop(0, x), strip, base.crop(x + length, self.width)])
        self._wanted[y] = strip
        self._dirty.add(y)

    # what is sent

    def line(self, y: int) -> str:
        """What brings line ``y`` of the client's screen up to date; it counts as sent from now on."""
        self._dirty.discard(y)
        wanted, shown = self._wanted[y], self._shown[y]
        if wanted is None or wanted is shown:
            return ""
        self._shown[y] = wanted
        cells = self._cells(wanted)
        if shown is None:
            return self._run(y, 0, self.width, cells, None)
        before = self._cells(shown)
        if before == cells:
            return ""
        parts, at = [], None
        for left, right in _differences(before, cells):
            parts.append(self._run(y, left, right, cells, at))
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

    def _cells(self, strip: Strip) -> Cells:
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
        missing = self.width - len(texts)
        if missing > 0:
            texts.extend(" " * missing)
            styles.extend([""] * missing)
        elif missing < 0:
            del texts[self.width :], styles[self.width :]
            if texts and cell_len(texts[-1]) == 2:  # its other half is beyond the edge
                texts[-1] = " "
        return texts, styles


def _add_wide(texts: list[str], styles: list[str], text: str, codes: str) -> None:
    """Add text with wide or combining characters; what could act on a terminal is left out, its room stays."""
    begun = len(texts)
    for character in without_harm(text):
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
