"""The SSH server: one listener, one event loop, every tenant's sessions in it."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import asyncssh
import structlog
from asyncssh.compression import Compressor, Decompressor, register_compression_alg
from asyncssh.mac import get_mac_algs

from openlxd_core.domain.account import AccountStatus
from openlxd_core.domain.actor import SYSTEM
from openlxd_core.domain.errors import ConfigurationError, Message, NotFound, StorageUnavailable, system_reason
from openlxd_core.domain.feed import Change
from openlxd_core.i18n import N_
from openlxd_core.key_files import ensure_ssh_host_key
from openlxd_tui.ssh.apps import make_console_app, share_process
from openlxd_tui.ssh.auth import SshServer
from openlxd_tui.ssh.channel import SERVER_VERSION
from openlxd_tui.ssh.limits import LoginLimits
from openlxd_tui.ssh.memory import Memory

if TYPE_CHECKING:
    from openlxd_core.bootstrap import Core
    from openlxd_tui.ssh.protocols import AppSession

log = structlog.get_logger(__name__)

_T = TypeVar("_T")

# What ssh-audit finds no fault with and OpenSSH 9.2, PuTTY and paramiko can all speak.
KEX = ["mlkem768x25519-sha256", "curve25519-sha256", "curve25519-sha256@libssh.org"]
ENCRYPTION = [
    "chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes128-gcm@openssh.com",
    "aes256-ctr", "aes192-ctr", "aes128-ctr",
]  # fmt: skip
MAC = ["hmac-sha2-512-etm@openssh.com", "hmac-sha2-256-etm@openssh.com", "umac-128-etm@openssh.com"]

COMPRESSION = ["zlib@openssh.com", "none"]  # the client's wish decides; it begins only after the login
COMPRESSED_MOST = 256 * 1024
"""Bytes that one compressed packet may unfold to: OpenSSH's largest packet. asyncssh itself sets no bound, and a packet
of 256 KiB can hold 256 MiB."""

KEEPALIVE_SECONDS = 30
KEEPALIVE_TIMES = 4
SLOW_CLIENT_SECONDS = 60.0
"""How long a client may leave what we sent unread before it is dropped."""
_WINDOW = 256 * 1024  # bytes that a client may send ahead of us
_BACKLOG = 512


class _Compressor(Compressor):
    """zlib with small tables: 64 KiB a connection instead of 256, for a little less compression."""

    def __init__(self) -> None:
        self._zlib = zlib.compressobj(wbits=13, memLevel=6)

    def compress(self, data: bytes) -> bytes | None:
        """One packet, complete."""
        return self._zlib.compress(data) + self._zlib.flush(zlib.Z_SYNC_FLUSH)


class _Decompressor(Decompressor):
    """zlib that refuses what unfolds too far; asyncssh then ends the connection."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj()

    def decompress(self, data: bytes) -> bytes | None:
        """One packet; None for a bad one."""
        try:
            found = self._zlib.decompress(data, COMPRESSED_MOST + 1)
        except zlib.error:
            return None
        return None if len(found) > COMPRESSED_MOST else found


register_compression_alg(b"zlib@openssh.com", _Compressor, _Decompressor, after_auth=True, default=True)


