"""Everything that the OpenAPI document allows, and what it forbids, thrown at a served API by schemathesis."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 30
"""For each of the two people; what does not fit is left to the next run's other seed."""

pytestmark = pytest.mark.slow


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """A served API of another process; its address."""
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.api.serve", str(directory)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 60
            while not (directory / "url").exists():
                assert process.poll() is None, (directory / "log").read_text()
                assert time.monotonic() < deadline, "the API did not start"
                time.sleep(0.05)
            yield (directory / "url").read_text()
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("who", ["alice", "boss"])
def test_the_document_holds_whatever_is_sent(tmp_path: Path, who: str) -> None:
    """As a tenant and as an admin: no 5xx, no status or shape that the document does not name, no check that fails.

    Only the endless stream ``/events`` is left out; its own tests read it.
    """
    with served(tmp_path) as url:
        environment = {
            **os.environ,
            "OPENLXD_TEST_URL": url,
            "OPENLXD_TEST_USER": who,
            "SCHEMATHESIS_HOOKS": "tests.api.schemathesis_hooks",
            "PYTHONPATH": str(ROOT),
        }
        done = subprocess.run(
            [
                str(Path(sys.executable).with_name("schemathesis")),
                "--config-file", str(ROOT / "tests" / "api" / "schemathesis.toml"),
                "run", f"{url}/api/v1/openapi.json", "--checks", "all", "--exclude-path", "/api/v1/events",
                "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "4", "--max-time", str(SECONDS),
                "--seed", "1", "--workers", "2", "--no-shrink", "--continue-on-failure", "--no-color",
                "--generation-database", "none",
            ],
            env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=200,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-12_000:] + done.stderr[-2_000:]
    generated = re.search(r"(\d+) generated", done.stdout)
    assert generated is not None, done.stdout[-3_000:]
    assert int(generated[1]) > 100
    assert '"level": "error"' not in (tmp_path / "log").read_text()
