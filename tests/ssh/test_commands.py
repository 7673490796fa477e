"""What ``ssh openlxd@host COMMAND`` prints, passes through and returns."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any

import pytest

from openlxd_core.domain.actor import SYSTEM
from openlxd_core.domain.errors import LxdRefused
from openlxd_tui.commands.call import UsageError
from openlxd_tui.commands.parsing import ssh_commands
from openlxd_tui.commands.table import Door, Verb, verbs_of
from openlxd_tui.ssh.commands import dispatch
from tests.ssh.rig import Rig, open_screen
from tests.support.core import eventually


async def test_nothing_asked_prints_the_usage(rig: Rig) -> None:
    """No terminal and no command: the list of commands, exit status 0."""
    status, out, err = await rig.ssh("-T", "openlxd@127.0.0.1")
    assert status == 0
    assert "list" in out
    assert "whoami" in out
    assert "exec NAME" in out
    assert "Traceback" not in err


async def test_the_usage_speaks_the_clients_language(rig: Rig) -> None:
    """LANG of the client, where it sends one, chooses the language of that session alone."""
    async with rig.connect() as connection:
        chinese = await connection.run("help", env={"LANG": "zh_CN.UTF-8"})
        english = await connection.run("help", env={"LANG": "en_GB.UTF-8"})
        assert english.exit_status == chinese.exit_status == 0
        assert str(english.stdout).startswith("Usage:")


MISTAKES = [
    ("nosuch", 2, "There is no command or container “nosuch”"),
    ("web9", 2, "There is no command or container “web9”"),
    ("id; uname -a", 2, "There is no command"),
    ("$(id)", 2, "There is no command"),
    ("'", 2, "quotes"),
    ("info", 2, "Usage: info NAME"),
    ("list --what", 2, "does not accept --what"),
    ("info nosuch", 3, "nosuch"),
    ("start", 2, "Usage: start NAME"),
    ("help nosuch", 2, "There is no command “nosuch”"),
    ("wait web1 --timeout soon", 2, "not a number of seconds"),
    ("create web1 debian/12", 6, "web1"),
    ("create Web/2 debian/12", 2, "lower-case"),
    ("create web2 debian/12 --memory 2bananas", 2, "2bananas"),
    ("create web2 debian/12 --cpu 99", 5, "99"),
    ("create web2 nosuch/1", 2, ""),
    ("resize web1", 2, "Usage: resize NAME"),
    ("resize web1 --disk 512MiB", 2, "not shrink"),
    ("resize web1 --cpu 99", 5, "98 CPUs requested"),
    ("retry web1", 6, "could not be created"),
]


async def test_each_mistake_gets_one_sentence_and_its_status(rig: Rig) -> None:
    """Errors go to standard error in one line, with the exit status that scripts know."""
    async with rig.connect() as connection:
        for command, status, says in MISTAKES:
            result = await connection.run(command)
            assert (result.exit_status, result.stdout) == (status, ""), command
            assert says in result.stderr
            assert result.stderr.count("\n") == 1, command
            assert "Traceback" not in result.stderr


async def test_a_failure_for_programs_is_json(rig: Rig) -> None:
    """With --json each of the same mistakes answers as REST does, on standard output, with the same exit status."""
    codes = {2: {"bad_request", "validation_failed"}, 3: {"not_found"}, 5: {"quota_exceeded"}}
    async with rig.connect() as connection:
        for command, status, says in MISTAKES:
            result = await connection.run(f"{command} --json")
            assert (result.exit_status, result.stderr) == (status, ""), command
            failure = json.loads(result.stdout)
            assert list(failure)[:4] == ["success", "error", "message", "data"], command
            assert (failure["success"], failure["data"]) == (False, None)
            assert failure["error"] in codes.get(status, {"already_exists", "conflict"}), command
            assert says in failure["message"], command
        wrong = json.loads((await connection.run("create Web/2 debian/12 --memory 2bananas --json")).stdout)
        assert set(wrong["fields"]) == {"name", "memory"}


async def test_a_bug_is_json_too(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that asked for JSON gets JSON, whatever happens here."""

    async def broken(*_: Any) -> Any:
        raise RuntimeError("not to be shown")

    monkeypatch.setattr(rig.core.containers, "list", broken)
    async with rig.connect() as connection:
        result = await connection.run("list --json")
    assert result.exit_status == 1
    assert json.loads(result.stdout)["error"] == "internal_error"
    assert "not to be shown" not in result.stdout + result.stderr


