"""Snapshots, reinstalling and unmanaged instances, driven key by key."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest

from openlxd_core.domain.container import State
from openlxd_core.domain.errors import QuotaExceeded
from openlxd_tui import formatting
from openlxd_tui.screens.containers.page import ContainersPage
from openlxd_tui.screens.containers.snapshots import SnapshotsPage
from openlxd_tui.screens.containers.unmanaged import UnmanagedPage
from tests.tui.conftest import MakeApp
from tests.tui.fake_images import NOW
from tests.tui.fakes import ADMIN, FakeCore, container
from tests.tui.test_containers import page, screen_text, toasts, until


async def test_snapshots_are_listed_with_the_quotas_count(core: FakeCore, make_app: MakeApp) -> None:
    """v shows a container's snapshots, newest first, and how many of those allowed are in use."""
    core.add(container("web1"))
    core.snapshots.add("web1", "old", days=3)
    core.snapshots.add("web1", "new", days=1)
    app = make_app()
    async with app.run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: "web1" in screen_text(app))
        await pilot.press("v")
        await until(pilot, lambda: "2/10 of your quota" in screen_text(app))
        text = screen_text(app)
        assert text.index("new") < text.index("old")
        await pilot.press("escape")
        assert isinstance(app.screen, ContainersPage)


async def test_a_snapshot_is_taken_restored_and_deleted(core: FakeCore, make_app: MakeApp) -> None:
    """n takes one, with a name or without; r and d ask first."""
    core.add(container("web1"))
    app = make_app()
    async with app.run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: "web1" in screen_text(app))
        await pilot.press("v")
        await until(pilot, lambda: "No snapshots yet." in screen_text(app))
        await pilot.press("n", *"Bad", "enter")
        await until(pilot, lambda: "A snapshot name has" in screen_text(app))
        assert core.calls == []
        await pilot.press("backspace", "backspace", "backspace", *"ok", "enter")
        await until(pilot, lambda: core.calls == [("snapshot", "web1", "ok")])
        await until(pilot, lambda: "being taken" in screen_text(app))
        assert isinstance(app.screen, SnapshotsPage)
        assert not app.screen.check_action("take", ()), "one thing at a time"
        core.snapshots.held["web1"] = []
        core.snapshots.add("web1", "ok", days=0)
        core.finish(next(iter(core.under_way.values())))
        await until(pilot, lambda: "● ready" in screen_text(app) and "Snapshot ok of web1 was taken." in toasts(app))
        await pilot.press("r")
        await until(pilot, lambda: "Restore web1 to snapshot ok?" in screen_text(app))
        await pilot.press("y")
        await until(pilot, lambda: core.calls[-1] == ("restore", "web1", "ok"))
        await until(pilot, lambda: core.under_way["op-web1-restore"])
        core.finish(core.under_way["op-web1-restore"])
        await until(pilot, lambda: app.screen.check_action("delete", ()))
        await pilot.press("d")
        await until(pilot, lambda: "Delete the snapshot ok?" in screen_text(app))
        await pilot.press("escape")
        assert core.calls[-1][0] == "restore"
        await pilot.press("d", "y")
        await until(pilot, lambda: core.calls[-1] == ("delete_snapshot", "web1", "ok"))


async def test_a_full_count_is_told_in_the_form(core: FakeCore, make_app: MakeApp) -> None:
    """The quota's no stands in the form, which stays open."""
    core.add(container("web1"))
    app = make_app()
    async with app.run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: "web1" in screen_text(app))
        await pilot.press("v", "n")
        core.fails = QuotaExceeded("Your quota allows {limit} snapshots, and all are in use.", limit=10)
        await pilot.press("enter")
        await until(pilot, lambda: "Your quota allows 10 snapshots" in screen_text(app))


async def test_a_container_that_goes_takes_its_snapshots_screen_along(core: FakeCore, make_app: MakeApp) -> None:
    """Deleted from elsewhere, its snapshots are gone too: one is led back and told."""
    core.add(container("web1"))
    app = make_app()
    async with app.run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: "web1" in screen_text(app))
        await pilot.press("v")
        await until(pilot, lambda: "No snapshots yet." in screen_text(app))
        del core.rows["web1"]
        core.feed.send("container", "deleted", "web1")
        await until(pilot, lambda: isinstance(app.screen, ContainersPage))
        assert toasts(app) == ["web1 no longer exists."]


async def test_reinstalling_wants_the_name_typed(core: FakeCore, make_app: MakeApp) -> None:
    """R shows the image it has, says what is lost, and does nothing before the name stands there."""
    core.add(container("web1", image="ubuntu/24.04"))
    app = make_app()
    async with app.run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: "web1" in screen_text(app))
        await pilot.press("R")
        await until(pilot, lambda: "Everything on its disk is lost." in screen_text(app))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "Type web1 to go on." in screen_text(app))
        await pilot.press("ctrl+s")
        assert core.calls == []
        await pilot.press(*"web1", "enter")
        await until(pilot, lambda: core.calls == [("reinstall", "web1", "ubuntu/24.04")])


async def test_admins_hand_over_what_nobody_owns(core: FakeCore, make_app: MakeApp) -> None:
    """u lists the instances that no account owns; a gives one to a user, and it leaves the list."""
    core.strays = [
        SimpleNamespace(project="default", name="jenkins", status=State.RUNNING, image="Ubuntu", owner_hint="2")
    ]
    app = make_app(ADMIN)
    async with app.run_test(size=(100, 24)) as pilot:
        await pilot.press("u")
        await until(pilot, lambda: "jenkins" in screen_text(app))
        await pilot.press("a")
        await until(pilot, lambda: "Hand jenkins over to" in screen_text(app))
        assert "alice" in screen_text(app)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: core.calls == [("adopt", "default", "jenkins", "alice")])
        await until(pilot, lambda: "Every LXD instance has an owner." in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: "jenkins" in page(app).table.records())


async def test_tenants_have_no_unmanaged_instances(core: FakeCore, make_app: MakeApp) -> None:
    """u does nothing for a tenant, nor is it in their help."""
    app = make_app()
    async with app.run_test(size=(100, 90)) as pilot:
        await pilot.press("u")
        assert not isinstance(app.screen, UnmanagedPage)
        await pilot.press("question_mark")
        await until(pilot, lambda: "Everywhere" in screen_text(app))
        assert "Unmanaged" not in screen_text(app)


async def test_the_table_and_the_details_tell_one_age(
    core: FakeCore, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When time alone goes on, both say the new age at the same look at the clock."""
    core.add(container("web1"))
    app = make_app()
    async with app.run_test(size=(190, 30)) as pilot:
        await until(pilot, lambda: screen_text(app).count("3 h") == 2)
        monkeypatch.setattr(formatting, "now", lambda: NOW + timedelta(hours=2))
        page(app)._ticks = 9
        page(app).measure_use()
        await until(pilot, lambda: screen_text(app).count("5 h") == 2)
