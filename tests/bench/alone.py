"""The alternative that the bench measures against: one process per login, the same app on the process's terminal.

``python -m tests.bench.alone DIRECTORY`` opens the core on the console's own database and runs the app, as a
``ForceCommand`` or a login shell would.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from openlxd_core.bootstrap import open_core
from openlxd_tui.local import run_console
from tests.ssh.rig import WatchedLxd
from tests.support.core import PASSWORD, make_settings


async def main() -> None:
    async with open_core(make_settings(Path(sys.argv[1])), lxd=WatchedLxd(), background=False) as core:
        actor = await core.auth.password_login("alice", PASSWORD, origin="ssh")
        await run_console(core, actor)


if __name__ == "__main__":
    asyncio.run(main())
