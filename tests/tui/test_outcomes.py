"""What is said of operations: what was done to what, and what goes with it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from openlxd_core.domain.container import State
from openlxd_core.domain.errors import LxdUnavailable, Message
from openlxd_core.domain.operation import Kind, OperationStatus
from openlxd_core.i18n import Translator, set_translator
from openlxd_core.outcomes import DONE, FAILED, done_text, failed_text
from openlxd_tui.app import OpenLXDApp
from openlxd_tui.widgets.field import Words
from tests.tui.conftest import MakeApp
from tests.tui.fakes import FakeCore, container, operation
from tests.tui.test_containers import page, screen_text, toasts, until


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", list(Kind))
def test_every_operation_says_what_was_done_to_what(kind: Kind, language: str) -> None:
    """The thing's name, and what it was made of or put back to, stand in the sentence, in both languages."""
    set_translator(Translator(language))
    try:
        args = {"image": "debian/12", "snapshot": "before", "alias": "alice/mine"}
        done = operation("uxweb", kind, status=OperationStatus.DONE, args=args)
        failed = replace(done, status=OperationStatus.FAILED, error=Message("{reason}", {"reason": "full\x1b[2J"}))
        assert "uxweb" in done_text(done)
        assert "uxweb" in failed_text(failed)
        assert failed_text(failed).endswith("full[2J")
        for name, kinds in (
            ("debian/12", {Kind.REINSTALL}),
            ("before", {Kind.SNAPSHOT, Kind.RESTORE, Kind.SNAPSHOT_DELETE}),
            ("alice/mine", {Kind.PUBLISH}),
        ):
            assert (name in done_text(done)) == (name in failed_text(failed)) == (kind in kinds)
    finally:
        set_translator(Translator("en"))


def test_every_kind_has_its_own_sentences() -> None:
    """No kind falls back to a general one."""
    assert set(DONE) == set(FAILED) == set(Kind)
    assert len(set(DONE.values())) == len(set(FAILED.values())) == len(Kind)


async def test_toasts_name_what_was_done(core: FakeCore, make_app: MakeApp) -> None:
    """Reinstalled, stopped, refused: each toast names the container and the deed."""
    core.add(container("uxweb"))
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: page(app).table.rows)
        await pilot.press("R")
        await until(pilot, lambda: "Everything on its disk is lost." in screen_text(app))
        await pilot.press("tab", *"uxweb", "enter")
        await until(pilot, lambda: core.under_way)
        core.finish(next(iter(core.under_way.values())))
        await until(pilot, lambda: toasts(app) == ["Container uxweb was reinstalled from debian/12."])
        app.clear_notifications()
        core.fails = LxdUnavailable("LXD is not reachable.")
        await pilot.press("s", "y")
        await until(pilot, lambda: toasts(app) == ["Container uxweb could not be stopped: LXD is not reachable."])


def explained(app: OpenLXDApp) -> str:
    """The explanation of the dialog that is open."""
    return app.screen.query_one(".explanation", Words).text


@pytest.mark.parametrize("key", ["d", "R"])
async def test_snapshots_that_go_along_are_named(core: FakeCore, make_app: MakeApp, key: str) -> None:
    """Delete and reinstall say how many there are and what they are called; of many, the first six."""
    core.add(container("web1", State.STOPPED), container("web2"))
    core.snapshots.add("web1", "only")
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: page(app).table.rows)
        await pilot.press(key)
        await until(
            pilot, lambda: "web1?" in screen_text(app) and "Its snapshot is deleted with it: only." in explained(app)
        )
        await pilot.press("escape")
        core.snapshots.add("web1", "two\x1b[2J[/]")
        await pilot.press(key)
        await until(
            pilot, lambda: "web1?" in screen_text(app) and "Its 2 snapshots are deleted with it:" in explained(app)
        )
        assert "only, two[2J[/]." in explained(app)
        await pilot.press("escape")
        for number in range(3, 10):
            core.snapshots.add("web1", f"number-{number}-" + "x" * 30)
        await pilot.press(key)
        await until(
            pilot, lambda: "web1?" in screen_text(app) and "Its 9 snapshots are deleted with it:" in explained(app)
        )
        assert "number-6" in explained(app)
        assert "number-7" not in explained(app)
        assert explained(app).endswith("3 more.")
        assert "Cancel" in screen_text(app), "there is room for the buttons"
        await pilot.press("escape", "down", key)
        await until(pilot, lambda: "web2?" in screen_text(app))
        assert "snapshot" not in explained(app)
