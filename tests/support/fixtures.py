"""Fixtures that stand on a real LXD. Skipped, by name, where there is none; failed with OPENLXD_REQUIRE_LIVE=1."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support.lxd import LiveLxd, why_not


def require_live() -> None:
    """Skip, or fail where the run insists, unless a live LXD can be started."""
    reason = why_not()
    if reason and os.environ.get("OPENLXD_REQUIRE_LIVE") == "1":
        pytest.fail(f"OPENLXD_REQUIRE_LIVE=1, but {reason}")
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def live_lxd() -> Iterator[LiveLxd]:
    """An LXD of this run's own that holds the image ``busybox``; shared, so tests use names of their own."""
    require_live()
    lxd = LiveLxd.start()
    try:
        lxd.import_image("busybox")
        yield lxd
    finally:
        lxd.stop()


@pytest.fixture(scope="module")
def spare_lxd() -> Iterator[LiveLxd]:
    """A second LXD, for a module's tests to kill and start again.

    It holds ``busybox`` and ``heavy``, which takes a while to unpack.
    """
    require_live()
    lxd = LiveLxd.start()
    try:
        lxd.import_image("busybox")
        lxd.import_image("heavy", description="A heavy image", ballast_mib=150)
        yield lxd
    finally:
        lxd.stop()
