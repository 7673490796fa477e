"""Theme and language over the wire: the very first frame of the next login has them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from openlxd_core.domain.preferences import Preferences
from openlxd_tui.ssh.apps import make_console_app
from tests.ssh.rig import open_screen, running
from tests.support.core import eventually


async def test_the_next_login_begins_as_the_last_one_ended(tmp_path: Path) -> None:
    """Light and Chinese, chosen by keys, beat a client that says LANG=en; commands still follow the client."""
    async with running(tmp_path, make_app=make_console_app) as rig:
        async with rig.connect() as connection:
            screen = await open_screen(connection, env={"LANG": "en_US.UTF-8"})
            await screen.shows("web1")
            screen.type(b"\x14")
            await asyncio.sleep(0.2)
            screen.type(b"\x0c")
            await screen.shows("运行中")
            screen.type(b"q")
            assert await screen.closes() == 0

            async def kept() -> bool:
                return await rig.core.preferences.get(rig.alice) == Preferences("openlxd-light", "zh")

            await eventually(kept, "kept")
            again = await open_screen(connection, env={"LANG": "en_US.UTF-8"})  # over the same connection, too
            await again.shows("运行中")
            assert b"Containers" not in again.seen, "no frame in the client's language came before"
            assert b"48;5;234m" not in again.seen, "nor one in the dark theme"
            again.type(b"q")
            await again.closes()
            result = await connection.run("list", env={"LANG": "en_US.UTF-8"}, encoding="utf-8")
            assert "running" in str(result.stdout)
        async with rig.connect("bob") as connection:
            other = await open_screen(connection, env={"LANG": "en_US.UTF-8"})
            await other.shows("No containers yet.")


async def test_the_help_names_the_address_that_was_reached(tmp_path: Path) -> None:
    """Host and port are those of this very connection."""
    async with running(tmp_path, make_app=make_console_app) as rig, rig.connect() as connection:
        screen = await open_screen(connection, size=(120, 40))
        await screen.shows("web1")
        screen.type(b"?")
        await screen.shows(f"ssh -p {rig.port} openlxd@127.0.0.1 exec web1 -- ls")
