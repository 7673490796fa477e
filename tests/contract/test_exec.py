"""Commands inside a container: both adapters keep the same promises."""

from __future__ import annotations

import asyncio

import pytest

from tests.contract.rig import Rig, eventually, output, until


@pytest.fixture(autouse=True)
async def web1(rig: Rig) -> str:
    """A running container."""
    return await rig.make("web1", start=True)


async def test_a_command_says_who_it_is_and_how_it_ended(rig: Rig) -> None:
    """Output, errors and status each come through, apart from one another."""
    status, out, err = await rig.run("sh", "-c", "hostname; echo oops >&2; exit 3")
    assert (status, out, err) == (3, b"web1\n", b"oops\n")


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["true"], 0),
        (["false"], 1),
        (["nope-nope"], 127),
        (["sh", "-c", "kill -9 $$"], 137),
        (["sh", "-c", "exit 255"], 255),
    ],
)
async def test_the_status_is_the_commands_own(rig: Rig, command: list[str], status: int) -> None:
    """As a shell would tell it: 127 for no such command, 128 + n for a signal."""
    assert (await rig.run(*command))[0] == status


async def test_input_passes_through_byte_for_byte(rig: Rig) -> None:
    """Binary, larger than any buffer, and ended by its end."""
    data = bytes(range(256)) * 4096  # 1 MiB
    session = await rig.exec(["cat"])

    async def feed() -> None:
        for start in range(0, len(data), 70_000):
            await session.write(data[start : start + 70_000])
        await session.write_eof()

    feeding = asyncio.create_task(feed())
    out, err = await output(session)
    await feeding
    assert (len(out), out == data, err) == (len(data), True, b"")
    assert await session.wait() == 0
    assert await session.read() == (0, b"")
    await session.close()
    await session.close()


async def test_two_writers_do_not_mix_their_data(rig: Rig) -> None:
    """Each write arrives in one piece, however large, whoever else writes at the same time."""
    writes = [bytes([letter]) * 300_000 for letter in b"abcdef"]
    session = await rig.exec(["cat"])

    async def feed() -> None:
        await asyncio.gather(*(session.write(data) for data in writes))
        await session.write_eof()

    feeding = asyncio.create_task(feed())
    out, _err = await output(session)
    await feeding
    assert sorted(out[start : start + 300_000] for start in range(0, len(out), 300_000)) == writes
    await session.close()


async def test_arguments_and_environment_are_never_read_by_a_shell_of_the_host(rig: Rig) -> None:
    """What looks like a command stays a word."""
    assert (await rig.run("echo", "$(id)", "; ls", "\u4f60\u597d"))[1] == "$(id) ; ls \u4f60\u597d\n".encode()
    session = await rig.exec(["sh", "-c", "echo $LOOK"], environment={"LOOK": "a b;$(id)"})
    assert (await output(session))[0] == b"a b;$(id)\n"
    await session.close()


async def test_a_reader_who_stops_stops_the_writer(rig: Rig) -> None:
    """Output without end waits for its reader: nothing grows here, and closing ends it."""
    session = await rig.exec(["yes"])
    total = 0
    for _ in range(20):
        number, data = await session.read()
        assert number == 1
        total += len(data)
    await asyncio.sleep(0.3)
    held = getattr(session, "_output").qsize()  # noqa: B009 - both adapters hold their output in such a queue
    assert held <= 8
    await session.close()
    assert await session.read() == (0, b"")


async def test_a_command_that_does_not_read_stops_whoever_writes(rig: Rig) -> None:
    """write() waits; it does not pile up what nobody takes."""
    session = await rig.exec(["sleep", "1000"])

    async def flood() -> None:
        while True:
            await session.write(bytes(1 << 20))

    flooding = asyncio.create_task(flood())
    done, _ = await asyncio.wait({flooding}, timeout=0.5)
    assert not done
    flooding.cancel()
    await asyncio.gather(flooding, return_exceptions=True)
    await session.close()


async def test_closing_kills_the_command(rig: Rig) -> None:
    """A session that goes away leaves nothing running."""
    session = await rig.exec(["sleep", "4321"])
    await session.close()
    assert b"4321" not in (await rig.run("ps"))[1]


@pytest.mark.parametrize("terminal", [None, (80, 24)], ids=["pipe", "terminal"])
@pytest.mark.parametrize(
    "script",
    ["sleep 4321; true", "sleep 4321 & sleep 4322; true", "(sleep 4321 &) ; sleep 4322; true", "yes 4321 | sleep 4322"],
)
async def test_closing_ends_all_that_the_command_started(
    rig: Rig, script: str, terminal: tuple[int, int] | None
) -> None:
    """Not only the one process that LXD knows: its children, and theirs."""
    session = await rig.exec(["sh", "-c", script], terminal=terminal)
    await asyncio.sleep(0.2)
    if rig.kind == "real":
        assert b"432" in (await rig.run("ps"))[1]
    await session.close()

    async def gone() -> bool:
        return b"432" not in (await rig.run("ps"))[1]

    await eventually(gone, 5)


async def test_closing_kills_what_ignores_a_hang_up(rig: Rig) -> None:
    """There is time to tidy up, and an end to it."""
    session = await rig.exec(["sh", "-c", "trap '' HUP TERM; sleep 4321; sleep 4322; sleep 4323"])
    await asyncio.sleep(0.2)
    await session.close()
    assert b"432" not in (await rig.run("ps"))[1]


