"""The first frame of a session: one paint that shows the containers, or words in their place where reading is slow."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from textual.screen import Screen as TextualScreen

from openlxd_core.domain.errors import LxdUnavailable
from openlxd_core.i18n import N_
from openlxd_tui.screens.containers import page as containers_page
from openlxd_tui.ssh.apps import make_console_app
from tests.ssh.rig import open_screen, running
from tests.ssh.test_line_painter import shows_a_whole_repaint
from tests.ssh.test_slow_lines import session_of


async def test_nothing_is_painted_before_the_first_frame_shows_the_containers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is painted before the containers are read: no empty screen, and no "Reading…" that nobody can read."""
    monkeypatch.setattr(containers_page, "FIRST_READ_SECONDS", 20.0)  # however slow this machine is
    refresh = TextualScreen._compositor_refresh
    had_been_read: list[bool] = []

    def note(screen: Any) -> None:
        had_been_read.append(screen._loaded)
        refresh(screen)

    monkeypatch.setattr(TextualScreen, "_compositor_refresh", note)
    async with running(tmp_path, make_app=make_console_app) as rig, rig.connect() as connection:
        screen = await open_screen(connection, size=(132, 40))
        await screen.reads("web1")
        assert had_been_read
        assert all(had_been_read)
        assert "Reading…".encode() not in screen.seen
        await shows_a_whole_repaint(screen, session_of(rig)._app)


async def test_a_slow_read_is_said_and_a_failed_one_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The screen waits no longer than ``FIRST_READ_SECONDS``; what arrives later is shown when it does."""
    async with running(tmp_path, make_app=make_console_app) as rig, rig.connect() as connection:
        read, may_read, fails = rig.core.containers.list, asyncio.Event(), False

        async def slow(*arguments: Any, **options: Any) -> Any:
            if fails:
                raise LxdUnavailable(N_("LXD is not running."))
            await may_read.wait()
            return await read(*arguments, **options)

        monkeypatch.setattr(rig.core.containers, "list", slow)
        screen = await open_screen(connection, size=(132, 40))
        await screen.reads("Reading…")
        may_read.set()
        await screen.reads("web1")
        await shows_a_whole_repaint(screen, session_of(rig)._app)
        fails = True
        monkeypatch.setattr(containers_page, "FIRST_READ_SECONDS", 20.0)
        second = await open_screen(connection, size=(132, 40))
        await second.reads("LXD is not running.")
