"""The two adapters, one after the other, for every test of the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from openlxd_core.lxd.adapter import LxdAdapter
from tests.contract.rig import Rig, rig_on
from tests.support.faulty_lxd import FaultyLxd
from tests.support.lxd import LiveLxd


@pytest.fixture(params=["simulated", pytest.param("real", marks=pytest.mark.live)])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """A gateway with a project of this test's own."""
    if request.param == "simulated":
        async with rig_on(FaultyLxd()) as made:
            yield made
    else:
        live: LiveLxd = request.getfixturevalue("live_lxd")
        async with rig_on(LxdAdapter(live.socket), live) as made:
            yield made
