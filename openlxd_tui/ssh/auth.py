"""One connection: who it is, and what it may open.

Who somebody is comes from the argument of the validator that let them in, and is compared with what asyncssh
believes before anything is opened: asyncssh 2.24.0 could be raced into the wrong name.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any, Protocol

import asyncssh
import structlog

from openlxd_core.domain.account import AccountStatus, fold_username
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.errors import Message, OpenLXDError, RateLimited, StorageUnavailable, Suspended
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, Translator
from openlxd_tui.ssh import limits
from openlxd_tui.ssh.asyncssh_compat import without_ignore_packets
from openlxd_tui.ssh.channel import ConsoleChannel
from openlxd_tui.ssh.limits import LoginLimits
from openlxd_tui.ssh.protocols import SessionHost
from openlxd_tui.ssh.session import ConsoleSession

log = structlog.get_logger(__name__)

SHARED_NAME = "openlxd"
"""The one Unix name of all tenants: who somebody is comes from the key, or is asked."""


@dataclass(frozen=True)
class LoginName:
    """What stands before the ``@``: ``openlxd``, ``alice``, ``openlxd+web1``, ``alice+web1``."""

    account: str | None
    """None where the key says it or the question is asked."""
    container: str
    """The container that every session of this connection goes to, or an empty string."""


def read_login_name(username: str) -> LoginName:
    """Take a login name apart. No user name has a plus sign in it, and none is the shared name."""
    account, _, container = username.partition("+")
    account = fold_username(account)
    return LoginName(None if account == SHARED_NAME else account, container)


@dataclass(frozen=True)
class _Proof:
    """What a validator was shown, for the name it was asked about."""

    username: str
    actor: Actor | None = None
    public_key: str = ""
    fingerprint: str = ""


class ConnectionHost(SessionHost, Protocol):
    """The server as its connections know it."""

    @property
    def limits(self) -> LoginLimits:
        """The limits on unauthenticated connections and on each tenant's sessions, counted over all connections."""

    def remember(self, connection: SshServer) -> None:
        """Register a connection whose account has signed in, to end it when the account is suspended."""

    def forget(self, connection: SshServer) -> None:
        """Unregister a closed connection, whether or not its account had signed in."""


