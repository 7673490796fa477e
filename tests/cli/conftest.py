"""The command line in this process, on a database and keys of the test's own."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from openlxd_core.i18n import Translator, set_translator
from openlxd_tui.cli.root import run


@dataclass
class Ran:
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Its JSON."""
        return json.loads(self.out)


class Openlxd:
    """``openlxd``, called as a function."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: str, stdin: str | bytes = "") -> Ran:
        """Run it; ``stdin`` is what it reads."""
        raw = stdin if isinstance(stdin, bytes) else stdin.encode()
        self._monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8"))
        self._capsys.readouterr()
        code = run(arguments)
        found = self._capsys.readouterr()
        return Ran(code, found.out, found.err)


@pytest.fixture
def openlxd(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Openlxd]:
    """The command line, on simulated containers."""
    values = {
        "STATE_DIR": tmp_path / "state",
        "KEYS_DIR": tmp_path / "keys",
        "LXD": "simulated",
        "BCRYPT_ROUNDS": 4,
        "SSH_HOST": "127.0.0.1",
        "API_HOST": "127.0.0.1",
        "SSH_PORT": 0,
        "API_PORT": 0,
    }
    for name, value in values.items():
        monkeypatch.setenv(f"OPENLXD_{name}", str(value))
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield Openlxd(capsys, monkeypatch)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    logging.captureWarnings(False)
    set_translator(Translator("en"))
