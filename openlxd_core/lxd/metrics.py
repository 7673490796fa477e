"""LXD's metrics: the text format read, and figures per container made of it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from openlxd_core.domain.container import Usage
from openlxd_core.lxd.calls import Calls, in_project, quoted
from openlxd_core.lxd.client import LxdClient
from openlxd_core.lxd.errors import ApiError, translate

MIB = 1024 * 1024
Key = tuple[str, str]
"""(project, name)."""
DISK_SECONDS, DISKS_AT_ONCE = 30.0, 8
"""A container's disk use costs LXD a call of its own: measured this seldom, and so many in one usage()."""

_LINE = re.compile(r"(?:lxd|incus)_([a-zA-Z_]+)\{([^\n]*)\} (\S+)")
_LABEL = re.compile(r'([a-zA-Z_]+)="((?:[^"\\]|\\.)*)"')
_SOON_SECONDS = 0.5
_STALE_SECONDS = 15.0  # LXD answers from a cache of about 8 s: the same counters again are no new sample


@dataclass
class Counters:
    """What one container's lines add up to."""

    cpu_seconds: float = 0.0
    memory_total: float = 0.0
    memory_available: float = 0.0
    processes: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0


@dataclass
class Sample:
    """All counters at one moment of the monotonic clock."""

    at: float
    counters: Mapping[Key, Counters]


def _lines(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    # LXD 5.0 repeats every line once more for each answer that it gives out of its cache
    lines = {(match[1], match[2]): match[3] for match in _LINE.finditer(text)}
    for (metric, labels), value in lines.items():
        try:
            yield metric, dict(_LABEL.findall(labels)), float(value)
        except ValueError:
            continue


def parse(text: str) -> dict[Key, Counters]:
    """The counters of every container in ``text``."""
    found: dict[Key, Counters] = {}
    for metric, labels, value in _lines(text):
        if "name" not in labels or "project" not in labels or labels.get("type", "container") != "container":
            continue
        counters = found.setdefault((labels["project"], labels["name"]), Counters())
        match metric:
            case "cpu_seconds_total" if labels.get("mode") != "idle":
                counters.cpu_seconds += value
            case "memory_MemTotal_bytes":
                counters.memory_total = value
            case "memory_MemAvailable_bytes":
                counters.memory_available = value
            case "procs_total":
                counters.processes = int(value)
            case "network_receive_bytes_total" if labels.get("device") != "lo":
                counters.received_bytes += int(value)
            case "network_transmit_bytes_total" if labels.get("device") != "lo":
                counters.sent_bytes += int(value)
    return found


class Meter:
    """Turns successive samples into usage; CPU needs two of them."""

    def __init__(self) -> None:
        self._last: Sample | None = None
        self._percent: dict[Key, float] = {}

    def usage(self, counters: Mapping[Key, Counters], at: float, disks: Mapping[Key, float]) -> dict[Key, Usage]:
        """Usage by container from the counters of the moment ``at``; ``disks`` are MiB measured elsewhere."""
        now = Sample(at, counters)
        before = self._last
        if before is None:
            self._last = now
        elif at - before.at > _STALE_SECONDS or (at - before.at > _SOON_SECONDS and counters != before.counters):
            self._percent = {
                key: max(0.0, found.cpu_seconds - before.counters[key].cpu_seconds) / (at - before.at) * 100
                for key, found in counters.items()
                if key in before.counters and at > before.at
            }
            self._last = now
        return {
            key: Usage(
                cpu_percent=self._percent.get(key),
                memory_mib=max(0.0, found.memory_total - found.memory_available) / MIB,
                disk_mib=disks.get(key, 0.0),
                processes=found.processes,
                received_bytes=found.received_bytes,
                sent_bytes=found.sent_bytes,
            )
            for key, found in counters.items()
        }


class MetricCalls(Calls):
    """Reads them."""

    def __init__(self, client: LxdClient, *, pool: str = "default", network: str = "") -> None:
        super().__init__(client, pool=pool, network=network)
        self._meter = Meter()
        self._disks: dict[Key, tuple[float, float]] = {}

    async def usage(self) -> Mapping[tuple[str, str], Usage]:
        """What every running container uses; disks are measured seldom, a few at a time."""
        try:
            text = await self._client.get_text("/1.0/metrics")
        except ApiError as error:
            raise translate(error) from error
        at = time.monotonic()
        counters = parse(text)
        await self._measure_disks(set(counters), at)
        return self._meter.usage(counters, at, {key: mib for key, (_, mib) in self._disks.items()})

    async def _measure_disks(self, running: set[Key], at: float) -> None:
        self._disks = {key: value for key, value in self._disks.items() if key in running}
        due = [key for key in running if key not in self._disks or at - self._disks[key][0] > DISK_SECONDS]
        due.sort(key=lambda key: self._disks.get(key, (0.0, 0.0))[0])
        for project, name in due[:DISKS_AT_ONCE]:
            path = f"/1.0/storage-pools/{quoted(self._pool)}/volumes/container/{quoted(name)}/state"
            try:
                found = await self._client.get(path, in_project(project))
                used = max(0.0, float(found["usage"]["used"]) / MIB)
            except (ApiError, KeyError, TypeError, ValueError):
                used = 0.0  # a pool of another name, or one that cannot tell
            self._disks[project, name] = (at, used)
