"""The API's page in a real browser that reaches nothing but our own server."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from openlxd_api.app import all_endpoints
from tests.api.test_schemathesis import served

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.timeout(180)
@pytest.mark.skipif(CHROMIUM is None, reason="the browser tier needs Chromium")
def test_the_page_shows_every_endpoint_without_the_network(tmp_path: Path) -> None:
    """Under its strict policy, with no name but ours resolved: each path is there, and nothing was blocked."""
    server, profile = tmp_path / "server", tmp_path / "profile"
    server.mkdir()
    with served(server) as url:
        done = subprocess.run(
            [
                str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--virtual-time-budget=20000",
                "--enable-logging=stderr", "--dump-dom", f"{url}/api/docs",
            ],
            capture_output=True, text=True, timeout=150,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    shown = done.stdout.replace("<wbr>", "").replace("\u200b", "")
    for endpoint in all_endpoints():
        assert endpoint.summary in shown, endpoint.path
    assert shown.count("opblock-summary-path") >= len(all_endpoints())
    assert not re.search(r"Content Security Policy|Refused to", done.stderr), done.stderr[-3000:]
