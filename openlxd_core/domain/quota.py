"""Quotas: sums over a tenant's containers, and whether one more thing still fits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields

from openlxd_core.domain.container import HOLDING, Container
from openlxd_core.domain.errors import QuotaExceeded, ValidationFailed
from openlxd_core.domain.units import format_mib, parse_count, parse_size_mib
from openlxd_core.i18n import N_


@dataclass(frozen=True)
class Quota:
    """A tenant's limits; also used for the tenant's usage."""

    containers: int = 3
    cpu: int = 4
    memory_mib: int = 4096
    disk_mib: int = 40960
    snapshots: int = 10
    forwards: int = 10

    def minus(self, other: Quota) -> Quota:
        """The difference to ``other``, at least zero."""
        return Quota(**{f.name: max(0, getattr(self, f.name) - getattr(other, f.name)) for f in fields(self)})


NOTHING = Quota(0, 0, 0, 0, 0, 0)
_SPELLINGS = {"memory": "memory_mib", "disk": "disk_mib"}


def parse_quota(text: str, base: Quota | None = None) -> Quota:
    """A quota from ``containers=3,cpu=4,memory=4GiB,disk=40GiB``; parts left out come from ``base``.

    Raises ValidationFailed with the invalid part.
    """
    values = asdict(base or Quota())
    for part in filter(None, (p.strip() for p in text.split(","))):
        key, _, value = part.partition("=")
        key = key.strip()
        if key in _SPELLINGS:
            values[_SPELLINGS[key]] = 0 if value.strip() == "0" else parse_size_mib(value, key)
        elif key in values and key not in _SPELLINGS.values():
            values[key] = parse_count(value, key, low=0, high=100_000)
        else:
            raise ValidationFailed.of("quota", N_("“{key}” is not part of a quota."), key=key[:40])
    return Quota(**values)


def format_quota(quota: Quota) -> str:
    """The text that :func:`parse_quota` reads back."""
    return (
        f"containers={quota.containers},cpu={quota.cpu},memory={quota.memory_mib}MiB,"
        f"disk={quota.disk_mib}MiB,snapshots={quota.snapshots},forwards={quota.forwards}"
    )


def in_use(containers: Iterable[Container]) -> Quota:
    """The sum over the containers that LXD holds or is about to hold."""
    held = [c for c in containers if c.status in HOLDING]
    return Quota(
        containers=len(held),
        cpu=sum(c.cpu for c in held),
        memory_mib=sum(c.memory_mib for c in held),
        disk_mib=sum(c.disk_mib for c in held),
        snapshots=0,
        forwards=0,
    )


def check_fits(quota: Quota, used: Quota, asked: Quota) -> None:
    """Raise QuotaExceeded, naming what is asked and what is left, if ``asked`` does not fit beside ``used``.

    Only resources that are asked for are checked: a tenant above a lowered quota can still shrink.
    """
    left = quota.minus(used)
    if asked.containers > left.containers:
        raise QuotaExceeded(N_("Your quota allows {limit} containers, and all are in use."), limit=quota.containers)
    for name, template in (
        ("cpu", N_("{asked} CPUs requested, {left} left of your {limit}.")),
        ("memory_mib", N_("{asked} of memory requested, {left} left of your {limit}.")),
        ("disk_mib", N_("{asked} of disk requested, {left} left of your {limit}.")),
    ):
        wish, rest, limit = getattr(asked, name), getattr(left, name), getattr(quota, name)
        if wish > 0 and wish > rest:
            shown = (str, format_mib)[name.endswith("_mib")]
            raise QuotaExceeded(template, asked=shown(wish), left=shown(rest), limit=shown(limit))
