"""Moments worth a picture: who looks, at what size, and which keys lead there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from openlxd_core.domain.account import AccountStatus, SshKey
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.feed import LxdState
from tests.tui.fakes import ADMIN, ALICE, NOW, ROOT, FakeCore, a_busy_day, container, user


@dataclass(frozen=True)
class Scene:
    """One moment."""

    prepare: Callable[[FakeCore], None] = a_busy_day
    keys: tuple[str, ...] = ()
    size: tuple[int, int] = (100, 28)
    actor: Actor = ALICE
    term: str = "xterm-256color"
    no_color: str = ""


def _nothing(core: FakeCore) -> None:
    core.live.state = LxdState(True, "simulated", "5.0.2", "", NOW)


def _away(core: FakeCore) -> None:
    a_busy_day(core)
    core.live.state = LxdState(False, "lxd", "5.0.2", "Connection refused", NOW)


def _keys(core: FakeCore) -> None:
    a_busy_day(core)
    core.ssh_keys = [
        SshKey(1, 2, "laptop", "SHA256:" + "n7Vq" * 10 + "abc", "ssh-ed25519 AAAA", NOW, NOW),
        SshKey(2, 2, "办公室的电脑", "SHA256:" + "Kp2x" * 10 + "xyz", "ssh-rsa AAAA", NOW, None),
    ]


def _hosting(core: FakeCore) -> None:
    a_busy_day(core)
    core.users[3] = user(3, "bob", status=AccountStatus.SUSPENDED, suspended_reason="Unpaid since October")
    core.users[4] = user(4, "carol", has_api_key=True)
    core.add(container("shop", user_id=4, owner="carol", image="ubuntu/24.04", memory_mib=2048))


def _hostile(core: FakeCore) -> None:
    core.add(
        container("[/]", image="\x1b]0;owned\x07debian"),
        container("[@click=app.leave]click", image="\x1b[2J\x9b31mred"),
        container("\u202eevil\u2066", image="数据库镜像"),
        container("[bold red]x", owner="[/"),
    )


WRONG = ("n", *"Web_1", "tab", "tab", "backspace", "9", "9", "tab", *"x")

SCENES: dict[str, Scene] = {
    "containers": Scene(),
    "containers-80x24": Scene(size=(80, 24)),
    "containers-wide": Scene(size=(140, 32), keys=("down",)),
    "containers-huge": Scene(size=(400, 120)),
    "containers-20x5": Scene(size=(20, 5)),
    "containers-empty": Scene(prepare=_nothing, size=(80, 24)),
    "containers-admin": Scene(prepare=_hosting, actor=ROOT, size=(120, 24)),
    "lxd-away": Scene(prepare=_away, size=(80, 24)),
    "details-below": Scene(keys=("i", "end", "up"), size=(80, 24)),
    "filter": Scene(keys=("slash", *"deb"), size=(80, 24)),
    "create": Scene(keys=("n",), size=(100, 28)),
    "create-80x24": Scene(keys=("n",), size=(80, 24)),
    "create-wrong": Scene(keys=WRONG, size=(100, 28)),
    "create-20x5": Scene(keys=("n",), size=(20, 5)),
    "stop": Scene(keys=("s",), size=(80, 24)),
    "delete": Scene(keys=("d", *"blog"), size=(80, 24)),
    "resize": Scene(keys=("z",), size=(80, 24)),
    "palette": Scene(keys=("colon",), size=(80, 24)),
    "account": Scene(prepare=_keys, keys=("2",), size=(100, 28)),
    "api-key": Scene(prepare=_keys, keys=("2", "K", "y"), size=(100, 28)),
    "password": Scene(keys=("2", "p"), size=(80, 24)),
    "help": Scene(keys=("3",), size=(100, 48)),
    "users": Scene(prepare=_hosting, keys=("4", "down"), actor=ADMIN, size=(120, 24)),
    "users-quota": Scene(prepare=_hosting, keys=("4", "down", "u"), actor=ADMIN, size=(100, 28)),
    "hostile": Scene(prepare=_hostile, size=(100, 16)),
    "no-color": Scene(no_color="1", size=(80, 24)),
    "sixteen-colours": Scene(term="xterm", size=(80, 24)),
    "light": Scene(keys=("ctrl+t",), size=(100, 28)),
}
