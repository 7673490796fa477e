"""Prometheus metrics: requests, durations, streams and whether LXD is reachable."""

from __future__ import annotations

import asyncio
from collections import Counter as Count

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from openlxd_core.bootstrap import Core
from openlxd_core.domain.account import AccountStatus
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.container import State

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Meter:
    """The metrics of one application."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "openlxd_http_requests",
            "Requests that were answered.",
            ("method", "path", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "openlxd_http_request_seconds",
            "How long answers took, waiting for operations included.",
            ("method", "path"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._streams = Gauge("openlxd_event_streams", "Event streams that are open.", registry=self._registry)
        self._containers = Gauge(
            "openlxd_containers", "Containers by their state.", ("status",), registry=self._registry
        )
        self._users = Gauge("openlxd_users", "Accounts by their status.", ("status",), registry=self._registry)
        self._operations = Gauge("openlxd_operations_active", "Operations under way.", registry=self._registry)
        self._lxd = Gauge("openlxd_lxd_reachable", "1 while LXD answers.", registry=self._registry)

    def answered(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count one response; ``path`` is the route's template, so that the number of labels is bounded."""
        known = self._known.get((method, path, status))
        if known is None:  # finding a metric by its labels costs more than counting
            known = self._requests.labels(method, path, str(status)), self._seconds.labels(method, path)
            self._known[method, path, status] = known
        requests, durations = known
        requests.inc()
        durations.observe(seconds)

    def stream_opened(self) -> None:
        """Count an opened stream."""
        self._streams.inc()

    def stream_closed(self) -> None:
        """Count a closed stream."""
        self._streams.dec()

    async def page(self, core: Core, actor: Actor) -> bytes:
        """All metrics in Prometheus' text format. Raises Forbidden unless ``actor`` is an admin."""
        users = Count(user.status for user in await core.accounts.list(actor))
        containers = Count(found.status for found in await core.containers.list(actor))
        for status in AccountStatus:
            self._users.labels(status.value).set(users[status])
        for state in State:
            self._containers.labels(state.value).set(containers[state])
        self._operations.set(len(await core.operations.list(actor, active=True, limit=1000)))
        self._lxd.set(core.lxd_status.state.reachable)
        return await asyncio.to_thread(generate_latest, self._registry)
