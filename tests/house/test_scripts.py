"""The scripts, units and pinned packages of the house."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [*sorted((ROOT / "scripts").glob("*.sh")), ROOT / ".ci" / "run"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_script_is_plain_shell(script: Path) -> None:
    """It parses with sh, stops at the first failure, and may be run."""
    assert subprocess.run(["sh", "-n", script], capture_output=True).returncode == 0
    assert re.search(r"^set -eu$", script.read_text("utf-8"), re.MULTILINE)
    assert script.stat().st_mode & 0o111


@pytest.mark.parametrize("name", ["run", "dev"])
def test_every_package_is_pinned_by_hash_and_names_no_address(name: str) -> None:
    """The lock installs the same bytes wherever it finds them."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")
    pinned = re.findall(
        r"^([a-z0-9][a-z0-9._-]*)==[^ ]+ .*\\\n((?: +--hash=sha256:[0-9a-f]{64}.*\n)+)", text, re.MULTILINE
    )
    assert len(pinned) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE))
    assert "://" not in text


def test_what_runs_is_what_is_tested() -> None:
    """Both locks pin the same version of every package of the product."""
    pins = [
        dict(
            re.findall(
                r"^([a-z0-9][a-z0-9._-]*)==([^ ]+)", (ROOT / "requirements" / name).read_text("utf-8"), re.MULTILINE
            )
        )
        for name in ("run.txt", "dev.txt")
    ]
    assert pins[0].items() <= pins[1].items()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
def test_the_units_are_valid_and_hardened() -> None:
    """systemd finds nothing to say, and rates their exposure at 2.0 or better."""
    done = subprocess.run([ROOT / "scripts" / "check-units.sh"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
