"""Moments worth a picture: who looks, at what size, and which keys lead there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from openlxd_core.domain.account import AccountStatus, SshKey
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.container import State
from openlxd_core.domain.feed import LxdState
from openlxd_core.domain.forward import ForwardState, Protocol
from openlxd_core.domain.image import CatalogueState
from openlxd_core.domain.operation import Kind
from openlxd_core.services.containers import UnmanagedInstance
from tests.tui.fake_images import NOW
from tests.tui.fakes import ADMIN, ALICE, ROOT, FakeCore, a_busy_day, container, operation, user


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
    core.lxd_status.state = LxdState(True, "simulated", "5.0.2", "", NOW)


def _away(core: FakeCore) -> None:
    a_busy_day(core)
    core.lxd_status.state = LxdState(False, "lxd", "5.0.2", "Connection refused", NOW)


def _keys(core: FakeCore) -> None:
    a_busy_day(core)
    core.ssh_keys = [
        SshKey(1, 2, "laptop", "SHA256:" + "n7Vq" * 10 + "abc", "ssh-ed25519 AAAA", NOW, NOW),
        SshKey(2, 2, "办公室的电脑", "SHA256:" + "Kp2x" * 10 + "xyz", "ssh-rsa AAAA", NOW, None),
    ]


def _hosting(core: FakeCore) -> None:
    a_busy_day(core)
    core.users[3] = user(3, "bob", status=AccountStatus.SUSPENDED, suspended_reason="Unpaid since October")
    core.users[4] = user(4, "carol")
    core.add(container("shop", user_id=4, owner="carol", image="ubuntu/24.04", memory_mib=2048))


def _images(core: FakeCore) -> None:
    a_busy_day(core)
    core.images.open()
    core.images.newer = {"alpine/3.21"}
    core.images.pinned = {"debian/12"}
    core.under_way["op-ubuntu/22.04"] = operation(
        "ubuntu/22.04", Kind.IMPORT, id="op-ubuntu/22.04", stage="download", progress=42,
        detail={"rate": 3_250_000, "seconds_left": 37},
    )  # fmt: skip


def _images_of_an_admin(core: FakeCore) -> None:
    _images(core)
    core.images.hidden = {"archlinux/current"}


def _images_stale(core: FakeCore) -> None:
    _images(core)
    reason = "The image server images.example.org does not answer."
    core.images.state = replace(core.images.state, fetched_at=NOW - timedelta(hours=7), stale=True, reason=reason)


def _images_away(core: FakeCore) -> None:
    core.images.open([])
    core.aliases = []
    reason = "The image server images.example.org does not answer."
    core.images.state = CatalogueState(None, True, reason, 0)


def _images_none(core: FakeCore) -> None:
    core.settings.images_servers = []
    core.aliases = []


def _snapshots(core: FakeCore) -> None:
    a_busy_day(core)
    core.snapshots.add("blog", "before-upgrade", days=3)
    core.snapshots.add("blog", "20261120-031500", days=2.3)
    core.snapshots.add("blog", "tonight", ready=False, days=0)


def _forwards(core: FakeCore) -> None:
    a_busy_day(core)
    core.forwards.add("blog", "20080", "80", description="shop")
    core.forwards.add("blog", "20443", "443")
    core.forwards.add("blog", "21000-21009", "3000-3009", protocol=Protocol.BOTH, description="games")
    core.forwards.add("blog", "22022", "22", ForwardState.MISSING, description="ssh")
    core.forwards.add("blog", "25565", "25565", ForwardState.PENDING)


def _strays(core: FakeCore) -> None:
    _hosting(core)
    core.strays = [
        UnmanagedInstance("default", "jenkins", State.RUNNING, "Ubuntu 22.04 LTS", ""),
        UnmanagedInstance("openlxd-4", "wiki", State.STOPPED, "Debian 12", "4"),
    ]


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
    "help": Scene(keys=("4",), size=(100, 60)),
    "users": Scene(prepare=_hosting, keys=("5", "down"), actor=ADMIN, size=(120, 24)),
    "users-quota": Scene(prepare=_hosting, keys=("5", "down", "u"), actor=ADMIN, size=(100, 28)),
    "images": Scene(prepare=_images, keys=("3",), size=(120, 40)),
    "images-80x24": Scene(prepare=_images, keys=("3", "down"), size=(80, 24)),
    "images-search": Scene(prepare=_images, keys=("3", "slash", *"deb"), size=(80, 24)),
    "images-chip": Scene(prepare=_images, keys=("3", "f"), size=(80, 24)),
    "images-gone": Scene(prepare=_images, keys=("3", "u", "end", "space"), size=(80, 24)),
    "images-local": Scene(prepare=_images, keys=("3", "tab"), size=(120, 40)),
    "images-local-80x24": Scene(prepare=_images, keys=("3", "tab"), size=(80, 24)),
    "images-admin": Scene(prepare=_images_of_an_admin, keys=("3",), actor=ADMIN, size=(120, 40)),
    "images-stale": Scene(prepare=_images_stale, keys=("3",), size=(80, 24)),
    "images-away": Scene(prepare=_images_away, keys=("3",), size=(80, 24)),
    "images-none": Scene(prepare=_images_none, keys=("3", "tab"), size=(80, 24)),
    "images-create": Scene(prepare=_images, keys=("3", "down", "down", "down", "enter"), size=(80, 24)),
    "images-delete": Scene(prepare=_images_of_an_admin, keys=("3", "d"), actor=ADMIN, size=(80, 24)),
    "images-no-color": Scene(prepare=_images, keys=("3",), no_color="1", size=(80, 24)),
    "images-20x5": Scene(prepare=_images, keys=("3",), size=(20, 5)),
    "snapshots": Scene(prepare=_snapshots, keys=("v",), size=(80, 24)),
    "snapshots-120x40": Scene(prepare=_snapshots, keys=("v",), size=(120, 40)),
    "snapshots-empty": Scene(keys=("v",), size=(80, 24)),
    "forwards": Scene(prepare=_forwards, keys=("f",), size=(80, 24)),
    "forwards-120x40": Scene(prepare=_forwards, keys=("f",), size=(120, 40)),
    "forwards-empty": Scene(keys=("f",), size=(80, 24)),
    "forward-add": Scene(prepare=_forwards, keys=("f", "n", *"8080"), size=(80, 24)),
    "snapshot-restore": Scene(prepare=_snapshots, keys=("v", "down", "r"), size=(80, 24)),
    "reinstall": Scene(prepare=_images, keys=("R", "tab", *"blo"), size=(80, 24)),
    "publish": Scene(prepare=_images, keys=("end", "up", "up", "P"), size=(80, 24)),
    "unmanaged": Scene(prepare=_strays, keys=("u",), actor=ADMIN, size=(80, 24)),
    "unmanaged-adopt": Scene(prepare=_strays, keys=("u", "down", "a"), actor=ADMIN, size=(80, 24)),
    "hostile": Scene(prepare=_hostile, size=(100, 16)),
    "no-color": Scene(no_color="1", size=(80, 24)),
    "sixteen-colours": Scene(term="xterm", size=(80, 24)),
    "light": Scene(keys=("ctrl+t",), size=(100, 28)),
}
