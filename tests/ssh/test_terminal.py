"""What is believed of a terminal, and what becomes of the bytes that it sends."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events, messages

from openlxd_core.settings import Settings
from openlxd_tui.ssh.limits import LoginLimits
from openlxd_tui.terminal.capabilities import (
    Colours,
    clamp_size,
    client_environment,
    judge_terminal,
    language_of,
    recolour,
)
from openlxd_tui.terminal.escape_filter import EscapeFilter
from openlxd_tui.terminal.keys import PASTE_MAX, KeyReader


def keys(reader: KeyReader, *chunks: bytes) -> list[str]:
    """The names of the keys in ``chunks``, after a pause at the end."""
    found = [message for chunk in chunks for message in reader.feed(chunk)]
    while reader.deadline is not None:
        found += reader.tick()
    return [message.key for message in found if isinstance(message, events.Key)]


@pytest.mark.parametrize(
    ("sent", "understood"),
    [
        ((b"a", b"b"), ["a", "b"]),
        ((b"\xe5\xae", b"\xb9"), ["容"]),
        ((b"\xff",), ["replacement_character"]),
        ((b"\x1b",), ["escape"]),
        ((b"\x1b", b"[A"), ["up"]),
        ((b"\x1b[", b"1;5C"), ["ctrl+right"]),
        ((b"\x1bOP",), ["f1"]),
        ((b"\x1ba",), ["alt+a"]),
        ((b"\x1b]",), ["alt+right_square_bracket"]),
        ((b"\x1b[?62;22c", b"x"), ["x"]),
        ((b"\x1b[>0;276;0c",), []),
        ((b"\x1b]11;rgb:1e1e/1e1e", b"/1e1e\x07y"), ["y"]),
        ((b"\x1b]11;rgb:never ended",), []),
        ((b"\x1bP1+r524742=38\x1b\\z",), ["z"]),
        ((b"\x1b_Gi=1;OK\x1b\\",), []),
        ((b"\x1b[48;65535;65535;0;0t",), []),
        ((b"\x1b[?2048;2$y",), []),
        ((b"\x1b[99999999999u", b"k"), ["k"]),
        ((b"\x1b[1114112u", b"k"), ["k"]),
        ((b"\x1b[" + b"1;" * 5000 + b"H", b"k"), ["k"]),
    ],
)
def test_keys_are_told_from_answers(sent: tuple[bytes, ...], understood: list[str]) -> None:
    """Keys in any pieces come whole; what a terminal answers is never a key."""
    got = keys(KeyReader(), *sent)
    if understood == ["alt+right_square_bracket"]:
        assert len(got) <= 2
    else:
        assert got == understood


def test_a_terminal_that_can_show_whole_frames_says_so() -> None:
    """The one answer that an app wants gets through."""
    [message] = KeyReader().feed(b"\x1b[?2026;2$y")
    assert isinstance(message, messages.TerminalSupportsSynchronizedOutput)


def test_pastes_are_text_and_have_an_end() -> None:
    """A bracketed paste in pieces is one paste, cut at the limit, without control characters."""
    reader = KeyReader()
    found = reader.feed(b"\x1b[200~rm -rf\x1b[31m\x07\n") + reader.feed("容".encode()[:2])
    found += reader.feed("容".encode()[2:] + b"\x1b[20") + reader.feed(b"1~x")
    paste, key = found
    assert isinstance(paste, events.Paste)
    assert paste.text == "rm -rf[31m\n容"
    assert isinstance(key, events.Key)
    [paste] = reader.feed(b"\x1b[200~" + b"p" * (PASTE_MAX + 5) + b"\x1b[201~")
    assert isinstance(paste, events.Paste)
    assert len(paste.text) == PASTE_MAX


def test_mouse_moves_come_as_the_last_of_them() -> None:
    """A hundred moves in one packet are one message, and a click keeps its place."""
    moves = b"".join(f"\x1b[<35;{column};5M".encode() for column in range(1, 101))
    found = KeyReader().feed(moves + b"\x1b[<0;7;5M\x1b[<0;7;5m")
    assert [type(message).__name__ for message in found] == ["MouseMove", "MouseDown", "MouseUp"]


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_no_bytes_break_the_reader(chunks: list[bytes]) -> None:
    """Whatever is sent, the reader goes on and holds no more than a little."""
    reader = KeyReader()
    for chunk in chunks:
        reader.feed(chunk)
    for _ in range(4):
        reader.tick()
    reader.feed(b"\x1b[201~\x1b\\")
    while reader.deadline is not None:
        reader.tick()
    assert keys(reader, b"k") == ["k"]


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_every_window_can_be_drawn(width: int, height: int) -> None:
    """No window is smaller than 20×5 or larger than 500×200."""
    shown = clamp_size(width, height)
    assert 20 <= shown[0] <= 500
    assert 5 <= shown[1] <= 200


@given(st.text(max_size=80))
def test_no_name_of_a_terminal_is_passed_on_unread(name: str) -> None:
    """What a container gets for TERM is plain, whatever the client sent."""
    kind = judge_terminal(name, {})
    assert kind.name.isascii()
    assert kind.name.isprintable()
    assert " " not in kind.name


def test_few_variables_are_kept() -> None:
    """Language, colours and time zone; short, plain ASCII; nothing else."""
    sent = {
        b"LANG": b"zh_CN.UTF-8",
        b"LC_ALL": b"x" * 65,
        b"PATH": b"/tmp",
        b"COLORTERM": b"\x1b[2J",
        b"NO_COLOR": b"1",
    }
    assert client_environment(sent) == {"LANG": "zh_CN.UTF-8", "NO_COLOR": "1"}
    assert language_of({"LANG": "en_US", "LC_ALL": "zh_CN"}) == "zh_CN"


def test_true_colours_are_brought_down() -> None:
    """One style in each depth; attributes stay."""
    text = "\x1b[1;38;2;255;0;0;48;2;0;0;255mx\x1b[0m"
    assert recolour(Colours.TRUE) is None
    for colours, expected in (
        (Colours.INDEXED, "\x1b[1;38;5;196;48;5;21mx\x1b[0m"),
        (Colours.STANDARD, "\x1b[1;31;44mx\x1b[0m"),
        (Colours.NONE, "\x1b[1mx\x1b[0m"),
    ):
        convert = recolour(colours)
        assert convert is not None
        assert convert(text) == expected


HARMFUL = [
    b"\x1b]52;c;ZXZpbA==\x07", b"\x1b]0;title\x1b\\", b"\x1bP$qm\x1b\\", b"\x1b_Gf=24\x1b\\", b"\x1b^x\x1b\\",
    b"\x1b[c", b"\x1b[6n", b"\x1b[>c", b"\x1b[21t", b"\x1b[?2026$p", b"\x1bZ", b"\x1bX x\x1b\\",
]  # fmt: skip
HARMLESS = [
    b"plain ",
    b"\x1b[1;31m",
    b"\x1b[2J",
    b"\x1b[?1049h",
    b"\x1b[5;7H",
    b"\x1b[2 q",
    "容器".encode(),
    b"\x1b(B",
    b"\r\n",
]


@given(st.lists(st.sampled_from([*((h, True) for h in HARMFUL), *((h, False) for h in HARMLESS)])), st.data())
def test_a_container_cannot_act_on_an_admins_terminal(parts: list[tuple[bytes, bool]], data: st.DataObject) -> None:
    """Clipboard, titles, questions and device strings are dropped, however they are cut; all else passes."""
    stream = b"".join(part for part, _harmful in parts) + b"."
    escape_filter, passed = EscapeFilter(), b""
    while stream:
        count = data.draw(st.integers(1, len(stream)))
        passed += escape_filter.feed(stream[:count])
        stream = stream[count:]
    assert passed == b"".join(part for part, harmful in parts if not harmful) + b"."


@pytest.mark.parametrize(
    "attack",
    [
        b"\x1b\x1bPx\x1b\\]52;c;x\x07",
        b"\x1b\n]52;c;x\x07",
        b"\x1b\x05]52;c;x\x07",
        b"\x1b\xc2\x9d]52;c;x\x07",
        b"\xc2\x9d52;c;x\x07",
        b"\xc2\xc2\x9d\x9d52;c;x\x07",
        b"\xc2\x1b]0;\x07\x9d52;c;x\x07",
        b"\x1b[\x1b_x\x1b\\6n",
        b"\x1b[\n6n",
        b"\x1b]52;c;x\x1b[m",
    ],
)
def test_halves_do_not_meet(attack: bytes) -> None:
    """What is dropped between two halves of a sequence does not join them, in one piece or byte by byte."""
    pieces = EscapeFilter()
    for passed in (EscapeFilter().feed(attack + b"."), b"".join(pieces.feed(bytes([byte])) for byte in attack + b".")):
        assert re.search(rb"\x1b[^\[(]|\xc2[\x80-\x9f]|\x1b\[\Z", passed) is None, passed
        assert b"\x1b[6n" not in passed
        assert b"\x05" not in passed


def test_a_string_without_end_holds_nothing() -> None:
    """A device string of megabytes is dropped as it comes, and what follows its end passes."""
    escape_filter = EscapeFilter()
    assert escape_filter.feed(b"a\x1bPq") == b"a"
    for _ in range(64):
        assert escape_filter.feed(b"x" * 65536) == b""
    assert len(escape_filter._held) < 8192
    assert escape_filter.feed(b"\x1b") + escape_filter.feed(b"\\b") == b"b"


def test_failures_slow_an_address_down_and_are_forgotten() -> None:
    """The delay begins after three failures, doubles to ten seconds, fades, and touches no other address."""
    now = [0.0]
    limits = LoginLimits(Settings(), clock=lambda: now[0])
    delays = []
    for _ in range(12):
        delays.append(limits.delay("192.0.2.1"))
        limits.failed("192.0.2.1")
    assert delays[:3] == [0, 0, 0]
    assert delays[3:6] == [0.5, 1, 2]
    assert delays[-1] == 10
    assert limits.delay("192.0.2.2") == 0
    now[0] += 601
    assert limits.delay("192.0.2.1") == 0
