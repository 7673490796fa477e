"""A real terminal for tests: tmux holds it, and what a person would see can be read."""

from __future__ import annotations

import shlex
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence


class Terminal:
    """One program in a tmux pane of a given size, on a tmux server of its own."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 120,
        rows: int = 40,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._server = f"olx-{uuid.uuid4().hex[:8]}"
        settings = [f"{key}={value}" for key, value in (environment or {}).items()]
        line = shlex.join(["env", *settings, *command])
        self._tmux("new-session", "-d", "-x", str(columns), "-y", str(rows), f'{line}; echo "[ended $?]"; sleep 600')

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self._server, "-f", "/dev/null", *words],
            check=True,
            capture_output=True,
            text=True,
            timeout=20,
        )
        return done.stdout

    def screen(self) -> str:
        """What is on the screen."""
        return self._tmux("capture-pane", "-p")

    def raw(self) -> str:
        """What is on the screen, with its colours."""
        return self._tmux("capture-pane", "-p", "-e")

    def keys(self, *keys: str) -> None:
        """Press keys by tmux's names (Enter, Escape, C-c, Down)."""
        self._tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        """Type text as it is."""
        self._tmux("send-keys", "-l", text)

    def write(self, data: bytes) -> None:
        """Type bytes, control characters among them, in a single write."""
        self._tmux("send-keys", "-H", *(f"{byte:02x}" for byte in data))

    def resize(self, columns: int, rows: int) -> None:
        """Change the window's size."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def wait_for(self, *texts: str, timeout: float = 30, gone: Sequence[str] = ()) -> str:
        """The screen once every one of ``texts`` is on it and none of ``gone``; fails showing what was there."""
        deadline = time.monotonic() + timeout
        while True:
            screen = self.screen()
            if all(text in screen for text in texts) and not any(text in screen for text in gone):
                return screen
            if time.monotonic() > deadline:
                raise AssertionError(f"after {timeout} s the screen shows not {texts} (or still {gone}):\n{screen}")
            time.sleep(0.05)

    def close(self) -> None:
        """End it, as a closed window does."""
        subprocess.run(["tmux", "-L", self._server, "kill-server"], check=False, capture_output=True, timeout=20)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
