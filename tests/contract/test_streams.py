"""Events, usage, and LXD going away: both adapters keep the same promises."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from openlxd_core.domain.errors import LxdUnavailable, OutcomeUnknown
from openlxd_core.lxd import client
from openlxd_core.lxd.adapter import LxdAdapter
from openlxd_core.lxd.gateway import InstanceSpec, LxdEvent, LxdGateway, ProjectSpec
from tests.contract.rig import Rig, eventually, output, rig_on
from tests.support.faulty_lxd import FaultyLxd
from tests.support.lxd import LiveLxd


@asynccontextmanager
async def listening(lxd: LxdGateway) -> AsyncIterator[list[LxdEvent]]:
    """What has happened, from the moment the stream is up."""
    seen: list[LxdEvent] = []

    async def listen() -> None:
        async for event in lxd.events():
            seen.append(event)

    task = asyncio.create_task(listen())
    try:
        await eventually(lambda: _true(seen))
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _true(value: object) -> bool:
    return bool(value)


async def test_events_tell_a_containers_life(rig: Rig) -> None:
    """``connected`` first, then every change, with its project and name."""
    async with listening(rig.lxd) as seen:
        assert seen[0].kind == "connected"
        await rig.make(start=True)
        await rig.lxd.freeze(rig.project, "web1")
        await rig.lxd.unfreeze(rig.project, "web1")
        await rig.lxd.stop(rig.project, "web1")
        await rig.lxd.delete_instance(rig.project, "web1")
        wanted = ["created", "started", "paused", "resumed", "shutdown", "deleted"]

        async def complete() -> bool:
            ours = [event.action for event in seen if (event.project, event.name) == (rig.project, "web1")]
            return [a.removeprefix("instance-") for a in ours if not a.endswith("updated")] == wanted

        await eventually(complete)


async def test_usage_moves_with_the_container(rig: Rig) -> None:
    """A running container has figures within reason; a stopped one has none."""
    await rig.make(start=True)
    await rig.make("idle")

    async def measured() -> bool:
        return (rig.project, "web1") in await rig.lxd.usage()

    await eventually(measured)
    found = await rig.lxd.usage()
    usage = found[rig.project, "web1"]
    assert (rig.project, "idle") not in found
    assert 0 < usage.memory_mib <= 64
    assert 0 <= usage.disk_mib <= 128
    assert usage.processes >= 1
    assert usage.received_bytes >= 0
    again = (await rig.lxd.usage())[rig.project, "web1"]
    assert again.received_bytes < usage.received_bytes + 1_000_000  # answers out of LXD's cache do not add up
    assert usage.cpu_percent is None or usage.cpu_percent >= 0


CALLS = {
    "server": lambda lxd: lxd.server(),
    "ensure_project": lambda lxd: lxd.ensure_project(ProjectSpec("openlxd-1", "default", "lxdbr0", 1, 1, 64, 64)),
    "delete_project": lambda lxd: lxd.delete_project("openlxd-1"),
    "images": lambda lxd: lxd.images(),
    "instances": lambda lxd: lxd.instances(),
    "instance": lambda lxd: lxd.instance("openlxd-1", "web1"),
    "state": lambda lxd: lxd.state("openlxd-1", "web1"),
    "create_instance": lambda lxd: lxd.create_instance(InstanceSpec("openlxd-1", "web1", "0" * 64, 1, 64, 64)),
    "delete_instance": lambda lxd: lxd.delete_instance("openlxd-1", "web1"),
    "set_marks": lambda lxd: lxd.set_marks("openlxd-1", "web1", {"user.openlxd.ready": "1"}),
    "set_limits": lambda lxd: lxd.set_limits("openlxd-1", "web1", 1, 64, 64),
    "start": lambda lxd: lxd.start("openlxd-1", "web1"),
    "stop": lambda lxd: lxd.stop("openlxd-1", "web1"),
    "force": lambda lxd: lxd.stop("openlxd-1", "web1", force=True),
    "freeze": lambda lxd: lxd.freeze("openlxd-1", "web1"),
    "unfreeze": lambda lxd: lxd.unfreeze("openlxd-1", "web1"),
    "usage": lambda lxd: lxd.usage(),
    "exec": lambda lxd: lxd.exec("openlxd-1", "web1", ["true"]),
    "events": lambda lxd: anext(lxd.events()),
}


@pytest.mark.parametrize("where", ["simulated", "no file", "nobody listens", "not a socket", "closed"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_an_unreachable_lxd_is_said_to_be_unreachable(where: str, call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Every verb says LxdUnavailable, never OutcomeUnknown: nothing was sent. The cause says why."""
    lxd: LxdGateway
    path = tmp_path / "unix.socket"
    if where == "simulated":
        simulated = FaultyLxd()
        simulated.unreachable("Connection refused")
        lxd = simulated
    else:
        lxd = LxdAdapter(path, network="lxdbr0")
    if where == "nobody listens":
        server = await asyncio.start_unix_server(lambda r, w: None, path)
        server.close()
        await server.wait_closed()
    elif where == "not a socket":
        path.write_text("")
    await lxd.open()
    if where == "closed":
        await lxd.close()
    with pytest.raises(LxdUnavailable) as failed:
        await call(lxd)
    assert type(failed.value) is LxdUnavailable
    if where != "closed":
        assert str(failed.value.__cause__)
    await lxd.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n\r\n",
        b'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"type":',
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n[[1]",
    ],
)
@pytest.mark.parametrize("verb", ["instances", "usage", "events", "start", "create_instance"])
async def test_an_lxd_that_talks_rubbish_is_unavailable(answer: bytes, verb: str, tmp_path: Path) -> None:
    """Cut answers, other protocols and silence end in our error, whatever was asked."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(talk, tmp_path / "unix.socket")
    lxd = LxdAdapter(tmp_path / "unix.socket")
    await lxd.open()
    try:
        if verb == "usage" and answer.endswith(b"[[1]"):
            assert await lxd.usage() == {}  # text without a figure in it is no figure
        else:
            with pytest.raises(LxdUnavailable):
                await CALLS[verb](lxd)
    finally:
        await lxd.close()
        server.close()
        await server.wait_closed()


async def test_streams_and_consoles_end_when_the_simulated_lxd_goes_away() -> None:
    """The stream says LxdUnavailable, the console ends, its status is unknown; later all is well again."""
    async with rig_on(FaultyLxd()) as rig:
        assert isinstance(rig.lxd, FaultyLxd)
        await rig.make(start=True)
        session = await rig.exec(["sleep", "1000"])
        events = rig.lxd.events()
        assert (await anext(events)).kind == "connected"
        rig.lxd.unreachable("gone fishing")
        with pytest.raises(LxdUnavailable) as lost:
            await anext(events)
        assert "gone fishing" in str(lost.value.__cause__)
        assert await output(session) == (b"", b"")
        with pytest.raises(OutcomeUnknown):
            await session.wait()
        rig.lxd.reachable()
        assert await rig.run("hostname") == (0, b"web1\n", b"")


# -- the simulated LXD's own ---------------------------------------------------------------------------------------


async def test_two_processes_share_one_simulated_lxd(tmp_path: Path) -> None:
    """What one makes, the other sees, and hears of."""
    here, there = FaultyLxd(tmp_path / "lxd.json"), FaultyLxd(tmp_path / "lxd.json")
    async with rig_on(here) as rig, listening(there) as seen:
        await rig.make(start=True)
        assert (await there.state(rig.project, "web1")).status == "running"
        await eventually(lambda: _true("instance-started" in [event.action for event in seen]))
        await there.stop(rig.project, "web1")
        assert (await rig.state()).status == "stopped"


async def test_a_dead_process_leaves_no_container_busy(tmp_path: Path) -> None:
    """The mark of a process that was killed in the middle of a create says nothing."""
    lxd = FaultyLxd(tmp_path / "lxd.json")
    async with rig_on(lxd) as rig:
        await rig.make()
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        with lxd.world.change() as state:
            state["instances"][f"{rig.project}/web1"]["busy"] = ["create", child]
        await rig.lxd.start(rig.project, "web1")


@pytest.mark.parametrize("outcome", ["done", "nothing", "half"])
async def test_a_lost_create_is_of_unknown_outcome(outcome: str) -> None:
    """The fault knob leaves what it says it leaves."""
    async with rig_on(FaultyLxd()) as rig:
        assert isinstance(rig.lxd, FaultyLxd)
        rig.lxd.lose_connection_during("create_instance", outcome=outcome)
        with pytest.raises(OutcomeUnknown):
            await rig.make()
        assert (await rig.names() == {"web1"}) == (outcome != "nothing")


# -- the real LXD's own --------------------------------------------------------------------------------------------


@pytest.mark.live
async def test_a_killed_lxd_leaves_nothing_half_made(spare_lxd: LiveLxd) -> None:
    """SIGKILL at six moments of a create: the outcome is unknown, and deleting clears whatever is there."""
    async with rig_on(LxdAdapter(spare_lxd.socket), spare_lxd) as rig:
        heavy = rig.spec("web1", fingerprint=spare_lxd.fingerprint("heavy"), disk_mib=1024)
        for delay in (0.0, 0.05, 0.15, 0.3, 0.5, 0.9):
            events = rig.lxd.events()
            assert (await anext(events)).kind == "connected"
            making = asyncio.create_task(rig.lxd.create_instance(heavy))
            await asyncio.sleep(delay)
            spare_lxd.kill()
            (ended,) = await asyncio.gather(making, return_exceptions=True)
            assert ended is None or isinstance(ended, LxdUnavailable), ended  # a fast LXD may have finished
            with pytest.raises(LxdUnavailable):
                async for _ in events:
                    pass
            with pytest.raises(LxdUnavailable):
                await rig.lxd.instances()
            await asyncio.to_thread(spare_lxd.restart)
            await rig.lxd.delete_instance(rig.project, "web1")
            assert await rig.names() == set()
        await rig.lxd.create_instance(heavy)
        await rig.lxd.start(rig.project, "web1")
        assert (await rig.run("hostname"))[1] == b"web1\n"


@pytest.mark.live
async def test_a_console_ends_when_lxd_is_killed(spare_lxd: LiveLxd) -> None:
    """Its output ends, its status is unknown, and the same gateway works when LXD is back."""
    async with rig_on(LxdAdapter(spare_lxd.socket), spare_lxd) as rig:
        await rig.make(start=True)
        session = await rig.exec(["sleep", "1000"])
        spare_lxd.kill()
        async with asyncio.timeout(10):
            assert await output(session) == (b"", b"")
            with pytest.raises(OutcomeUnknown):
                await session.wait()
        await session.close()
        await asyncio.to_thread(spare_lxd.restart)
        assert (await rig.state()).status == "running"
        assert (await rig.run("hostname"))[1] == b"web1\n"
        await rig.lxd.stop(rig.project, "web1")


@pytest.mark.live
async def test_a_hanging_lxd_is_unavailable_in_time(spare_lxd: LiveLxd, monkeypatch: pytest.MonkeyPatch) -> None:
    """An LXD that accepts and says nothing is no reason to wait for ever."""
    monkeypatch.setattr(client, "READ_SECONDS", 0.5)
    async with rig_on(LxdAdapter(spare_lxd.socket), spare_lxd) as rig:
        spare_lxd.pause()
        try:
            async with asyncio.timeout(10):
                with pytest.raises(LxdUnavailable):
                    await rig.lxd.instances()
                with pytest.raises(LxdUnavailable):
                    await anext(rig.lxd.events())
        finally:
            spare_lxd.resume()
        await eventually(lambda: _answers(rig))


async def _answers(rig: Rig) -> bool:
    try:
        return bool((await rig.lxd.server()).version)
    except LxdUnavailable:
        return False
