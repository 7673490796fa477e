"""Keys typed ahead: whatever comes in one packet acts on the screens that it was meant for, on a slow LXD too."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.binding import Binding
from textual.widgets import Input

from openlxd_core.domain.actor import SYSTEM, Role
from openlxd_core.domain.container import State
from openlxd_core.domain.quota import Quota
from openlxd_tui.app import OpenLXDApp
from openlxd_tui.screens.account.page import AccountPage
from openlxd_tui.screens.confirm import Confirm
from openlxd_tui.screens.containers.create import CreateForm
from openlxd_tui.screens.containers.page import ContainersPage
from openlxd_tui.screens.containers.resize import ResizeForm
from openlxd_tui.screens.containers.snapshots import SnapshotsPage
from openlxd_tui.screens.dialog import Dialog
from openlxd_tui.screens.help import HelpPage
from openlxd_tui.screens.images.page import ImagesPage
from openlxd_tui.screens.users.page import UsersPage
from openlxd_tui.ssh.apps import make_console_app
from openlxd_tui.terminal import driver
from tests.ssh.rig import Rig, Screen, open_screen, running
from tests.support.core import add_user, eventually, finish

pytestmark = pytest.mark.slow

ROOMY = Quota(20, 40, 40 * 1024, 400 * 1024, 40, 10)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """The product's own app, for alice with her running container web1, and bob."""
    async with running(tmp_path, make_app=make_console_app) as rig:
        await rig.core.quotas.set(SYSTEM, rig.alice.user_id, ROOMY)
        yield rig


