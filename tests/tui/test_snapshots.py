"""Pictures of the screens at fixed sizes, in both languages. Read every difference before you accept it.

``pytest tests/tui/test_snapshots.py --snapshot-update`` accepts; ``python -m tests.tui.pictures DIR`` draws them to
be looked at.
"""

from __future__ import annotations

from typing import Any

import pytest

from openlxd_core.i18n import Translator
from openlxd_tui.app import OpenLXDApp
from tests.tui.fakes import FakeShell, fake_core
from tests.tui.scenes import SCENES

_NOT_BOTH = {
    "containers-huge",
    "containers-20x5",
    "create-20x5",
    "hostile",
    "no-color",
    "sixteen-colours",
    "light",
    "images-20x5",
    "images-no-color",
}
CASES = [(name, language) for name in SCENES for language in ("en", "zh") if language == "en" or name not in _NOT_BOTH]


@pytest.mark.parametrize(("name", "language"), CASES, ids=[f"{name}-{language}" for name, language in CASES])
def test_it_looks_as_it_did(snap_compare: Any, name: str, language: str) -> None:
    """The screen is drawn as in the picture that somebody looked at."""
    scene = SCENES[name]
    core = fake_core()
    scene.prepare(core)
    environment = {"TERM": scene.term} | ({"NO_COLOR": scene.no_color} if scene.no_color else {})
    app = OpenLXDApp(
        core,  # type: ignore[arg-type]
        scene.actor,
        translator=Translator(language),
        environment=environment,
        host_shell=FakeShell(),
        host="host1",
    )

    async def go(pilot: Any) -> None:
        await pilot.pause()
        await pilot.press(*scene.keys)
        for _turn in range(3):  # a worker's answer is painted a turn later
            await pilot.pause()

    assert snap_compare(app, terminal_size=scene.size, run_before=go)
