"""The queue between a client and whoever reads it: whatever its readers do, no byte overtakes another."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from textual.app import App

from openlxd_tui.terminal.capabilities import judge_terminal
from openlxd_tui.terminal.driver import TerminalDriver
from openlxd_tui.terminal.intake import HIGH, Intake
from openlxd_tui.terminal.ports import CURRENT_TERMINAL


class Wire:
    """asyncssh's side: what is sent while reading is paused is delivered from inside ``resume_reading``."""

    def __init__(self) -> None:
        self.intake = Intake(self.pause_reading, self.resume_reading)
        self.paused = False
        self.held: list[bytes] = []
        self.sent = b""

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False
        while self.held and not self.paused:
            self.intake.received(self.held.pop(0))

    def send(self, data: bytes) -> None:
        self.sent += data
        if self.paused or self.held:
            self.held.append(data)
        else:
            self.intake.received(data)


class Reader:
    """A sink that does what sinks do at the worst moment: ``within`` is called inside ``data``."""

    def __init__(self, within: Callable[[Reader], None] = lambda reader: None) -> None:
        self.got: list[bytes] = []
        self.ends = 0
        self._within = within

    def data(self, data: bytes) -> None:
        self.got.append(data)
        self._within(self)

    def eof(self) -> None:
        self.ends += 1


def test_what_came_early_goes_first() -> None:
    """More than the early limit waits, some of it on the wire: it arrives in the order it was sent."""
    wire, reader = Wire(), Reader()
    pieces = [bytes([n]) * 10_000 for n in range(20)]
    for piece in pieces:
        wire.send(piece)
    assert wire.paused
    wire.intake.attach(reader)
    assert b"".join(reader.got) == b"".join(pieces)
    assert not wire.paused


def test_no_more_than_a_little_waits_here() -> None:
    """While nobody reads, the client is asked to wait, and asked again where asyncssh resumes by itself."""
    wire = Wire()
    for _ in range(10):
        wire.paused = False  # as asyncssh does when a command is asked for
        wire.send(bytes(HIGH))
    assert wire.paused
    assert sum(map(len, wire.held)) == 0
    wire.send(b"x")
    assert wire.held == [b"x"]


def test_the_end_comes_last_and_once_for_each_reader() -> None:
    """EOF that came before a reader, or while it wants no more, is told after the last byte."""
    wire = Wire()
    wire.send(b"all ")
    wire.send(b"of it")
    wire.intake.ended()
    slow = Reader(lambda reader: wire.intake.pause())
    wire.intake.attach(slow)
    assert (slow.got, slow.ends) == ([b"all "], 0)
    wire.intake.resume()
    wire.intake.resume()
    assert (slow.got, slow.ends) == ([b"all ", b"of it"], 1)
    wire.intake.detach(slow)
    wire.intake.attach(other := Reader())
    assert (other.got, other.ends) == ([], 1)


def test_what_a_reader_puts_back_is_the_next_ones() -> None:
    """Typed ahead of a hand-over: the shell gets what the app did not use, before what came later."""
    wire = Wire()
    app, shell = Reader(lambda reader: wire.intake.detach(reader)), Reader()
    wire.intake.attach(app)
    wire.send(b"\rls\n")
    wire.send(b"exit\n")
    wire.intake.unread(b"ls\n")
    wire.intake.attach(shell)
    assert (app.got, shell.got) == ([b"\rls\n"], [b"ls\n", b"exit\n"])


@pytest.mark.parametrize("seed", range(40))
def test_readers_that_change_pause_and_resume_at_random_get_every_byte_in_order(seed: int) -> None:
    """Sends, hand-overs, pauses and resumes in any order, also from inside a delivery."""
    dice = random.Random(seed)
    wire = Wire()
    order = b""

    def misbehave(reader: Reader) -> None:
        nonlocal order
        order += reader.got[-1]
        for _ in range(dice.randrange(3)):
            dice.choice([wire.intake.pause, wire.intake.resume, lambda: wire.send(dice.randbytes(3000))])()

    for _ in range(300):
        match dice.randrange(5):
            case 0:
                wire.intake.attach(Reader(misbehave))
            case 1:
                wire.intake.detach()
            case 2:
                wire.intake.resume()
            case _:
                wire.send(dice.randbytes(dice.randrange(1, 20_000)))
    wire.intake.attach(last := Reader(lambda reader: None))
    wire.intake.resume()
    assert order + b"".join(last.got) == wire.sent


async def test_an_app_that_gives_the_terminal_away_puts_back_what_was_typed_ahead() -> None:
    """Keys behind the one that opened a shell are the shell's; what the mouse and the window reported is nobody's."""
    put_back: list[bytes] = []

    class FakeTerminal:
        kind = judge_terminal("xterm-256color", {})
        size = (80, 24)
        congested = False

        def write(self, data: bytes, *, error: bool = False) -> None: ...
        def attach(self, sink: Any) -> None: ...
        def detach(self, sink: Any) -> None: ...
        def pause_input(self) -> None: ...
        def resume_input(self) -> None: ...
        def unread(self, data: bytes) -> None:
            put_back.append(data)

    CURRENT_TERMINAL.set(FakeTerminal())
    app: App[None] = App()
    with app._context():
        driver = TerminalDriver(app)
    driver._pump = asyncio.get_running_loop().call_later(60, lambda: None)  # busy: nothing is parsed meanwhile
    for data in (b"echo \xe5\xae", b"\xb9\x1b[<35;10;20M", b"\x1b[I\x1b[?2026;2$y", b"\x1b[A\n"):
        driver.data(data)
    driver.disable_input()
    assert b"".join(put_back) == "echo 容\x1b[A\n".encode()
