"""How long an admin's list of 2,041 containers keeps the event loop from everything else.

By hand: ``python -m tests.bench.lists``. A ticker runs beside the list; the longest gap between two ticks is how long a
key of another session would have waited. The same gap with nothing beside it is the baseline.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

CONTAINERS, TENANTS, TIMES = 2041, 200, 5


async def _longest_gap(work: Callable[[], Awaitable[Any]]) -> float:
    """Milliseconds; the median of several times, since anything else on the machine makes gaps, too."""
    found = []
    for _time in range(TIMES):
        gaps: list[float] = []
        over = asyncio.Event()

        async def tick(gaps: list[float] = gaps, over: asyncio.Event = over) -> None:
            last = time.perf_counter()
            while not over.is_set():
                await asyncio.sleep(0)
                now = time.perf_counter()
                gaps.append(now - last)
                last = now

        gc.collect()
        gc.freeze()  # as the server does it
        ticker = asyncio.create_task(tick())
        await asyncio.sleep(0.05)
        gaps.clear()
        await work()
        over.set()
        await ticker
        found.append(max(gaps) * 1000)
    return sorted(found)[TIMES // 2]


async def measure(directory: Path) -> dict[str, float]:
    """The figures, in milliseconds."""
    from openlxd_core.bootstrap import open_core
    from openlxd_core.domain.actor import Role
    from openlxd_core.domain.listing import ContainerFilter, Part
    from openlxd_core.i18n import Translator
    from openlxd_core.storage import models
    from openlxd_tui.app import OpenLXDApp
    from openlxd_tui.screens.containers.page import ContainersPage
    from tests.support.core import add_user, make_settings
    from tests.support.faulty_lxd import FaultyLxd
    from tests.tui.fakes import FakeShell

    async with open_core(make_settings(directory), lxd=FaultyLxd(), background=False) as core:
        boss = await add_user(core, "boss", role=Role.ADMIN)
        await models.User.bulk_create(
            models.User(username=f"tenant{n}", email=f"t{n}@example.org", password_hash="x", api_key=f"{n:064}")
            for n in range(TENANTS)
        )
        owners = [user.id for user in await models.User.filter(username__startswith="tenant")]
        await models.Container.bulk_create(
            models.Container(
                name=f"web{number:04}", project="p", user_id=owners[number % TENANTS], cpu=1, status="running",
                image="debian/12", memory_mb=512, disk_mb=10240, ipv4=f"10.77.{number // 250}.{number % 250}",
            )
            for number in range(CONTAINERS)
        )  # fmt: skip

        async def whole() -> None:
            assert len(await core.containers.list(boss)) == CONTAINERS

        async def pages() -> None:
            part = Part(limit=1000)
            while (page := await core.containers.page(boss, ContainerFilter(), part)).next:
                part = Part(limit=1000, after=page.next)

        app = OpenLXDApp(
            core, boss, translator=Translator("en"), environment={"TERM": "xterm-256color"}, host_shell=FakeShell()
        )
        async with app.run_test(size=(120, 40)) as pilot:
            page = app.screen
            assert isinstance(page, ContainersPage)

            async def screen() -> None:
                page.table.fill([])
                page.load()
                while len(page.table.rows) < CONTAINERS:
                    await asyncio.sleep(0.001)
                await asyncio.sleep(0.2)

            await pilot.pause()
            await screen()  # what the first list of a process pays once
            return {
                "loop_alone_held_ms": await _longest_gap(lambda: asyncio.sleep(0.3)),
                "admin_list_held_ms": max(await _longest_gap(whole), await _longest_gap(pages)),
                "admin_screen_held_ms": await _longest_gap(screen),
            }


def main() -> dict[str, float]:
    """The figures, measured in this process."""
    with tempfile.TemporaryDirectory(prefix="olx-bench-") as directory:
        return asyncio.run(measure(Path(directory)))


if __name__ == "__main__":
    for name, value in main().items():
        sys.stdout.write(f"{name:<24}{value:8.1f}\n")
