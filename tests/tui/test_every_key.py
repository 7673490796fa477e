"""Every key of every screen, shown or hidden, in every state of the row: it does something, or it says why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
from textual.binding import Binding
from textual.pilot import Pilot

from openlxd_core.domain.account import AccountStatus, SshKey
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.container import State
from openlxd_core.domain.errors import Conflict, LxdUnavailable, Message, OpenLXDError
from openlxd_core.domain.feed import LxdState
from openlxd_core.domain.forward import ForwardState
from openlxd_core.domain.operation import Kind
from openlxd_tui.app import OpenLXDApp
from openlxd_tui.screens.dialog import Dialog
from openlxd_tui.screens.page import Page
from tests.tui.conftest import MakeApp
from tests.tui.fake_images import NOW
from tests.tui.fakes import ADMIN, ALICE, ROOT, FakeCore, FakeShell, container, operation, user
from tests.tui.test_containers import screen_text, toasts, until

pytestmark = pytest.mark.slow

MOVES = ("move(", "page(", "jump(", "scroll(", "focus_next", "focus_previous", "app.focus_next", "app.focus_previous")
"""Moving is left out: at the end of a list, or in an empty one, there is nowhere to go, and everybody knows."""
EVERYWHERE = ("go(", "palette", "leave", "help", "language", "daylight", "stay")
"""What belongs to the app is pressed once a screen."""


@dataclass(frozen=True)
class Moment:
    """A screen, and what its cursor stands on."""

    prepare: Callable[[FakeCore], None]
    keys: tuple[str, ...] = ()
    actor: Actor = ALICE
    shows: str = ""
    error: Callable[[], OpenLXDError] = lambda: Conflict("Refused by the test.")
    everywhere: bool = False


def row(state: State, **more: Any) -> Callable[[FakeCore], None]:
    return lambda core: core.add(container("web1", state, **more))


def nothing(_core: FakeCore) -> None:
    pass


def busy(core: FakeCore) -> None:
    core.add(container("web1", State.STOPPED))
    op = operation("web1", Kind.START)
    core.under_way[op.id] = op


def away(core: FakeCore) -> None:
    core.add(container("web1"))
    core.lxd_status.state = LxdState(False, "lxd", "5.0.2", "Connection refused", NOW)


def snapshots(*, ready: bool = True, busy: bool = False) -> Callable[[FakeCore], None]:
    def prepare(core: FakeCore) -> None:
        core.add(container("web1"))
        core.snapshots.add("web1", "before", ready=ready)
        if busy:
            op = operation("web1", Kind.SNAPSHOT)
            core.under_way[op.id] = op

    return prepare


def forwards(state: ForwardState, *, busy: bool = False) -> Callable[[FakeCore], None]:
    def prepare(core: FakeCore) -> None:
        core.add(container("web1"))
        core.forwards.add("web1", "20080", "80", state)
        if busy:
            op = operation("web1", Kind.FORWARD)
            core.under_way[op.id] = op

    return prepare


def accounts(status: AccountStatus) -> Callable[[FakeCore], None]:
    def prepare(core: FakeCore) -> None:
        core.users = {2: replace(user(2, "alice"), status=status)}

    return prepare


def keys(core: FakeCore) -> None:
    core.ssh_keys = [SshKey(1, 2, "laptop", "SHA256:" + "n7Vq" * 10, "ssh-ed25519 AAAA", NOW, None)]


def stray(core: FakeCore) -> None:
    core.strays = [
        SimpleNamespace(project="default", name="jenkins", status=State.RUNNING, image="Ubuntu", owner_hint="")
    ]


def images(core: FakeCore) -> None:
    core.images.open()


def importing(core: FakeCore) -> None:
    core.images.open()
    op = operation("alpine/3.21", Kind.IMPORT, id="op-alpine", user_id=9, stage="download", progress=42)
    core.under_way[op.id] = op


def bare_images(core: FakeCore) -> None:
    core.images.open([])
    core.aliases = []


MOMENTS: dict[str, Moment] = {
    **{f"containers-{state.value}": Moment(row(state, error=Message("It broke.")), shows="web1") for state in State},
    "containers-none": Moment(nothing, shows="No containers yet.", everywhere=True),
    "containers-busy": Moment(busy, shows="web1"),
    "containers-suspended": Moment(row(State.STOPPED, suspended_by="admin"), shows="web1"),
    "containers-suspended-running": Moment(row(State.RUNNING, suspended_by="admin"), shows="web1"),
    "containers-lxd-away": Moment(away, shows="web1", error=lambda: LxdUnavailable("LXD is not reachable.")),
    "containers-filtered-out": Moment(row(State.RUNNING), ("slash", "z", "enter"), shows="Nothing matches"),
    "containers-of-an-admin": Moment(row(State.RUNNING), actor=ADMIN, shows="web1", everywhere=True),
    "snapshots-none": Moment(row(State.RUNNING), ("v",), shows="No snapshots yet.", everywhere=True),
    "snapshots-ready": Moment(snapshots(), ("v",), shows="before"),
    "snapshots-being-taken": Moment(snapshots(ready=False), ("v",), shows="before"),
    "snapshots-busy": Moment(snapshots(busy=True), ("v",), shows="before"),
    "forwards-none": Moment(row(State.RUNNING), ("f",), shows="No port forwards yet.", everywhere=True),
    "forwards-active": Moment(forwards(ForwardState.ACTIVE), ("f",), shows="20080"),
    "forwards-missing": Moment(forwards(ForwardState.MISSING), ("f",), shows="20080"),
    "forwards-busy": Moment(forwards(ForwardState.PENDING, busy=True), ("f",), shows="20080"),
    "account-no-key": Moment(nothing, ("2",), shows="No SSH keys yet.", everywhere=True),
    "account-key": Moment(keys, ("2",), shows="laptop"),
    "account-of-root": Moment(nothing, ("2",), actor=ROOT, shows="You are root"),
    "images": Moment(images, ("3",), shows="alpine", everywhere=True),
    "images-of-an-admin": Moment(images, ("3",), actor=ADMIN, shows="alpine"),
    "images-importing": Moment(importing, ("3",), shows="alpine"),
    "images-here": Moment(images, ("3", "tab"), shows="debian/12"),
    "images-nothing": Moment(bare_images, ("3",), shows="Images"),
    "images-nothing-here": Moment(bare_images, ("3", "tab"), shows="There are no images on this host yet."),
    "help": Moment(nothing, ("4",), shows="Everywhere", everywhere=True),
    "users-none": Moment(lambda core: core.users.clear(), ("5",), actor=ADMIN, shows="No accounts yet."),
    "users-active": Moment(accounts(AccountStatus.ACTIVE), ("5",), actor=ADMIN, shows="alice@", everywhere=True),
    "users-suspended": Moment(accounts(AccountStatus.SUSPENDED), ("5",), actor=ADMIN, shows="alice@"),
    "unmanaged-none": Moment(nothing, ("u",), actor=ADMIN, shows="Every LXD instance", everywhere=True),
    "unmanaged-one": Moment(stray, ("u",), actor=ADMIN, shows="jenkins"),
}


def fingerprint(app: OpenLXDApp, core: FakeCore, shell: FakeShell) -> tuple[Any, ...]:
    """Everything that a key could change."""
    return (
        app.is_running, tuple(map(id, app.screen_stack)), id(app.focused), screen_text(app), tuple(toasts(app)),
        app.theme, app.translator.language, tuple(core.calls), tuple(shell.asked),
    )  # fmt: skip


def pressed_keys(app: OpenLXDApp, *, everywhere: bool) -> dict[str, str]:
    """Key and action of every binding in force here, and of every binding that the screen's class names."""
    found: dict[str, str] = {}
    for _node, bindings in app.screen._modal_binding_chain:
        for key, several in bindings.key_to_bindings.items():
            for binding in several:
                assert isinstance(binding, Binding)
                local = not binding.action.startswith(EVERYWHERE)
                if not binding.action.startswith(MOVES) and (local or everywhere):
                    found[key] = binding.action
    return found