async def test_closing_leaves_a_daemon_alone(rig: Rig) -> None:
    """What has a session of its own, as a daemon has, was started to stay; so was what a command leaves at its end."""
    if rig.kind != "real":
        pytest.skip("the pretend shell has no processes")
    session = await rig.exec(["sh", "-c", "setsid sleep 777 </dev/null >/dev/null 2>&1 & sleep 4321"])
    await asyncio.sleep(0.2)
    await session.close()
    assert (await rig.run("sh", "-c", "sleep 778 </dev/null >/dev/null 2>&1 &"))[0] == 0
    found = (await rig.run("ps"))[1]
    assert b"sleep 777" in found
    assert b"sleep 778" in found
    assert b"4321" not in found


async def test_a_command_that_nobody_reads_gets_a_broken_pipe(rig: Rig) -> None:
    """Its next write fails, as in a shell's pipe; what stands behind it in the script still runs."""
    session = await rig.exec(["sh", "-c", "yes; echo ended $? >&2"])
    assert (await session.read())[0] == 1
    await session.close_output()
    async with asyncio.timeout(10):
        assert (await output(session))[1] == b"ended 141\n"
        assert await session.wait() == 0
    await session.close()


async def test_a_terminal_that_nobody_reads_hangs_up(rig: Rig) -> None:
    """The command on it ends."""
    session = await rig.exec(["yes"], terminal=(80, 24))
    await session.read()
    await session.close_output()
    async with asyncio.timeout(10):
        await output(session)
        assert await session.wait() == 129
    await session.close()


async def test_errors_come_alone_however_they_begin(rig: Rig) -> None:
    """Nothing of ours stands on stderr, also where the command writes numbers to it at once."""
    session = await rig.exec(["sh", "-c", "echo 123 >&2; echo 456 >&2"])
    assert (await output(session))[1] == b"123\n456\n"
    await session.close()
    assert (await rig.run("sh", "-c", "env; true"))[1].count(b"openlxd") == 0


async def test_a_signal_reaches_the_command(rig: Rig) -> None:
    """And its status says which."""
    session = await rig.exec(["sleep", "1000"])
    await session.signal(15)
    assert await session.wait() == 143
    await session.close()


async def test_stopping_the_container_ends_its_commands(rig: Rig) -> None:
    """The output ends and the status comes; nobody waits for ever."""
    session = await rig.exec(["sleep", "1000"])
    await rig.lxd.stop(rig.project, "web1", force=True)
    async with asyncio.timeout(20):
        assert await output(session) == (b"", b"")
        assert await session.wait() != 0
    await session.close()


async def test_many_commands_run_beside_each_other(rig: Rig) -> None:
    """Twenty at once, each its own."""
    results = await asyncio.gather(*(rig.run("echo", str(n)) for n in range(20)))
    assert [out for _, out, _ in results] == [f"{n}\n".encode() for n in range(20)]


# -- on a terminal -----------------------------------------------------------------------------------------------


async def test_a_terminal_has_the_size_it_was_given_and_then_told(rig: Rig) -> None:
    """Also the odd ones."""
    session = await rig.exec(["sh"], terminal=(20, 5), environment={"TERM": "xterm"})
    await session.write(b"stty size\n")
    await until(session, b"5 20\r\n")
    await session.resize(400, 120)
    await session.write(b"stty size\n")
    await until(session, b"120 400\r\n")
    await session.write(b"exit 5\n")
    async with asyncio.timeout(20):
        await output(session)
        assert await session.wait() == 5
    await session.close()


async def test_a_terminal_echoes_and_prompts(rig: Rig) -> None:
    """What is typed is seen, and hostname prints the container's name."""
    session = await rig.exec(["sh"], terminal=(80, 24), environment={"TERM": "xterm"})
    await until(session, b"# ")
    await session.write(b"hostname\r")
    seen = await until(session, b"web1\r\n")
    assert b"hostname" in seen
    await session.close()


async def test_control_c_interrupts_and_the_shell_goes_on(rig: Rig) -> None:
    """Ctrl-C ends the command, not the session."""
    session = await rig.exec(["sh"], terminal=(80, 24), environment={"TERM": "xterm"})
    await until(session, b"# ")
    await session.write(b"echo ready; sleep 1000\n")
    await until(session, b"ready\r\n")
    await session.write(b"\x03")
    await session.write(b"echo again$?\n")
    await until(session, b"again130")
    await session.close()


async def test_control_d_ends_the_shell(rig: Rig) -> None:
    """And so does the end of the input."""
    for end in ("typed", "eof"):
        session = await rig.exec(["sh"], terminal=(80, 24), environment={"TERM": "xterm"})
        await until(session, b"# ")
        await (session.write(b"\x04") if end == "typed" else session.write_eof())
        async with asyncio.timeout(20):
            await output(session)
            assert await session.wait() == 0
        await session.close()


async def test_a_terminal_takes_rubbish(rig: Rig) -> None:
    """Bytes that are no text, lone escapes and mouse reports hurt nobody."""
    session = await rig.exec(["sh"], terminal=(80, 24), environment={"TERM": "xterm"})
    await until(session, b"# ")
    await session.write(b"\xff\xfe\x1b[<0;1;1M\x1b[200~x\x1b[201~\x00\x15\x03")

    async def ask() -> None:
        while True:  # a shell's own line editor may take the first one for the end of an escape sequence
            await session.write(b"\x03\recho fi''ne\r")
            await asyncio.sleep(0.3)

    asking = asyncio.create_task(ask())
    await until(session, b"fine\r\n")
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await session.close()


async def test_closing_twice_at_once_is_fine(rig: Rig) -> None:
    """A session torn down from two sides ends once."""
    session = await rig.exec(["sh"], terminal=(80, 24))
    reading = asyncio.create_task(output(session))
    await asyncio.gather(session.close(), session.close())
    async with asyncio.timeout(5):
        await reading
    await session.write(b"too late")
    await session.resize(80, 24)
