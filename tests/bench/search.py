"""From a key in the images screen's search to its paint, over a catalogue of 5,000 images on the real services.

By hand: ``python -m tests.bench.search``. The time of the processor is printed beside
the clock's, since other work on the machine is no fault of the screen's; the collector of garbage is frozen as the SSH
server does it.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import tempfile
import time
from pathlib import Path

from textual import events
from textual.widgets import Input

from openlxd_core.bootstrap import open_core
from openlxd_core.i18n import Translator
from openlxd_tui.app import OpenLXDApp
from openlxd_tui.screens.images.page import ImagesPage
from tests.bench.catalogue import make_index
from tests.support.core import add_user, make_settings
from tests.support.faulty_lxd import FaultyLxd
from tests.support.simplestreams import PRODUCTS, ImageServer
from tests.tui.fakes import FakeShell

WORDS = ("ubuntu 2 cloud", "deb 12 arm", "alp", "zzz", "ubnutu", "a", "rocky 9 riscv", "9")


async def measure(directory: Path) -> tuple[list[float], list[float]]:
    """Milliseconds of each key: by the clock, and of the processor."""
    async with ImageServer() as server:
        server.add("alpine", "3.19")
        server.files[PRODUCTS] = make_index()
        settings = make_settings(directory, images_url=server.url)
        async with open_core(settings, lxd=FaultyLxd()) as core:
            actor = await add_user(core, "alice")
            app = OpenLXDApp(
                core,
                actor,
                translator=Translator("en"),
                environment={"TERM": "xterm-256color"},
                host_shell=FakeShell(),
            )
            async with app.run_test(size=(120, 40)) as pilot:
                await pilot.press("3")
                page = app.screen
                assert isinstance(page, ImagesPage)
                while not page.offers.rows:
                    await pilot.pause(0.05)
                page._chips["architecture"] = ""  # everything there is
                page.find()
                await pilot.press("slash")
                gc.collect()
                gc.freeze()
                return await _type(app, page)


async def _type(app: OpenLXDApp, page: ImagesPage) -> tuple[list[float], list[float]]:
    field = page.query_one("#filter", Input)
    clock: list[float] = []
    processor: list[float] = []
    for word in WORDS:
        for letter in word:
            wanted = field.value + letter
            begun, used = time.perf_counter(), time.process_time()
            field.post_message(events.Key({" ": "space"}.get(letter, letter), letter))
            while page._text != wanted:
                await asyncio.sleep(0)
            painted = asyncio.Event()
            app.call_after_refresh(painted.set)
            await painted.wait()
            clock.append((time.perf_counter() - begun) * 1000)
            processor.append((time.process_time() - used) * 1000)
        field.value = ""
        await asyncio.sleep(0.05)
    return clock, processor


def main() -> dict[str, float]:
    """The figures in milliseconds: of the clock, and of the processor."""
    with tempfile.TemporaryDirectory(prefix="olx-bench-") as directory:
        clock, processor = (sorted(times) for times in asyncio.run(measure(Path(directory))))
    return {
        "search_median_ms": statistics.median(clock),
        "search_most_ms": clock[-1],
        "search_p95_ms": processor[int(len(processor) * 0.95)],
    }


if __name__ == "__main__":
    for name, value in main().items():
        sys.stdout.write(f"{name:<24}{value:8.1f}\n")
