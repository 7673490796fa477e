"""What asyncssh 2.24 leaves out of a session's channel: the client's word that it reads no more, and a prompt close.

Everything private of asyncssh's channel that we touch is here, and is looked for when the module is imported.
"""

from __future__ import annotations

from typing import Any

import asyncssh
from asyncssh.constants import MSG_CHANNEL_CLOSE

SERVER_VERSION = "OpenSSH_compatible_OpenLXD"
"""How we greet. OpenSSH's client tells a server that its output has nobody left to read it (``… exec web1 -- yes |
head -1``) by the request ``eow@openssh.com``, and sends that only where the name begins with ``OpenSSH`` (compat.c).
Otherwise it reads and discards without end, and the command in the container never ends."""

for _name in ("_process_close", "_discard_recv", "_packet_handlers", "_process_signal_request"):
    if not hasattr(asyncssh.SSHServerChannel, _name):
        raise RuntimeError(f"asyncssh.SSHServerChannel.{_name} has gone: look at what replaced it")


class ConsoleChannel(asyncssh.SSHServerChannel[bytes]):
    """The channel of one session."""

    @classmethod
    def of(cls, connection: asyncssh.SSHServerConnection) -> ConsoleChannel:
        """A channel with the options of ``connection``."""
        channel: Any = connection.create_server_channel(encoding=None)
        channel.__class__ = cls  # the constructor takes a dozen private options of the connection
        made: ConsoleChannel = channel
        return made

    def _process_eow_at_openssh_dot_com_request(self, packet: Any) -> bool:
        """The client's output is closed: whatever we send from now on, it throws away."""
        packet.check_end()
        session: Any = self._session
        session.reader_gone()
        return True

    def _process_close_now(self, pkttype: int, pktid: int, packet: Any) -> None:
        """The client closes the channel. Input that nobody has taken yet must not hold that up: asyncssh would not
        tell the session before it had read on, which a command that does not read never lets it do.
        """
        self._process_close(pkttype, pktid, packet)
        if self._recv_state == "close_pending":
            self._discard_recv()

    _packet_handlers = {  # noqa: RUF012 - asyncssh's own way to say it
        **asyncssh.SSHServerChannel._packet_handlers,
        MSG_CHANNEL_CLOSE: _process_close_now,
    }
