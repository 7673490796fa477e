"""Pastes through the real door: the client's bytes, the driver, the form, the database."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncssh

from openlxd_tui.ssh.apps import make_console_app
from tests.ssh.rig import open_screen, running
from tests.support.core import eventually


async def test_a_wrapped_key_is_pasted_and_registered(tmp_path: Path) -> None:
    """An RSA key in 60-column lines with blank lines between, in packets of 100 bytes, becomes the tenant's key."""
    line = asyncssh.generate_private_key("ssh-rsa", key_size=3072, comment="alice@laptop").export_public_key().decode()
    pasted = "\r\r".join(line.strip()[at : at + 60] for at in range(0, len(line), 60))
    whole = b"\x1b[200~\r" + pasted.encode() + b"\r\r\x1b[201~"
    async with running(tmp_path, make_app=make_console_app) as rig, rig.connect() as connection:
        screen = await open_screen(connection)
        await screen.shows("web1")
        screen.type(b"2")
        await screen.shows("No SSH keys yet.")
        screen.type(b"a")
        await screen.shows("Public key")
        for at in range(0, len(whole), 100):
            screen.type(whole[at : at + 100])
            await asyncio.sleep(0)
        await screen.shows("laptop")
        screen.type(b"\r")

        async def registered() -> bool:
            return bool(await rig.core.keys.list(rig.alice))

        await eventually(registered, "registered")
        key = (await rig.core.keys.list(rig.alice))[0]
        assert key.public_key == line.rsplit(" ", 1)[0]
        assert key.name == "alice@laptop"


async def test_what_does_not_fit_is_refused_in_words(tmp_path: Path) -> None:
    """A megabyte into the name of a container, and two lines: said, with the form as it was."""
    async with running(tmp_path, make_app=make_console_app) as rig, rig.connect() as connection:
        screen = await open_screen(connection)
        await screen.shows("web1")
        screen.type(b"n")
        await screen.shows("alice-1")
        screen.type(b"\x1b[200~" + b"x" * 2**20 + b"\x1b[201~")
        await screen.shows("too long")
        screen.forget()
        screen.type(b"\x1b[200~one\rtwo\x1b[201~")
        await screen.shows("You pasted 2 lines")
        screen.forget()
        screen.type(b"\x1b[200~\rweb2\r\x1b[201~")
        await screen.shows("web2")