@pytest.mark.parametrize("name", MOMENTS)
async def test_every_key_acts_or_says_why_not(core: FakeCore, make_app: MakeApp, shell: FakeShell, name: str) -> None:
    """No key is pressed in vain: after each, something is different, be it only a sentence."""
    moment = MOMENTS[name]
    moment.prepare(core)
    silent: list[str] = []
    todo: dict[str, str] | None = None
    while todo is None or todo:
        app = make_app(moment.actor)
        async with app.run_test(size=(120, 30)) as pilot:
            for key in moment.keys:
                await pilot.pause()
                await pilot.press(key)
            await until(pilot, lambda: moment.shows in screen_text(app) and isinstance(app.screen, Page))  # noqa: B023
            await settle(pilot)
            home = app.screen
            todo = pressed_keys(app, everywhere=moment.everywhere) if todo is None else todo
            while todo and app.is_running and app.screen is home:
                key, action = todo.popitem()
                app.clear_notifications()
                core.fails = moment.error()
                before = fingerprint(app, core, shell)
                await pilot.press(key)
                await settle(pilot)
                if fingerprint(app, core, shell) == before:
                    silent.append(f"{key} ({action})")
                core.fails = None
                while app.is_running and isinstance(app.screen, Dialog):
                    await pilot.press("escape")
                    await pilot.pause()
                if app.translator.language != "en":
                    app.action_language()
    assert silent == []


async def settle(pilot: Pilot[None]) -> None:
    """Let workers come to rest."""
    for _turn in range(3):
        await pilot.pause()


async def test_the_same_reason_is_not_stacked(core: FakeCore, make_app: MakeApp) -> None:
    """Leaning on a key that does nothing shows one toast, not thirty; another language says it anew."""
    core.add(container("web1"))
    app = make_app()
    async with app.run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: "web1" in screen_text(app))
        await pilot.press(*["S"] * 30)
        await pilot.pause()
        assert toasts(app) == ["web1 (running): only a stopped container can be started."]
        await pilot.press("ctrl+l", "S")
        await pilot.pause()
        assert len(toasts(app)) == 2
        assert core.calls == []