class SshServer(asyncssh.SSHServer):
    """One client's connection, from the first byte to the last."""

    def __init__(self, console: ConnectionHost) -> None:
        self._console = console
        self._core = console.core
        self._limits = console.limits
        self._conn: asyncssh.SSHServerConnection
        self._address = ""
        self._waiting = False
        self._named = False
        self._tries = self._offers = self._questions = 0
        self._proof: _Proof | None = None
        self._actor: asyncio.Future[Actor] = asyncio.get_running_loop().create_future()
        self._ending: Message | None = None
        self._counted = False
        self.fingerprint = ""
        """Of the key that signed in, or an empty string."""
        self.session_id = uuid.uuid4().hex
        """Tells this connection from the same person's others."""
        self.login = LoginName(None, "")
        self.sessions: set[ConsoleSession] = set()

    # the connection

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """A client has connected."""
        self._conn = conn
        without_ignore_packets(conn)
        self._address = str((conn.get_extra_info("peername") or ("",))[0])
        self._waiting = self._limits.enter(self._address)
        if not self._waiting:
            log.warning("connection_refused", address=self._address, reason="too many unauthenticated connections")
            transport = getattr(conn, "_transport", None)
            if transport is not None:  # a line before the version is allowed, and readable in any client's log
                transport.write(b"Too many connections wait to log in. Try again in a minute.\r\n")
            conn.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """They have gone, one way or another."""
        self._let_in_or_gone()
        if self._counted:
            self._counted = False
            self._limits.disconnected(self.tenant)
        self._console.forget(self)
        if not self._actor.done():
            self._actor.cancel()

    def _let_in_or_gone(self) -> None:
        if self._waiting:
            self._waiting = False
            self._limits.leave(self._address)

    @property
    def container(self) -> str:
        """The container that every session of this connection goes to, or an empty string."""
        return self.login.container

    @property
    def tenant(self) -> tuple[str, int | None]:
        """What the limits of a tenant are counted by."""
        actor = self._actor.result()
        return actor.role, actor.user_id

    @property
    def user_id(self) -> int | None:
        """Whose connection it is; None before that is known."""
        known = self._actor.done() and not self._actor.cancelled() and self._actor.exception() is None
        return self._actor.result().user_id if known else None

    def refuse(self, reason: Message) -> None:
        """Close the connection with one sentence."""
        code = asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE
        if self._ending is None:
            self._ending = reason
            self._conn.disconnect(code, clean(reason.text(self._translate)))

    async def end(self, reason: Message) -> None:
        """End every session with ``reason``, then the connection: the account may not go on."""
        if self._ending is not None:
            return
        self._ending = reason
        await asyncio.gather(*(session.end(reason) for session in list(self.sessions)), return_exceptions=True)
        self._conn.disconnect(asyncssh.DISC_BY_APPLICATION, clean(reason.text(self._translate)))

    _translate = Translator("en")

    # authentication

    def begin_auth(self, username: str) -> bool:
        """Everybody has to prove who they are. Nothing is remembered here but which questions make sense."""
        self._named = read_login_name(username).account is not None
        return True

    def public_key_auth_supported(self) -> bool:
        """Yes."""
        return True

    def kbdint_auth_supported(self) -> bool:
        """Yes."""
        return True

    def password_auth_supported(self) -> bool:
        """Where the account is named already: this method asks for nothing but a password."""
        return self._named

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Whether the key is somebody's; asyncssh checks the signature after this, where there is one.

        A key that nobody has registered is no failed try: people have many in their agent.
        """
        self._proof = None
        self._offers += 1
        if self._offers > limits.KEYS_PER_CONNECTION:
            self.refuse(Message(N_("Too many keys were offered. Choose one with -i and IdentitiesOnly.")))
            return False
        line = key.export_public_key().decode("ascii", "replace").strip()
        try:
            known = await self._core.auth.key_known(line, read_login_name(username).account)
        except StorageUnavailable as error:
            log.warning("login_refused", address=self._address, method="key", code=error.code)
            self.refuse(error.message)
            return False
        except Exception:
            log.exception("login_broken", address=self._address, method="key")
            self.refuse(_BROKEN)
            return False
        if known:
            self._proof = _Proof(username, public_key=line, fingerprint=key.get_fingerprint())
        return known

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        """Ask for what is missing."""
        self._questions += 1
        if self._questions > limits.QUESTIONS_PER_CONNECTION:
            self.refuse(_TOO_MANY_TRIES)
            return False
        translate = Translator(lang)
        prompts = [(translate(N_("Password: ")), False)]
        if read_login_name(username).account is None:
            prompts.insert(0, (translate(N_("Account: ")), True))
        again = translate(N_("The account or the password is wrong.")) if self._tries else ""
        return "", again, "en", prompts

    async def validate_kbdint_response(self, username: str, responses: Any) -> bool:
        """The answers."""
        account = read_login_name(username).account
        answers = list(responses)
        if account is None and len(answers) == 2:
            account = answers.pop(0)
        if account is None or len(answers) != 1:
            account, answers = "", [""]
        return await self._try_password(username, account, answers[0])

    async def validate_password(self, username: str, password: str) -> bool:
        """A password sent at once."""
        return await self._try_password(username, read_login_name(username).account or "", password)

    async def _try_password(self, username: str, account: str, password: str) -> bool:
        """One try. It is counted when it begins: a client may send the next without waiting for the answer."""
        self._proof = None
        self._tries += 1
        if self._tries > limits.TRIES_PER_CONNECTION or self._ending is not None:
            self.refuse(_TOO_MANY_TRIES)
            return False
        delay = self._limits.delay(self._address)
        if delay:
            await asyncio.sleep(delay)
        # Shielded: a client that sends its next try cancels this one, but cannot have it uncounted.
        trying = self._console.keep(self._check_password(account, password))
        answer = await asyncio.shield(trying)
        if isinstance(answer, Actor):
            self._proof = _Proof(username, actor=answer)
            return True
        if answer is not None:
            self.refuse(answer)
        elif self._tries >= limits.TRIES_PER_CONNECTION:
            self.refuse(_TOO_MANY_TRIES)
        return False

    async def _check_password(self, account: str, password: str) -> Actor | Message | None:
        """The actor; or why the login is refused, where that may be said; or None."""
        shown = clean(account, 64)
        try:
            actor = await self._core.auth.password_login(account, password, origin="ssh", address=self._address)
        except (Suspended, RateLimited, StorageUnavailable) as error:
            log.info("login_refused", account=shown, address=self._address, method="password", code=error.code)
            return error.message
        except OpenLXDError as error:
            self._limits.failed(self._address)
            log.info("login_failed", account=shown, address=self._address, method="password", code=error.code)
            return None
        except Exception:
            log.exception("login_broken", address=self._address, method="password")
            return _BROKEN
        return actor

    async def auth_completed(self) -> None:
        """The client has been told that it is in. Make sure of who it is before it gets anything."""
        proof, self._proof = self._proof, None
        believed = self._conn.get_extra_info("username")
        if proof is None or proof.username != believed or self._ending is not None:
            log.error("identity_mismatch", address=self._address, proved=proof and proof.username, believed=believed)
            self._conn.abort()
            return
        self.login = read_login_name(proof.username)
        try:
            actor = proof.actor or await self._core.auth.key_login(
                proof.public_key, self.login.account, origin="ssh", address=self._address
            )
            actor = replace(actor, session=self.session_id)
            # The account may have been suspended while the password was being hashed.
            user = await self._core.accounts.get(actor)
            if user.status is not AccountStatus.ACTIVE:
                raise Suspended(N_("This account is suspended."))
        except OpenLXDError as error:
            log.info("login_refused", user=believed, address=self._address, code=error.code)
            told = isinstance(error, Suspended | RateLimited | StorageUnavailable)
            self.refuse(error.message if told else _SIGN_IN_AGAIN)
            return
        except Exception:
            log.exception("login_broken", address=self._address)
            self.refuse(_BROKEN)
            return
        if self._actor.cancelled():
            return
        self._let_in_or_gone()
        self._actor.set_result(actor)
        self._counted = self._limits.connected(self.tenant)
        if not self._counted:
            self.refuse(Message(N_("You have too many connections open. Close one and try again.")))
            return
        self.fingerprint = proof.fingerprint
        self._limits.succeeded(self._address)
        self._console.remember(self)
        log.info(
            "login_ok",
            user=actor.username,
            address=self._address,
            method="key" if proof.public_key else "password",
            fingerprint=proof.fingerprint,
        )

    # what a connection may open

    def session_requested(self) -> tuple[ConsoleChannel, Coroutine[Any, Any, ConsoleSession]]:
        """A session, if there is room for one more."""
        return ConsoleChannel.of(self._conn), self._open_session()

    async def _open_session(self) -> ConsoleSession:
        try:
            actor = await asyncio.shield(self._actor)
        except asyncio.CancelledError:
            raise _not_allowed(N_("The connection is closing.")) from None
        if self._ending is not None:
            raise _not_allowed(N_("The connection is closing."))
        if len(self.sessions) >= limits.SESSIONS_PER_CONNECTION:
            raise _not_allowed(N_("This connection has reached its limit of sessions."))
        if not self._limits.open_session(self.tenant):
            log.info("session_refused", user=actor.username, address=self._address)
            raise _not_allowed(N_("You have reached your limit of open sessions. Close one and try again."))
        session = ConsoleSession(self._console, self, actor)
        self.sessions.add(session)
        return session

    def session_closed(self, session: ConsoleSession) -> None:
        """One session is over."""
        if session in self.sessions:
            self.sessions.discard(session)
            self._limits.close_session(self.tenant)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> Any:
        """No."""
        raise _not_allowed(N_("Port forwarding is not supported."))

    def unix_connection_requested(self, dest_path: str) -> Any:
        """No."""
        raise _not_allowed(N_("Port forwarding is not supported."))

    def tun_requested(self, unit: int | None) -> Any:
        """No."""
        raise _not_allowed(N_("Tunnels are not supported."))

    def tap_requested(self, unit: int | None) -> Any:
        """No."""
        raise _not_allowed(N_("Tunnels are not supported."))

    def server_requested(self, listen_host: str, listen_port: int) -> bool:
        """No."""
        return False

    def unix_server_requested(self, listen_path: str) -> bool:
        """No."""
        return False


_TOO_MANY_TRIES = Message(N_("Too many failed tries. Connect again to try once more."))
_BROKEN = Message(N_("Signing in does not work at the moment. Try again soon."))
_SIGN_IN_AGAIN = Message(N_("You have to sign in again."))


def _not_allowed(text: str) -> asyncssh.ChannelOpenError:
    return asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, text)
