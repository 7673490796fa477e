"""Sizes, counts and ages: parsing and formatting.

Memory and disk are held in MiB. LXD and the billing plugins write ``GB`` where they mean either power; as
the design paper does, ``2GB`` and ``2GiB`` are both taken as 2048 MiB.
"""

from __future__ import annotations

import re
from datetime import datetime

from openlxd_core.domain.errors import ValidationFailed
from openlxd_core.i18n import N_, _

_SIZE = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*([kmgt]i?b?|b)?\s*", re.IGNORECASE | re.ASCII)
_MIB = {"k": 1 / 1024, "m": 1, "g": 1024, "t": 1024 * 1024}
MIB_MAX = 1024 * 1024 * 1024  # one PiB; more is surely a mistake
CPU_MAX = 1024


def parse_size_mib(value: str | int | float, field: str) -> int:
    """MiB from ``"2GB"``, ``"512MiB"``, ``"1.5G"`` or a plain number of MiB. Raises ValidationFailed."""
    if isinstance(value, bool):
        raise _not_a_size(field, value)
    text = str(value)
    match = _SIZE.fullmatch(text)
    if match is None or (match[2] or "m").lower() == "b":
        raise _not_a_size(field, value)
    unit = (match[2] or "m")[0].lower()
    mib = float(match[1]) * _MIB[unit]
    if mib < 1 or mib > MIB_MAX or mib != int(mib):
        raise _not_a_size(field, value)
    return int(mib)


def _not_a_size(field: str, value: object) -> ValidationFailed:
    return ValidationFailed.of(
        field, N_("“{value}” is not a size. Write it like 512MiB or 2GiB."), value=str(value)[:40]
    )


def parse_count(value: str | int, field: str, *, low: int = 1, high: int = CPU_MAX) -> int:
    """A whole number from ``low`` to ``high``. Raises ValidationFailed."""
    text = str(value).strip()
    if not isinstance(value, bool) and re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) and low <= int(text) <= high:
        return int(text)
    raise ValidationFailed.of(
        field,
        N_("“{value}” is not a whole number from {low} to {high}."),
        value=text[:40],
        low=low,
        high=high,
    )


def format_mib(mib: int | float) -> str:
    """``512 MiB``, ``1.5 GiB``, ``20 GiB``."""
    if mib < 1024:
        return f"{round(mib)} MiB"
    for unit, size in (("GiB", 1024), ("TiB", 1024 * 1024)):
        if mib < size * 1024 or unit == "TiB":
            return f"{mib / size:.1f}".removesuffix(".0") + f" {unit}"
    raise AssertionError


def format_bytes(count: int | float) -> str:
    """A byte count as :func:`format_mib` shows it, with B and KiB for the small ones."""
    if count < 1024:
        return f"{round(count)} B"
    if count < 1024 * 1024:
        return f"{round(count / 1024)} KiB"
    return format_mib(count / 1024 / 1024)


def format_age(since: datetime, now: datetime) -> str:
    """``42 s``, ``12 min``, ``3 h``, ``5 d``, ``2 y`` in the language of the session."""
    seconds = max(0, int((now - since).total_seconds()))
    for limit, size, template in (
        (60, 1, N_("{n} s")),
        (3600, 60, N_("{n} min")),
        (86400, 3600, N_("{n} h")),
        (86400 * 730, 86400, N_("{n} d")),
    ):
        if seconds < limit:
            return _(template).format(n=seconds // size)
    return _(N_("{n} y")).format(n=seconds // (86400 * 365))
