"""Fixtures of the core's tests: a core, two tenants, an admin, and the LXD they use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.actor import Actor, Role
from openlxd_core.settings import Settings
from tests.support.core import add_user, make_settings
from tests.support.faulty_lxd import FaultyLxd


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings in the test's own directory."""
    return make_settings(tmp_path)


@pytest.fixture
def lxd() -> FaultyLxd:
    """A simulated LXD of the test's own."""
    return FaultyLxd()


@pytest.fixture
async def core(settings: Settings, lxd: FaultyLxd) -> AsyncIterator[Core]:
    """A core on a fresh database and that LXD."""
    async with open_core(settings, lxd=lxd) as opened:
        yield opened


@pytest.fixture
async def alice(core: Core) -> Actor:
    """A tenant."""
    return await add_user(core, "alice")


@pytest.fixture
async def bob(core: Core) -> Actor:
    """Another tenant."""
    return await add_user(core, "bob")


@pytest.fixture
async def root(core: Core) -> Actor:
    """An admin."""
    return await add_user(core, "boss", role=Role.ADMIN)
