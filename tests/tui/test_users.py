"""The users screen: finding somebody, and seeing who runs out of what."""

from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot

from openlxd_core.domain.account import AccountStatus
from openlxd_core.domain.quota import Quota
from openlxd_tui.app import OpenLXDApp
from openlxd_tui.screens.containers.page import ContainersPage
from openlxd_tui.screens.users.columns import meter_cell
from openlxd_tui.screens.users.page import UsersPage
from openlxd_tui.widgets.paint import width_of
from tests.tui.conftest import MakeApp
from tests.tui.fakes import ADMIN, FakeCore, container, user
from tests.tui.test_containers import screen_text, until


async def enter(app: OpenLXDApp, pilot: Pilot[None]) -> UsersPage:
    """Go there and wait for the list."""
    await pilot.press("5")
    await until(pilot, lambda: isinstance(app.screen, UsersPage) and app.screen.table.rows)
    assert isinstance(app.screen, UsersPage)
    return app.screen


@pytest.fixture
def hosting(core: FakeCore) -> FakeCore:
    """A house with some customers."""
    core.users[3] = user(3, "bob", status=AccountStatus.SUSPENDED, email="robert@shop.example")
    core.users[4] = user(4, "carol")
    core.quota_of = {2: Quota(3, 4, 4096, 40960), 4: Quota(2, 2, 2048, 20480)}
    core.add(container("a1", cpu=2, memory_mib=1536), container("a2", cpu=2, memory_mib=2048))
    core.add(container("shop", user_id=4, owner="carol"))
    return core


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wish", "language", "found"),
    [
        ("caro", "en", ["carol"]),
        ("shop.example", "en", ["bob"]),
        ("suspended", "en", ["bob"]),
        ("suspended", "zh", ["bob"]),
        ("admin", "en", ["admin"]),
        ("example.org alic", "en", ["alice"]),
    ],
)
async def test_users_are_found_by_name_email_state_and_role(
    hosting: FakeCore, make_app: MakeApp, wish: str, language: str, found: list[str]
) -> None:
    """``/`` narrows while one types; Esc shows all again, and then goes back."""
    app = make_app(ADMIN, language)
    async with app.run_test(size=(120, 30)) as pilot:
        page = await enter(app, pilot)
        await pilot.press("slash", *wish)
        assert [row.username for row in page.table.rows] == found
        await pilot.press("enter")
        assert page.table.has_focus
        await pilot.press("escape")
        assert len(page.table.rows) == 4
        assert app.screen is page
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ContainersPage))


async def test_a_filter_that_finds_nobody_says_so(hosting: FakeCore, make_app: MakeApp) -> None:
    """And which key shows all again."""
    app = make_app(ADMIN)
    async with app.run_test(size=(120, 30)) as pilot:
        await enter(app, pilot)
        await pilot.press("slash", *"zzz")
        await until(pilot, lambda: "Nothing matches the filter." in screen_text(app))
        assert "No accounts yet." not in screen_text(app)


async def test_each_user_shows_use_against_quota(hosting: FakeCore, make_app: MakeApp) -> None:
    """Containers, CPU, memory and disk of everybody in view, asked for once and not once for each."""
    asked: list[Any] = []
    original = hosting.quotas.get
    original_list = hosting.quotas.list

    async def count(actor: Any, number: Any = None) -> Any:
        asked.append(number)
        return await original(actor, number)

    async def count_lists(actor: Any) -> Any:
        found = await original_list(actor)
        asked.clear()
        return found

    hosting.quotas.get = count  # type: ignore[attr-defined]
    hosting.quotas.list = count_lists  # type: ignore[attr-defined]
    app = make_app(ADMIN)
    async with app.run_test(size=(120, 30)) as pilot:
        page = await enter(app, pilot)
        text = screen_text(app)
        alice = next(line for line in text.splitlines() if " alice " in line)
        for words in ("━━━─ 2/3", "━━━━ 4/4", "3.5G/4G", "10G/40G"):
            assert words in alice, (words, alice)
        assert "1/2" in next(line for line in text.splitlines() if " carol " in line)
        await pilot.press("down", "down", "up", "end")
        await pilot.pause()
        assert asked == []
        page.table._sort_by("cpu")
        assert page.table.rows[0].username == "alice"
        hosting.quota_of[4] = Quota(7, 2, 2048, 20480)
        hosting.feed.send("quota", "updated", "carol", 4)
        await until(pilot, lambda: "1/7" in screen_text(app))


def test_a_meter_is_true_at_its_ends() -> None:
    """Nothing used is an empty bar; anything used is seen; a quota of nothing is full once something is used."""

    def drawn(limit: int, used: int) -> str:
        measured = (Quota(cpu=limit), Quota(cpu=used))
        return "".join(text for text, _tint in meter_cell("cpu", measured))

    assert drawn(4, 0) == "──── 0/4"
    assert drawn(1000, 1) == "━─── 1/1000"
    assert drawn(4, 9) == "━━━━ 9/4"
    assert drawn(0, 0) == "──── 0/0"
    assert drawn(0, 1) == "━━━━ 1/0"
    assert width_of(meter_cell("cpu", None)) == 1
