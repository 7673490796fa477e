"""What an operator can get wrong before a start: one line that names the setting or the file, and no traceback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from openlxd_core.domain.errors import ConfigurationError
from openlxd_core.key_files import check_tls_pair, ensure_tls_pair
from tests.support.core import make_settings
from tests.support.processes import environment_of

pytestmark = pytest.mark.slow

SERVERS = (["-m", "openlxd_tui"], ["-m", "openlxd_api"])
COMMANDS = (["-m", "openlxd_tui.cli", "user", "list"], ["-m", "openlxd_tui.cli", "up"])
NOBODY = 65534


def _end(
    call: list[str], environment: dict[str, str], *, before: Callable[[], None] | None = None
) -> tuple[int, list[str]]:
    """How a process ends that cannot start: its status, and what it said that is no event of the log."""
    done = subprocess.run(
        [sys.executable, *call], env=environment, capture_output=True, text=True, timeout=60, check=False,
        stdin=subprocess.DEVNULL, cwd=Path(__file__).resolve().parents[2], preexec_fn=before,
    )  # fmt: skip
    said = (done.stdout + done.stderr).splitlines()
    assert not any("Traceback" in line for line in said), said
    return done.returncode, [line for line in said if not line.startswith("{")]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A place that another account can reach; pytest's own is closed."""
    place = Path("/tmp") / f"olx-start-{os.getpid()}-{tmp_path.name[-12:]}"
    place.mkdir(mode=0o755)
    yield place
    shutil.rmtree(place)


POSTGRES = "postgres://olx:hunter22@db.example/olx"


@pytest.mark.parametrize(
    ("call", "url"),
    [(SERVERS[0], POSTGRES), (SERVERS[1], POSTGRES), *((call, POSTGRES) for call in COMMANDS), (SERVERS[0], "mysql://x"),
     (SERVERS[0], "nonsense"), (SERVERS[0], "sqlite://"), (SERVERS[0], "sqlite:///"), (SERVERS[0], "postgres://h:port/x")],
)  # fmt: skip
def test_a_database_that_is_not_supported_is_one_line(tmp_path: Path, url: str, call: list[str]) -> None:
    """It names the setting and what to write, and not the password."""
    environment = environment_of(make_settings(tmp_path), OPENLXD_DATABASE_URL=url)
    status, said = _end(call, environment)
    assert status == 1
    assert len(said) == 1
    assert said[0].startswith("Error: Setting database_url (from OPENLXD_DATABASE_URL)")
    assert "sqlite:///" in said[0]
    assert "hunter22" not in said[0]


