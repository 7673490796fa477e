"""The HTTP client of LXD's and Incus' Unix socket: requests, uploads, operations and websockets, all by aiohttp.

A request that only reads raises LxdUnavailable when the connection fails; one that changes something raises
OutcomeUnknown once it may have arrived. An error that LXD itself answers with is an :class:`ApiError`, which the caller
translates (see :mod:`openlxd_core.lxd.errors`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from openlxd_core.domain.errors import LxdUnavailable
from openlxd_core.lxd.errors import ApiError, unknown, unreachable
from openlxd_core.lxd.gateway import Progress

READ_SECONDS = 15.0
"""How long an answer to a read may take; a hung LXD accepts connections and says nothing."""
WAIT_SLICE = 1
"""Seconds of one long poll of an operation: an ended one answers at once, a running one tells its progress."""
CHANGE_SECONDS = 30.0
"""How long LXD may take to accept a change; what it then does is an operation, waited for by :meth:`LxdClient.wait`."""
UPLOAD_CHUNK = 1024 * 1024
UPLOAD_IDLE_SECONDS = 600.0
"""LXD writes an upload to its disk, and takes it apart, before it says a word."""

_LOST = (aiohttp.ClientError, ConnectionError, TimeoutError, json.JSONDecodeError, UnicodeDecodeError)


class LxdClient:
    """A connection pool to one LXD or Incus behind a Unix socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stack = AsyncExitStack()
        self._calls: aiohttp.ClientSession | None = None
        self._streams: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the two sessions: short calls share a few connections, streams take one each."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        self._calls = await self._stack.enter_async_context(
            aiohttp.ClientSession(
                "http://lxd", connector=aiohttp.UnixConnector(str(self.path), limit=64), timeout=timeout
            )
        )
        self._streams = await self._stack.enter_async_context(
            aiohttp.ClientSession(
                "http://lxd", connector=aiohttp.UnixConnector(str(self.path), limit=0), timeout=timeout
            )
        )

    async def close(self) -> None:
        """Close both, and every stream with them."""
        await self._stack.aclose()
        self._calls = self._streams = None

    # -- calls -----------------------------------------------------------------------------------------------------

    async def get(self, path: str, params: Mapping[str, str] | None = None, *, seconds: float | None = None) -> Any:
        """The metadata of a GET. Raises ApiError, LxdUnavailable."""
        return (await self._json("GET", path, params, None, seconds or READ_SECONDS)).get("metadata")

    async def get_text(self, path: str, *, seconds: float | None = None) -> str:
        """The plain text of a GET."""
        session = self._session(self._calls)
        try:
            async with asyncio.timeout(seconds or READ_SECONDS), session.get(path) as answer:
                text = await answer.text(errors="replace")
        except _LOST as error:
            raise unreachable() from error
        if answer.status >= 400:
            raise ApiError(text, answer.status)
        return text

    async def change(
        self, method: str, path: str, params: Mapping[str, str] | None = None, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The whole answer to a POST, PUT, PATCH or DELETE. Raises ApiError, LxdUnavailable, OutcomeUnknown."""
        return await self._json(method, path, params, body, CHANGE_SECONDS)

    async def upload(
        self, path: str, parts: Sequence[tuple[str, Path]], headers: Mapping[str, str], *, progress: Progress | None
    ) -> dict[str, Any]:
        """POST files as a form from the disk; the whole answer. Raises ApiError, LxdUnavailable, OutcomeUnknown.

        Takes as long as it takes while bytes flow, and UPLOAD_IDLE_SECONDS while none do.
        """
        session = self._session(self._streams)
        boundary = secrets.token_hex(16)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=UPLOAD_IDLE_SECONDS)
        headers = {**headers, "Content-Type": f"multipart/form-data; boundary={boundary}"}
        body = _form(boundary, parts, progress)
        try:
            async with session.post(path, data=body, headers=headers, timeout=timeout) as response:
                answer = json.loads(await response.read())
        except aiohttp.ClientConnectorError as error:
            raise unreachable() from error
        except _LOST as error:
            raise unknown() from error
        if not isinstance(answer, dict):
            raise unknown()
        if answer.get("type") == "error":
            raise ApiError(str(answer.get("error", "")), int(answer.get("error_code") or response.status))
        return answer

    async def _json(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        seconds: float,
        through: aiohttp.ClientSession | None = None,
    ) -> dict[str, Any]:
        session = self._session(through or self._calls)
        try:
            async with asyncio.timeout(seconds), session.request(method, path, params=params, json=body) as response:
                answer = json.loads(await response.read())
        except aiohttp.ClientConnectorError as error:
            raise unreachable() from error
        except _LOST as error:
            raise (unreachable() if method == "GET" else unknown()) from error
        if not isinstance(answer, dict):
            raise unreachable() if method == "GET" else unknown()
        if answer.get("type") == "error":
            raise ApiError(str(answer.get("error", "")), int(answer.get("error_code") or response.status))
        return answer

    def _session(self, session: aiohttp.ClientSession | None) -> aiohttp.ClientSession:
        if session is None or session.closed:
            raise unreachable()
        return session

    # -- operations ------------------------------------------------------------------------------------------------

    async def wait(
        self, operation: str, *, seconds: float, progress: Progress | None = None, every: int = WAIT_SLICE
    ) -> dict[str, Any]:
        """Wait until an operation (its path or id) has ended well, asking ``every`` so many seconds; its metadata.

        Raises ApiError with the operation's own reason, and OutcomeUnknown where LXD was lost or took too long.
        """
        path = f"/1.0/operations/{urlsplit(operation).path.rsplit('/', 1)[-1]}"
        end = time.monotonic() + seconds
        shown = -1
        while True:
            try:
                found = await self._waiting(f"{path}/wait", every)
            except (ApiError, LxdUnavailable) as error:
                raise unknown() from error  # a restarted LXD has forgotten it; an ended one is forgotten after seconds
            percent = _percent(found.get("metadata"))
            if progress is not None and percent > shown:
                progress(percent)
                shown = percent
            code = int(found.get("status_code") or 0)
            if code == 200:
                return dict(found.get("metadata") or {})
            if code >= 400:
                raise OperationFailed(str(found.get("err") or found.get("status")), found.get("metadata"))
            if time.monotonic() > end:
                raise unknown()

    async def _waiting(self, path: str, every: int) -> dict[str, Any]:
        params = {"timeout": str(every)}
        found = await self._json("GET", path, params, None, every + READ_SECONDS, self._streams)
        metadata = found.get("metadata")
        if not isinstance(metadata, dict):
            raise unknown()
        return metadata

    # -- streams ---------------------------------------------------------------------------------------------------

    async def websocket(
        self, path: str, params: Mapping[str, str], *, heartbeat: float | None = None
    ) -> aiohttp.ClientWebSocketResponse:
        """Upgrade to a websocket. Raises ApiError, LxdUnavailable."""
        session = self._session(self._streams)
        try:
            async with asyncio.timeout(READ_SECONDS):
                return await session.ws_connect(
                    path, params=params, heartbeat=heartbeat, max_msg_size=0, autoping=True, compress=0
                )
        except aiohttp.WSServerHandshakeError as error:
            raise ApiError(error.message, error.status) from error
        except _LOST as error:
            raise unreachable() from error


async def receive(socket: aiohttp.ClientWebSocketResponse) -> bytes | str | None:
    """The next message: bytes, or text; None at the end, however it came."""
    try:
        message = await socket.receive()
    except (aiohttp.ClientError, ConnectionError):
        return None  # the other side went away in the middle of a close
    return message.data if message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT) else None


async def _form(boundary: str, parts: Sequence[tuple[str, Path]], progress: Progress | None) -> AsyncIterator[bytes]:
    total, sent = max(1, sum(file.stat().st_size for _, file in parts)), 0
    for field, file in parts:
        yield (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{field}"\r\n'
            f"Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        with file.open("rb") as stream:
            while chunk := await asyncio.to_thread(stream.read, UPLOAD_CHUNK):
                yield chunk
                sent += len(chunk)
                if progress is not None:
                    progress(sent * 100 // total)
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


async def close_websocket(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Close it; one whose other side has gone is closed already."""
    with contextlib.suppress(ConnectionError, aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout(2):
            await socket.close()


class OperationFailed(ApiError):
    """An operation that ended badly; what it left in its metadata may say more (an exec's status)."""

    def __init__(self, text: str, metadata: Any) -> None:
        super().__init__(text)
        self.metadata: dict[str, Any] = metadata if isinstance(metadata, dict) else {}


def _percent(metadata: Any) -> int:
    try:
        return max(0, min(100, int(metadata["progress"]["percent"])))
    except (TypeError, KeyError, ValueError):
        return -1
