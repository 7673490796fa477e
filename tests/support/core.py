"""A core on a fresh database and the simulated LXD, for tests of everything above it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from openlxd_core.bootstrap import Core
from openlxd_core.domain.account import User
from openlxd_core.domain.actor import SYSTEM, Actor, Role
from openlxd_core.domain.operation import Operation
from openlxd_core.domain.quota import Quota
from openlxd_core.settings import Settings
from openlxd_core.storage.database import upgrade
from openlxd_core.storage.files import MIGRATIONS

PASSWORD = "correct horse"


@cache
def _empty_database() -> Path:
    """An upgraded database without rows, made once for each set of migrations: they cost more than most tests."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(MIGRATIONS.glob("*.py")))).hexdigest()
    file = Path(tempfile.gettempdir()) / f"olx-database-{os.getuid()}-{digest[:16]}.sqlite3"
    if not file.exists():
        with tempfile.TemporaryDirectory(prefix="olx-database-") as folder:
            fresh = Path(folder) / "fresh.sqlite3"
            with ThreadPoolExecutor(1) as pool:  # a loop may be running here
                pool.submit(lambda: asyncio.run(upgrade(f"sqlite://{fresh}"))).result()
            fresh.replace(file)
    return file


def make_settings(directory: Path, **changes: Any) -> Settings:
    """Settings whose every file is in ``directory``, an empty database in place, with cheap password hashes."""
    place = directory / "state" / "openlxd.sqlite3"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copy(_empty_database(), place)
        place.chmod(0o600)
    values: dict[str, Any] = {
        "state_dir": directory / "state",
        "keys_dir": directory / "keys",
        "lxd": "simulated",
        "bcrypt_rounds": 4,
        "ssh_host": "127.0.0.1",
        "api_host": "127.0.0.1",
        "ssh_port": 0,
        "api_port": 0,
        "images_url": "off",
        "forward_address": "198.51.100.7",
    }
    return Settings(**(values | changes))


def actor_of(user: User, origin: str = "test") -> Actor:
    """The user as somebody who has signed in."""
    return Actor(user.role, user.id, user.username, origin, "203.0.113.9")


async def add_user(core: Core, name: str, *, role: Role = Role.TENANT, quota: Quota | None = None) -> Actor:
    """A new account, signed in; the password is PASSWORD."""
    user = await core.accounts.create(SYSTEM, name, f"{name}@example.org", PASSWORD, role=role, quota=quota)
    return actor_of(user)


async def finish(core: Core, operation: Operation, timeout: float = 30) -> Operation:
    """The operation once it has ended."""
    ended = await core.operations.wait(SYSTEM, operation.id, timeout)
    assert ended.ended, f"{ended.kind} of {ended.target} is still {ended.status} at {ended.stage}"
    return ended


async def eventually(condition: Callable[[], Awaitable[bool] | bool], what: str, timeout: float = 10) -> None:
    """Wait until ``condition`` holds; fail saying ``what`` did not."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while True:
        found = condition()
        if await found if isinstance(found, Awaitable) else found:
            return
        assert loop.time() < deadline, f"after {timeout} s: not {what}"
        await asyncio.sleep(0.02)
