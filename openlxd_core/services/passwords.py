"""Password hashes, off the event loop: one costs a quarter of a second of CPU."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import bcrypt

from openlxd_core.domain.account import PASSWORD_MAX_BYTES

T = TypeVar("T")


class Passwords:
    """bcrypt in a small pool of its own, so that hashing never waits for LXD nor LXD for hashing."""

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="bcrypt")
        self._dummy = bcrypt.hashpw(secrets.token_bytes(24), bcrypt.gensalt(rounds))

    def close(self) -> None:
        """Let the threads go."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """The hash of a password that was checked already."""
        salt = bcrypt.gensalt(self._rounds)
        return (await self._run(bcrypt.hashpw, password.encode(), salt)).decode()

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Whether they match. Takes the same time for an account that does not exist (``None``)."""
        given = password.encode(errors="replace")
        fits = len(given) <= PASSWORD_MAX_BYTES  # bcrypt 5 raises past it
        stored = hashed.encode() if hashed else self._dummy
        try:
            same = await self._run(bcrypt.checkpw, given if fits else b"-", stored)
        except ValueError:  # a damaged hash
            same = False
        return same and fits and hashed is not None

    async def _run(self, function: Callable[[bytes, bytes], T], first: bytes, second: bytes) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, first, second)
