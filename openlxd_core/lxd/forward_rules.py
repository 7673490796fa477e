"""LXD's port specifications of a network forward, read into rules and written from them.

LXD's ``listen_port`` and ``target_port`` are comma-separated ports and ranges; an empty ``target_port`` means the
listen ports, and a single one takes them all (https://documentation.ubuntu.com/lxd/, "Port specifications").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from openlxd_core.domain.text import clean
from openlxd_core.lxd.gateway import ForwardRule


def read_forward_rules(entry: Mapping[str, Any]) -> Iterator[ForwardRule]:
    """The rules of one entry, one for each part of its listen ports; what is not a port is left out."""
    listens = list(_ranges(str(entry.get("listen_port") or "")))
    targets = list(_ranges(str(entry.get("target_port") or ""))) or listens
    ports = [port for first, last in targets for port in range(first, last + 1)]
    taken = 0
    for first, last in listens:
        length = last - first + 1
        if len(ports) == 1:
            target = (ports[0], ports[0])
        else:
            part = ports[taken : taken + length]
            taken += length
            if len(part) < length:
                return
            target = (part[0], part[-1])
        yield ForwardRule(
            protocol=clean(str(entry.get("protocol", "")), 10),
            first=first,
            last=last,
            target=clean(str(entry.get("target_address", "")), 45),
            target_first=target[0],
            target_last=target[1],
            description=clean(str(entry.get("description", "")), 200),
        )


def _ranges(text: str) -> Iterator[tuple[int, int]]:
    for part in filter(None, (part.strip() for part in text.split(","))):
        first, _, last = part.partition("-")
        if part.isascii() and first.isdecimal() and (last or first).isdecimal():
            yield int(first), int(last or first)


def write_forward_rule(rule: ForwardRule) -> dict[str, str]:
    """One rule as an entry of LXD's document."""
    return {
        "description": rule.description,
        "protocol": rule.protocol,
        "listen_port": rule.listen_text,
        "target_address": rule.target,
        "target_port": rule.target_text,
    }
