"""From the bytes that a client sends to the keys, mouse moves and pastes that an app understands.

Textual's own parser knows the keys. What stands before it here: bytes that end in the middle of a character or
a sequence, answers of the terminal to questions (swallowed, or they would be typed into a field), pastes of any
length, window sizes sent in band, and sequences that make the parser itself fail.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from textual import events
from textual._xterm_parser import XTermParser
from textual.message import Message

ESCAPE_SECONDS = 0.1
"""How long a lone ESC may be the beginning of something."""
STRING_SECONDS = 1.0
"""How long an answer of the terminal, or a paste, may pause before it is taken as over."""
PASTE_MAX = 100_000
"""Characters of one paste that are kept."""
_HELD_MAX = 8192
_SEQUENCE_MAX = 32  # the longest that Textual's parser reads

_PASTE_START, _PASTE_END = "\x1b[200~", "\x1b[201~"
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_CONTROL_BEGUN = re.compile(r"\x1b\[[0-?]*[ -/]*\Z")
# Operating system commands, device control strings and application commands, as terminals send them in answers.
_STRING_BEGUN = re.compile(r"\x1b(?:\][0-9]|P[0-9>!$+|=]|_G)")
_STRING_END = re.compile(r"\x07|\x1b\\|\x9c")
_ANSWER = re.compile(r"\x1b\[(?:[?>=][0-9;]*\$?[A-Za-z]|[0-9;]*[cnxt]|[0-9;]*\$[A-Za-z]|<\Z)")
_SYNC_ANSWER = re.compile(r"\x1b\[\?2026;[0-9]\$y")
_NOT_PASTED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class _KeyParser(XTermParser):
    """Textual's parser, without its process-wide cache of kitty keys (which keeps every parser alive)."""

    def _parse_extended_key(self, sequence: str) -> list[events.Key] | None:  # type: ignore[override]
        if not sequence.startswith("\x1b[") or len(sequence) < 3:
            return None
        try:
            parse = XTermParser._parse_extended_key.__wrapped__
            found: list[events.Key] | None = parse(self, sequence)
        except (ValueError, OverflowError):  # a code point that no character has
            return [events.Key("ignore", None)]
        return found


