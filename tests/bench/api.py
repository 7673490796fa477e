"""How many requests a second the API answers, beside a bare aiohttp server that says hello, in the same run.

``python -m tests.bench.api`` prints it; ``await main()`` gives the figures. Who asks has 10 of 1,000 containers.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from aiohttp import ClientSession, TCPConnector, web

ROUNDS = 5
SECONDS = 2.0
CONNECTIONS = 16
OWN, ALL = 10, 1000


async def _hello(pipe: Connection, directory: str) -> None:
    from openlxd_api.server import tls_context
    from tests.support.core import make_settings

    async def hello(_request: web.Request) -> web.Response:
        return web.json_response({"hello": "world"})

    app = web.Application()
    app.router.add_get("/hello", hello)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls_context(make_settings(Path(directory)))).start()
    pipe.send((f"https://127.0.0.1:{runner.addresses[0][1]}", ["/hello"], {}))
    await asyncio.to_thread(pipe.recv)
    await runner.cleanup()


async def _product(pipe: Connection, directory: str) -> None:
    from openlxd_api.server import listening
    from openlxd_core.bootstrap import open_core
    from openlxd_core.storage import models
    from tests.support.core import add_user, make_settings
    from tests.support.faulty_lxd import FaultyLxd

    settings = make_settings(Path(directory), rate_api="100000000/minute")
    async with open_core(settings, lxd=FaultyLxd(), background=False) as core:
        alice, others = await add_user(core, "alice"), await add_user(core, "others")
        key = await core.accounts.regenerate_key(alice)
        await models.Container.bulk_create(
            models.Container(
                name=f"web{number}", project="p", user_id=(alice if number < OWN else others).user_id, cpu=1,
                status="running", image="debian/12", memory_mb=512, disk_mb=10240, ipv4=f"10.77.{number // 250}.9",
            )
            for number in range(ALL)
        )  # fmt: skip
        async with listening(core, settings) as address:
            pipe.send((f"{address}/api/v1", ["/containers", "/users/profile"], {"X-API-Key": key}))
            await asyncio.to_thread(pipe.recv)


def _serve_hello(pipe: Connection, directory: str) -> None:
    asyncio.run(_hello(pipe, directory))


def _serve_product(pipe: Connection, directory: str) -> None:
    from openlxd_core import logs
    from openlxd_core.settings import Settings

    logs.configure(Settings(log="json"), "api")
    asyncio.run(_product(pipe, directory))


async def _requests_a_second(session: ClientSession, url: str, headers: dict[str, str], seconds: float) -> float:
    end = time.perf_counter() + seconds

    async def ask() -> int:
        count = 0
        while time.perf_counter() < end:
            async with session.get(url, headers=headers, ssl=False) as answer:
                await answer.read()
                assert answer.status == 200, await answer.text()
            count += 1
        return count

    begun = time.perf_counter()
    total = sum(await asyncio.gather(*(ask() for _ in range(CONNECTIONS))))
    return total / (time.perf_counter() - begun)


async def main() -> dict[str, float]:
    """Medians of rounds that take turns: requests a second of a list, a profile and a hello, and the first two as
    parts of the third."""
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as directory:
        started, asked = [], []
        for target in (_serve_product, _serve_hello):
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=target, args=(theirs, directory), daemon=True)
            process.start()
            address, paths, headers = await asyncio.to_thread(ours.recv)
            started.append((process, ours))
            asked += [(f"{address}{path}", headers) for path in paths]
        found: list[list[float]] = [[] for _ in asked]
        try:
            async with ClientSession(connector=TCPConnector(limit=CONNECTIONS)) as session:
                for round_number in range(ROUNDS + 1):
                    for figures, (url, headers) in zip(found, asked, strict=True):
                        rate = await _requests_a_second(session, url, headers, SECONDS if round_number else 0.5)
                        if round_number:  # the first warms up
                            figures.append(rate)
        finally:
            for process, pipe in started:
                pipe.send("end")
                process.join(20)
                if process.is_alive():
                    process.kill()
    listed, profile, hello = (statistics.median(figures) for figures in found)
    return {
        "api_list_rps": listed,
        "api_profile_rps": profile,
        "api_hello_rps": hello,
        "api_list_of_hello": listed / hello,
        "api_profile_of_hello": profile / hello,
    }


if __name__ == "__main__":
    for name, value in asyncio.run(main()).items():
        sys.stdout.write(f"{name:<24}{value:10.3f}\n")
