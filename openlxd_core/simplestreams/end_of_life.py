"""What is promised to be supported, and until when the makers of a release mend it.

The dates are those that the distributions announce (for Debian and Ubuntu the end of the free security updates that
everybody gets, Debian's LTS included). No image server publishes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

PROMISED: tuple[tuple[str, str, str], ...] = (
    ("ubuntu", "18.04", "bionic"),
    ("ubuntu", "20.04", "focal"),
    ("ubuntu", "22.04", "jammy"),
    ("ubuntu", "24.04", "noble"),
    ("debian", "10", "buster"),
    ("debian", "11", "bullseye"),
    ("debian", "12", "bookworm"),
    ("centos", "7", "7"),
    ("centos", "8-Stream", "8-Stream"),
    ("centos", "9-Stream", "9-Stream"),
    ("alpine", "3.16", "3.16"),
    ("alpine", "3.17", "3.17"),
    ("alpine", "3.18", "3.18"),
    ("alpine", "3.19", "3.19"),
    ("rockylinux", "8", "8"),
    ("rockylinux", "9", "9"),
    ("fedora", "38", "38"),
    ("fedora", "39", "39"),
    ("fedora", "40", "40"),
)
"""Distribution, the number people say, and the release that the servers name."""

_ENDS: Mapping[str, Mapping[str, str]] = {
    "ubuntu": {
        "16.04": "2021-04-30", "18.04": "2023-05-31", "20.04": "2025-05-31", "22.04": "2027-06-01",
        "23.04": "2024-01-25", "23.10": "2024-07-11", "24.04": "2029-05-31", "24.10": "2025-07-10",
        "25.04": "2026-01-15", "25.10": "2026-07-09", "26.04": "2031-05-31",
    },
    "debian": {
        "8": "2020-06-30", "9": "2022-06-30", "10": "2024-06-30", "11": "2026-08-31", "12": "2028-06-30",
        "13": "2030-06-30",
    },
    "devuan": {"beowulf": "2024-06-30", "chimaera": "2026-08-31", "daedalus": "2028-06-30", "excalibur": "2030-06-30"},
    "centos": {
        "6": "2020-11-30", "7": "2024-06-30", "8": "2021-12-31", "8-stream": "2024-05-31", "9-stream": "2027-05-31",
        "10-stream": "2030-05-31",
    },
    "alpine": {
        "3.14": "2023-05-01", "3.15": "2023-11-01", "3.16": "2024-05-23", "3.17": "2024-11-22", "3.18": "2025-05-09",
        "3.19": "2025-11-01", "3.20": "2026-04-01", "3.21": "2026-11-01", "3.22": "2027-05-01", "3.23": "2027-11-01",
    },
    "rockylinux": {"8": "2029-05-31", "9": "2032-05-31", "10": "2035-05-31"},
    "almalinux": {"8": "2029-03-01", "9": "2032-05-31", "10": "2035-05-31"},
    "oracle": {"7": "2024-12-31", "8": "2029-07-31", "9": "2032-06-30", "10": "2035-06-30"},
    "fedora": {
        "37": "2023-12-05", "38": "2024-05-21", "39": "2024-11-26", "40": "2025-05-13", "41": "2025-12-15",
        "42": "2026-05-13", "43": "2026-12-02", "44": "2027-05-12",
    },
    "opensuse": {"15.4": "2023-12-07", "15.5": "2024-12-31", "15.6": "2026-04-30", "16.0": "2027-10-31"},
    "amazonlinux": {"2": "2026-06-30", "2023": "2029-06-30"},
}  # fmt: skip

_CODE_NAMES: Mapping[str, Mapping[str, str]] = {
    "ubuntu": {
        "trusty": "14.04", "xenial": "16.04", "bionic": "18.04", "cosmic": "18.10", "disco": "19.04", "eoan": "19.10",
        "focal": "20.04", "groovy": "20.10", "hirsute": "21.04", "impish": "21.10", "jammy": "22.04",
        "kinetic": "22.10", "lunar": "23.04", "mantic": "23.10", "noble": "24.04", "oracular": "24.10",
        "plucky": "25.04", "questing": "25.10", "resolute": "26.04",
    },
    "debian": {
        "jessie": "8", "stretch": "9", "buster": "10", "bullseye": "11", "bookworm": "12", "trixie": "13",
        "forky": "14", "duke": "15",
    },
}  # fmt: skip


def version_of(distribution: str, release: str) -> str:
    """The number people say for a release: ``22.04`` for ``jammy``; the release itself where it has no other name."""
    return _CODE_NAMES.get(distribution, {}).get(release, release)


def names_of_release(distribution: str, release: str, *hints: str) -> tuple[str, str]:
    """The number and the code name of a release: ``22.04`` and ``jammy``, whichever of the two ``release`` is.

    Where the number is not known by heart, the first of ``hints`` (parts of an alias, what a server said) that begins
    with a digit is taken. What stays unknown is what ``release`` says (``edge``), with an empty code name.
    """
    number = version_of(distribution, release)
    if not number[:1].isdigit():
        number = next((hint for hint in hints if hint[:1].isdigit()), number)
    if release and release != number:
        return number, release
    known = _CODE_NAMES.get(distribution, {})
    return number, next((name for name, its_number in known.items() if its_number == number), "")


def end_of_life(distribution: str, version: str) -> date | None:
    """The day its makers stop mending it; None where that is not known or never comes (a rolling release)."""
    found = _ENDS.get(distribution, {}).get(version.lower())
    return date.fromisoformat(found) if found else None


def is_promised(distribution: str, version: str) -> bool:
    """Whether OpenLXD promises to support it, as long as somebody builds it."""
    return any(distribution == name and version.lower() == number.lower() for name, number, _ in PROMISED)
