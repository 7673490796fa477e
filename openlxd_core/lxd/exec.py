"""A command that runs inside a container, over LXD's websockets.

Without a terminal there are four: input, output, errors and control; with one, output and errors share the
input's. LXD keeps the exit status in the operation for a few seconds only, so the wait for it starts at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

from openlxd_core.domain.console import ExecSession
from openlxd_core.domain.errors import LxdUnavailable, OpenLXDError
from openlxd_core.lxd.calls import Calls, in_project, instance_path
from openlxd_core.lxd.client import LxdClient, OperationFailed, close_websocket, receive
from openlxd_core.lxd.errors import ApiError, translate, unknown

CHUNK = 32 * 1024
"""Bytes of one message to LXD: small enough that a full pipe stops the writer soon."""
QUEUE = 8
"""Messages of output held while nobody reads; LXD is told to wait past that."""
FOREVER = 10 * 365 * 86400.0
EXEC_WAIT_SLICE = 60
SETTLE = ("sh", "-c", 'sleep 0.05; exec "$@"', "sh")
"""Goes before a command where LXD loses the whole output of one that ends within milliseconds (before 5.14; its own
client shows it too). Measured on 5.0.2, 20 at once on two busy cores: 30 of 100 outputs lost, and 0 of 800 with this.
The command keeps its process, signals and status."""
SIGKILL = 9


class LxdExec:
    """An :class:`ExecSession` on a real LXD."""

    def __init__(self, lxd: LxdClient, operation: str, sockets: Mapping[str, aiohttp.ClientWebSocketResponse]) -> None:
        self._sockets = sockets
        self._terminal = "1" not in sockets
        self._input_ended = False
        self._writing = asyncio.Lock()  # an input is cut into messages: two writers must not mix theirs
        self._output: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(QUEUE)
        self._closed = False
        outputs = {1: sockets["0"]} if self._terminal else {1: sockets["1"], 2: sockets["2"]}
        self._open_outputs = len(outputs)
        self._pumps = [asyncio.create_task(self._pump(number, socket)) for number, socket in outputs.items()]
        self._pumps.append(asyncio.create_task(self._drain_control(sockets["control"])))
        self._status = asyncio.create_task(_exit_status(lxd, operation))
        self._status.add_done_callback(lambda task: task.cancelled() or task.exception())  # seen, even if unasked

    @classmethod
    async def start(
        cls,
        lxd: LxdClient,
        project: str,
        path: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        terminal: tuple[int, int] | None,
    ) -> LxdExec:
        """Start ``command`` in the instance at ``path``. Raises ApiError, LxdUnavailable, OutcomeUnknown."""
        body: dict[str, Any] = {
            "command": list(command),
            "environment": dict(environment),
            "wait-for-websocket": True,
            "interactive": terminal is not None,
        }
        if terminal is not None:
            body["width"], body["height"] = terminal
        answer = await lxd.change("POST", f"{path}/exec", in_project(project), body)
        try:
            operation = str(answer["metadata"]["id"])
            secrets = {str(fd): str(secret) for fd, secret in answer["metadata"]["metadata"]["fds"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise unknown() from error
        sockets: dict[str, aiohttp.ClientWebSocketResponse] = {}
        try:
            # the command starts with the last of its streams: control goes first, or a short one ends before it is up
            for fd, secret in sorted(secrets.items(), reverse=True):
                where = f"/1.0/operations/{operation}/websocket"
                sockets[fd] = await lxd.websocket(where, {"secret": secret})
        except BaseException:
            for socket in sockets.values():
                await close_websocket(socket)
            raise
        return cls(lxd, operation, sockets)

    # -- output ----------------------------------------------------------------------------------------------------

    async def read(self) -> tuple[int, bytes]:
        """The next output; (0, b"") at the end, and ever after."""
        while self._open_outputs:
            number, data = await self._output.get()
            if self._closed:
                break
            if data:
                return number, data
            self._open_outputs -= 1
        return 0, b""

    async def _pump(self, number: int, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            while isinstance(data := await receive(socket), bytes):  # LXD ends it with an empty text, or by closing
                if data:
                    await self._output.put((number, data))
        finally:
            if not self._closed:
                await self._output.put((number, b""))
        if self._terminal:
            await close_websocket(socket)  # LXD waits for the end of the input before it tells the status

    async def _drain_control(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while await receive(socket) is not None:
            pass

    # -- input -----------------------------------------------------------------------------------------------------

    async def write(self, data: bytes) -> None:
        """Send input. What comes after the command's end goes nowhere, as with a closed pipe."""
        socket = self._sockets["0"]
        async with self._writing:
            for start in range(0, len(data), CHUNK):
                if self._input_ended or self._closed or socket.closed:
                    return
                with contextlib.suppress(ConnectionError, aiohttp.ClientError):
                    await socket.send_bytes(data[start : start + CHUNK])

    async def write_eof(self) -> None:
        """End the input; on a terminal that is Ctrl-D."""
        if self._terminal:
            await self.write(b"\x04")
            return
        async with self._writing:
            if self._input_ended:
                return
            self._input_ended = True
            with contextlib.suppress(ConnectionError, aiohttp.ClientError):
                await self._sockets["0"].send_str("")

    async def resize(self, width: int, height: int) -> None:
        """Tell the terminal's new size."""
        if self._terminal:
            await self._control({"command": "window-resize", "args": {"width": str(width), "height": str(height)}})

    async def signal(self, number: int) -> None:
        """Send a signal to the command."""
        await self._control({"command": "signal", "signal": number})

    async def _control(self, message: Mapping[str, Any]) -> None:
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            await self._sockets["control"].send_json(message)

    # -- the end ---------------------------------------------------------------------------------------------------

    async def wait(self) -> int:
        """The exit status. Raises OutcomeUnknown."""
        return await asyncio.shield(self._status)

    async def close(self) -> None:
        """Kill the command if it still runs, and let go. LXD kills it by itself only where a connection breaks off."""
        if self._closed:
            return
        self._closed = True
        if not self._status.done():
            await self._control({"command": "signal", "signal": SIGKILL})
            with contextlib.suppress(TimeoutError, OpenLXDError):
                async with asyncio.timeout(2):
                    await asyncio.shield(self._status)
        for task in (*self._pumps, self._status):
            task.cancel()
        await asyncio.gather(*self._pumps, self._status, return_exceptions=True)
        for socket in self._sockets.values():
            await close_websocket(socket)
        while not self._output.empty():
            self._output.get_nowait()
        self._output.put_nowait((0, b""))  # whoever still reads is told