async def test_an_operation_that_fails_is_json_too(rig: Rig) -> None:
    """The error of the operation, with the exit status that it has for people."""
    rig.lxd.fail_next("start", LxdRefused("LXD says no"))
    async with rig.connect() as connection:
        assert (await connection.run("stop web1")).exit_status == 0
        result = await connection.run("start web1 --json")
    failure = json.loads(result.stdout)
    assert (failure["success"], failure["error"], failure["data"]) == (False, "lxd_refused", None)
    assert "LXD says no" in failure["message"]
    assert result.exit_status != 0


@pytest.mark.parametrize("verb", verbs_of(Door.SSH), ids=lambda verb: verb.name)
async def test_every_command_explains_itself(rig: Rig, verb: Verb) -> None:
    """``COMMAND --help``, ``COMMAND -h`` and ``help COMMAND`` are one text, with an example, and a success."""
    async with rig.connect() as connection:
        asked = [
            await connection.run(words) for words in (f"{verb.name} --help", f"{verb.name} -h", f"help {verb.name}")
        ]
        assert {(result.exit_status, result.stderr) for result in asked} == {(0, "")}
        assert len({result.stdout for result in asked}) == 1
        text = asked[0].stdout
        assert text.startswith(f"Usage: {verb.line}\n")
        assert f"Example: {verb.call(Door.SSH)}\n" in text + "\n"
        told = json.loads((await connection.run(f"help {verb.name} --json")).stdout)
        assert told["usage"] == verb.line
        assert all(f"  {option}" in text for option in told["options"])
        chinese = await connection.run(f"{verb.name} --help", env={"LANG": "zh_CN.UTF-8"})
        assert chinese.stdout.startswith(f"用法：{verb.line}\n")
        assert f"示例：{verb.call(Door.SSH)}\n" in chinese.stdout + "\n"


@pytest.mark.parametrize("verb", verbs_of(Door.SSH), ids=lambda verb: verb.name)
def test_the_usage_line_is_the_functions(verb: Verb) -> None:
    """What the table says of a command is what its function takes, and the example can be read."""
    usage, options = verb.usage, ssh_commands().record(verb)["options"]
    assert set(re.findall(r"--[a-z-]+", usage)) <= {option.split()[0] for option in options}
    commands = ssh_commands()
    parsed = commands.parse(verb, verb.example.split())
    assert parsed.function is not None
    needed = [word for word in re.sub(r"\[[^]]*\]", "", usage).split() if not word.startswith("-")]
    if needed:
        with pytest.raises(UsageError, match="Usage: "):
            commands.parse(verb, [*verb.name.split(), *["x"] * (len(needed) - 1)])


NEAR = [
    ("lst", "list"),
    ("creat web2 debian/12", "create"),
    ("hlep", "help"),
    ("help crate", "create"),
    ("create web2 debian/12 --memry 1GiB", "--memory"),
    ("list --jsn", "--json"),
]


async def test_a_near_miss_names_what_was_meant(rig: Rig) -> None:
    """A typing error in a command or option is answered with the right word, exit code 2 and one line."""
    async with rig.connect() as connection:
        for command, meant in NEAR:
            result = await connection.run(command)
            assert (result.exit_status, result.stdout) == (2, ""), command
            assert "Did you mean " in result.stderr, command
            assert meant in result.stderr.split("Did you mean ")[1]
            assert result.stderr.count("\n") == 1


HOSTILE = [
    *(
        "__complete create",
        "--version",
        "--help",
        "-h",
        "--install-completion",
        "--",
        "-- list",
        "--json",
        "@/etc/passwd",
    ),
    *("create @/etc/passwd x", "create --at=1 x y", "create x y --as-json", "create x y --json=perhaps"),
    *(
        "create x y --json.a=1",
        "create x y --cpu.a 1",
        "info {}",
        "info [red]x",
        "list --version",
        "info -x",
        "info --",
    ),
    *("info " + "x" * 60_000, "info " + "-" * 60_000, "list " + "x " * 9_000, "create " + "--json " * 9_000),
    *("x" * 60_000, "list --" + "y" * 60_000, "exec web1 -- " + "x " * 9_000, "help " + "x " * 9_000),
    *("wait web1 --timeout nan", "wait web1 --timeout 1e999", "wait web1 --timeout -1", "create x y --cpu"),
    *("up", "setup", "doctor", "db check", "ssh", "api", "tui", "user list", "config show", "version", "_prepare"),
]


