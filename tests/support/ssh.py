"""The OpenSSH client, told to leave this user's own configuration alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_QUIET = (
    "-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
    "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
)  # fmt: skip


def make_key(directory: Path, name: str) -> tuple[Path, str]:
    """A fresh ed25519 key: the private file and the public line."""
    file = directory / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", file], check=True)
    return file, file.with_suffix(".pub").read_text().strip()


def ssh_command(port: int, *words: str, key: Path | None = None, user: str = "openlxd", tty: bool = False) -> list[str]:
    """``ssh user@127.0.0.1 words…``, by ``key`` or by password."""
    command = ["ssh", *_QUIET, "-p", str(port)]
    command += ["-i", str(key)] if key else ["-o", "PubkeyAuthentication=no"]
    command += ["-t"] if tty else []
    return [*command, f"{user}@127.0.0.1", *words]


def run_ssh(
    port: int, *words: str, key: Path, user: str = "openlxd", data: bytes = b"", timeout: float = 60
) -> subprocess.CompletedProcess[bytes]:
    """Run one command by ssh without a terminal."""
    return subprocess.run(
        ssh_command(port, *words, key=key, user=user), input=data, capture_output=True, timeout=timeout, check=False,
        env={**os.environ, "TERM": "xterm-256color"},
    )  # fmt: skip
