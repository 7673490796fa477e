"""Projects, images and containers: both adapters keep the same promises."""

from __future__ import annotations

import asyncio

import pytest

from openlxd_core.domain.errors import (
    AlreadyExists,
    Busy,
    Conflict,
    LxdRefused,
    NotFound,
    OpenLXDError,
    QuotaExceeded,
)
from openlxd_core.domain.text import is_plain
from openlxd_core.lxd.gateway import MARK_OPERATION, MARK_OWNER, MARK_READY
from tests.contract.rig import Rig, eventually
from tests.support.faulty_lxd import FaultyLxd

HOSTILE = "\x1b[2J\x1b]0;owned\x07[/] [@click=app.quit]x[/]\u202e\u200b\x9b1m end"


async def test_the_server_says_what_it_is(rig: Rig) -> None:
    """Kind, version, pools and managed bridges are known."""
    server = await rig.lxd.server()
    assert server.kind in ("simulated", "lxd", "incus")
    assert server.version
    assert server.architecture == "x86_64"
    assert "default" in server.pools
    assert rig.network in server.networks


# -- projects ----------------------------------------------------------------------------------------------------


async def test_a_project_can_be_made_again_by_several_at_once(rig: Rig) -> None:
    """Two processes may bring the same project in line at the same moment."""
    other = Rig(rig.lxd, rig.kind, rig.network, rig.fingerprint)
    try:
        await asyncio.gather(*(rig.lxd.ensure_project(other.project_spec()) for _ in range(5)))
        await rig.lxd.ensure_project(other.project_spec(containers=1))
        await other.make("one")
        with pytest.raises(QuotaExceeded):
            await other.make("two")
        await rig.lxd.ensure_project(other.project_spec(containers=2))
        await other.make("two")
    finally:
        await other.clear()


async def test_limits_under_what_is_in_use_are_refused(rig: Rig) -> None:
    """LXD says so, and the old limits stand."""
    await rig.make()
    with pytest.raises(LxdRefused):
        await rig.lxd.ensure_project(rig.project_spec(memory_mib=16))
    await rig.make("web2")


async def test_a_quota_of_nothing_lets_nothing_in(rig: Rig) -> None:
    """Zero is a limit, not its absence."""
    await rig.lxd.ensure_project(rig.project_spec(containers=0, cpu=0, memory_mib=0, disk_mib=0))
    with pytest.raises(QuotaExceeded):
        await rig.make()
    assert await rig.names() == set()


async def test_a_project_without_limits_has_none(rig: Rig) -> None:
    """None is no limit, also after there was one."""
    await rig.lxd.ensure_project(rig.project_spec(containers=0))
    await rig.lxd.ensure_project(rig.project_spec(containers=None, cpu=None, memory_mib=None, disk_mib=None))
    await rig.make()


async def test_only_an_empty_project_is_deleted(rig: Rig) -> None:
    """One that holds a container stays; one that is not there is a success."""
    await rig.make()
    with pytest.raises(LxdRefused):
        await rig.lxd.delete_project(rig.project)
    await rig.lxd.delete_instance(rig.project, "web1")
    await rig.lxd.delete_project(rig.project)
    await rig.lxd.delete_project(rig.project)
    await rig.lxd.ensure_project(rig.project_spec())


# -- images ------------------------------------------------------------------------------------------------------


async def test_images_come_cleaned(rig: Rig) -> None:
    """A description that holds escape codes and bidi marks reaches nobody's terminal."""
    if isinstance(rig.lxd, FaultyLxd):
        rig.lxd.add_image("hostile", description=HOSTILE)
    else:
        assert rig.live is not None
        rig.live.import_image("hostile", description=HOSTILE)
    image = next(i for i in await rig.lxd.images() if "hostile" in i.aliases)
    assert "end" in image.description
    assert is_plain(image.description)
    assert all(map(is_plain, image.properties.values()))
    assert len(image.fingerprint) == 64
    assert image.size_bytes > 0
    assert image.architecture == "x86_64"
    assert image.uploaded_at is not None
    await rig.lxd.create_instance(rig.spec("web1", fingerprint=image.fingerprint))
    assert is_plain((await rig.lxd.instance(rig.project, "web1")).image)


# -- creating ----------------------------------------------------------------------------------------------------


async def test_a_created_container_is_as_asked(rig: Rig) -> None:
    """Stopped, with its limits, marks and image; progress ends at 100."""
    seen: list[int] = []
    marks = {MARK_OPERATION: "op-1", MARK_OWNER: "7"}
    await rig.lxd.create_instance(rig.spec("web1", cpu=2, memory_mib=96, disk_mib=256, marks=marks), seen.append)
    found = await rig.lxd.instance(rig.project, "web1")
    assert (found.name, found.project, found.status) == ("web1", rig.project, "stopped")
    assert (found.cpu, found.memory_mib, found.disk_mib) == (2, 96, 256)
    assert dict(found.marks) == marks
    assert found.image
    assert found.created_at.year > 2020
    assert seen[-1] == 100
    assert seen == sorted(seen)
    assert [i for i in await rig.lxd.instances() if i.project == rig.project] == [found]
    assert await rig.state() == await rig.state()
    assert (await rig.state()).ipv4 == ""


