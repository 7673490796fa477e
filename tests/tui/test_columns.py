"""How wide columns are: nothing is cut while there is room, on any screen, at any size, in both languages."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from openlxd_core.domain.account import AccountStatus, SshKey
from openlxd_core.domain.container import State
from openlxd_core.i18n import _, set_translator
from openlxd_core.services.containers import UnmanagedInstance
from openlxd_tui.widgets.columns import GAP, Column, allot, keys_of
from openlxd_tui.widgets.paint import width_of
from openlxd_tui.widgets.record_table import RecordTable
from tests.tui.conftest import MakeApp
from tests.tui.fake_images import NOW, offer
from tests.tui.fakes import ADMIN, ALICE, FakeCore, container, image, usage, user
from tests.tui.test_containers import page, screen_text, until

pytestmark = pytest.mark.slow

SIZES = [(20, 5), (60, 20), (80, 24), (100, 30), (120, 40), (140, 45), (200, 60)]
LONG_IPV6 = "fd42:1234:5678:9abc:1216:3eff:fe12:3456"
SCREENS = {
    "containers": ("#containers", ALICE, ()),
    "everybody's": ("#containers", ADMIN, ()),
    "account": ("#keys", ALICE, ("2",)),
    "offers": ("#offers", ADMIN, ("3",)),
    "images": ("#images", ADMIN, ("3", "tab")),
    "users": ("#users", ADMIN, ("5",)),
    "snapshots": ("#snapshots", ALICE, ("v",)),
    "unmanaged": ("#unmanaged", ADMIN, ("u",)),
}


def crowded(core: FakeCore) -> None:
    """Long, wide and huge content in every table."""
    names = ["a" + "x" * 62, "web1", "production-database-replica-2", "数据库"]
    for index, name in enumerate(names * 8):
        core.add(
            container(
                name if index < 4 else f"{name[: 63 - len(str(index)) - 1]}-{index}",
                [State.RUNNING, State.STOPPED, State.FROZEN, State.ERROR][index % 4],
                image=["debian/12", "ubuntu/24.04/cloud", "我的镜像/very-long-image-alias-of-a-tenant"][index % 3],
                owner=["alice", "client.with-a-very-long-account-name"][index % 2],
                ipv4=["10.77.0.9", "192.168.100.200"][index % 2],
                ipv6=LONG_IPV6 if index % 2 else "fd42::1",
                memory_mib=[512, 1024 * 1023, 1024 * 1024 * 900][index % 3],
                disk_mib=1024 * 1024 * 512,
                cpu=64,
                created_at=NOW - [timedelta(seconds=59), timedelta(minutes=59), timedelta(days=729)][index % 3],
            )
        )
    core.lxd_status.figures = {
        name: usage(6399.9 if index % 2 else 1.2, 1024 * 1000 if index % 2 else 61)
        for index, name in enumerate(core.rows)
    }
    core.ssh_keys = [
        SshKey(n, 2, name, "SHA256:" + "n7Vq" * 10 + "abc", "sk-ecdsa-sha2-nistp256@openssh.com AAAA", NOW, None)
        for n, name in enumerate(["laptop", "k" * 60, "办公室的电脑" * 4])
    ]
    core.users[3] = user(
        3, "client.with-a-very-long-account-name", email="somebody.with.a.long.address@mail.example-hosting.org",
        status=AccountStatus.SUSPENDED, suspended_reason="Unpaid since October; three reminders were sent. " * 3,
    )  # fmt: skip
    offers = [offer("debian/12", "bookworm"), offer("ubuntu/24.04/desktop-with-a-long-variant/amd64", "noble")]
    core.images.open([*offers, *(offer(f"linux/{n}/cloud", size_bytes=10**n) for n in range(5, 13))])
    core.aliases += [image("opensuse/tumbleweed/desktop-kde-with-everything")]
    first = next(iter(sorted(core.rows)))
    for index, name in enumerate(["s" * 40, "before-upgrade", "升级之前"]):
        core.snapshots.add(first, name, days=index * 400)
    core.strays = [
        UnmanagedInstance("default", "j" * 63, State.RUNNING, "Ubuntu 22.04 LTS amd64 (release) (20260101)", ""),
        UnmanagedInstance("a-project-with-a-name-of-some-length", "ci", State.STOPPED, "数据库" * 10, ""),
    ]


def cut_in_vain(table: RecordTable[Any]) -> list[str]:
    """The cells in view that are cut although another column, or nobody, has cells to spare."""
    top, height = table.scroll_offset.y, table.size.height - 1
    cut: list[str] = []
    most: dict[str, int] = {}
    widths = {column.key: width for column, width in table._places()}
    for column, _width in table._places():
        most[column.key] = cell_len(_(column.title)) + 2 * (column.key == table.sort_key)
    for row in table.rows[top : top + height]:
        span = table._span(row) if table._span else None
        spanned = keys_of(span, table.columns) if span else ()
        for column, width in table._places():
            if column.key not in spanned:
                need = width_of(column.cell(row, 1000))
                most[column.key] = max(most[column.key], need)
                if need > width:
                    cut.append(f"{column.key} of {table._key(row)}: {need} in {width}")
    spare = sum(max(0, widths[key] - most[key]) for key in widths)
    spare += table._room() - 2 - sum(widths.values()) - GAP * (len(widths) - 1)
    return [f"{cell} while {spare} are spare" for cell in cut] if spare > 0 else []


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("screen", SCREENS)
async def test_no_cell_is_cut_while_another_column_has_cells_to_spare(
    core: FakeCore, make_app: MakeApp, screen: str, language: str
) -> None:
    """At each size, at the top, at the end and for each order of the rows."""
    crowded(core)
    name, actor, keys = SCREENS[screen]
    app = make_app(actor, language)
    set_translator(app.translator)  # this test asks in the session's language
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: page(app).table.rows)
        await pilot.press(*keys)
        await until(pilot, lambda: app.screen.query(name))
        table: RecordTable[Any] = app.screen.query_one(name, RecordTable)
        await until(pilot, lambda: table.rows)
        for size in SIZES:
            await pilot.resize_terminal(*size)
            await pilot.pause()
            for to in (0, -1):
                table.action_jump(to)
                await pilot.pause()
                assert cut_in_vain(table) == [], size
            table.action_sort_next()
            assert cut_in_vain(table) == [], size


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_ages_sizes_and_addresses_are_never_cut(core: FakeCore, make_app: MakeApp, language: str) -> None:
    """What is a figure is shown whole or not at all: half an address or half an age is none."""
    crowded(core)
    app = make_app(ADMIN, language)
    set_translator(app.translator)
    async with app.run_test(size=(100, 30)) as pilot:
        table = page(app).table
        await until(pilot, lambda: table.rows)
        for size in SIZES[1:]:
            await pilot.resize_terminal(*size)
            await pilot.pause()
            for column, width in table._places():
                for row in table.rows:
                    if not column.grows:
                        assert width_of(column.cell(row, 1000)) <= width, (size, column.key)


async def test_a_chinese_age_is_whole_at_80_columns(core: FakeCore, make_app: MakeApp) -> None:
    """``31 分钟``, not ``31 分…``."""
    core.add(container("web1", created_at=NOW - timedelta(minutes=31), image="a/b"))
    core.ssh_keys = [SshKey(1, 2, "laptop", "SHA256:" + "n7Vq" * 10, "ssh-rsa AAAA", NOW, NOW - timedelta(minutes=31))]
    app = make_app(language="zh")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: page(app).table.rows)
        await pilot.press("2")
        await until(pilot, lambda: "laptop" in screen_text(app))
        assert "31 分钟" in screen_text(app)


async def test_a_name_is_whole_at_60_columns_before_less_important_columns_are_shown(
    core: FakeCore, make_app: MakeApp
) -> None:
    """A name of twenty cells is worth more than the memory."""
    core.add(container("production-replica-2"), container("web1"))
    app = make_app()
    async with app.run_test(size=(60, 20)) as pilot:
        await until(pilot, lambda: page(app).table.rows)
        assert "production-replica-2" in screen_text(app)
        assert "10.77.0." in screen_text(app)


async def test_columns_do_not_move_while_one_scrolls_where_all_fits(core: FakeCore, make_app: MakeApp) -> None:
    """One long name far down does not push the columns to and fro."""
    core.add(*(container(f"c{index:02}" + "x" * 20 * (index == 55)) for index in range(60)))
    app = make_app()
    async with app.run_test(size=(100, 20)) as pilot:
        table = page(app).table
        await until(pilot, lambda: len(table.rows) == 60)
        places = table._places()
        for to in (30, 59, 0):
            table.move_to(to)
            await pilot.pause()
            assert table._places() == places


async def test_a_new_language_gets_its_own_widths(core: FakeCore, make_app: MakeApp) -> None:
    """Titles count, too."""
    crowded(core)
    app = make_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: page(app).table.rows)
        await pilot.press("ctrl+l")
        await pilot.pause()
        assert cut_in_vain(page(app).table) == []


# The rule itself


@st.composite
def _tables(draw: st.DrawFn) -> tuple[list[Column[None]], dict[str, int], dict[str, int], int]:
    columns: list[Column[None]] = []
    needs: dict[str, int] = {}
    in_view: dict[str, int] = {}
    for number in range(draw(st.integers(1, 8))):
        key = f"c{number}"
        grows = draw(st.integers(0, 3))
        columns.append(
            Column(key, key, lambda _r, _w: (), draw(st.integers(1, 25)), draw(st.integers(0, 8)) if number else -1,
                   grows, draw(st.integers(10, 60)), fair=draw(st.integers(0, 30)))
        )  # fmt: skip
        needs[key] = draw(st.integers(1, 120))
        in_view[key] = draw(st.integers(1, needs[key]))
    return columns, needs, in_view, draw(st.integers(1, 220))


@given(_tables())
def test_columns_fit_and_are_cut_only_where_nothing_is_spare(
    table: tuple[list[Column[None]], dict[str, int], dict[str, int], int],
) -> None:
    """For any needs: never wider than the room; cut only columns that may be; hidden in the order of their rank."""
    columns, needs, in_view, room = table
    placed = allot(columns, needs, in_view, room)
    widths = {column.key: width for column, width in placed}
    assert [column.key for column, _width in placed] == [c.key for c in columns if c.key in widths]
    assert sum(widths.values()) + GAP * (len(widths) - 1) <= room
    assert all(width > 0 for width in widths.values())
    cut = [column for column, width in placed if width < in_view[column.key]]
    if cut:
        assert sum(widths.values()) + GAP * (len(widths) - 1) == room
        assert not [key for key, width in widths.items() if width > in_view[key]]
        assert all(column.grows for column in cut) or len(placed) == 1
    hidden = [column.rank for column in columns if column.key not in widths]
    if hidden:
        assert max(column.rank for column, _width in placed) <= min(hidden)


def test_what_is_less_important_is_cut_first() -> None:
    """Of two columns that need more than there is, the one of the higher rank gives way."""
    name = Column[None]("name", "Name", lambda _r, _w: (), 10, 0, 1)
    mail = Column[None]("mail", "Email", lambda _r, _w: (), 10, 4, 1)
    needs = {"name": 30, "mail": 40}
    assert [width for _column, width in allot([name, mail], needs, needs, 62)] == [30, 30]
    assert [width for _column, width in allot([name, mail], needs, needs, 40)] == [28, 10]
    assert [width for _column, width in allot([name, mail], needs, needs, 21)] == [21]
    assert [width for _column, width in allot([name], needs, needs, 5)] == [5]
    small = replace(mail, grows=0)
    assert [width for _column, width in allot([name, small], needs, needs, 51)] == [51], "whole or not at all"
