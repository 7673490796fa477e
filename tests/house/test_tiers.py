"""The closing line of a run, and what OPENLXD_REQUIRE_LIVE=1 makes of a skipped tier."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SUITE = """
import pytest
def test_quick(): pass
@pytest.mark.live
def test_live(): pytest.skip("{reason}")
"""


@pytest.mark.parametrize(
    ("reason", "insist", "code"),
    [("a live LXD needs root", "0", 0), ("a live LXD needs root", "1", 1), ("not on this one", "1", 1)],
)
def test_a_skipped_tier_fails_where_the_run_insists(tmp_path: Path, reason: str, insist: str, code: int) -> None:
    """By default it is named and passes; with OPENLXD_REQUIRE_LIVE=1 it fails."""
    (tmp_path / "conftest.py").write_text("from tests.conftest import *\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    live: x\n")
    (tmp_path / "test_suite.py").write_text(SUITE.format(reason=reason))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path), "--rootdir", str(tmp_path)],
        env={**os.environ, "OPENLXD_REQUIRE_LIVE": insist, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "quick    1 ran" in done.stdout
    assert reason in done.stdout
