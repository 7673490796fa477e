"""The listening side: TLS, the socket, graceful shutdown, and answers to malformed HTTP."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_server import Server

from openlxd_api.app import make_app
from openlxd_core import key_files, systemd
from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.errors import ConfigurationError, system_reason
from openlxd_core.i18n import N_
from openlxd_core.settings import Settings

SHUTDOWN_SECONDS = 10.0
"""Seconds that requests in progress may still take after SIGTERM."""
HEADER_SECONDS = 15.0
"""Seconds after which an idle connection, or one without a complete request head, is closed."""
HANDSHAKE_SECONDS = 10.0
"""Seconds that a TLS handshake may take."""
log = structlog.get_logger("openlxd.api")


class _Handler(RequestHandler):
    """One connection. Malformed requests are answered in our envelope; slow ones (Slowloris) are disconnected."""

    __slots__ = ("_requests_seen",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the timer that closes a slow connection."""
        super().connection_made(transport)
        self._requests_seen = 0
        self._loop.call_later(HEADER_SECONDS, self._let_go_of_slow)

    def _let_go_of_slow(self) -> None:
        """Close the connection if no complete request head arrived since the last check and no request runs."""
        if self.transport is None:
            return
        if self._current_request is None and self._request_count == self._requests_seen:
            self.transport.abort()
            return
        self._requests_seen = self._request_count
        self._loop.call_later(HEADER_SECONDS, self._let_go_of_slow)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        if status >= 500:
            log.error("a bug ended a connection", exc_info=exc)
        text = "This request cannot be read." if status < 500 else "Internal error."
        code = "bad_request" if status < 500 else "internal_error"
        response = web.Response(
            status=status,
            text=json.dumps({"success": False, "error": code, "message": text, "data": None}),
            content_type="application/json",
            headers={"X-Request-Id": secrets.token_hex(16), "Cache-Control": "no-store", "Server": "OpenLXD"},
        )
        response.force_close()
        return response


class _Server(Server):
    def __call__(self) -> RequestHandler:
        return _Handler(self, loop=self._loop, **self._kwargs)


class _Runner(web.AppRunner):
    """An AppRunner whose connections are handled by :class:`_Handler`."""

    async def _make_server(self) -> Server:
        server = await super()._make_server()
        server.__class__ = _Server  # aiohttp offers no other way to choose the connection's class
        return server


class _Site(web.TCPSite):
    """A TCPSite with a short TLS handshake timeout; asyncio's default is 60 s."""

    async def start(self) -> None:
        """Listen."""
        await web.BaseSite.start(self)
        server = self._runner.server
        assert server is not None
        self._server = await asyncio.get_running_loop().create_server(
            server,
            self._host,
            self._port,
            ssl=self._ssl_context,
            backlog=self._backlog,
            ssl_handshake_timeout=HANDSHAKE_SECONDS if self._ssl_context else None,
        )


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """A TLS context with the operator's certificate, or with the self-signed pair. Raises ConfigurationError."""
    if settings.api_tls == "off":
        return None
    if settings.tls_cert is not None and settings.tls_key is not None:
        cert, key = settings.tls_cert, settings.tls_key
    else:
        cert, key = key_files.ensure_tls_pair(settings.keys_dir, own_names(settings))
    key_files.check_tls_pair(cert, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            N_("The TLS certificate {path} cannot be used: {reason}."), path=str(cert), reason=str(error)
        ) from None
    return context


def own_names(settings: Settings) -> list[str]:
    """This machine's host names and addresses, for the self-signed certificate."""
    names = [socket.gethostname()]
    if settings.api_host not in ("0.0.0.0", "::", ""):  # noqa: S104 - not a bind, a comparison
        names.append(settings.api_host)
    return names + ([settings.public_address] if settings.public_address else [])


@asynccontextmanager
async def listening(core: Core, settings: Settings) -> AsyncIterator[str]:
    """Serve ``core`` while the block lasts; gives the address, ``https://0.0.0.0:8443``. Raises ConfigurationError."""
    runner = _Runner(
        make_app(core),
        access_log=None,
        handle_signals=False,
        shutdown_timeout=SHUTDOWN_SECONDS,
        keepalive_timeout=30,
        max_line_size=8190,
        max_field_size=8190,
    )
    context = tls_context(settings)
    await runner.setup()
    try:
        site = _Site(runner, settings.api_host, settings.api_port, ssl_context=context, backlog=128)
        try:
            await site.start()
        except (OSError, UnicodeError) as error:  # an invalid host name raises UnicodeError, not OSError
            raise ConfigurationError(
                N_("The API cannot listen on {address}: {reason}."),
                address=f"{settings.api_host}:{settings.api_port}",
                reason=system_reason(error) if isinstance(error, OSError) else "it is no host's name",
            ) from None
        host, port = runner.addresses[0][:2]
        yield f"{'https' if context else 'http'}://{'[' + host + ']' if ':' in host else host}:{port}"
    finally:
        await runner.cleanup()


async def serve(settings: Settings, opener: Callable[..., Any] = open_core) -> None:
    """Run the API until SIGTERM or SIGINT. Raises ConfigurationError."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with opener(settings) as core, listening(core, settings) as address:
        log.info("listening", url=address)
        if settings.registration_is_public:
            log.warning("registration_open", url=address, mend="to close it: openlxd setup --registration off")
        systemd.ready(address)
        await stop.wait()
        log.info("stopping")
        systemd.stopping()