class KeyReader:
    """Reads what one terminal sends; feed it bytes, and tick it when :attr:`deadline` says so."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._parser = _KeyParser()
        self._held = ""
        self._paste: list[str] | None = None
        self._pasted = 0

    @property
    def deadline(self) -> float | None:
        """Seconds after which :meth:`tick` is due unless more arrives; None where nothing waits."""
        if self._paste is not None or _STRING_BEGUN.match(self._held):
            return STRING_SECONDS
        return ESCAPE_SECONDS if self._held else None

    @property
    def pasting(self) -> bool:
        """Whether a paste has begun and not ended: what comes next is text, not keys."""
        return self._paste is not None

    @property
    def holding(self) -> bool:
        """Whether the beginning of a character or of a sequence waits for its end."""
        return bool(self._held) or self.holds_text

    @property
    def holds_text(self) -> bool:
        """Whether it is a character whose last bytes are missing."""
        return bool(self._decoder.getstate()[0])

    def surrender(self) -> bytes:
        """Give back, as they came, the bytes of which no message was made; for whoever reads the terminal next."""
        paste, self._paste = self._paste, None
        begun = "" if paste is None else _PASTE_START + "".join(paste)
        data = (begun + self._held).encode() + self._decoder.getstate()[0]
        self._held = ""
        self._decoder.reset()
        return data

    def feed(self, data: bytes) -> list[Message]:
        """The messages that ``data`` completes; runs of mouse moves come as the last of them."""
        text = self._held + self._decoder.decode(data)
        self._held = ""
        return list(_last_moves(self._read(text)))

    def tick(self) -> list[Message]:
        """Time has passed: what was held is no beginning of anything."""
        if self._paste is not None:
            self._paste.append(self._held)
            self._held = ""
            return [self._end_paste()]
        held, self._held = self._held, ""
        if not held or _STRING_BEGUN.match(held) or len(held) > _SEQUENCE_MAX or held[:3] in ("\x1b[?", "\x1b[>"):
            return []
        return list(self._keys(held))

    def _read(self, text: str) -> Iterator[Message]:
        at = 0
        while at < len(text):
            if self._paste is not None:
                end = text.find(_PASTE_END, at)
                if end < 0:
                    self._hold_paste(text[at:])
                    return
                self._keep(text[at:end])
                at = end + len(_PASTE_END)
                yield self._end_paste()
                continue
            escape = text.find("\x1b", at)
            if escape != at:
                end = len(text) if escape < 0 else escape
                yield from self._keys(text[at:end])
                at = end
                continue
            length = self._sequence_length(text, at)
            if length == 0:  # unfinished: wait for the rest, but only up to a limit
                rest = text[at:]
                self._held = rest if len(rest) <= _HELD_MAX else rest[:4]
                return
            sequence = text[at : at + length]
            at += length
            if sequence == _PASTE_START:
                self._paste, self._pasted = [], 0
            elif _is_key(sequence):
                yield from self._keys(sequence)

    @staticmethod
    def _sequence_length(text: str, at: int) -> int:
        """How long the escape sequence at ``at`` is; 0 if its end has not come yet."""
        if len(text) == at + 1:
            return 0
        if _STRING_BEGUN.match(text, at):
            end = _STRING_END.search(text, at + 2)
            return end.end() - at if end else 0
        kind = text[at + 1]
        if kind == "[":
            match = _CONTROL.match(text, at)
            if match and match[0] == "\x1b[M":  # the old mouse report: three more characters
                return 6 if len(text) >= at + 6 else 0
            if match:
                return match.end() - at
            return 0 if _CONTROL_BEGUN.match(text, at) else 2
        if kind in "]P_" and len(text) == at + 2:
            return 0
        if kind == "O":
            return 3 if len(text) >= at + 3 else 0
        if kind == "\x1b":
            return 1
        return 2

    def _hold_paste(self, text: str) -> None:
        """Keep what is certainly pasted; what may be the beginning of its end waits."""
        held = next((n for n in range(len(_PASTE_END) - 1, 0, -1) if text.endswith(_PASTE_END[:n])), 0)
        self._keep(text[: len(text) - held])
        self._held = text[len(text) - held :]

    def _keep(self, text: str) -> None:
        assert self._paste is not None
        room = PASTE_MAX - self._pasted
        if room > 0 and text:
            self._paste.append(text[:room])
            self._pasted += min(len(text), room)

    def _end_paste(self) -> Message:
        text = "".join(self._paste or ())
        self._paste = None
        return events.Paste(_NOT_PASTED.sub("", text))

    def _keys(self, text: str) -> Iterator[Message]:
        """What Textual's parser makes of text, or of one whole sequence."""
        parser = self._parser
        try:
            yield from parser.feed(text)
            if parser._timeout_time is not None:  # it waits for more of a sequence that is whole
                parser._timeout_time = 0.0
                yield from parser.tick()
        except Exception:  # nothing that a client sends may end its session
            self._parser = _KeyParser()


def _is_key(sequence: str) -> bool:
    """Whether a whole sequence is something that a person did, or the one answer that the parser knows."""
    if _SYNC_ANSWER.fullmatch(sequence):
        return True
    return not (_STRING_BEGUN.match(sequence) or _ANSWER.match(sequence) or len(sequence) > _SEQUENCE_MAX)


def _last_moves(messages: Iterator[Message]) -> Iterator[Message]:
    waiting: Message | None = None
    for message in messages:
        if waiting is not None and not isinstance(message, events.MouseMove):
            yield waiting
        waiting = None
        if isinstance(message, events.MouseMove):
            waiting = message
        elif not (isinstance(message, events.Key) and message.key in ("ignore", "<ignore>")):
            yield message
    if waiting is not None:
        yield waiting