async def test_a_taken_name_is_refused(rig: Rig) -> None:
    """Twice the same name is AlreadyExists and changes nothing."""
    await rig.make()
    with pytest.raises(AlreadyExists) as refused:
        await rig.lxd.create_instance(rig.spec("web1", memory_mib=128))
    assert "web1" in str(refused.value)
    assert (await rig.lxd.instance(rig.project, "web1")).memory_mib == 64


async def test_one_of_many_creates_of_one_name_wins(rig: Rig) -> None:
    """All at once: one container, and a clear no for the others."""
    results = await asyncio.gather(*(rig.make() for _ in range(5)), return_exceptions=True)
    assert results.count("web1") == 1
    assert all(isinstance(r, AlreadyExists | Busy) for r in results if r != "web1"), results
    assert await rig.names() == {"web1"}


@pytest.mark.parametrize(
    "name",
    ["", "-a", "1a", "a-", "a" * 64, "a/b", "../x", "a b", "ünï", "$(id)", "a;id", "a?project=default", "a#b", "a%2f"],
)
async def test_a_hostile_name_makes_nothing(rig: Rig, name: str) -> None:
    """The services refuse such names; were one to get through, LXD would."""
    with pytest.raises(OpenLXDError):
        await rig.lxd.create_instance(rig.spec(name))
    assert await rig.names() == set()


async def test_what_is_missing_is_not_found(rig: Rig) -> None:
    """A container, an image, a project that are not there."""
    with pytest.raises(NotFound):
        await rig.lxd.create_instance(rig.spec("web1", fingerprint="0" * 64))
    with pytest.raises(NotFound):
        await rig.lxd.create_instance(rig.spec("web1", project="openlxd-none"))
    for project in (rig.project, "openlxd-none"):
        for call in (
            rig.lxd.instance(project, "web1"),
            rig.lxd.state(project, "web1"),
            rig.lxd.start(project, "web1"),
            rig.lxd.stop(project, "web1"),
            rig.lxd.stop(project, "web1", force=True),
            rig.lxd.freeze(project, "web1"),
            rig.lxd.unfreeze(project, "web1"),
            rig.lxd.set_limits(project, "web1", 1, 64, 128),
            rig.lxd.set_marks(project, "web1", {MARK_READY: "1"}),
            rig.lxd.exec(project, "web1", ["true"]),
        ):
            with pytest.raises(NotFound):
                await call
        await rig.lxd.delete_instance(project, "web1")
    assert await rig.names() == set()


# -- quotas ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "spec"),
    [
        ({"containers": 1}, {}),
        ({"cpu": 2}, {"cpu": 2}),
        ({"memory_mib": 128}, {"memory_mib": 65}),
        ({"disk_mib": 256}, {"disk_mib": 129}),
    ],
)
async def test_lxd_itself_holds_the_quota(rig: Rig, limit: dict[str, int], spec: dict[str, int]) -> None:
    """What a bug of ours might ask, LXD refuses: by sums over the project."""
    await rig.lxd.ensure_project(rig.project_spec(**limit))
    await rig.make()
    with pytest.raises(QuotaExceeded) as refused:
        await rig.lxd.create_instance(rig.spec("web2", **spec))
    assert is_plain(str(refused.value))
    assert "{" not in str(refused.value)
    assert await rig.names() == {"web1"}


async def test_concurrent_creates_cannot_pass_the_quota_together(rig: Rig) -> None:
    """Six at once where three fit: three, and not one more."""
    await rig.lxd.ensure_project(rig.project_spec(containers=None, memory_mib=192))
    results = await asyncio.gather(*(rig.make(f"web{n}") for n in range(6)), return_exceptions=True)
    refused = [r for r in results if not isinstance(r, str)]
    assert len(refused) == 3
    assert all(isinstance(r, QuotaExceeded) for r in refused), refused
    assert len(await rig.names()) == 3


async def test_a_resize_holds_to_the_quota(rig: Rig) -> None:
    """Limits change within the project's, on a running container too; past them nothing changes."""
    await rig.lxd.ensure_project(rig.project_spec(memory_mib=256))
    await rig.make(start=True)
    await rig.lxd.set_limits(rig.project, "web1", 2, 200, 300)
    found = await rig.lxd.instance(rig.project, "web1")
    assert (found.cpu, found.memory_mib, found.disk_mib, found.status) == (2, 200, 300, "running")
    with pytest.raises(QuotaExceeded):
        await rig.lxd.set_limits(rig.project, "web1", 2, 300, 300)
    assert await rig.lxd.instance(rig.project, "web1") == found