async def test_hostile_words_are_refused_and_nothing_else(
    rig: Rig, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words that mean something to cyclopts, or are many and long, get one line; nothing reaches our own output."""
    monkeypatch.setattr("sys.exit", lambda *_: pytest.fail("a session ended the process"))
    capfd.readouterr()
    for line in HOSTILE:
        session = Said(rig)
        began = time.perf_counter()
        status = await dispatch(session, line, "")
        assert time.perf_counter() - began < 1, line[:40]
        assert status in (2, 3), line[:40]
        answer = session.err or json.loads(session.out)["message"] + "\n"
        assert answer.count("\n") == 1, line[:40]
        assert len(answer) < 500, line[:40]
        assert not (session.out and session.err), line[:40]
    assert capfd.readouterr().out == ""


class Said:
    """A session without a terminal that keeps what it is told."""

    has_terminal = False
    ending = False

    def __init__(self, rig: Rig) -> None:
        self.core, self.actor = rig.core, rig.alice
        self.out = self.err = ""

    def say(self, text: str) -> None:
        self.out += text + "\n"

    def say_error(self, text: str) -> None:
        self.err += text + "\n"

    async def drain(self) -> None:
        return None


async def test_each_session_reads_its_own_language(rig: Rig) -> None:
    """Sessions that ask for help at the same moment get it each in their language: no text is kept translated."""
    async with rig.connect() as connection:
        asked = [
            connection.run("create --help", env={"LANG": language}) for language in ("zh_CN.UTF-8", "en_GB.UTF-8") * 5
        ]
        texts = [result.stdout for result in await asyncio.gather(*asked)]
    assert len(set(texts)) == 2
    assert all(text.startswith("用法：") for text in texts[::2])
    assert all(text.startswith("Usage:") for text in texts[1::2])


async def test_help_fits_the_window(rig: Rig) -> None:
    """With a terminal, a help page is as wide as the window."""
    async with rig.connect() as connection:
        screen = await open_screen(connection, command="create --help", size=(50, 40))
        await screen.closes()
    assert max(map(len, screen.seen.decode().splitlines()[6:])) <= 50


async def test_help_for_a_command_inside_is_the_commands_own(rig: Rig) -> None:
    """``exec web1 -- tar --help`` and ``exec web1 tar --help`` reach the container, whatever they ask for."""
    async with rig.connect() as connection:
        for words in ("exec web1 -- tar --help --json", "exec web1 tar --help --json"):
            await connection.run(words, input="exit")
            assert rig.lxd.shells[-1].command == ["tar", "--help", "--json"]


async def test_a_tenant_lists_what_is_theirs(rig: Rig) -> None:
    """``list`` shows one's own containers, for people and for programs; another tenant's do not exist."""
    async with rig.connect() as alice, rig.connect("bob") as bob:
        assert "web1" in (await alice.run("list")).stdout
        assert "web1" not in (await bob.run("list")).stdout
        assert json.loads((await bob.run("list --json")).stdout) == []
        [web1] = json.loads((await alice.run("list --json")).stdout)
        assert (web1["name"], web1["status"], web1["memory_mb"]) == ("web1", "running", 512)
        theirs, missing = await bob.run("info web1"), await bob.run("info web7")
        assert theirs.stderr.replace("web1", "web7") == missing.stderr
        assert (await bob.run("web1")).exit_status == 2
        assert (await bob.run("shell web1")).exit_status == 3


async def test_a_container_comes_and_goes_by_commands(rig: Rig) -> None:
    """create, stop, start and delete wait for their end and say it."""
    async with rig.connect("bob") as bob:
        made = await bob.run("create box debian/12 --cpu 1 --memory 256MiB --disk 1GiB --wait --json")
        assert json.loads(made.stdout)["status"] == "done"
        for verb, state in (("stop", "stopped"), ("start", "running")):
            assert (await bob.run(f"{verb} box")).exit_status == 0
            assert json.loads((await bob.run("info box --json")).stdout)["status"] == state
        assert (await bob.run("delete box")).exit_status == 0
        assert json.loads((await bob.run("list --json")).stdout) == []


async def test_a_wait_that_runs_out_of_time_says_so(rig: Rig) -> None:
    """Exit status 124, as timeout(1): never 0 for what is not done. --no-wait does not wait, and is done."""
    rig.lxd.delay("start", 60)
    async with rig.connect() as alice:
        assert (await alice.run("stop web1")).exit_status == 0
        late = await alice.run("start web1 --timeout 0.2")
        assert (late.exit_status, late.stdout) == (124, "")
        assert "web1: still in progress" in late.stderr
        late = await alice.run("wait web1 --timeout 0.1 --json")
        assert (late.exit_status, json.loads(late.stdout)["status"]) == (124, "running")
        busy = await alice.run("stop web1 --no-wait")
        assert busy.exit_status == 6


async def test_a_wait_with_a_terminal_shows_how_far_it_is(rig: Rig) -> None:
    """``ssh -t … start web1`` has a line that moves, and ends with the sentence alone; a pipe has the sentence only."""
    rig.lxd.delay("start", 1.2)
    async with rig.connect() as alice:
        assert (await alice.run("stop web1")).exit_status == 0
        screen = await open_screen(alice, command="start web1", size=(60, 10))
        await screen.shows("web1: Starting")
        assert await screen.closes() == 0
        assert screen.terminal.text.split() == ["Container", "web1", "was", "started."]
        assert (await alice.run("stop web1")).exit_status == 0
        assert (await alice.run("start web1")).stdout == "Container web1 was started.\n"


async def test_bytes_and_the_exit_status_pass_through(rig: Rig) -> None:
    """exec, a container's name, and openlxd+name@host reach the container: input, both outputs, status."""
    async with rig.connect() as connection:
        result = await connection.run("exec web1 -- tar x --json", input=b"\x00\xff\x1b[2J", encoding=None)
        assert result.stdout == b"$ <\x00\xff\x1b[2J>"
        assert rig.lxd.shells[-1].command == ["tar", "x", "--json"]
        result = await connection.run("exec web1 fail", input=b"fail", encoding=None)
        assert (result.stdout, result.stderr) == (b"$ ", b"to stderr")
        process = await connection.create_process("web1", encoding=None)
        process.stdin.write(b"exit 42")
        await process.wait_closed()
        assert process.exit_status == 42
    async with rig.connect("alice+web1") as connection:
        await connection.run("uname -a; id", input=b"x", encoding=None)
        assert rig.lxd.shells[-1].command == ["sh", "-c", "uname -a; id"]
    await eventually(lambda: all(shell.closed for shell in rig.lxd.shells), "every shell closed")


async def test_not_a_byte_is_lost_on_the_way_in(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a client pipes in before the command has started arrives whole, however slowly it starts."""
    begin = rig.core.consoles.open

    async def slowly(*args: Any, **options: Any) -> Any:
        await asyncio.sleep(0.4)
        return await begin(*args, **options)

    monkeypatch.setattr(rig.core.consoles, "open", slowly)
    status, _out, _err = await rig.ssh("alice@127.0.0.1", "exec web1 -- tar x", stdin=b"\0" * 3_000_000)
    assert status == 0
    assert rig.lxd.typed == 3_000_000


async def test_a_shell_has_the_clients_window_and_signals(rig: Rig) -> None:
    """``ssh -t openlxd@host web1``: size, resizes and signals are the container's."""
    async with rig.connect() as connection:
        screen = await open_screen(connection, command="web1", size=(91, 31))
        await screen.shows("$ ")
        assert rig.lxd.shells[-1].terminal == (91, 31)
        screen.process.change_terminal_size(132, 43)
        await screen.shows("[132x43]")
        screen.process.change_terminal_size(65535, 65535)
        await screen.shows("[500x200]")
        screen.process.send_signal("TERM")
        await screen.shows("[signal 15]")
        screen.type("你好".encode())
        await screen.shows("<你好>")
        screen.type(b"exit 3")
        assert await screen.closes() == 3


async def test_openssh_steps_into_a_shell(rig: Rig) -> None:
    """OpenSSH's own client with -t and a container's name; its exit status is the shell's."""
    status, out, _err = await rig.ssh("-tt", "alice@127.0.0.1", "web1", stdin=b"exit 5")
    assert "$ " in out
    assert status == 5


async def test_a_shell_ends_with_the_tenant(rig: Rig) -> None:
    """Suspending the account ends an open shell, its command too, and says why."""
    async with rig.connect() as connection:
        screen = await open_screen(connection, command="shell web1")
        await screen.shows("$ ")
        await rig.core.accounts.suspend(SYSTEM, "alice", "unpaid")
        await screen.shows("This account is suspended: unpaid", timeout=2)
        await screen.closes(timeout=2)
        assert rig.lxd.shells[-1].closed


async def test_a_shell_ends_with_its_client(rig: Rig) -> None:
    """A connection that breaks ends the command in the container."""
    connection = await rig.connect()
    screen = await open_screen(connection, command="shell web1")
    await screen.shows("$ ")
    connection.abort()
    await eventually(lambda: rig.lxd.shells[-1].closed, "the command ended")
    await eventually(lambda: rig.console.limits.sessions == 0, "the session gone")


async def test_a_flood_waits_for_its_reader(rig: Rig) -> None:
    """Output that nobody reads stops the command, not the server's memory."""
    async with rig.connect() as connection:
        process = await connection.create_process("shell web1", encoding=None, window=65536)
        process.channel.pause_reading()
        process.stdin.write(b"flood 2000")  # 125 MiB
        await eventually(lambda: rig.lxd.flooded > 0, "the flood begun")
        last = -1
        while last != rig.lxd.flooded:  # until it stands still
            last = rig.lxd.flooded
            await _turns(200)
        assert rig.lxd.flooded < 16 * 2**20


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0.001)
