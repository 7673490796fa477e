"""An SSH public key as people paste it: wrapped over lines by a terminal, with blank lines, or several at once.

The key's base64 part says by itself how long it is (a list of length-prefixed fields, RFC 4253 section 6.6), so that
lines can be joined without guessing where the key ends and its comment begins.
"""

from __future__ import annotations

import base64
import re

from openlxd_core.domain.errors import ValidationFailed
from openlxd_core.i18n import N_

_FIELDS = {
    "ssh-ed25519": 2, "ssh-rsa": 3, "ssh-dss": 5, "ecdsa-sha2-nistp256": 3, "ecdsa-sha2-nistp384": 3,
    "ecdsa-sha2-nistp521": 3, "sk-ssh-ed25519@openssh.com": 3, "sk-ecdsa-sha2-nistp256@openssh.com": 4,
}  # fmt: skip
"""The number of length-prefixed fields in a key's base64 part, the algorithm's own name included."""
_START = re.compile(rf"({'|'.join(map(re.escape, sorted(_FIELDS, key=len, reverse=True)))})(?=\s|\Z)")
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/=]")


def join_public_key(text: str) -> str | None:
    """The one public key in pasted ``text``, in one line; None where no key begins in it.

    Raises ValidationFailed for a private key, for several keys, for other text in front of the key, and for a key
    whose end is missing.
    """
    if "PRIVATE KEY" in text:
        raise ValidationFailed.of("public_key", N_("This is a private key. Paste the .pub file's line instead."))
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    starts = [number for number, line in enumerate(lines) if _START.match(line)]
    if not starts:
        whole = "".join(lines)  # a very narrow terminal wraps the algorithm's name, too
        if len(lines) < 2 or not _START.match(whole):
            return None
        lines, starts = [whole], [0]
    if len(starts) > 1:
        raise ValidationFailed.of(
            "public_key", N_("{count} keys were pasted. Add them one at a time."), count=len(starts)
        )
    if starts[0] > 0:
        raise ValidationFailed.of("public_key", N_("There is other text in front of the key. Paste the key alone."))
    return _joined("\n".join(lines))


def _joined(text: str) -> str:
    start = _START.match(text)
    assert start is not None
    algorithm, rest = start[1], text[start.end() :]
    packed = "".join(rest.split())
    length = _base64_length(packed, _FIELDS[algorithm])
    if length is None:
        words = rest.split()
        if not words or _NOT_BASE64.search(words[0]) or ("\n" not in text and len(words) > 1):
            return " ".join(text.split())  # no key at all: whoever reads it will say so
        raise ValidationFailed.of("public_key", N_("The end of this key is missing. Copy the whole key."))
    taken = at = 0
    while taken < length and at < len(rest):
        taken += not rest[at].isspace()
        at += 1
    encoded, comment = "".join(rest[:at].split()), rest[at:].replace("\n", "").strip()
    return f"{algorithm} {encoded} {comment}".rstrip()


def _base64_length(packed: str, fields: int) -> int | None:
    """How many characters of ``packed`` are the key; None where it ends before that, or is no base64."""
    broken = _NOT_BASE64.search(packed)
    usable = packed[: broken.start()] if broken else packed
    letters = usable.split("=")[0]
    data = base64.b64decode(letters[: len(letters) // 4 * 4])
    end = 0
    for _field in range(fields):
        if len(data) < end + 4:
            return None
        end += 4 + int.from_bytes(data[end : end + 4])
    length = -(-end // 3) * 4
    return length if length <= len(usable) else None
