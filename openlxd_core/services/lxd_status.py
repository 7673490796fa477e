"""What LXD is doing now: whether it answers, what happens in it, and what containers use.

One event stream a process; usage is sampled only while somebody looks, once for all who do.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

import structlog

from openlxd_core.backoff import Backoff
from openlxd_core.coordination.change_log import Feed, local_change
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.container import Container, Usage
from openlxd_core.domain.errors import LxdUnavailable, OpenLXDError, lxd_unreachable
from openlxd_core.domain.feed import LxdState
from openlxd_core.domain.policy import Action, may
from openlxd_core.domain.text import clean
from openlxd_core.lxd.gateway import LxdEvent, LxdGateway

log = structlog.get_logger(__name__)

SAMPLE_SECONDS = 3.0
_BACKOFF_FIRST, _BACKOFF_MOST = 0.25, 5.0


class LxdStatus:
    """LXD's present state."""

    def __init__(self, lxd: LxdGateway, feed: Feed, *, chosen: bool = False) -> None:
        self._lxd = lxd
        self._chosen = chosen
        self._feed = feed
        self.state = LxdState(False, "", "", "starting", datetime.now(UTC))
        """Whether LXD answers; a ``lxd`` change tells when it flips."""
        self._reachable = asyncio.Event()
        self._listeners: list[Callable[[LxdEvent], None]] = []
        self._watchers = 0
        self._somebody_looks = asyncio.Event()
        self._usage: Mapping[tuple[str, str], Usage] = {}

    def on_event(self, listener: Callable[[LxdEvent], None]) -> None:
        """Call ``listener`` with every event."""
        self._listeners.append(listener)

    def require_reachable(self) -> None:
        """Raise LxdUnavailable, before anything is changed, if LXD does not answer."""
        if not self.state.reachable:
            raise lxd_unreachable()

    async def until_reachable(self) -> None:
        """Wait until LXD answers."""
        await self._reachable.wait()

    async def first_contact(self, timeout: float = 3.0) -> None:
        """Wait a moment at the start, so that the first screen shows what is there."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._reachable.wait(), timeout)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """While held, usage is sampled."""
        self._watchers += 1
        self._somebody_looks.set()
        try:
            yield
        finally:
            self._watchers -= 1
            if self._watchers == 0:
                self._somebody_looks.clear()
                self._usage = {}

    def usage(self, actor: Actor, containers: Iterable[Container]) -> Mapping[str, Usage]:
        """The newest sample of each container that ``actor`` may see, by name."""
        found: dict[str, Usage] = {}
        for container in containers:
            sample = self._usage.get((container.project, container.name))
            if sample is not None and may(actor, Action.CONTAINER_VIEW, container):
                found[container.name] = sample
        return found

    async def run(self) -> None:
        """Follow LXD's events until cancelled, reconnecting with back-off."""
        backoff = Backoff(_BACKOFF_FIRST, _BACKOFF_MOST)
        while True:
            try:
                async for event in self._lxd.events():
                    if event.kind == "connected":
                        server = await self._lxd.server()
                        self._set(True, server.kind, server.version, "")
                        backoff.reset()
                    for listener in self._listeners:
                        listener(event)
                reason = "the event stream ended"
            except LxdUnavailable as error:
                reason = str(error.__cause__ or error)  # the system's own words, for the admin
            except OpenLXDError as error:
                reason = str(error)
                log.warning("lxd_events_refused", reason=reason)
            except Exception:
                reason = "internal error"
                log.exception("lxd_events_failed")
            self._set(False, self.state.kind, self.state.version, reason)
            await backoff.pause()

    def _set(self, reachable: bool, kind: str, version: str, reason: str) -> None:
        flipped = reachable != self.state.reachable
        since = datetime.now(UTC) if flipped else self.state.since
        self.state = LxdState(reachable, kind, version, clean(reason, 200), since, self._chosen)
        if reachable:
            self._reachable.set()
        else:
            self._reachable.clear()
        if flipped:
            log.info("lxd_reachable" if reachable else "lxd_unreachable", kind=kind, version=version, reason=reason)
            self._feed.tell(local_change("lxd", "reachable" if reachable else "unreachable", kind))

    async def sample(self) -> None:
        """Sample usage while ``watching`` is held, until cancelled."""
        while True:
            await self._somebody_looks.wait()
            try:
                if self.state.reachable:
                    self._usage = await self._lxd.usage()
            except OpenLXDError as error:
                log.debug("usage_failed", reason=str(error))
            except Exception:
                log.exception("usage_failed")
            await asyncio.sleep(SAMPLE_SECONDS)
