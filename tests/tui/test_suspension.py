"""A suspended container on the screen: who may suspend, and what its owner is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from openlxd_core.domain.actor import Actor
from openlxd_core.domain.container import State
from openlxd_core.domain.errors import Suspended
from openlxd_tui.screens.containers.suspend import SuspendContainerForm
from tests.tui.conftest import MakeApp
from tests.tui.fakes import ADMIN, ALICE, NOW, FakeCore, container
from tests.tui.test_containers import screen_text, toasts, until

SHUT = {"suspended_by": "boss", "suspended_reason": "Unpaid since October", "suspended_at": NOW}


async def test_an_admin_suspends_with_a_reason_and_ends_it(core: FakeCore, make_app: MakeApp) -> None:
    """One key asks for the reason; the same key lets the owner in again."""
    core.add(container("web1"))
    app = make_app(ADMIN)
    async with app.run_test(size=(140, 30)) as pilot:
        await until(pilot, lambda: "web1" in screen_text(app))
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, SuspendContainerForm))
        assert "its owner can only look at it" in screen_text(app)
        await pilot.press(*"unpaid", "enter")
        await until(pilot, lambda: core.calls)
        assert core.calls == [("suspend", "web1", "unpaid")]
        core.rows["web1"] = replace(core.rows["web1"], status=State.STOPPED, **SHUT)
        core.feed.send("container", "suspended", "web1")
        await until(pilot, lambda: "Unpaid since October" in screen_text(app))
        assert "by boss" in screen_text(app)
        core.calls.clear()
        await until(pilot, lambda: app.screen.check_action("unsuspend", ()))
        await pilot.press("x")
        await until(pilot, lambda: core.calls)
        assert core.calls == [("unsuspend", "web1")]


@pytest.mark.parametrize("size", [(140, 30), (80, 24)])
async def test_its_owner_sees_the_mark_and_the_reason(core: FakeCore, make_app: MakeApp, size: tuple[int, int]) -> None:
    """Not who it was; and x is no key of theirs."""
    core.add(container("web1", State.STOPPED, **SHUT))
    app = make_app(ALICE)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "‖ suspended" in screen_text(app))
        if size == (80, 24):
            await pilot.press("i")
        await until(pilot, lambda: "Unpaid since October" in screen_text(app))
        assert "boss" not in screen_text(app)
        await pilot.press("x")
        await pilot.pause()
        assert core.calls == []


@pytest.mark.parametrize("actor", [ALICE, ADMIN])
async def test_what_is_refused_says_why(core: FakeCore, make_app: MakeApp, actor: Actor) -> None:
    """Starting it, or stepping into it: the service's own sentence, not “press S to start it”."""
    core.add(container("web1", State.STOPPED, **SHUT))
    core.fails = Suspended("{name} is suspended: {reason}", name="web1", reason="Unpaid")
    app = make_app(actor)
    async with app.run_test(size=(140, 30)) as pilot:
        await until(pilot, lambda: "‖ suspended" in screen_text(app))
        await pilot.press("S")
        await until(pilot, lambda: any("web1 is suspended: Unpaid" in toast for toast in toasts(app)))
        await pilot.press("e")
        await pilot.pause()
        assert not any("Press S" in toast for toast in toasts(app))
