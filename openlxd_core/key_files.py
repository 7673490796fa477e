"""The secrets of one installation: made once, kept in ``keys_dir``, read by both processes.

A secret is written to a file of its own under a lock and then linked to its final name, so that any number of
processes starting together end up with one and the same key, and a crash leaves a whole file or none. What we
did not make ourselves is judged before it is used: a link, a foreign owner, or a key that others can read
stops the start with one line. What the secrets are *for* is the business of the SSH server, the API and ``auth``.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from openlxd_core import file_lock
from openlxd_core.domain.errors import ConfigurationError, system_reason, unusable
from openlxd_core.i18n import N_

SSH_HOST_KEY = "ssh_host_ed25519_key"
JWT_SECRET = "jwt_secret"  # noqa: S105 - a file's name
SYSTEM_API_KEY = "system_api_key"
TLS_CERT = "tls_cert.pem"
TLS_KEY = "tls_key.pem"
TLS_YEARS = 10
_BYTES_MAX = 64 * 1024  # no key is larger; a wrong file is not read into memory


def ensure_ssh_host_key(keys_dir: Path) -> Path:
    """The ed25519 host key in OpenSSH's private format, made at first start. Raises ConfigurationError."""

    def make() -> bytes:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )

    path = keys_dir / SSH_HOST_KEY
    check_ssh_host_key(path, _ensure(path, make))
    return path


def check_ssh_host_key(path: Path, content: bytes) -> None:
    """Raise ConfigurationError unless ``content`` is a private key that opens without a passphrase."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    try:
        load_ssh_private_key(content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigurationError(
            N_("{path} does not hold an SSH private key without a passphrase. Put the key back, or delete the file."),
            path=str(path),
        ) from None


def jwt_secret(keys_dir: Path) -> bytes:
    """At least 32 random bytes that sign tokens. Raises ConfigurationError."""
    path = keys_dir / JWT_SECRET
    secret = _ensure(path, lambda: secrets.token_hex(32).encode() + b"\n").strip()
    if len(secret) < 32:
        raise ConfigurationError(N_("{path} is too short: a token secret has at least 32 bytes."), path=str(path))
    return secret


def system_api_key(keys_dir: Path) -> str:
    """The API key of the installation itself: 64 hex digits. Raises ConfigurationError."""
    path = keys_dir / SYSTEM_API_KEY
    _ensure(path, lambda: secrets.token_hex(32).encode() + b"\n")
    return read_system_api_key(path)


def read_system_api_key(path: Path) -> str:
    """The system API key in its file, which must be there. Raises ConfigurationError."""
    key = _read(path).strip().decode("ascii", "replace")
    if len(key) != 64 or set(key) - set("0123456789abcdef"):
        raise ConfigurationError(N_("{path} does not hold an API key of 64 hex digits."), path=str(path))
    return key


def ensure_tls_pair(keys_dir: Path, hostnames: Sequence[str]) -> tuple[Path, Path]:
    """The self-signed certificate and its key, made at first start for ``hostnames`` (names and addresses).

    Both are kept in one lock, so that a certificate never meets another start's key. Raises ConfigurationError.
    """
    cert, key = keys_dir / TLS_CERT, keys_dir / TLS_KEY
    with _locked(keys_dir):
        if not (os.path.lexists(cert) and os.path.lexists(key)):
            cert_pem, key_pem = _self_signed(hostnames)
            _replace(key, key_pem)
            _replace(cert, cert_pem)
    _read(key)
    _read(cert)
    return cert, key


def check_private_file(path: Path) -> None:
    """Raise ConfigurationError unless ``path`` is a plain file, its owner's alone to read, and holds what it should."""
    content = _read(path)
    match path.name:
        case name if name == SSH_HOST_KEY:
            check_ssh_host_key(path, content)
        case name if name == JWT_SECRET:
            jwt_secret(path.parent)


