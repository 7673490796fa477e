"""Promises of openlxd_core.logs: one line an event, and never a secret."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import logging, sys, structlog
from openlxd_core import logs
from openlxd_core.settings import Settings
logs.configure(Settings(), "api")
sys.stderr = sys.stdout = None  # as Textual leaves them
log = structlog.get_logger("here")
log.info("signed in", username="alice", password="hunter22", headers={"Authorization": "Bearer x"}, api_key="k")
log.warning("na\\x1b[2Jme", text="\\u202eevil \\u5bb9\\u5668\\nforged")
logging.getLogger("stdlib").info("hello %s", "world")
try:
    raise ValueError("bo\\x1b[2Jom")
except ValueError:
    password = "hunter22"
    log.exception("a bug")
"""


def _lines() -> list[str]:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_each_event_is_one_line_of_ascii_json_on_the_real_stderr() -> None:
    """Whatever replaced sys.stderr, and whatever the text holds, an event is one ASCII JSON line."""
    lines = _lines()
    assert len(lines) == 4
    assert all(line.isascii() for line in lines)
    events = [json.loads(line) for line in lines]
    assert {event["component"] for event in events} == {"api"}
    assert events[1]["text"] == "evil 容器 forged"
    assert events[2]["event"] == "hello world"
    assert "ValueError" in events[3]["exception"]


def test_no_secret_reaches_the_log() -> None:
    """Passwords, tokens and keys are masked by name, also inside what they came in, also in tracebacks."""
    text = "\n".join(_lines())
    assert "hunter22" not in text
    assert "Bearer" not in text
    assert "\x1b" not in text
    assert "\\u001b" not in text
