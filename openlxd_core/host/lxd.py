"""Finding LXD on this machine, and the few blocking calls that setting up and checking need.

No client program and no library is asked for: it works with LXD and Incus alike, right after their packages came.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openlxd_core.domain.errors import ConfigurationError, LxdRefused, LxdUnavailable
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_
from openlxd_core.settings import Settings

SOCKETS = (
    Path("/var/lib/lxd/unix.socket"),
    Path("/var/snap/lxd/common/lxd/unix.socket"),
    Path("/var/lib/incus/unix.socket"),
)
"""Where a running LXD or Incus listens, in the order in which we look."""


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("lxd", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket in place of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass(frozen=True)
class Server:
    """What answered at a socket."""

    socket: Path
    kind: str
    """``lxd`` or ``incus``."""
    version: str
    trusted: bool
    """Whether it takes orders from us."""
    extensions: frozenset[str]
    storage_drivers: frozenset[str]


class LxdHost:
    """One LXD or Incus, asked over its socket. Raises LxdUnavailable and LxdRefused."""

    def __init__(self, path: Path) -> None:
        self.socket = path

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 120,
    ) -> Any:
        """One call, waited for to its end; the ``metadata`` of the answer."""
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        answer = self._request(method, path, data, headers or {}, timeout)
        if answer.get("type") != "async":
            return answer.get("metadata")
        where = f"{answer['operation']}/wait?timeout={int(timeout)}"
        ended = self._request("GET", where, None, {}, timeout + 5)["metadata"]
        if ended.get("status_code") != 200:
            raise _refused(str(ended.get("err") or ended.get("status")))
        return ended.get("metadata")

    def _request(
        self, method: str, path: str, data: bytes | None, headers: Mapping[str, str], timeout: float
    ) -> dict[str, Any]:
        connection = UnixConnection(self.socket, timeout)
        try:
            connection.request(method, path, body=data, headers=dict(headers))
            answer = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise LxdUnavailable(
                N_("LXD cannot be reached at {path}: {reason}."),
                path=str(self.socket),
                reason=clean(getattr(error, "strerror", None) or str(error) or type(error).__name__, 200),
            ) from None
        finally:
            connection.close()
        if not isinstance(answer, dict) or answer.get("type") == "error":
            raise _refused(str(answer.get("error", answer)) if isinstance(answer, dict) else "nonsense")
        return answer

    def server(self, timeout: float = 5) -> Server:
        """What answers."""
        found = self.call("GET", "/1.0", timeout=timeout)
        environment = found.get("environment") or {}
        kind = "incus" if str(environment.get("server", "lxd")).lower() == "incus" else "lxd"
        return Server(
            socket=self.socket,
            kind=kind,
            version=clean(str(environment.get("server_version", "")), 40),
            trusted=found.get("auth") == "trusted",
            extensions=frozenset(found.get("api_extensions") or ()),
            storage_drivers=frozenset(
                str(driver.get("Name", "")) for driver in environment.get("storage_supported_drivers") or ()
            ),
        )

    def names(self, path: str) -> list[str]:
        """The last part of each address in a list, as ``/1.0/networks`` gives it."""
        return [str(address).rsplit("/", 1)[-1] for address in self.call("GET", path) or ()]

    def managed_bridges(self) -> list[str]:
        """The bridges that LXD itself looks after."""
        return [
            str(network["name"])
            for network in self.call("GET", "/1.0/networks?recursion=1") or ()
            if network.get("managed") and network.get("type") == "bridge"
        ]


def _refused(reason: str) -> LxdRefused:
    return LxdRefused(N_("LXD refused: {reason}"), reason=clean(reason, 300))


def candidates(settings: Settings) -> Iterable[Path]:
    """The sockets to try, in order; the operator's alone where they named one."""
    if settings.lxd_socket:
        return (settings.lxd_socket,)
    own = os.environ.get("LXD_DIR")  # where its own tools look, too
    return (Path(own) / "unix.socket",) if own else SOCKETS


def find_lxd(settings: Settings) -> Server | None:
    """The LXD that is running here, or None. A named socket that does not answer raises LxdUnavailable."""
    if settings.simulated or settings.lxd.startswith("https://"):
        return None
    for path in candidates(settings):
        if not path.exists() and not settings.lxd_socket:
            continue
        try:
            return LxdHost(path).server()
        except (LxdUnavailable, LxdRefused):
            if settings.lxd_socket:
                raise
    if settings.lxd == "socket":
        raise LxdUnavailable(N_("No LXD and no Incus is running on this machine. Run: openlxd setup"))
    return None


def settled(settings: Settings) -> Settings:
    """The settings with ``auto`` decided as :func:`candidates` has it: the first socket that is there.

    One that is there and does not answer is taken all the same: a host whose LXD is down for a moment must not
    show its tenants simulated containers.
    """
    if settings.lxd != "auto" or settings.lxd_socket:
        return settings
    found = next((path for path in candidates(settings) if path.exists()), None)
    return settings.model_copy(update={"lxd": "socket", "lxd_socket": found}) if found else settings


def may_use(path: Path) -> bool:
    """Whether this process may read and write the socket."""
    return os.access(path, os.R_OK | os.W_OK)


def require_root() -> None:
    """Raise ConfigurationError unless this process is root."""
    if os.geteuid() != 0:
        raise ConfigurationError(N_("This changes the system; run it as root."))