def check_tls_pair(cert: Path, key: Path) -> None:
    """Raise ConfigurationError, naming the file, unless ``cert`` and ``key`` are a TLS server's pair."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        chain = x509.load_pem_x509_certificates(
            _plain(cert, N_("The TLS certificate {path} cannot be used: {reason}."))
        )
    except ValueError:
        raise ConfigurationError(
            N_("The TLS certificate {path} holds no certificate in PEM."), path=str(cert)
        ) from None
    try:
        private = load_pem_private_key(_plain(key, N_("The TLS key {path} cannot be used: {reason}.")), None)
    except TypeError:
        raise ConfigurationError(
            N_("The TLS key {path} is protected by a passphrase; use one without."), path=str(key)
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigurationError(N_("The TLS key {path} holds no private key in PEM."), path=str(key)) from None
    if private.public_key() != chain[0].public_key():
        raise ConfigurationError(
            N_("The TLS key {key} does not belong to the certificate {cert}."), key=str(key), cert=str(cert)
        )


def _plain(path: Path, template: str) -> bytes:
    try:
        return path.read_bytes()
    except PermissionError as error:
        raise unusable(path, error) from None
    except OSError as error:
        raise ConfigurationError(template, path=str(path), reason=system_reason(error)) from None


def _self_signed(hostnames: Sequence[str]) -> tuple[bytes, bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    names: list[x509.GeneralName] = []
    for name in dict.fromkeys(["localhost", "127.0.0.1", "::1", *hostnames]):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            if name.isascii() and 0 < len(name) <= 253:
                names.append(x509.DNSName(name))
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "OpenLXD")])
    now = datetime.now(UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # a client's clock may be behind ours
        .not_valid_after(now + timedelta(days=365 * TLS_YEARS + 2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return (
        cert.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def _ensure(path: Path, make: Callable[[], bytes]) -> bytes:
    """The content of ``path``, made by ``make`` if there is no such file yet."""
    if not os.path.lexists(path):
        with _locked(path.parent):
            if not os.path.lexists(path):
                _replace(path, make())
    return _read(path)


@contextmanager
def _locked(keys_dir: Path) -> Iterator[None]:
    """One process at a time; the directory is made, 0700, if it is not there."""
    try:
        keys_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_directory(keys_dir)
        with file_lock.locked(keys_dir / ".lock"):
            yield
    except OSError as error:
        raise unusable(keys_dir, error) from None


def _check_directory(keys_dir: Path) -> None:
    """Close a directory of ours to others (git makes ``keys/`` 0755); refuse one that belongs to somebody else."""
    found = keys_dir.stat()
    if not _is_ours(found.st_uid):
        raise ConfigurationError(
            N_("{path} belongs to another user. Run: chown {user} {path}"),
            path=str(keys_dir),
            user=os.geteuid(),
        )
    if found.st_mode & 0o077 and os.geteuid() in (found.st_uid, 0):
        keys_dir.chmod(0o700)


def _is_ours(user_id: int) -> bool:
    return os.geteuid() in (user_id, 0) or user_id == 0


def _replace(path: Path, content: bytes) -> None:
    """Write ``content`` beside ``path`` and move it there whole, 0600, on disk before it is seen."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            if os.geteuid() == 0:  # an admin's `openlxd user add` may come before the service's first start
                owner = path.parent.stat()
                os.fchown(stream.fileno(), owner.st_uid, owner.st_gid)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        draft.rename(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _read(path: Path) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if path.is_symlink():
            raise ConfigurationError(
                N_("{path} is a symbolic link. Replace it with the key file itself."), path=str(path)
            ) from None
        raise unusable(path, error) from None
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        raise ConfigurationError(N_("{path} is not a regular file."), path=str(path))
    with os.fdopen(handle, "rb") as stream:
        if found.st_mode & 0o077:
            raise ConfigurationError(N_("Other users can read {path}. Run: chmod 600 {path}"), path=str(path))
        if not _is_ours(found.st_uid):
            raise ConfigurationError(
                N_("{path} belongs to another user. Run: chown {user} {path}"),
                path=str(path),
                user=os.geteuid(),
            )
        content = stream.read(_BYTES_MAX + 1)
    if not content.strip() or len(content) > _BYTES_MAX:
        raise ConfigurationError(N_("{path} is empty or far too large to be a key."), path=str(path))
    return content
