"""Fixtures of the SSH tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.ssh.rig import Rig, running


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """A console with alice, her container web1, and bob."""
    async with running(tmp_path) as rig:
        yield rig
