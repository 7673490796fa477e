"""A console in a process of its own, for tests that measure it: ``python -m tests.ssh.serve DIRECTORY [product]``.

Prints its port, then the path of alice's private key. With ``product`` the sessions run the product's own app.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from openlxd_core.logs import configure
from openlxd_core.settings import Settings
from openlxd_core.storage import models
from openlxd_tui.__main__ import forget_terminal
from openlxd_tui.ssh.apps import make_console_app
from tests.ssh.rig import SmallApp, running


async def main() -> None:
    directory = Path(sys.argv[1])
    product = sys.argv[2:] == ["product"]
    configure(Settings(log="json"), "ssh")
    async with running(
        directory,
        make_app=make_console_app if product else SmallApp,
        ssh_sessions_per_tenant=1000,
        ssh_unauthenticated=1000,
        ssh_per_address=1000,
    ) as rig:
        rig.console.settle()
        # as most are: of a container that is seconds old every tick changes the age, too
        await models.Container.all().update(created_at=datetime.now(UTC) - timedelta(hours=3))
        _key, path = await rig.register_key(rig.alice)
        print(rig.port, path, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    forget_terminal()
    asyncio.run(main())
