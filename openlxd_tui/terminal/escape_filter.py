"""Keeps a tenant's container from acting on the terminal of an admin who looks into it.

A tenant's own shell is theirs and passes as it is. What an admin opens may hold anything: sequences that fill the
clipboard, ask the terminal to send keys, or hand programs to it. Colours, cursor moves and screens pass; operating
system commands, device control, application, privacy and start-of-string strings, and questions do not.
"""

from __future__ import annotations

import re

_STRING = rb"\x1b[\]PX^_][^\x07\x1b\x18\x1a]*"
_TOKEN = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]"  # a control sequence
    rb"|" + _STRING + rb"(?:\x07|\x1b\\|\x18|\x1a|(?=\x1b))"  # a string, to its end or to what breaks it off
    rb"|\x1b[ -/]+[0-~]"  # a character set
    rb"|\x1b[0-~]?"  # two characters, or an ESC that begins nothing
    rb"|\x05"  # "who are you?"
    rb"|\xc2(?![\xa0-\xbf])[\x80-\x9f]?"  # a C1 code as a character (xterm obeys those), or half of one
)
"""Each ESC is followed by a whole sequence in what passes, so that nothing dropped can make two halves meet."""
_QUESTION = re.compile(rb"\x1b\[[0-?]*(?:[ -/]*[cnqtx]|\$p)")
_CURSOR_SHAPE = re.compile(rb"\x1b\[[0-9]* q")  # only looks like a question
_BEGUN = re.compile(rb"\xc2\Z|\x1b(?:[\]PX^_][^\x07\x1b\x18\x1a]*\x1b?|\[[0-?]*[ -/]*|[ -/]+)?\Z")
_BEGUN_MAX = 4096


def _may_pass(match: re.Match[bytes]) -> bytes:
    token = match[0]
    if token[:1] != b"\x1b":
        return b"?"
    kind = token[1:2]
    if kind == b"[":
        if len(token) == 2:
            return b""
        harmless = not _QUESTION.fullmatch(token) or _CURSOR_SHAPE.fullmatch(token)
        return token if harmless else b""
    return b"" if len(token) == 1 or kind in b"]PX^_Z" else token


class EscapeFilter:
    """Feed it output in pieces of any size; what may pass comes back."""

    def __init__(self) -> None:
        self._held = b""
        self._dropping = False

    def feed(self, data: bytes) -> bytes:
        """What of ``data`` may pass; the beginning of a sequence waits for its end."""
        data = self._held + data
        self._held = b""
        if self._dropping:
            end = re.search(rb"\x07|\x1b\\|\x18|\x1a", data)
            if end is None:
                self._held = b"\x1b" if data.endswith(b"\x1b") else b""
                return b""
            self._dropping = False
            data = data[end.end() :]
        begun = _BEGUN.search(data)
        if begun is not None and begun[0]:
            if len(begun[0]) <= _BEGUN_MAX:
                self._held = begun[0]
            else:  # a string that does not end: drop it until it does
                self._dropping = True
            data = data[: begun.start()]
        return _TOKEN.sub(_may_pass, data)