async def test_marks_change_and_nothing_else_does(rig: Rig) -> None:
    """Only ``user.openlxd.*`` may be set this way."""
    await rig.lxd.create_instance(rig.spec("web1", marks={MARK_OPERATION: "op-1"}))
    before = await rig.lxd.instance(rig.project, "web1")
    await rig.lxd.set_marks(rig.project, "web1", {MARK_READY: "1"})
    after = await rig.lxd.instance(rig.project, "web1")
    assert dict(after.marks) == {MARK_OPERATION: "op-1", MARK_READY: "1"}
    assert (after.cpu, after.memory_mib, after.disk_mib) == (before.cpu, before.memory_mib, before.disk_mib)
    with pytest.raises(ValueError, match="not a mark"):
        await rig.lxd.set_marks(rig.project, "web1", {"security.privileged": "true"})


# -- power -------------------------------------------------------------------------------------------------------


async def test_power_verbs_may_be_repeated(rig: Rig) -> None:
    """Each verb ends in its state, and asked twice is a success twice."""
    await rig.make()
    for verb, status in (
        (rig.lxd.start, "running"),
        (rig.lxd.freeze, "frozen"),
        (rig.lxd.unfreeze, "running"),
        (rig.lxd.stop, "stopped"),
    ):
        await verb(rig.project, "web1")
        await verb(rig.project, "web1")
        assert (await rig.state()).status == status
        assert (await rig.lxd.instance(rig.project, "web1")).status == status


async def test_a_paused_container_can_be_started_and_stopped(rig: Rig) -> None:
    """Start resumes it; stop by force ends it."""
    await rig.make(start=True)
    await rig.lxd.freeze(rig.project, "web1")
    await rig.lxd.start(rig.project, "web1")
    assert (await rig.state()).status == "running"
    await rig.lxd.freeze(rig.project, "web1")
    await rig.lxd.stop(rig.project, "web1", force=True)
    assert (await rig.state()).status == "stopped"


async def test_a_stopped_container_cannot_be_paused(rig: Rig) -> None:
    """Neither paused nor resumed, nor entered."""
    await rig.make()
    for call in (
        rig.lxd.freeze(rig.project, "web1"),
        rig.lxd.unfreeze(rig.project, "web1"),
        rig.lxd.exec(rig.project, "web1", ["true"]),
    ):
        with pytest.raises(Conflict):
            await call


async def test_a_stubborn_container_is_stopped_by_force(rig: Rig) -> None:
    """A graceful stop gives up after its time and says so; force does not ask."""
    await rig.stubborn("mule")
    with pytest.raises(LxdRefused):
        await rig.lxd.stop(rig.project, "mule", timeout=1)
    assert (await rig.state("mule")).status == "running"
    await rig.lxd.stop(rig.project, "mule", force=True)
    assert (await rig.state("mule")).status == "stopped"


async def test_a_started_container_gets_both_addresses(rig: Rig) -> None:
    """IPv4 by DHCP and IPv6 by router advertisement, with the NIC's filters on."""
    await rig.make(start=True)

    async def addressed() -> bool:
        state = await rig.state()
        return bool(state.ipv4 and state.ipv6 and state.pid)

    await eventually(addressed)
    state = await rig.state()
    assert state.ipv4.count(".") == 3
    assert state.ipv6.startswith("fd42:")


# -- deleting ----------------------------------------------------------------------------------------------------


async def test_a_running_container_can_be_deleted(rig: Rig) -> None:
    """And deleting what is gone is a success."""
    await rig.make(start=True)
    await rig.lxd.delete_instance(rig.project, "web1")
    await rig.lxd.delete_instance(rig.project, "web1")
    assert await rig.names() == set()


async def test_a_container_may_be_deleted_while_it_is_made(rig: Rig) -> None:
    """The delete waits for LXD, and in the end nothing is there."""
    if isinstance(rig.lxd, FaultyLxd):
        rig.lxd.delay("create_instance", 0.3)
    make = asyncio.create_task(rig.make())
    await eventually(lambda: _busy_or_there(rig))
    await rig.lxd.delete_instance(rig.project, "web1")
    await asyncio.wait({make})
    await rig.lxd.delete_instance(rig.project, "web1")
    assert await rig.names() == set()


async def _busy_or_there(rig: Rig) -> bool:
    return "web1" in await rig.names()


async def test_many_deletes_at_once_all_succeed(rig: Rig) -> None:
    """Whoever comes second finds it gone."""
    await rig.make(start=True)
    await asyncio.gather(*(rig.lxd.delete_instance(rig.project, "web1") for _ in range(4)))
    assert await rig.names() == set()


async def test_a_survey_tells_what_the_single_calls_tell(rig: Rig) -> None:
    """Instance, state and snapshots of all in one call: the same as asked for one by one."""
    await rig.make(start=True)
    await rig.make("web2")
    for name in ("before", "after"):
        await rig.lxd.create_snapshot(rig.project, "web1", name)
    surveyed = {s.instance.name: s for s in await rig.lxd.survey() if s.instance.project == rig.project}
    assert set(surveyed) == {"web1", "web2"}
    for name, found in surveyed.items():
        assert found.instance == await rig.lxd.instance(rig.project, name)
        assert found.state.status == (await rig.lxd.state(rig.project, name)).status
        assert list(found.snapshots) == list(await rig.lxd.snapshots(rig.project, name))
    assert [snapshot.name for snapshot in surveyed["web1"].snapshots] == ["before", "after"]
