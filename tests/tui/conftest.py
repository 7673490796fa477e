"""What the screens' tests share: a stopped clock, a core in memory, an app on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from openlxd_core.domain.actor import Actor
from openlxd_core.i18n import Translator
from openlxd_tui import formatting
from openlxd_tui.app import OpenLXDApp
from tests.support import idle
from tests.tui.fake_images import NOW
from tests.tui.fakes import ALICE, FakeCore, FakeShell, fake_core

idle.install()

MakeApp = Callable[..., OpenLXDApp]


@pytest.fixture(autouse=True)
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ages and dates are always the same."""
    monkeypatch.setattr(formatting, "now", lambda: NOW)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def core() -> FakeCore:
    """A core with alice and no container."""
    return fake_core()


@pytest.fixture
def shell() -> FakeShell:
    """A shell that ends at once."""
    return FakeShell()


@pytest.fixture
def make_app(core: FakeCore, shell: FakeShell) -> MakeApp:
    """An app on that core: alice's, in English, unless told otherwise."""

    def make(actor: Actor = ALICE, language: str = "en", **environment: Any) -> OpenLXDApp:
        return OpenLXDApp(
            core,  # type: ignore[arg-type]
            actor,
            translator=Translator(language),
            environment={"TERM": "xterm-256color", "COLORTERM": "truecolor"} | environment,
            host_shell=shell,
            host="host1",
        )

    return make
