"""The product's own processes, started as an operator would, for tests that kill and restart them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openlxd_core.settings import Settings

READY = {"openlxd_tui": ("ssh_listening", "address"), "openlxd_api": ("listening", "url")}
"""The event that says a module listens, and where in it the port stands at the end."""


def environment_of(settings: Settings, **more: str) -> dict[str, str]:
    """The variables that make a process use ``settings``."""
    told = settings.model_dump(exclude_defaults=True, mode="json")
    kept = {key: value for key, value in os.environ.items() if not key.startswith("OPENLXD_")}
    ours = {f"OPENLXD_{key.upper()}": str(value) for key, value in told.items()}
    return {**kept, **ours, "OPENLXD_LOG": "json", "PYTHONUNBUFFERED": "1", **more}


class Server:
    """One process of the product; its log is a file that tests can read."""

    def __init__(self, module: str, settings: Settings, log: Path, **environment: str) -> None:
        self.module = module
        self.log_file = log
        self._environment = environment_of(settings, **environment)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, timeout: float = 30) -> Server:
        """Start it and wait until it listens."""
        seen = self.log_file.stat().st_size if self.log_file.exists() else 0
        with self.log_file.open("ab") as stream:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self.module], env=self._environment, stdin=subprocess.DEVNULL, stdout=stream,
                stderr=stream, cwd=Path(__file__).resolve().parents[2],
            )  # fmt: skip
        deadline = time.monotonic() + timeout
        while True:
            for event in self.events(seen):
                if event.get("event") == READY[self.module][0]:
                    self.ready: Mapping[str, Any] = event
                    return self
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.module} did not start:\n{self.log()}")
            time.sleep(0.05)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(str(self.ready[READY[self.module][1]]).rpartition(":")[2])

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        """Everything it has said."""
        return self.log_file.read_text(errors="replace")

    def events(self, start: int = 0) -> list[dict[str, Any]]:
        """Its log lines from byte ``start`` on."""
        found = []
        for line in self.log_file.read_bytes()[start:].splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def kill(self) -> None:
        """SIGKILL, in the middle of whatever it does."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; its exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, number: int) -> int:
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(number)
        status = self._process.wait(30)
        self._process = None
        return status