@pytest.fixture(params=[0.0, 0.4], ids=["quick", "slow"])
def slow(request: pytest.FixtureRequest, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> float:
    """Every answer of the core takes this long, as behind an LXD and a disk that are busy."""
    seconds: float = request.param
    if seconds:
        for service in ("containers", "images", "snapshots", "operations", "quotas", "consoles"):
            slow_down(monkeypatch, getattr(rig.core, service), seconds)
    return seconds


def slow_down(monkeypatch: pytest.MonkeyPatch, service: Any, seconds: float) -> None:
    def slowly(method: Any) -> Any:
        async def call(*arguments: Any, **options: Any) -> Any:
            await asyncio.sleep(seconds)
            return await method(*arguments, **options)

        return call

    for name in ("list", "get", "create", "pause", "stop", "resize", "delete", "open"):
        if hasattr(service, name):
            monkeypatch.setattr(service, name, slowly(getattr(service, name)))


def app_of(rig: Rig) -> Any:
    """The app of the one session there is."""
    [session] = [session for connection in rig.console._connections for session in connection.sessions]
    return session._app


async def at_home(rig: Rig, connection: Any, **options: Any) -> Screen:
    """A session whose list of containers is there."""
    screen = await open_screen(connection, **options)
    await screen.reads("web1", "10.")
    return screen


async def type_out(rig: Rig, screen: Screen, data: bytes) -> None:
    """Send ``data`` as one packet, and return when the app has handled all of it."""
    driver = app_of(rig)._driver
    came = 0
    before = driver.data

    def count(received: bytes) -> None:
        nonlocal came
        came += len(received)
        before(received)

    driver.data = count
    try:
        screen.type(data)
        await eventually(lambda: came >= len(data) and not driver._typed, "taken", 20)
        if driver._reader.holding:
            await eventually(lambda: not driver._reader.holding, "a lone Esc is over")
        await eventually(lambda: driver.settling.settled, "settled", 20)
    finally:
        del driver.data


async def on_screen(rig: Rig, kind: type[Any]) -> Any:
    """The screen of this kind, once it is the one on top and everything typed has been delivered."""
    app = app_of(rig)
    await eventually(lambda: isinstance(app.screen, kind) and not app._driver._typed, f"{kind.__name__} on top", 20)
    await eventually(lambda: app._driver.settling.settled, "settled", 20)
    assert isinstance(app.screen, kind), app.screen
    return app.screen


async def test_a_name_typed_behind_n_is_the_new_containers_name(rig: Rig, slow: float) -> None:
    """``nprod`` opens the form with prod in its name field; nothing is paused, sorted or restarted."""
    async with rig.connect() as connection:
        screen = await at_home(rig, connection)
        screen.type(b"nprod")
        form = await on_screen(rig, CreateForm)
        await eventually(lambda: form.values()["name"] == "prod", "the name typed")
        assert (await rig.core.containers.get(rig.alice, "web1")).status is State.RUNNING
        assert app_of(rig).screen_stack[0].table.sort_key == "name"
        screen.type(b"\r")
        await screen.reads("prod", "running", gone=["New container"])


async def test_what_follows_a_slash_is_the_filter(rig: Rig, slow: float) -> None:
    """``/pod`` asks for no restart: it is typed into the filter."""
    async with rig.connect() as connection:
        screen = await at_home(rig, connection)
        await type_out(rig, screen, b"/pod")
        page = await on_screen(rig, ContainersPage)
        await eventually(lambda: page.query_one("#filter", Input).value == "pod", "the filter typed")
        screen.type(b"\x1b")
        await screen.reads("web1")


async def test_tab_and_what_is_typed_after_it_change_the_field_that_tab_leads_to(rig: Rig, slow: float) -> None:
    """``z``, Tab, Ctrl-U, a size and Enter in one packet change the memory, not the CPU."""
    async with rig.connect() as connection:
        screen = await at_home(rig, connection)
        screen.type(b"z\t\x153GiB\r")
        await eventually(lambda: _memory_is(rig, 3072), "three GiB", 20)
        assert (await rig.core.containers.get(rig.alice, "web1")).cpu == 1


async def _memory_is(rig: Rig, mib: int) -> bool:
    return (await rig.core.containers.get(rig.alice, "web1")).memory_mib == mib


async def test_fields_reached_by_tab_hold_what_was_typed_for_them(rig: Rig) -> None:
    """A whole form in one packet, fields in any order and number, again and again."""
    pick = random.Random(7)
    async with rig.connect() as connection:
        screen = await at_home(rig, connection)
        for _ in range(6):
            values = [str(pick.randint(1, 4)), f"{pick.randint(1, 9)}GiB", f"{pick.randint(1, 30)}GiB"]
            screen.type(b"z\x15" + b"\t\x15".join(value.encode() for value in values))
            form = await on_screen(rig, ResizeForm)
            await eventually(lambda form=form: all(form.values().values()), "typed")
            assert list(form.values().values()) == values
            screen.type(b"\x1b")
            await on_screen(rig, ContainersPage)


async def test_delete_name_and_enter_in_one_packet(rig: Rig, slow: float) -> None:
    """``d``, the name, Enter: deleted; and what was typed after it meets the list again."""
    async with rig.connect() as connection:
        screen = await at_home(rig, connection)
        screen.type(b"dweb1\r?")
        await on_screen(rig, HelpPage)
        await eventually(lambda: _gone(rig), "web1 deleted", 20)


async def _gone(rig: Rig) -> bool:
    return not await rig.core.containers.list(rig.alice)


async def test_a_command_of_the_palette_in_one_packet(rig: Rig, slow: float) -> None:
    """``:``, a part of a command's name and Enter run that command; what follows goes to what it opened."""
    async with rig.connect() as connection:
        screen = await at_home(rig, connection)
        screen.type(b":resi\r\t\x152GiB")
        form = await on_screen(rig, ResizeForm)
        await eventually(lambda: form.values()["memory"] == "2GiB", "typed into the form")


async def test_the_help_and_out_of_it(rig: Rig) -> None:
    """``?`` and Esc in one packet lead back to the list, with its focus, again and again."""
    async with rig.connect() as connection:
        screen = await at_home(rig, connection)
        for _ in range(4):
            await type_out(rig, screen, b"?\x1b")
            page = await on_screen(rig, ContainersPage)
            assert page.table.has_focus


async def test_snapshot_page_name_and_enter_in_one_packet(rig: Rig, slow: float) -> None:
    """``v``, ``n``, a name, Enter: the snapshot of that name is taken."""
    async with rig.connect() as connection:
        screen = await at_home(rig, connection)
        screen.type(b"vnbefore\r")
        await on_screen(rig, SnapshotsPage)
        await eventually(lambda: _snapshots(rig, ["before"]), "taken", 20)
        screen.type(b"\x1b")
        await on_screen(rig, ContainersPage)
        screen.type(b"vdy")
        await eventually(lambda: _snapshots(rig, []), "deleted", 20)


async def _snapshots(rig: Rig, names: list[str]) -> bool:
    return [s.name for s in await rig.core.snapshots.list(rig.alice, "web1") if s.ready] == names


async def test_what_is_typed_behind_enter_belongs_to_the_shell(rig: Rig, slow: float) -> None:
    """Enter opens the shell, and every byte behind it is the shell's, unchanged and in order."""
    typed: list[bytes] = []
    pick = random.Random(11)
    async with rig.connect() as connection:
        screen = await at_home(rig, connection)
        for size in (1, 5, 300, 40_000):
            data = bytes(pick.randrange(256) for _ in range(size))
            rig.lxd.typed = 0
            screen.type(b"\r" + data)
            await eventually(lambda size=size: rig.lxd.typed == size, f"{size} bytes", 20)
            await screen.reads("Type exit")
            shell = rig.lxd.shells[-1]
            assert b"".join(shell.written) == data
            typed.append(data)
            screen.forget()
            screen.type(b"exit")
            await screen.reads("web1", "Shell", gone=["Type exit"])


async def test_what_was_meant_for_a_shell_that_fails_is_dropped(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell does not open: what was typed for it acts on nothing else, and the next key acts again."""

    async def fails(*_arguments: Any, **_options: Any) -> Any:
        await asyncio.sleep(0.2)
        raise RuntimeError("no pty")

    monkeypatch.setattr(rig.lxd, "exec", fails)
    slow_down(monkeypatch, rig.core.consoles, 0.2)
    async with rig.connect() as connection:
        screen = await at_home(rig, connection)
        monkeypatch.setattr(rig.core.consoles, "open", _refused)
        screen.type(b"\rsudo poweroff\rqqq")
        await screen.reads("not now")
        await on_screen(rig, ContainersPage)
        screen.type(b"?")
        await on_screen(rig, HelpPage)


async def _refused(*_arguments: Any, **_options: Any) -> Any:
    from openlxd_core.domain.errors import Conflict

    await asyncio.sleep(0.3)
    raise Conflict("not now")


async def test_pausing_asks_first(rig: Rig) -> None:
    """``p`` alone freezes nobody's processes; ``py`` does."""
    async with rig.connect() as connection:
        screen = await at_home(rig, connection)
        screen.type(b"p")
        await on_screen(rig, Confirm)
        screen.type(b"\x1b")
        await on_screen(rig, ContainersPage)
        assert (await rig.core.containers.get(rig.alice, "web1")).status is State.RUNNING
        screen.type(b"py")
        await eventually(lambda: _is(rig, State.FROZEN), "frozen")


async def _is(rig: Rig, state: State) -> bool:
    return (await rig.core.containers.get(rig.alice, "web1")).status is state


async def test_a_hung_lxd_does_not_eat_the_keyboard(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What opens nothing for too long gives the keys back: what was typed blind is dropped and said to be, the next
    key acts, and the dialog does not come any more."""
    monkeypatch.setattr(driver, "HOLD_SECONDS", 0.6)
    answer = asyncio.Event()

    async def hangs(*_arguments: Any, **_options: Any) -> Any:
        await answer.wait()
        return []

    async with rig.connect() as connection:
        screen = await at_home(rig, connection)
        monkeypatch.setattr(rig.core.images, "list", hangs)
        screen.type(b"nqqq")
        await screen.reads("discarded")
        screen.type(b"?")
        await on_screen(rig, HelpPage)
        answer.set()
        await asyncio.sleep(0.3)
        assert isinstance(app_of(rig).screen, HelpPage)


async def test_escape_and_ctrl_c_do_not_wait_long(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a second, Esc and Ctrl-C drop what was typed ahead and act at once."""
    monkeypatch.setattr(driver, "IMPATIENT_SECONDS", 0.2)
    never = asyncio.Event()

    async def hangs(*_arguments: Any, **_options: Any) -> Any:
        await never.wait()

    async with rig.connect() as connection:
        screen = await at_home(rig, connection)
        monkeypatch.setattr(rig.core.images, "list", hangs)
        screen.type(b"nabc")
        await asyncio.sleep(0.4)
        screen.type(b"\x03")
        await screen.reads("Press q to quit")
        screen.type(b"?")
        await on_screen(rig, HelpPage)


async def test_mouse_and_paste_keep_their_place(rig: Rig) -> None:
    """A paste behind ``n`` goes into the form, and a click behind ``?`` and Esc meets the list."""
    async with rig.connect() as connection:
        screen = await at_home(rig, connection)
        screen.type(b"n\x1b[200~pasted\x1b[201~-x")
        form = await on_screen(rig, CreateForm)
        await eventually(lambda: form.values()["name"] == "pasted-x", "pasted")
        screen.type(b"\x1b")
        await on_screen(rig, ContainersPage)
        line = next(y for y, text in enumerate(screen.terminal.lines) if "Containers" in text)
        column = screen.terminal.lines[line].index("Account")
        click = f"\x1b[<0;{column + 1};{line + 1}M\x1b[<0;{column + 1};{line + 1}m"
        screen.type(b"?" + b"1" + click.encode() + b"a")
        await on_screen(rig, Dialog)
        assert isinstance(app_of(rig).screen_stack[-2], AccountPage)


async def test_what_is_typed_while_the_session_opens_waits_for_the_list(rig: Rig, slow: float) -> None:
    """A script that does not wait for the first frame: its keys meet the list, not a blank screen."""
    async with rig.connect() as connection:
        screen = await open_screen(connection)
        screen.type(b"dweb1\r")
        await eventually(lambda: _gone(rig), "web1 deleted", 20)


PAGES: list[tuple[bytes, type[Any], bool]] = [
    (b"", ContainersPage, False),
    (b"2", AccountPage, False),
    (b"3", ImagesPage, False),
    (b"4", HelpPage, False),
    (b"v", SnapshotsPage, False),
    (b"5", UsersPage, True),
]
CODES = {
    "escape": b"\x1b", "enter": b"\r", "tab": b"\t", "slash": b"/", "question_mark": b"?", "colon": b":",
    "down": b"\x1b[B", "up": b"\x1b[A", "space": b" ", "shift+tab": b"\x1b[Z", "delete": b"\x1b[3~",
    "pagedown": b"\x1b[6~", "pageup": b"\x1b[5~", "home": b"\x1b[H", "end": b"\x1b[F",
}  # fmt: skip


def keys_of(kind: type[Any]) -> Iterator[tuple[str, bytes]]:
    """Every key that a screen binds, as a terminal sends it; for the first screen, those that work everywhere, too."""
    seen: set[str] = set()
    for node in (*kind.__mro__, *([OpenLXDApp] if kind is ContainersPage else [])):
        for binding in vars(node).get("BINDINGS", ()) if node.__module__.startswith("openlxd_tui") else ():
            assert isinstance(binding, Binding)
            for key in binding.key.split(","):
                name = key.strip()
                code = CODES.get(name) or (bytes([ord(name[-1]) & 31]) if name.startswith("ctrl+") else name.encode())
                if name not in seen and binding.action not in ("leave", "shell"):
                    seen.add(name)
                    yield name, code


@pytest.mark.parametrize(("way", "kind", "admin"), PAGES, ids=[kind.__name__ for _way, kind, _admin in PAGES])
async def test_a_letter_behind_any_key_meets_what_the_key_opened(
    rig: Rig, way: bytes, kind: type[Any], admin: bool
) -> None:
    """Every key of every screen with a letter behind it, in one packet and in two: both ways end alike, with the
    letter in the field that the key opened where it opened one."""
    name = "boss" if admin else "alice"
    if admin:
        await add_user(rig.core, "boss", role=Role.ADMIN)
    await finish(rig.core, await rig.core.snapshots.create(rig.alice, "web1", "s1"))
    async with rig.connect(name) as connection:
        screen = await open_screen(connection)
        await screen.reads("web1")
        app = app_of(rig)
        for key, code in keys_of(kind):
            found = []
            for packets in ((code + b"w",), (code, b"w")):
                await come_home(rig, screen)
                await type_out(rig, screen, way)
                await on_screen(rig, kind)
                if key == "escape":
                    packets = (code, b"w")  # with a letter behind it in one packet, Esc is Alt and the letter
                for packet in packets:
                    await type_out(rig, screen, packet)
                focused = app.focused
                typed = focused.value if isinstance(focused, Input) else None
                found.append((type(app.screen).__name__, type(focused).__name__, typed))
            assert found[0] == found[1], (key, found)
            if found[0][1] in ("Input", "FilterInput") and found[0][0] != kind.__name__:
                assert "w" in (found[0][2] or ""), (key, found)


async def come_home(rig: Rig, screen: Screen) -> None:
    """Back at the list of containers, all rows in view, from wherever."""
    app = app_of(rig)
    for _ in range(6):
        if isinstance(app.screen, ContainersPage) and not app.screen.query("#filter"):
            return
        await type_out(rig, screen, b"\x1b")
        if not isinstance(app.screen, Dialog | ContainersPage):
            app.go("containers")
    raise AssertionError(app.screen)
