"""The columns of the accounts' table: who, in what state, and how much of the quota is in use."""

from __future__ import annotations

from collections.abc import Callable

from openlxd_core.domain.account import User
from openlxd_core.domain.actor import Role
from openlxd_core.domain.quota import Quota
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _
from openlxd_tui.formatting import ROLE_WORDS, Cell, Tint, account_cell, age, bar, load_role, short_mib
from openlxd_tui.widgets.columns import Column
from openlxd_tui.widgets.quota_meter import PARTS

METER = 4
"""The cells of a meter's bar."""
Measure = Callable[[User], tuple[Quota, Quota] | None]
"""A user's quota and what is used of it, where that is known."""


def meter_cell(name: str, measured: tuple[Quota, Quota] | None) -> Cell:
    """One part of a quota, as a bar and ``used/limit``."""
    if measured is None:
        return (("–", "faint"),)
    limit, used = (getattr(quota, name) for quota in measured)
    share = used / limit if limit else float(used > 0)
    full, empty = bar(share, METER)
    written = (lambda mib: short_mib(mib) if mib else "0") if name.endswith("_mib") else str
    tint: Tint = "text" if share < 0.8 else load_role(share)
    return ((full, load_role(share)), (empty, "faint"), (f" {written(used)}", tint), (f"/{written(limit)}", "quiet"))


def _meter(name: str, title: str, rank: int, measure: Measure) -> Column[User]:
    def used(user: User) -> int | None:
        measured = measure(user)
        return getattr(measured[1], name) if measured else None

    return Column(name, title, lambda u, _w: meter_cell(name, measure(u)), 10, rank, sort=used, largest_first=True)


def user_columns(measure: Measure) -> list[Column[User]]:
    """Name, state, a meter for each part of the quota, role, address, reason, age."""
    ranks = {"containers": 2, "memory_mib": 3, "cpu": 4, "disk_mib": 5}
    return [
        Column("username", N_("User name"), lambda u, _w: ((clean(u.username, 64), "text"),), 12, 0, 2, 32,
               fair=18, sort=lambda u: u.username),
        Column("state", N_("State"), lambda u, _w: account_cell(u), 11, 1, sort=lambda u: u.status.value),
        *(_meter(name, title, ranks[name], measure) for name, title in PARTS),
        Column("role", N_("Role"), lambda u, _w: ((_(ROLE_WORDS[u.role]), _role_tint(u)),), 6, 8,
               sort=lambda u: u.role.value),
        Column("email", N_("Email"), lambda u, _w: ((clean(u.email, 255), "quiet"),), 16, 7, 3, 50,
               fair=28, sort=lambda u: u.email),
        Column("reason", N_("Reason"), lambda u, _w: ((clean(u.suspended_reason, 200), "warn"),), 12, 6, 2, 60,
               fair=20),
        Column("age", N_("Age"), lambda u, _w: ((age(u.created_at), "quiet"),), 6, 9, align="right",
               sort=lambda u: -u.created_at.timestamp()),
    ]  # fmt: skip


def _role_tint(user: User) -> Tint:
    return "accent" if user.role is Role.ADMIN else "quiet"
