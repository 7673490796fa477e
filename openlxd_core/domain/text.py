"""Untrusted text, made safe to display.

Names and descriptions may carry escape codes, bidi marks and other characters that control a terminal or
deceive a reader. Input with such characters is refused, and output is cleaned again.
"""

from __future__ import annotations

import unicodedata

_HARMFUL = {
    *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C,  # bidi
    0x200B, 0x200C, 0x2060, 0xFEFF,  # zero width (U+200D joins emoji and stays)
    0x2028, 0x2029, *range(0xE0000, 0xE0080),  # separators, tags
}  # fmt: skip


def is_harmful(character: str) -> bool:
    """Whether a character controls a terminal or deceives a reader (C0, C1, DEL, bidi, zero width, surrogates)."""
    return ord(character) in _HARMFUL or unicodedata.category(character) in ("Cc", "Cs")


def clean(text: str, limit: int = 500) -> str:
    """``text`` in one line, without harmful characters, at most ``limit`` characters."""
    if text.isascii() and text.isprintable():  # nearly all there is: the screens clean every cell with each paint
        return text if len(text) <= limit else text[: limit - 1] + "…"
    kept = "".join(" " if c in "\n\r\t" else c for c in text[: limit * 4] if c in "\n\r\t" or not is_harmful(c))
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"


def is_plain(text: str) -> bool:
    """Whether ``text`` holds no harmful character at all, newlines included."""
    return not any(map(is_harmful, text))