async def _exit_status(lxd: LxdClient, operation: str) -> int:
    try:
        metadata = await lxd.wait(operation, seconds=FOREVER, every=EXEC_WAIT_SLICE)
    except OperationFailed as failure:
        if "return" in failure.metadata:
            return int(failure.metadata["return"])
        if "not found" in failure.text.lower():
            return 127
        if "not executable" in failure.text.lower():
            return 126
        raise translate(failure) from failure
    except LxdUnavailable as error:
        raise unknown() from error
    except ApiError as error:
        raise translate(error) from error
    return int(metadata.get("return", 0))


class ExecCalls(Calls):
    """Starts commands."""

    _loses_output: bool | None = None

    async def exec(
        self,
        project: str,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        terminal: tuple[int, int] | None = None,
    ) -> ExecSession:
        """Run ``command`` in a running container."""
        if terminal is None and await self._output_may_be_lost():
            command = [*SETTLE, *command]
        try:
            return await LxdExec.start(self._client, project, instance_path(name), command, environment or {}, terminal)
        except ApiError as error:
            raise translate(error, name) from error

    async def _output_may_be_lost(self) -> bool:
        """Whether this LXD has the fault that :data:`SETTLE` is for; asked for once."""
        if self._loses_output is None:
            environment = (await self._read("/1.0")).get("environment") or {}
            version = tuple(int(n) for n in re.findall(r"\d+", str(environment.get("server_version")))[:2])
            self._loses_output = environment.get("server") != "incus" and version < (5, 14)
        return self._loses_output
