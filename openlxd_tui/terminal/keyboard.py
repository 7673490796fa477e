"""What a client has typed and no app has taken yet, as the bytes that came.

It stays bytes until its turn has come: a key may open a container's shell, and what was typed after it then belongs
to the shell, byte for byte. :meth:`Typed.next` takes out as little as makes one key, mouse report or piece of text.
"""

from __future__ import annotations

import re
from collections import deque

from textual.message import Message

from openlxd_tui.terminal.keys import KeyReader

_TEXT_MOST = 32  # bytes of text taken at once: each may be a key that paints
_PASTE_MOST = 4096
_PASTE_END = b"\x1b[201~"
_TEXT = re.compile(rb"[^\x00-\x1f\x7f]+")
_REPORTS = re.compile(rb"\x1b\[(?:<[\d;]*[Mm]|[IO]|\?[\d;]*\$y)")
"""What a terminal says by itself because the app asked for it: mouse, focus, the answer to a query. No shell did."""
_SEQUENCE = re.compile(
    rb"(?:\x1b\[<(?:3[2-9]|[45][0-9]|6[0-3]);[0-9]+;[0-9]+[Mm])+"  # mouse moves: the reader keeps the last of a run
    rb"|\x1b\[[0-?]*[ -/]*[@-LN-~]|\x1b\[[0-?]+[ -/]*M|\x1bO[!-~]"
)


class Typed:
    """A queue of bytes, with the time at which they came."""

    def __init__(self, reader: KeyReader) -> None:
        self.size = 0
        """How many bytes wait."""
        self._reader = reader
        self._chunks: deque[tuple[float, bytes]] = deque()
        self._last_fed = 0.0

    def __bool__(self) -> bool:
        return bool(self._chunks)

    @property
    def since(self) -> float:
        """When the oldest byte that waits came."""
        return self._chunks[0][0]

    @property
    def is_text(self) -> bool:
        """Whether what comes next is plain text (or a paste), and no key that acts."""
        reader = self._reader
        if reader.pasting or reader.holds_text:
            return True
        return not reader.holding and bool(self._chunks) and _TEXT.match(self._chunks[0][1]) is not None

    def add(self, data: bytes, now: float) -> None:
        """More has come."""
        if data:
            self._chunks.append((now, data))
            self.size += len(data)

    def clear(self) -> None:
        """Forget everything that waits."""
        self._chunks.clear()
        self.size = 0

    def take_all(self) -> bytes:
        """Everything typed that no app has taken, what the reader holds included; nothing waits afterwards."""
        data = self._reader.surrender() + b"".join(data for _when, data in self._chunks)
        self.clear()
        return _REPORTS.sub(b"", data)

    def next(self, *, many: bool) -> list[Message]:
        """What the next few bytes mean: mostly one message, or none as long as a sequence is unfinished.

        Args:
            many: take a run of text at once, as a field does; else one character.
        """
        when, data = self._chunks[0]
        deadline = self._reader.deadline
        if deadline is not None and when - self._last_fed >= deadline:
            self._last_fed = when  # what the reader holds was over before this came
            return self._reader.tick()
        self._last_fed = when
        length = self._length(data, many=many)
        if length == len(data):
            self._chunks.popleft()
        else:
            self._chunks[0] = (when, data[length:])
        self.size -= length
        return self._reader.feed(data[:length])

    def _length(self, data: bytes, *, many: bool) -> int:
        reader = self._reader
        if reader.holding:
            return 1
        if reader.pasting:
            end = data.find(_PASTE_END)
            return min(_PASTE_MOST, len(data)) if end < 0 else min(_PASTE_MOST, end + len(_PASTE_END))
        if sequence := _SEQUENCE.match(data):
            return sequence.end()
        text = _TEXT.match(data)
        if text is None:
            return 1
        if many:
            return min(_TEXT_MOST, text.end())
        lead = data[0]
        return min(text.end(), 4 if lead >= 0xF0 else 3 if lead >= 0xE0 else 2 if lead >= 0xC0 else 1)
