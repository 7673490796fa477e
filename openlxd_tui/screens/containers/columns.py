"""The columns of the containers' table."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address

from openlxd_core.domain.container import Container, Usage
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_
from openlxd_tui.formatting import address, age, cpu_cell, memory_cell, state_cell
from openlxd_tui.widgets.record_table import Column


def _by_number(text: str) -> int | None:
    """IPv4 addresses in the order of their numbers; None for what is no address."""
    try:
        return int(IPv4Address(text))
    except ValueError:
        return None


def container_columns(usage_of: Callable[[Container], Usage | None], *, owner: bool) -> list[Column[Container]]:
    """Name, state, addresses, use, image, age; and the owner, where everybody's containers are shown."""
    columns: list[Column[Container]] = [
        Column("name", N_("Name"), lambda c, _w: ((clean(c.name, 63), "text"),), 11, 0, 3, 40,
               fair=20, sort=lambda c: c.name),
        Column("state", N_("State"), lambda c, _w: state_cell(c), 11, 1, sort=lambda c: c.status.value),
        Column("ipv4", "IPv4", lambda c, _w: address(c.ipv4), 15, 2, sort=lambda c: _by_number(c.ipv4)),
        Column("ipv6", "IPv6", lambda c, _w: address(c.ipv6), 18, 8),
        Column(
            "cpu", N_("CPU"), lambda c, _w: cpu_cell(usage_of(c), c.cpu), 5, 4, align="right",
            sort=lambda c: u.cpu_percent if (u := usage_of(c)) else None, largest_first=True, live=True,
        ),
        Column(
            "memory", N_("Memory"), lambda c, _w: memory_cell(usage_of(c), c.memory_mib), 14, 3,
            align="right", sort=lambda c: u.memory_mib if (u := usage_of(c)) else None, largest_first=True, live=True,
        ),
        Column("image", N_("Image"), lambda c, _w: ((clean(c.image, 60), "quiet"),), 12, 5, 2, 28,
               sort=lambda c: c.image),
        Column("age", N_("Age"), lambda c, _w: ((age(c.created_at), "quiet"),), 6, 7, align="right",
               sort=lambda c: -c.created_at.timestamp()),
    ]  # fmt: skip
    if owner:
        columns.insert(
            1,
            Column(
                "owner", N_("Owner"), lambda c, _w: ((clean(c.owner, 32) or "–", "quiet"),), 9, 2, 1, 20,
                sort=lambda c: c.owner,
            ),
        )  # fmt: skip
    return columns
