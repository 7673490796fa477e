"""What a terminal would show of the bytes that it was sent: enough of an xterm for a full-screen app."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from rich.cells import cell_len

_TOKEN = re.compile(
    r"\x1b\[([?>=!]?)([0-9;:]*)([ -/]*)([@-~])"
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|\x1bP[^\x1b]*\x1b\\"
    r"|\x1b[()][0-9A-Za-z]|\x1b[\\78=>A-Z]"
    r"|[\x00-\x1f\x7f]"
    r"|[^\x00-\x1f\x7f]+"
)


@dataclass(frozen=True)
class Cell:
    """One cell: a character (empty behind a wide one) and its style."""

    text: str = " "
    style: frozenset[str] = frozenset()


_EMPTY = Cell()


class VirtualTerminal:
    """Feed it bytes; ``lines`` is what a person would read, ``cells`` what they would see."""

    def __init__(self, width: int = 80, height: int = 24) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""
        self._style: frozenset[str] = frozenset()
        self.resize(width, height)

    def resize(self, width: int, height: int) -> None:
        """Another window; what it showed is gone."""
        self.width, self.height = width, height
        self.x = self.y = 0
        self.cells = [[_EMPTY] * width for _ in range(height)]

    @property
    def lines(self) -> list[str]:
        """The rows as text."""
        return ["".join(cell.text for cell in row).rstrip() for row in self.cells]

    @property
    def text(self) -> str:
        """All rows."""
        return "\n".join(self.lines)

    def feed(self, data: bytes) -> None:
        """More output has come."""
        text = self._rest + self._decode(data)
        at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:  # a sequence whose end has not come yet
                break
            self._take(found[0], found)
            at = found.end()
        self._rest = text[at:]

    def _take(self, token: str, found: re.Match[str]) -> None:
        if found[4] is not None:
            if not found[3]:
                self._control(found[1], found[2], found[4])
        elif token[0] == "\x1b":
            pass
        elif token == "\r":
            self.x = 0
        elif token == "\n":
            self.y = min(self.y + 1, self.height - 1)
        elif token == "\b":
            self.x = max(0, self.x - 1)
        elif token >= " ":
            for character in token:
                self._put(character)

    def _put(self, character: str) -> None:
        width = cell_len(character)
        if width == 0 or self.x + width > self.width:
            return
        row = self.cells[self.y]
        if row[self.x].text == "" and self.x:  # half of a wide character is written over
            row[self.x - 1] = _EMPTY
        row[self.x] = Cell(character, self._style)
        if width == 2:
            row[self.x + 1] = Cell("", self._style)
        after = self.x + width
        if after < self.width and row[after].text == "":
            row[after] = _EMPTY
        self.x = after

    def _control(self, private: str, parameters: str, final: str) -> None:
        numbers = [int(part or 0) for part in parameters.replace(":", ";").split(";")]
        if private == "?" and final == "h" and numbers == [1049]:
            self.resize(self.width, self.height)
        if private:
            return
        first = numbers[0]
        if final in "Hf":
            column = numbers[1] if len(numbers) > 1 else 1
            self.y = min(max(first, 1), self.height) - 1
            self.x = min(max(column, 1), self.width) - 1
        elif final == "G":
            self.x = min(max(first, 1), self.width) - 1
        elif final == "C":
            self.x = min(self.width - 1, self.x + max(1, first))
        elif final == "J" and first == 2:
            self.cells = [[_EMPTY] * self.width for _ in range(self.height)]
        elif final == "J" and first == 0:
            self._erase(self.y, self.x, self.width)
            for y in range(self.y + 1, self.height):
                self._erase(y, 0, self.width)
        elif final == "K":
            left, right = {0: (self.x, self.width), 1: (0, self.x + 1), 2: (0, self.width)}[first]
            self._erase(self.y, left, right)
        elif final == "X":
            self._erase(self.y, self.x, min(self.width, self.x + max(1, first)))
        elif final == "m":
            self._sgr(parameters)

    def _erase(self, y: int, left: int, right: int) -> None:
        ground = frozenset(part for part in self._style if part.startswith("bg"))
        for x in range(left, right):
            self.cells[y][x] = Cell(" ", ground)

    def _sgr(self, parameters: str) -> None:
        parts = parameters.split(";") if parameters else ["0"]
        style = set(self._style)
        at = 0
        while at < len(parts):
            code = int(parts[at] or 0)
            at += 1
            if code == 0:
                style.clear()
            elif code in (38, 48):
                length = 4 if parts[at] == "2" else 2
                ground = "fg" if code == 38 else "bg"
                style = {part for part in style if not part.startswith(ground)}
                style.add(ground + ",".join(parts[at : at + length]))
                at += length
            elif 30 <= code <= 37 or 90 <= code <= 97:
                style = {part for part in style if not part.startswith("fg")} | {f"fg{code}"}
            elif 40 <= code <= 47 or 100 <= code <= 107:
                style = {part for part in style if not part.startswith("bg")} | {f"bg{code - 10}"}
            elif code in (39, 49):
                style = {part for part in style if not part.startswith("fg" if code == 39 else "bg")}
            elif code < 10:
                style.add(str(code))
            elif code == 22:
                style -= {"1", "2"}
            elif 23 <= code <= 29:
                style.discard(str(code - 20))
        self._style = frozenset(style)
