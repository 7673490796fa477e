"""Keeps a tenant's container from acting on the terminal of an admin who looks into it.

A tenant's own shell is theirs and passes as it is. What an admin opens may hold anything: sequences that fill the
clipboard, ask the terminal to send keys, or hand programs to it. Colours, cursor moves and screens pass; operating
system commands, device control, application, privacy and start-of-string strings, and questions do not.
"""

from __future__ import annotations

import re

_STRING = re.compile(rb"\x1b[\]PX^_][^\x07\x1b\x18\x1a]*(?:\x07|\x1b\\|\x18|\x1a|(?=\x1b))")
_QUESTION = re.compile(rb"\x1b\[[0-?]*[ -/]*[cnqtx]|\x1b\[[0-?]*\$p|\x1bZ|\x05")
_KEPT_QUESTION = re.compile(rb"\x1b\[[0-9]* q")  # the cursor's shape only looks like one
_C1 = re.compile(rb"\xc2[\x80-\x9f]")  # the same introducers as single characters, which xterm obeys in UTF-8 too
_BEGUN = re.compile(rb"\xc2\Z|\x1b(?:[\]PX^_][^\x07\x1b\x18\x1a]*\x1b?|\[[0-?]*[ -/]*)?\Z")
_BEGUN_MAX = 4096


class Wall:
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
        data = _STRING.sub(b"", _C1.sub(b"", data))
        return _QUESTION.sub(lambda match: match[0] if _KEPT_QUESTION.fullmatch(match[0]) else b"", data)
