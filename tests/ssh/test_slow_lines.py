"""Slow lines: what is on its way stays small, the newest picture arrives, and an idle list costs next to nothing."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from asyncssh.compression import get_decompressor
from textual import events
from textual.app import App, ComposeResult
from textual.widgets import Static

from openlxd_core.domain.container import Usage
from openlxd_core.domain.errors import Message
from openlxd_tui.screens.containers.page import IDLE_SECONDS, IDLE_TICKS
from openlxd_tui.ssh.apps import make_console_app
from openlxd_tui.ssh.pace import LEAST, MOST
from openlxd_tui.ssh.server import COMPRESSED_MOST
from openlxd_tui.terminal.driver import TerminalDriver
from openlxd_tui.terminal.picture import Picture
from tests.ssh.rig import Rig, Screen, open_screen, running
from tests.support.core import PASSWORD, eventually
from tests.support.vt import VirtualTerminal

pytestmark = pytest.mark.slow

QUEUED_MOST = 32 * 1024
SLOW, DELAY = 16_000, 0.3


class BusyApp(App[None]):
    """Paints every cell anew, ten times a second, until told to stop; says which key was pressed last."""

    ENABLE_COMMAND_PALETTE = False

    def __init__(self, session: Any) -> None:
        super().__init__(driver_class=TerminalDriver)
        self.pick = random.Random(3)
        self.busy = True

    def compose(self) -> ComposeResult:
        yield Static("no key yet", id="key", markup=False)
        yield Static("", id="noise", markup=False)

    def on_mount(self) -> None:
        self.set_interval(0.1, self.paint)

    def paint(self) -> None:
        if self.busy:
            width, height = self.size
            lines = ("".join(self.pick.choices("abcdefgh容器 ", k=width // 2)) for _ in range(height - 1))
            self.query_one("#noise", Static).update("\n".join(lines))

    def on_key(self, event: events.Key) -> None:
        self.query_one("#key", Static).update(f"pressed {event.key}")

    def end(self, reason: Message) -> None:
        self.exit()


@asynccontextmanager
async def line_to(port: int, *, rate: float, delay: float) -> AsyncIterator[int]:
    """A port behind which ``port`` is reached by a line of ``rate`` bytes a second, ``delay`` seconds each way.

    It takes all it is given at once, as routers with large buffers do: nothing but the far end knows what waits.
    """
    tasks: set[asyncio.Task[Any]] = set()
    writers: list[asyncio.StreamWriter] = []
    loop = asyncio.get_running_loop()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            free = 0.0  # when the line has carried what went before
            while True:
                came, data = await waiting.get()
                if not data:
                    writer.close()
                    return
                for at in range(0, len(data), 1024):
                    piece = data[at : at + 1024]
                    free = max(free, came) + len(piece) / rate
                    await asyncio.sleep(max(0.0, free + delay - loop.time()))
                    writer.write(piece)

        delivering = asyncio.create_task(deliver())
        tasks.add(delivering)
        while data := await reader.read(65536):
            waiting.put_nowait((loop.time(), data))
        waiting.put_nowait((loop.time(), b""))

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        writers.extend((writer, far_writer))
        for pair in ((reader, far_writer), (far_reader, writer)):
            tasks.add(asyncio.create_task(carry(*pair)))

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)


def session_of(rig: Rig) -> Any:
    """The one session there is."""
    [session] = [session for connection in rig.console._connections for session in connection.sessions]
    return session


def shown_by(app: Any) -> VirtualTerminal:
    """What a terminal would show if the app's newest picture were painted on it from nothing."""
    picture: Picture = app._driver._picture
    terminal = VirtualTerminal(picture.width, picture.height)
    fresh = Picture(picture.width, picture.height)
    fresh._wanted = list(picture._wanted)
    for y in range(picture.height):
        text = fresh.line(y)
        terminal.feed((app._driver._recolour(text) if app._driver._recolour else text).encode())
    return terminal


def painted_whole(app: Any) -> VirtualTerminal:
    """What a terminal would show if Textual painted the app's screen as a whole."""
    picture, terminal = Picture(*app.size), VirtualTerminal(*app.size)
    compositor = app.screen._compositor
    waiting = set(compositor._dirty_regions)  # a full update counts them as painted, and the client has not seen them
    picture.take(compositor.render_update(full=True, screen_stack=app._background_screens))
    compositor._dirty_regions |= waiting
    for y in picture.dirty:
        text = picture.line(y)
        terminal.feed((app._driver._recolour(text) if app._driver._recolour else text).encode())
    return terminal


