"""Promises of openlxd_core.key_files: one key, whole, and nobody else's to read."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from openlxd_core import key_files
from openlxd_core.domain.errors import ConfigurationError

RACE = """
import sys, time
from pathlib import Path
from openlxd_core import key_files
keys = Path(sys.argv[1])
while not (keys.parent / "go").exists():
    time.sleep(0.001)
host = key_files.ensure_ssh_host_key(keys).read_bytes()
cert, key = key_files.ensure_tls_pair(keys, ["example.org"])
jwt, system = key_files.jwt_secret(keys), key_files.system_api_key(keys).encode()
print(hash_of(host, jwt, system, cert.read_bytes(), key.read_bytes()))
"""
HASH = "import hashlib\ndef hash_of(*parts): return hashlib.sha256(b'|'.join(parts)).hexdigest()\n"


def test_eight_processes_starting_at_once_share_one_key(tmp_path: Path) -> None:
    """However many processes make the secrets together, all of them read the same ones."""
    children = [
        subprocess.Popen([sys.executable, "-c", HASH + RACE, str(tmp_path / "keys")], stdout=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    (tmp_path / "go").touch()
    answers = [child.communicate(timeout=60)[0].strip() for child in children]
    assert len(set(answers)) == 1
    assert len(answers[0]) == 64
    left = {path.name for path in (tmp_path / "keys").iterdir()}
    assert left == {
        ".lock",
        key_files.SSH_HOST_KEY,
        key_files.JWT_SECRET,
        key_files.SYSTEM_API_KEY,
        key_files.TLS_CERT,
        key_files.TLS_KEY,
    }


def test_secrets_are_closed_to_others(tmp_path: Path) -> None:
    """The directory is 0700 and each file 0600, whatever the umask and the directory were before."""
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o755)
    before = os.umask(0)
    try:
        key_files.ensure_ssh_host_key(keys)
        key_files.jwt_secret(keys)
        key_files.ensure_tls_pair(keys, [])
    finally:
        os.umask(before)
    assert keys.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in keys.iterdir()} == {0o600}


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """A key that was open to others may be known to them: the start stops and says how to mend it."""
    key_files.jwt_secret(tmp_path)
    (tmp_path / key_files.JWT_SECRET).chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        key_files.jwt_secret(tmp_path)


def test_a_link_in_a_keys_place_is_refused(tmp_path: Path) -> None:
    """Nobody makes us read, or write, a file elsewhere by a link, a dangling one included."""
    elsewhere = tmp_path / "elsewhere"
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / key_files.SYSTEM_API_KEY).symlink_to(elsewhere)
    with pytest.raises(ConfigurationError, match="symbolic link"):
        key_files.system_api_key(keys)
    assert not elsewhere.exists()


@pytest.mark.parametrize("content", [b"", b"\n", b"short\n", b"x" * 100_000])
def test_a_broken_secret_stops_the_start(tmp_path: Path, content: bytes) -> None:
    """An empty, short or absurd file is named in one line, never used."""
    (tmp_path / key_files.JWT_SECRET).write_bytes(content)
    (tmp_path / key_files.JWT_SECRET).chmod(0o600)
    with pytest.raises(ConfigurationError) as caught:
        key_files.jwt_secret(tmp_path)
    assert str(tmp_path / key_files.JWT_SECRET) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_self_signed_pair_serves_tls(tmp_path: Path) -> None:
    """The pair loads into a TLS server, names the host and is kept at the next start."""
    cert, key = key_files.ensure_tls_pair(tmp_path, ["panel.example.org", "192.0.2.7"])
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key)
    text = subprocess.run(["openssl", "x509", "-noout", "-text", "-in", cert], capture_output=True, text=True).stdout
    assert "panel.example.org" in text or not text  # openssl's command is not everywhere
    assert key_files.ensure_tls_pair(tmp_path, ["other"])[0].read_bytes() == cert.read_bytes()


def test_the_host_key_is_an_openssh_key(tmp_path: Path) -> None:
    """OpenSSH's own tool reads it as an ed25519 key."""
    import asyncssh

    key = asyncssh.read_private_key(str(key_files.ensure_ssh_host_key(tmp_path)))
    assert key.get_algorithm() == "ssh-ed25519"
