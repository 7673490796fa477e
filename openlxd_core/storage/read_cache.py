"""Results of reads, kept for as long as the database is unchanged.

A result is kept together with the revision of the database before the read, and only returned while the revision is
the same. So a reader never gets anything older than the last commit of any process: after a suspension, a new
password, a deleted key or a changed row, the next read goes to the database. Who may keep a result: reads whose
result depends on their key and on the database alone, not on LXD, on the clock or on what a process holds in memory.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar, cast

from openlxd_core.storage.revision import Revision

T = TypeVar("T")

ENTRIES_MAX = 4096
BYTES_MAX = 32 * 1024 * 1024
"""Bytes of results, as their readers state them."""


class ReadCache:
    """The kept results of this process. Whoever may see a result must be told by its key."""

    def __init__(self, revision: Revision, *, entries_max: int = ENTRIES_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._revision = revision
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._at: tuple[int, int] | None = None
        self._kept: dict[Hashable, tuple[Any, int]] = {}
        self._bytes = 0

    async def read(
        self, key: Hashable, read: Callable[[], Awaitable[T]], *, size: Callable[[T], int] = lambda _: 256
    ) -> T:
        """The result of ``read``, kept under ``key`` unless it is None; ``size`` tells its bytes.

        Two readers of one key at the same time both read. Errors are passed on and not kept.
        """
        before = self._revision.now()
        if before is None:
            return await read()
        self._forget_unless(before)
        found = self._kept.get(key)
        if found is not None:
            return cast(T, found[0])
        result = await read()
        # An entry belongs to the revision before its read: had a commit come in between, the entries of that revision
        # are gone by now or will be at the next read.
        if result is not None and self._at == before:
            self._keep(key, result, size(result))
        return result

    def _forget_unless(self, revision: tuple[int, int]) -> None:
        if self._at != revision:
            self._at = revision
            self._kept.clear()
            self._bytes = 0

    def _keep(self, key: Hashable, result: Any, size: int) -> None:
        if size > self._bytes_max // 8:
            return
        replaced = self._kept.pop(key, None)
        self._kept[key] = (result, size)
        self._bytes += size - (replaced[1] if replaced is not None else 0)
        while len(self._kept) > self._entries_max or self._bytes > self._bytes_max:
            oldest = next(iter(self._kept))
            self._bytes -= self._kept.pop(oldest)[1]