async def agrees(screen: Screen, app: Any) -> None:
    """Wait until the client shows the app's newest picture, cell by cell."""

    loop = asyncio.get_running_loop()
    deadline = loop.time() + 60
    while screen.terminal.cells != shown_by(app).cells:
        assert loop.time() < deadline, f"not\n{shown_by(app).text}\nbut\n{screen.terminal.text}"
        await asyncio.sleep(0.2)


@pytest.mark.parametrize("seconds", [8, pytest.param(30, marks=pytest.mark.slow)])
async def test_a_key_is_answered_soon_on_a_slow_line(tmp_path: Path, seconds: int) -> None:
    """16 kB a second, 300 ms each way, a screen that never rests: never more than 32 KiB wait, a key shows within
    seconds, and in the end the client shows the newest picture."""
    async with (
        running(tmp_path, make_app=BusyApp) as rig,
        line_to(rig.port, rate=SLOW, delay=DELAY) as port,
        asyncssh.connect(
            "127.0.0.1", port, username="alice", password=PASSWORD, known_hosts=None, config=None, agent_path=None,
            client_keys=[],
        ) as connection,
    ):  # fmt: skip
        screen = await open_screen(connection, size=(120, 40))
        await screen.reads("no key yet", timeout=20)
        session = session_of(rig)
        loop = asyncio.get_running_loop()
        began, most, waits = loop.time(), 0, []
        letters = iter("klmnopqrstuvwxyz")
        while loop.time() - began < seconds:
            key = next(letters)
            pressed = loop.time()
            screen.type(key.encode())
            while f"pressed {key}" not in screen.terminal.text:
                most = max(most, session._pace._sent - screen.received)
                assert loop.time() - pressed < 10, "the key is not shown"
                await asyncio.sleep(0.02)
            waits.append(loop.time() - pressed)
            await asyncio.sleep(1)
        assert most <= QUEUED_MOST
        assert sorted(waits)[len(waits) // 2] < 4, waits  # 22 s before there was a bound
        session._app.busy = False
        await agrees(screen, session._app)


async def test_a_fast_line_is_not_held_back(tmp_path: Path) -> None:
    """Without a slow line every frame is sent: what may be in flight grows to its bound."""
    async with running(tmp_path, make_app=BusyApp) as rig, rig.connect() as connection:
        screen = await open_screen(connection, size=(120, 40))
        await screen.reads("no key yet")
        session = session_of(rig)
        await eventually(lambda: session._pace.limit == MOST, "the bound grown")
        session._app.busy = False
        await agrees(screen, session._app)


async def test_a_very_slow_line_still_shows_what_is_newest(tmp_path: Path) -> None:
    """2 kB a second: what is in flight shrinks with the line."""
    async with (
        running(tmp_path, make_app=BusyApp) as rig,
        line_to(rig.port, rate=2_000, delay=0.1) as port,
        asyncssh.connect(
            "127.0.0.1", port, username="alice", password=PASSWORD, known_hosts=None, config=None, agent_path=None,
            client_keys=[],
        ) as connection,
    ):  # fmt: skip
        screen = await open_screen(connection, size=(60, 20))
        await screen.reads("no key yet", timeout=30)
        session = session_of(rig)
        await eventually(lambda: session._pace.limit < 2 * LEAST, "the bound shrunk", 60)
        session._app.busy = False
        await agrees(screen, session._app)


async def test_a_client_that_stops_reading_is_bounded_and_then_dropped(tmp_path: Path) -> None:
    """It reads no more: frames are left out, the newest is sent once it reads again, and one that never does goes."""
    async with running(tmp_path, make_app=BusyApp, slow_seconds=4) as rig, rig.connect() as connection:
        screen = await open_screen(connection, size=(120, 40), window=32768)
        await screen.reads("no key yet")
        session = session_of(rig)
        screen.process.channel.pause_reading()
        await eventually(lambda: session.room <= 0, "no room")
        await asyncio.sleep(0.5)
        assert session._channel.get_write_buffer_size() <= QUEUED_MOST
        screen.process.channel.resume_reading()
        session._app.busy = False
        await agrees(screen, session._app)
        session._app.busy = True
        screen.process.channel.pause_reading()
        await eventually(lambda: rig.console.limits.sessions == 0, "dropped", 20)
        connection.abort()


async def test_a_screen_survives_shells_sizes_and_wide_characters(tmp_path: Path) -> None:
    """Whatever happens to the window, the client ends up with what the app shows."""
    async with running(tmp_path) as rig, rig.connect() as connection:
        screen = await open_screen(connection)
        await screen.reads("ready alice", "运行中")
        app = session_of(rig)._app
        await agrees(screen, app)
        screen.type(b"s")
        await screen.reads("Shell in web1")
        screen.type(b"\x1b[31mred")
        await screen.reads("red")
        screen.type(b"exit 3")
        await screen.reads("status 3", "box1")
        await agrees(screen, app)
        for size in ((70, 20), (20, 5), (120, 35), (100, 30)):
            screen.process.change_terminal_size(*size)
            screen.terminal.resize(*size)  # the harshest terminal: nothing is kept
            await eventually(lambda size=size: app.size == size, "resized")
            await agrees(screen, app)


async def test_an_idle_list_sends_the_cells_that_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of 23 rows: a tick that changes two figures sends at most 300 bytes, one that changes nothing none."""
    async with running(tmp_path, make_app=make_console_app) as rig, rig.connect() as connection:
        listed = await rig.core.containers.list(rig.alice)
        old = listed[0].created_at - timedelta(days=9)
        many = [replace(listed[0], id=100 + n, name=f"web{n:02}", created_at=old) for n in range(23)]

        async def list_many(*_arguments: Any, **_options: Any) -> Any:
            return many

        monkeypatch.setattr(rig.core.containers, "list", list_many)
        figures = {one.name: Usage(3.0, 100.0, 50.0, 10_000, 20_000, 12) for one in many}
        monkeypatch.setattr(rig.core.lxd_status, "usage", lambda _actor, _containers: dict(figures))
        screen = await open_screen(connection, size=(132, 40))
        await screen.reads("web00", "web22", "3.0")
        page = session_of(rig)._app.screen
        page._ticker.pause()
        page.measure_use()
        await asyncio.sleep(0.3)
        received = screen.received
        page.measure_use()
        await asyncio.sleep(0.3)
        assert screen.received == received  # nothing moved, nothing sent
        for cpu, memory in ((4.2, 101.0), (17.5, 230.0), (0.3, 99.0)):
            figures["web07"] = Usage(cpu, memory, 50.0, 10_000, 20_000, 12)
            received = screen.received
            page.measure_use()
            await screen.reads(f"{memory:.0f}M")
            await asyncio.sleep(0.2)
            assert 0 < screen.received - received <= 300
        app = session_of(rig)._app
        await agrees(screen, app)
        assert screen.terminal.cells == painted_whole(app).cells
        # nobody has typed for five minutes: one tick of five
        app._driver._typed_at -= IDLE_SECONDS
        shown = []
        for number in range(2 * IDLE_TICKS):
            figures["web07"] = Usage(1.0, 300.0 + number, 50.0, 10_000, 20_000, 12)
            received = screen.received
            page.measure_use()
            await asyncio.sleep(0.1)
            shown.append(screen.received > received)
        assert sum(shown) == 2
        screen.type(b"j")
        await eventually(lambda: app.idle_seconds < IDLE_SECONDS, "awake")
        page.measure_use()
        await screen.reads(f"{300 + 2 * IDLE_TICKS - 1}M")


async def test_compression_is_offered_and_begins_after_the_login(rig: Rig) -> None:
    """``ssh -C`` is served, none stays the default, and nothing is inflated for strangers."""
    async with rig.connect(compression_algs=["zlib@openssh.com"]) as connection:
        assert connection.get_extra_info("send_compression") == "zlib@openssh.com"
        screen = await open_screen(connection)
        await screen.reads("ready alice")
    async with rig.connect() as connection:
        assert connection.get_extra_info("send_compression") == "none"
    with pytest.raises(asyncssh.KeyExchangeFailed):
        await rig.connect(compression_algs=["zlib"])


async def test_what_a_client_compresses_is_inflated_within_bounds() -> None:
    """A packet that would unfold to megabytes ends its connection instead."""
    bomb = zlib.compress(b"\0" * 64 * 2**20)
    inflater = get_decompressor(b"zlib@openssh.com")
    assert inflater is not None
    assert inflater.decompress(bomb) is None
    deflater = zlib.compressobj()
    inflater = get_decompressor(b"zlib@openssh.com")
    assert inflater is not None
    for data in (b"hello", b"x" * COMPRESSED_MOST):
        packet = deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH)
        assert inflater.decompress(packet) == data
