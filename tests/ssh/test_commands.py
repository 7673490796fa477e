"""What ``ssh openlxd@host COMMAND`` prints, passes through and returns."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from openlxd_core.domain.actor import SYSTEM
from openlxd_core.domain.errors import LxdRefused
from openlxd_tui.ssh.commands.handlers import COMMANDS
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


@pytest.mark.parametrize("name", COMMANDS)
async def test_every_command_explains_itself(rig: Rig, name: str) -> None:
    """``COMMAND --help``, ``COMMAND -h`` and ``help COMMAND`` are one text, with every option, and a success."""
    async with rig.connect() as connection:
        asked = [await connection.run(words) for words in (f"{name} --help", f"{name} -h", f"help {name}")]
        assert {(result.exit_status, result.stderr) for result in asked} == {(0, "")}
        assert len({result.stdout for result in asked}) == 1
        text = asked[0].stdout
        assert text.startswith(f"Usage: {COMMANDS[name].usage}\n")
        for option in COMMANDS[name].options | COMMANDS[name].flags:
            assert f"  --{option}" in text
        if "json" in COMMANDS[name].flags:
            told = json.loads((await connection.run(f"help {name} --json")).stdout)
            assert told["usage"] == COMMANDS[name].usage


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
