"""A pretend shell for the simulated LXD: enough of one to try consoles, pipes and scripts without a container.

It knows a few commands, ``sh -c`` with ``;``, ``&&``, ``||`` and ``>&2``, and on a terminal it prompts, echoes,
edits with backspace and obeys Ctrl-C and Ctrl-D. Nothing it does touches the host.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import shlex
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from openlxd_core.lxd.errors import unknown

CHUNK = 32 * 1024
QUEUE = 8
"""Chunks that may wait on either side: past that, whoever writes waits."""
TYPED_AHEAD = 1000
"""Lines a terminal keeps while a command runs; more is dropped, as a tty does."""
SHELLS = frozenset({"sh", "ash", "bash", "dash", "zsh", "su", "login"})

Out = Callable[[int, bytes], Awaitable[None]]


@dataclass(frozen=True)
class Machine:
    """What the shell knows of the container it pretends to be in."""

    hostname: str
    architecture: str
    os: str
    release: str
    ipv4: str
    memory_mib: int


class Exit(Exception):
    """``exit N``."""

    def __init__(self, status: int) -> None:
        self.status = status


class BrokenPipe(Exception):
    """Nobody reads what a command writes: it is ended by SIGPIPE."""


class Input:
    """Bytes on their way to a command; an empty chunk is the end."""

    def __init__(self, size: int) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue(size)
        self._rest = b""
        self._ended = False

    async def chunk(self) -> bytes:
        """The next bytes, or b"" at the end (on a terminal the next read goes on after it)."""
        if self._rest:
            data, self._rest = self._rest, b""
            return data
        return await self.queue.get()

    async def line(self) -> bytes:
        """The next line with its newline, or what is left at the end."""
        found = b""
        while not self._ended:
            data = await self.chunk()
            if not data:
                self._ended = True
                break
            found += data
            if b"\n" in found:
                line, _, self._rest = found.partition(b"\n")
                return line + b"\n"
        return found


class Shell:
    """Runs commands."""

    def __init__(
        self, machine: Machine, environment: Mapping[str, str], window: list[int], out: Out, inp: Input
    ) -> None:
        self._machine = machine
        self._window = window
        self._env = {"HOME": "/root", "USER": "root", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **environment}
        self._out = out
        self._in = inp
        self._to = 1
        self.status = 0

    async def script(self, text: str) -> int:
        """Run every command of ``text``."""
        for line in text.split("\n"):
            skip = False
            for part in re.split(r"(;|&&|\|\|)", line):
                match part.strip():
                    case ";":
                        skip = False
                    case "&&":
                        skip = skip or self.status != 0
                    case "||":
                        skip = self.status == 0
                    case "":
                        pass
                    case command if not skip:
                        self.status = await self._simple(command)
        return self.status

    async def _simple(self, text: str) -> int:
        number = 1
        if (redirect := re.search(r"\s*1?>\s*&\s*2\s*", text)) is not None:
            number, text = 2, text[: redirect.start()] + text[redirect.end() :]
        try:
            words = shlex.split(text, comments=True)
        except ValueError:
            await self._out(2, b"sh: syntax error: unterminated quoted string\n")
            return 2
        if not words:
            return self.status
        if "'" not in text:
            words = [re.sub(r"\$(\w+|\?|\{\w+\})", self._variable, word) for word in words]
        status = await self.run(words, number)
        if status is None:
            await self._out(2, f"sh: {words[0]}: not found\n".encode())
            return 127
        return status

    def _variable(self, match: re.Match[str]) -> str:
        name = match[1].strip("{}")
        return str(self.status) if name == "?" else self._env.get(name, "")

    async def run(self, words: Sequence[str], number: int = 1) -> int | None:
        """Run one command, its output to stream ``number``; its status, or None where there is no such command."""
        name, *args = words
        name = name.rsplit("/", 1)[-1]
        if name == "exec" and args:
            raise Exit(await self.run(args, number) or 0)
        if name in SHELLS:
            return await self._shell(args)
        command = getattr(self, f"_do_{name.replace('-', '_')}", None)
        if command is None:
            return None
        self._to = number
        try:
            result = await command(args)
            if isinstance(result, int):
                return result
            await self._out(number, result.encode())
        except BrokenPipe:
            return 128 + signal.SIGPIPE
        return 0

    async def _shell(self, args: Sequence[str]) -> int:
        if "-c" in args and args.index("-c") + 1 < len(args):
            try:
                return await self.script(args[args.index("-c") + 1])
            except Exit as end:
                return end.status
        while line := await self._in.line():
            try:
                await self.script(line.decode(errors="replace").strip())
            except Exit as end:
                return end.status
        return self.status

    # -- commands: each returns its output, or its status where it wrote by itself -----------------------------

    async def _do_hostname(self, args: Sequence[str]) -> str:
        return f"{self._machine.hostname}\n"

    async def _do_echo(self, args: Sequence[str]) -> str:
        newline = "" if args[:1] == ["-n"] else "\n"
        return " ".join(args[1:] if not newline else args) + newline

    async def _do_printf(self, args: Sequence[str]) -> str:
        return "".join(args[:1]).replace("\\n", "\n").replace("\\t", "\t")

    async def _do_uname(self, args: Sequence[str]) -> str:
        if "-a" in args:
            return f"Linux {self._machine.hostname} 6.1.0-simulated {self._machine.architecture} GNU/Linux\n"
        return {"-n": self._machine.hostname, "-m": self._machine.architecture, "-r": "6.1.0-simulated"}.get(
            "".join(args[:1]), "Linux"
        ) + "\n"

    async def _do_pwd(self, args: Sequence[str]) -> str:
        return "/root\n"

    async def _do_whoami(self, args: Sequence[str]) -> str:
        return "root\n"

    async def _do_id(self, args: Sequence[str]) -> str:
        return "0\n" if "-u" in args else "uid=0(root) gid=0(root) groups=0(root)\n"

    async def _do_env(self, args: Sequence[str]) -> str:
        return "".join(f"{key}={value}\n" for key, value in sorted(self._env.items()))

    async def _do_printenv(self, args: Sequence[str]) -> str | int:
        return f"{self._env[args[0]]}\n" if args and args[0] in self._env else 1

    async def _do_stty(self, args: Sequence[str]) -> str:
        return f"{self._window[1]} {self._window[0]}\n" if "size" in args else ""

    async def _do_ls(self, args: Sequence[str]) -> str:
        folders = "bin boot dev etc home lib media mnt opt proc root run sbin srv sys tmp usr var"
        return "" if not [a for a in args if a.startswith("/")] else folders.replace(" ", "\n") + "\n"

    async def _do_ps(self, args: Sequence[str]) -> str:
        return "PID   USER     COMMAND\n    1 root     /sbin/init\n   24 root     ps\n"

    async def _do_ip(self, args: Sequence[str]) -> str:
        return (
            f"2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500\n    inet {self._machine.ipv4}/24 scope global eth0\n"
        )

    async def _do_free(self, args: Sequence[str]) -> str:
        total = self._machine.memory_mib
        return f"       total   used   free\nMem:   {total}      12     {total - 12}\n"

    async def _do_true(self, args: Sequence[str]) -> int:
        return 0

    async def _do_false(self, args: Sequence[str]) -> int:
        return 1

    async def _do_exit(self, args: Sequence[str]) -> int:
        raise Exit(int(args[0]) % 256 if args and args[0].isdigit() else self.status)

    _do_logout = _do_exit

    async def _do_sleep(self, args: Sequence[str]) -> int:
        with suppress(ValueError, IndexError):
            await asyncio.sleep(float(args[0]))
        return 0

    async def _do_yes(self, args: Sequence[str]) -> int:
        line = (" ".join(args) or "y").encode() + b"\n"
        while True:
            await self._out(1, line * max(1, CHUNK // len(line)))
            await asyncio.sleep(0)

    async def _do_head(self, args: Sequence[str]) -> int:
        left = next((int(a) for a in args if a.isdigit()), 0)
        while left > 0:
            await self._out(1, bytes(min(CHUNK, left)))
            left -= CHUNK
        return 0

    async def _do_kill(self, args: Sequence[str]) -> int:
        number = next((int(a[1:]) for a in args if re.fullmatch(r"-\d+", a)), 15)
        raise Exit(128 + number)  # it can only be itself

    async def _do_cat(self, args: Sequence[str]) -> str | int:
        if args:
            os_release = f'ID={self._machine.os}\nVERSION_ID="{self._machine.release}"\n'
            files = {"/etc/hostname": f"{self._machine.hostname}\n", "/etc/os-release": os_release}
            if args[0] in files:
                return files[args[0]]
            await self._out(2, f"cat: {args[0]}: No such file or directory\n".encode())
            return 1
        while data := await self._in.chunk():
            await self._out(self._to, data)
        return 0

    async def _do_sha256sum(self, args: Sequence[str]) -> str:
        found = hashlib.sha256()
        while data := await self._in.chunk():
            found.update(data)
        return f"{found.hexdigest()}  -\n"


class SimulatedExec:
    """An :class:`ExecSession` on the pretend shell."""

    def __init__(
        self,
        machine: Machine,
        command: Sequence[str],
        environment: Mapping[str, str],
        terminal: tuple[int, int] | None,
    ) -> None:
        self._machine = machine
        self._command = list(command)
        self._window = list(terminal or (80, 24))
        self._terminal = terminal is not None
        self._output: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(QUEUE)
        self._input = Input(0 if self._terminal else QUEUE)
        self._shell = Shell(machine, environment, self._window, self._emit, self._input)
        self._line = b""
        self._escape = b""
        self._job: asyncio.Task[int | None] | None = None
        self._ended = self._closed = self._unread = False
        self._killed = 0
        self._lost = False
        self._writing = asyncio.Lock()
        self._main = asyncio.create_task(self._run())

    # -- the command -----------------------------------------------------------------------------------------------

    async def _run(self) -> int:
        try:
            status = await self._whole()
        except Exit as end:
            status = end.status
        except asyncio.CancelledError:
            status = 128 + (self._killed or 9)
        self._ended = True
        if not self._closed:
            await self._output.put((0, b""))
        return status

    async def _whole(self) -> int:
        name = self._command[0].rsplit("/", 1)[-1] if self._command else ""
        script = self._command[-1] if "-c" in self._command else ""
        starts_shell = re.search(r"exec .*\b(sh|bash|ash)\b", script) is not None
        if self._terminal and name in SHELLS and (not script or starts_shell):
            return await self._interactive()
        status = await self._shell.run(self._command) if self._command else None
        return 127 if status is None else status

    async def _interactive(self) -> int:
        while True:
            await self._emit(1, f"root@{self._machine.hostname}:~# ".encode())
            line = await self._input.queue.get()
            if not line:
                await self._emit(1, b"exit\n")
                return self._shell.status
            self._job = asyncio.create_task(self._shell.script(line.decode(errors="replace").strip()))
            try:
                await self._job
            except asyncio.CancelledError:
                if self._killed:
                    self._job.cancel()
                    raise
                self._shell.status = 130
            finally:
                self._job = None

    async def _emit(self, number: int, data: bytes) -> None:
        if self._terminal:
            number, data = 1, data.replace(b"\n", b"\r\n")
        for start in range(0, len(data), CHUNK):
            if self._unread and number == 1:
                raise BrokenPipe
            await self._output.put((number, data[start : start + CHUNK]))

    # -- the port ----------------------------------------------------------------------------------------------------

    async def read(self) -> tuple[int, bytes]:
        """The next output; (0, b"") at the end, and ever after."""
        if self._closed or (self._ended and self._output.empty()):
            return 0, b""
        return await self._output.get()

    async def write(self, data: bytes) -> None:
        """Send input; waits while the command does not read."""
        if self._terminal:
            await self._type(data)
            return
        async with self._writing:
            for start in range(0, len(data), CHUNK):
                await self._put(data[start : start + CHUNK])

    async def write_eof(self) -> None:
        """End the input; on a terminal that is Ctrl-D."""
        await (self._type(b"\x04") if self._terminal else self.write_end())

    async def write_end(self) -> None:
        """The end of a pipe."""
        async with self._writing:
            await self._put(b"")

    async def _put(self, data: bytes) -> None:
        """Wait for room; what comes after the command's end goes nowhere."""
        put = asyncio.ensure_future(self._input.queue.put(data))
        try:
            await asyncio.wait({put, self._main}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            put.cancel()

    async def _type(self, data: bytes) -> None:
        echo = b""
        for code in data:
            key = bytes((code,))
            if self._ended:
                return
            if self._escape or key == b"\x1b":  # an escape sequence: taken in whole and thrown away
                self._escape = b"" if len(self._escape) > 1 and 0x40 <= code <= 0x7E else self._escape + key
            elif key in b"\r\n":
                echo += b"\n"
                self._enter(self._line + b"\n")
            elif key == b"\x03":
                echo += b"^C\n"
                self._line = b""
                self._interrupt()
            elif key == b"\x04":
                self._enter(self._line)
            elif key in b"\x7f\x08":
                if self._line:
                    self._line = self._line.decode(errors="replace")[:-1].encode()
                    echo += b"\b \b"
            elif code >= 0x20 and len(self._line) < 4096:
                self._line += key
                echo += key
        if echo:
            await self._emit(1, echo)

    def _enter(self, line: bytes) -> None:
        self._line = b""
        if self._input.queue.qsize() < TYPED_AHEAD:
            self._input.queue.put_nowait(line)

    def _interrupt(self) -> None:
        if self._job is not None:
            self._job.cancel()
        elif self._command and not self._ended and self._command[0].rsplit("/", 1)[-1] not in SHELLS:
            self._kill(2)
        else:
            self._enter(b"\n")

    async def close_output(self) -> None:
        """Nobody reads the output any more."""
        if self._terminal:
            self._kill(signal.SIGHUP)
        self._unread = True

    async def resize(self, width: int, height: int) -> None:
        """Tell the terminal's new size."""
        self._window[:] = [width, height]

    async def signal(self, number: int) -> None:
        """Send a signal to the command; the ones that end it end it."""
        if number == 2 and self._terminal:
            self._interrupt()
        elif number in (1, 2, 3, 9, 13, 15):
            self._kill(number)

    def _kill(self, number: int) -> None:
        if not self._main.done():
            self._killed = number
            self._main.cancel()

    async def wait(self) -> int:
        """The exit status. Raises OutcomeUnknown if LXD went away."""
        await asyncio.wait({self._main})
        if self._lost:
            raise unknown()
        return 128 + (self._killed or 9) if self._main.cancelled() else self._main.result()

    def when_done(self, call: Callable[[], None]) -> None:
        """Call this once the command has ended."""
        self._main.add_done_callback(lambda _: call())

    def lose(self) -> None:
        """LXD goes away: the output ends, the status is never known."""
        self._lost = True
        self._kill(9)

    def end(self) -> None:
        """The container stops under it."""
        self._kill(9)

    async def close(self) -> None:
        """End it on purpose."""
        if self._closed:
            return
        self._closed = True
        self._kill(9)
        while not self._output.empty():
            self._output.get_nowait()
        await asyncio.wait({self._main})
        self._output.put_nowait((0, b""))
