"""Locks by key: work on one thing at a time, while other things go on.

For one event loop. A lock exists as long as somebody holds or awaits it, so that a process which has seen a thousand
projects keeps none of their locks. An object that needs one lock only (the two ends of an exec's input, the catalogue's
loading) has an :class:`asyncio.Lock` of its own; locks between processes are in :mod:`openlxd_core.file_lock`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from weakref import WeakValueDictionary


class KeyedLocks:
    """``async with locks.of(key)``: those who use the same key wait for each other, in the order of their coming."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()

    def __len__(self) -> int:
        """How many keys are locked or waited for."""
        return len(self._locks)

    def of(self, key: Hashable) -> asyncio.Lock:
        """The lock of ``key``. Keep the reference while it is needed; ``async with`` does."""
        return self._locks.setdefault(key, asyncio.Lock())
