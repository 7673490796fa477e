"""A command that runs inside a container, over LXD's websockets.

Without a terminal there are four: input, output, errors and control; with one, output and errors share the
input's. LXD keeps the exit status in the operation for a few seconds only, so the wait for it starts at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
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
LEADER = """
read -r _openlxd _openlxd _openlxd _openlxd _openlxd_group _openlxd 2>/dev/null </proc/$$/stat
echo $$ >&2
[ -z "$1" ] || sleep "$1"
shift
case $1 in -*) ;; *)
    if [ "$_openlxd_group" != $$ ] && command -v "$1" >/dev/null 2>&1 && command -v setsid >/dev/null 2>&1; then
        exec setsid "$@"
    fi ;;
esac
exec "$@"
"""
"""Goes before a command without a terminal, and becomes it: process, signals and status are the command's own. The
command leads a process group of its own, whose number is the first line on stderr (LXD tells it nowhere, and sends
signals to the one process that it started): so all that the command starts can be ended with it."""
SETTLE_SECONDS = "0.05"
"""What LEADER waits on an LXD before 5.14, which loses the whole output of a command that ends within milliseconds (as
its own client shows). Measured on 5.0.2, 20 at once on two busy cores: 30 of 100 outputs lost, 0 of 800 with this."""
END_GROUP = """
kill -HUP "-$1" 2>/dev/null || exit 0
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    sleep 0.1
    kill -0 "-$1" 2>/dev/null || exit 0
done
kill -KILL "-$1"
"""
"""Ends a process group inside the container: a hang-up, two seconds to tidy up, and no more after that. (busybox's
``kill`` takes no ``--`` there.)"""
HANG_UP_SECONDS = 2.0
END_GROUP_SECONDS = 5.0
_GROUP_LINE_BYTES = 20


class LxdExec:
    """An :class:`ExecSession` on a real LXD."""

    def __init__(
        self,
        lxd: LxdClient,
        operation: str,
        sockets: Mapping[str, aiohttp.ClientWebSocketResponse],
        end_group: Callable[[int], Awaitable[None]],
    ) -> None:
        self._sockets = sockets
        self._end_group = end_group
        self._group: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._terminal = "1" not in sockets
        self._input_ended = False
        self._writing = asyncio.Lock()  # an input is cut into messages: two writers must not mix theirs
        self._output: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(QUEUE)
        self._closed = False
        outputs = {1: sockets["0"]} if self._terminal else {1: sockets["1"], 2: sockets["2"]}
        self._open_outputs = len(outputs)
        self._pumps = [asyncio.create_task(self._pump(number, socket)) for number, socket in outputs.items()]
        self._outputs = self._pumps[:]
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
        """Start ``command`` (behind LEADER, without a terminal) in the instance at ``path``.

        Raises ApiError, LxdUnavailable, OutcomeUnknown.
        """
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
        return cls(lxd, operation, sockets, lambda group: _end_group(lxd, project, path, group))

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
                if number == 2 and not self._group.done():
                    data = self._without_group(data)
                if data:
                    await self._output.put((number, data))
        finally:
            if number == 2 and not self._group.done():
                self._group.set_result(None)
            if not self._closed:
                await self._output.put((number, b""))
        if self._terminal:
            await close_websocket(socket)  # LXD waits for the end of the input before it tells the status

    def _without_group(self, data: bytes) -> bytes:
        """What stands on stderr behind LEADER's line; nothing while that is not complete."""
        self._head += data
        line, newline, rest = self._head.partition(b"\n")
        if not newline and len(line) < _GROUP_LINE_BYTES:
            return b""
        known = newline and line.isdigit() and int(line) > 1
        self._group.set_result(int(line) if known else None)
        return rest if known else self._head

    _head = b""

    async def close_output(self) -> None:
        """Nobody reads the output any more: LXD closes its end of the pipe once the socket is closed."""
        if self._terminal:
            await self.signal(signal.SIGHUP)
            return
        self._outputs[0].cancel()
        await close_websocket(self._sockets["1"])

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
        """End the command, and what it started, if it still runs or its output is still open; and let go.

        LXD ends it by itself only where a connection breaks off, and then only the one process that it started.
        """
        if self._closed:
            return
        self._closed = True
        if not self._status.done() or not all(task.done() for task in self._outputs):
            await self._hang_up()
        if not self._status.done():
            await self.signal(signal.SIGKILL)
            await self._ends_within(HANG_UP_SECONDS)
        for task in (*self._pumps, self._status):
            task.cancel()
        await asyncio.gather(*self._pumps, self._status, return_exceptions=True)
        for socket in self._sockets.values():
            await close_websocket(socket)
        while not self._output.empty():
            self._output.get_nowait()
        self._output.put_nowait((0, b""))  # whoever still reads is told

    async def _hang_up(self) -> None:
        if self._terminal:
            await self.signal(signal.SIGHUP)  # the kernel passes it on when the session's leader ends
            await self._ends_within(HANG_UP_SECONDS)
            return
        with contextlib.suppress(TimeoutError, OpenLXDError, ApiError):  # a frozen or stopped container, LXD away
            async with asyncio.timeout(END_GROUP_SECONDS):
                group = await asyncio.shield(self._group)
                if group is not None:
                    await self._end_group(group)

    async def _ends_within(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError, OpenLXDError):
            async with asyncio.timeout(seconds):
                await asyncio.shield(self._status)


async def _end_group(lxd: LxdClient, project: str, path: str, group: int) -> None:
    """Run END_GROUP in the instance."""
    body = {"command": ["sh", "-c", END_GROUP, "sh", str(group)], "wait-for-websocket": False, "interactive": False}
    answer = await lxd.change("POST", f"{path}/exec", in_project(project), body)
    await lxd.wait(str(answer["operation"]), seconds=END_GROUP_SECONDS)


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
        if terminal is None:
            settle = SETTLE_SECONDS if await self._output_may_be_lost() else ""
            command = ["sh", "-c", LEADER, "sh", settle, *command]
        try:
            return await LxdExec.start(self._client, project, instance_path(name), command, environment or {}, terminal)
        except ApiError as error:
            raise translate(error, name) from error

    async def _output_may_be_lost(self) -> bool:
        """Whether this LXD has the fault that :data:`SETTLE_SECONDS` is for; asked for once."""
        if self._loses_output is None:
            environment = (await self._read("/1.0")).get("environment") or {}
            version = tuple(int(n) for n in re.findall(r"\d+", str(environment.get("server_version")))[:2])
            self._loses_output = environment.get("server") != "incus" and version < (5, 14)
        return self._loses_output