def test_only_a_plain_file_is_taken_for_the_database(tmp_path: Path) -> None:
    """A directory, a socket, a device (which a fresh database would once have replaced): named, and left alone."""
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        os.mkfifo(tmp_path / "pipe")
        for name in ("folder", "s", "pipe"):
            before = (tmp_path / name).stat()
            environment = environment_of(make_settings(tmp_path), OPENLXD_DATABASE_URL=f"sqlite://{tmp_path / name}")
            assert _end(SERVERS[0], environment) == (1, [f"Error: {tmp_path / name} is not a regular file."])
            after = (tmp_path / name).stat()
            assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize(
    ("closed", "call"),
    [*((closed, call) for closed in ("state", "keys", "nowhere") for call in (*SERVERS, COMMANDS[0])),
     ("config", COMMANDS[0])],
)  # fmt: skip
def test_an_account_that_may_not_is_told_which_file(folder: Path, closed: str, call: list[str]) -> None:
    """Status 4: the state, the keys or the settings file are another account's."""
    if shutil.which("unshare") is None or shutil.which("setpriv") is None:
        pytest.skip("this needs util-linux")
    state, keys, file = folder / "state", folder / "keys", folder / "openlxd.toml"
    if closed != "nowhere":
        for path in (state, keys):
            path.mkdir(mode=0o700)
            if path.name != closed:
                os.chown(path, NOBODY, NOBODY)
    environment = environment_of(
        make_settings(folder / "unused"), OPENLXD_STATE_DIR=str(state), OPENLXD_KEYS_DIR=str(keys), HOME="/tmp",
    )  # fmt: skip
    shutil.rmtree(folder / "unused")
    words = list(call)
    if closed == "config":
        file.write_text("ssh_port = 2022\n")
        file.chmod(0o600)
        words += ["--config", str(file)]
    done = subprocess.run(
        _as_nobody([sys.executable, *words], folder / "aside"),
        env=environment, capture_output=True, text=True, timeout=60, check=False,
        stdin=subprocess.DEVNULL, cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip("this needs a mount namespace of its own")
    said = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert "Traceback" not in done.stderr
    assert (done.returncode, len(said)) == (4, 1), done.stderr
    assert str({"state": state, "keys": keys, "nowhere": state, "config": file}[closed]) in said[0]
    assert "Permission denied" in said[0]


def _as_nobody(command: list[str], aside: Path) -> list[str]:
    """``command`` as nobody; where the interpreter lies in root's home, in a namespace that opens the way to it."""
    real = Path(sys.executable).resolve()
    shut = next((path for path in reversed(real.parents) if not path.stat().st_mode & 0o001), None)
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    if shut is None:
        return [*become, *command]
    aside.mkdir()
    kept = shut / real.relative_to(shut).parts[0]
    script = (
        'mount --bind "$1" "$3" && mount -t tmpfs -o mode=755 tmpfs "$2" && mkdir "$1" && mount --bind "$3" "$1" '
        '&& shift 3 && exec "$@"'
    )
    return ["unshare", "-m", "sh", "-c", script, "sh", str(kept), str(shut), str(aside), *become, *command]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A certificate, its key, and another key."""
    place = tmp_path_factory.mktemp("tls")
    cert, key = ensure_tls_pair(place / "one", ["host.example"])
    _other, other = ensure_tls_pair(place / "two", ["host.example"])
    check_tls_pair(cert, key)
    return cert, key, other


@pytest.mark.parametrize(
    ("wrong", "names", "says"),
    [("no key", "key", "No such file"), ("no cert", "cert", "No such file"), ("other key", "other", "does not belong"),
     ("junk key", "junk", "no private key"), ("junk cert", "junk", "no certificate"),
     ("secret key", "secret", "passphrase"),
     ("folder", "folder", "Is a directory")],
)  # fmt: skip
def test_the_file_of_the_tls_pair_that_is_wrong_is_named(
    pair: tuple[Path, Path, Path], tmp_path: Path, wrong: str, names: str, says: str
) -> None:
    """The key's fault is not laid on the certificate."""
    from cryptography.hazmat.primitives import serialization

    cert, key, other = pair
    junk, secret, missing, place = tmp_path / "junk", tmp_path / "secret", tmp_path / "missing", tmp_path / "folder"
    junk.write_text("junk")
    place.mkdir()
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    secret.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
        )
    )
    tried = {
        "no key": (cert, missing), "no cert": (missing, key), "other key": (cert, other), "junk key": (cert, junk),
        "junk cert": (junk, key), "secret key": (cert, secret), "folder": (cert, place),
    }[wrong]  # fmt: skip
    with pytest.raises(ConfigurationError, match=says) as failure:
        check_tls_pair(*tried)
    blamed = {"key": missing, "cert": missing, "other": other}.get(names, tmp_path / names)
    assert str(blamed) in str(failure.value)
    if wrong != "other key":
        innocent = tried[0] if blamed == tried[1] else tried[1]
        assert str(innocent) not in str(failure.value)


@pytest.mark.parametrize(
    ("call", "setting", "value"),
    [(SERVERS[0], "SSH_HOST", "no.such.invalid"), (SERVERS[0], "SSH_HOST", "x" * 300), (SERVERS[1], "API_HOST", "a..b"),
     (SERVERS[0], "SSH_PORT", "taken"), (SERVERS[1], "API_PORT", "taken")],
)  # fmt: skip
def test_an_address_that_cannot_be_listened_on_is_one_line(
    tmp_path: Path, call: list[str], setting: str, value: str
) -> None:
    """Taken, or no address at all: the system's reason, once."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        told = str(other.getsockname()[1]) if value == "taken" else value
        environment = environment_of(make_settings(tmp_path), **{f"OPENLXD_{setting}": told})
        status, said = _end(call, environment)
    assert (status, len(said)) == (1, 1), said
    assert "cannot listen on" in said[0]
    assert told in said[0]
    if value == "taken":
        assert said[0].endswith("Address already in use.")


@pytest.mark.parametrize("content", [b"garbage", None])
def test_a_spoilt_host_key_is_named(tmp_path: Path, content: bytes | None) -> None:
    """By the server and by the doctor alike."""
    settings = make_settings(tmp_path)
    settings.keys_dir.mkdir(mode=0o700)
    key = settings.keys_dir / "ssh_host_ed25519_key"
    if content is None:
        key.mkdir()
    else:
        key.write_bytes(content)
        key.chmod(0o600)
    status, said = _end(SERVERS[0], environment_of(settings))
    assert (status, len(said)) == (1, 1), said
    assert str(key) in said[0]
    _status, lines = _end(["-m", "openlxd_tui.cli", "doctor"], environment_of(settings))
    assert any(line.startswith("WRONG") and str(key) in line for line in lines)
