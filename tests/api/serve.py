"""A served API for a client in another process: ``python -m tests.api.serve DIRECTORY``.

It stands on a simulated LXD that takes no time, holds ``boss`` (an admin) and ``alice`` (a tenant with room), and
writes where it listens into ``DIRECTORY/url``. ``/test/token?user=alice`` gives a fresh token, whatever the client
did to the account.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from aiohttp import web

from openlxd_api import server
from openlxd_api.app import make_app
from openlxd_core import logs
from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.actor import SYSTEM, Role
from openlxd_core.domain.quota import Quota
from tests.support.core import actor_of, add_user, make_settings
from tests.support.faulty_lxd import FaultyLxd

ROOM = Quota(1000, 1024, 1024 * 1024, 1024 * 1024, 1000, 10)


def app_with_tokens(core: Core) -> web.Application:
    """The application, and the door for tests."""
    app = make_app(core)

    async def token(request: web.Request) -> web.Response:
        user = await core.accounts.activate(SYSTEM, request.query["user"])
        return web.json_response({"token": (await core.auth.issue_token(actor_of(user))).token})

    app.router.add_get("/test/token", token)
    return app


async def main() -> None:
    """Serve until standard input ends."""
    directory = Path(sys.argv[1])
    settings = make_settings(
        directory,
        api_tls="off",
        log="json",
        rate_login="100000/minute",
        rate_register="100000/minute",
        rate_api="1000000/minute",
    )
    logs.configure(settings, "api")
    async with open_core(settings, lxd=FaultyLxd()) as core:
        for number in range(3):
            await add_user(core, f"spare-{number}")
        await add_user(core, "boss", role=Role.ADMIN, quota=ROOM)
        await add_user(core, "alice", quota=ROOM)
        server.make_app = app_with_tokens
        async with server.listening(core, settings) as address:
            scratch = directory / "url.new"
            scratch.write_text(address)
            scratch.rename(directory / "url")
            await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