class SshConsole:
    """Listens, lets people in, and ends their sessions when their account says so."""

    def __init__(
        self,
        core: Core,
        *,
        limits: LoginLimits | None = None,
        make_app: Callable[[AppSession], Any] = make_console_app,
        slow_seconds: float = SLOW_CLIENT_SECONDS,
    ) -> None:
        self.core = core
        self.limits = limits or LoginLimits(core.settings)
        self.make_app = make_app
        self.slow_seconds = slow_seconds
        self._connections: set[SshServer] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._server: asyncssh.SSHAcceptor | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.memory = Memory()

    async def start(self) -> None:
        """Begin to listen. Raises ConfigurationError if the address or the host key cannot be used."""
        share_process()
        settings = self.core.settings
        host_key = await asyncio.to_thread(ensure_ssh_host_key, settings.keys_dir)
        self._watcher = asyncio.create_task(self._watch())
        try:
            self._server = await asyncssh.create_server(
                lambda: SshServer(self),
                settings.ssh_host,
                settings.ssh_port,
                server_host_keys=[str(host_key)],
                server_version=SERVER_VERSION,
                kex_algs=KEX,
                encryption_algs=ENCRYPTION,
                compression_algs=COMPRESSION,
                mac_algs=[name for name in MAC if name.encode() in get_mac_algs()],  # umac needs the system's libnettle
                login_timeout=settings.ssh_login_seconds,
                keepalive_interval=KEEPALIVE_SECONDS,
                keepalive_count_max=KEEPALIVE_TIMES,
                tcp_keepalive=True,
                rekey_bytes="1G",
                rekey_seconds=3600,
                agent_forwarding=False,
                x11_forwarding=False,
                gss_host=None,
                host_based_auth=False,
                sftp_factory=None,
                allow_scp=False,
                line_editor=False,
                encoding=None,
                window=_WINDOW,
                backlog=_BACKLOG,
            )
        except (OSError, UnicodeError) as error:  # a name that cannot be one is an error of its own
            await self.close()
            raise ConfigurationError(
                N_("The SSH console cannot listen on {host} port {port}: {reason}."),
                host=settings.ssh_host,
                port=settings.ssh_port,
                reason=system_reason(error) if isinstance(error, OSError) else "it is no host's name",
            ) from None

    def settle(self) -> None:
        """For a process that does nothing else: load what a session needs, so that the first tenant does not wait."""
        import openlxd_tui.app  # noqa: F401

        self.memory.settle()

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None
        return self._server.get_port()

    @property
    def address(self) -> str:
        """Where it listens, for people: ``0.0.0.0:2222``."""
        host = self.core.settings.ssh_host
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    async def close(self) -> None:
        """Stop listening, tell every session, and return when all have gone."""
        if self._server is not None:
            self._server.close()
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])
        self.memory.close()
        reason = Message(N_("The service is being restarted. Connect again in a moment."))
        await asyncio.gather(
            *(connection.end(reason) for connection in list(self._connections)), return_exceptions=True
        )
        if self._server is not None:
            await self._server.wait_closed()
        while self._tasks:
            waiting = list(self._tasks)
            _done, pending = await asyncio.wait(waiting, timeout=5)
            for task in pending:
                task.cancel()
            if pending:
                await asyncio.wait(pending, timeout=1)
                break

    def keep(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """A task that nobody else has to hold on to."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def remember(self, connection: SshServer) -> None:
        """Register a connection whose account has signed in, to end it when the account is suspended."""
        self._connections.add(connection)

    def forget(self, connection: SshServer) -> None:
        """Unregister a closed connection, whether or not its account had signed in."""
        self._connections.discard(connection)

    # accounts that change while their sessions are open: one listener for all of them

    async def _watch(self) -> None:
        while True:
            try:
                async with self.core.feed.subscribe(SYSTEM) as changes:
                    async for change in changes:
                        await self._on_change(change)
            except StorageUnavailable as error:
                log.warning("watch_waits", code=error.code)
                await asyncio.sleep(1)
                await self._check_everybody()
            except Exception:
                log.exception("watch_broken")
                await asyncio.sleep(1)
                await self._check_everybody()

    async def _on_change(self, change: Change) -> None:
        if change.topic == "resync":
            await self._check_everybody()
        elif change.topic == "user" and change.user_id is not None:
            reason = _reason(change)
            if reason is not None:
                changer = str(change.data.get("session") or "")  # whoever changes their password stays
                theirs = self._connections_of(change.user_id)
                self._end([one for one in theirs if not changer or one.session_id != changer], reason)
        elif change.topic == "key" and change.verb == "deleted":
            fingerprint = str(change.data.get("fingerprint", ""))
            theirs = self._connections_of(change.user_id)
            by_key = [one for one in theirs if fingerprint and one.fingerprint == fingerprint]
            self._end(by_key, Message(N_("The key that you signed in with was removed from the account.")))

    def _connections_of(self, user_id: int | None) -> list[SshServer]:
        return [connection for connection in self._connections if connection.user_id == user_id]

    async def _check_everybody(self) -> None:
        """Changes were lost: ask for every account that is signed in."""
        by_user: dict[int, list[SshServer]] = {}
        for connection in self._connections:
            if connection.user_id is not None:
                by_user.setdefault(connection.user_id, []).append(connection)
        for user_id, connections in by_user.items():
            try:
                status = (await self.core.accounts.get(SYSTEM, user_id)).status
            except NotFound:
                status = AccountStatus.DELETED
            except StorageUnavailable as error:
                log.warning("watch_waits", code=error.code)
                continue
            except Exception:
                log.exception("watch_broken")
                continue
            if status is not AccountStatus.ACTIVE:
                self._end(connections, Message(N_("This account is not active any more.")))

    def _end(self, connections: list[SshServer], reason: Message) -> None:
        for connection in connections:
            self.keep(connection.end(reason))


def _reason(change: Change) -> Message | None:
    match change.verb:
        case "suspended":
            why = str(change.data.get("reason", ""))
            if why:
                return Message(N_("This account is suspended: {reason}"), {"reason": why})
            return Message(N_("This account is suspended."))
        case "deleted":
            return Message(N_("This account was deleted."))
        case "password":
            return Message(N_("The password of this account was changed. Sign in again."))
    return None
