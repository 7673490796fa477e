"""``openlxd doctor``: each thing the product needs, looked at, with a mend for what is wrong.

A finding is wrong (the product cannot do its work), a note (it can, and somebody should know), or all right.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import shutil
import socket
import ssl
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from openlxd_core import bootstrap, key_files
from openlxd_core.domain.errors import Message, OpenLXDError, system_reason
from openlxd_core.domain.text import clean
from openlxd_core.domain.units import format_bytes
from openlxd_core.host.lxd import LxdHost, candidates, find_lxd, may_use
from openlxd_core.i18n import N_
from openlxd_core.settings import Settings
from openlxd_core.storage import faults

RELEASED = 1_790_000_000
"""A moment before this version was made: a clock that shows an earlier one is wrong (September 2026)."""
NETWORK_SECONDS = 5.0
LITTLE_ROOM = 200 * 1024 * 1024
"""Bytes left on the state directory's disk below which somebody should know."""
_STA_UNSYNC = 0x0040


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's."""

    check: str
    level: Level
    finding: Message
    mend: Message | None = None


def ok(check: str, template: str, **params: object) -> Finding:
    """All right."""
    return Finding(check, Level.OK, Message(template, params))


def note(check: str, template: str, mend: str, **params: object) -> Finding:
    """It works, and somebody should know."""
    return Finding(check, Level.WARNING, Message(template, params), Message(mend, params))


def wrong(check: str, template: str, mend: str, **params: object) -> Finding:
    """It does not work."""
    return Finding(check, Level.WRONG, Message(template, params), Message(mend, params))


async def examine(settings: Settings) -> list[Finding]:
    """Every check there is. A check that fails by itself is a finding, too."""
    findings: list[Finding] = []
    for name, check in (
        ("lxd", check_lxd),
        ("ports", check_ports),
        ("keys", check_keys),
        ("permissions", check_permissions),
        ("disk", check_disk),
        ("clock", check_clock),
        ("images", check_image_source),
        ("registration", check_registration),
    ):
        findings += await asyncio.to_thread(_run, name, check, settings)
    try:
        findings += await check_database(settings)
    except OSError as error:
        findings += [_uncheckable("database", error)]
    return findings


def _uncheckable(name: str, error: OSError) -> Finding:
    reason = system_reason(error) + (f" ({error.filename})" if error.filename else "")
    return wrong(name, N_("This could not be checked: {reason}."), N_("Run this as root."), reason=clean(reason, 200))


def _run(name: str, check: Callable[[Settings], Iterable[Finding]], settings: Settings) -> list[Finding]:
    try:
        return list(check(settings))
    except OpenLXDError as error:
        mend = {"lxd": N_("Run: openlxd setup"), "keys": N_("Fix the file, or use another one.")}.get(
            name, N_("Run this as root.")
        )
        return [Finding(name, Level.WRONG, error.message, Message(mend))]
    except OSError as error:
        return [_uncheckable(name, error)]


def check_lxd(settings: Settings) -> Iterator[Finding]:
    """LXD itself, its pool, its bridge, its images."""
    if settings.simulated:
        yield note("lxd", N_("Containers are simulated."), N_("Unset OPENLXD_LXD to use a real LXD."))
        return
    blocked = [path for path in candidates(settings) if path.exists() and not may_use(path)]
    server = find_lxd(settings.model_copy(update={"lxd": "auto"})) if not blocked else None
    if server is None:
        if blocked:
            mend = N_("Run as root, or add this user to the group: usermod -aG lxd {user}")
            yield wrong(
                "lxd", N_("Permission denied: {path}."), mend, path=str(blocked[0]), user=os.environ.get("USER", "")
            )
        else:
            yield wrong("lxd", N_("No LXD and no Incus is running here."), N_("Run: openlxd setup"))
        return
    yield ok("lxd", N_("{kind} {version} at {path}"), kind=server.kind, version=server.version, path=str(server.socket))
    if not server.trusted:
        yield wrong(
            "lxd",
            N_("Permission denied on the LXD socket."),
            N_('Run as root, or add this user to the "lxd" group.'),
        )
        return
    host = LxdHost(server.socket)
    yield from _check_pool(host, settings.storage_pool)
    bridges = host.managed_bridges()
    wanted = settings.network
    if not bridges or (wanted and wanted not in bridges):
        yield wrong("bridge", N_("There is no managed bridge {name}."), N_("Run: openlxd setup"), name=wanted or "")
    else:
        yield ok("bridge", N_("{name} exists."), name=wanted or bridges[0])
    count = len(host.names("/1.0/images"))
    if count:
        yield ok("images", N_("LXD has {count} images."), count=count)
    else:
        yield note("images", N_("LXD has no images yet, so no container can be created."), N_("Run: openlxd setup"))


def _check_pool(host: LxdHost, name: str) -> Iterator[Finding]:
    if name not in host.names("/1.0/storage-pools"):
        yield wrong("pool", N_("There is no storage pool {name}."), N_("Run: openlxd setup"), name=name)
        return
    driver = str(host.call("GET", f"/1.0/storage-pools/{name}").get("driver", ""))
    space = (host.call("GET", f"/1.0/storage-pools/{name}/resources") or {}).get("space") or {}
    used, total = int(space.get("used", 0)), int(space.get("total", 0))
    percent = round(100 * used / total) if total else 0
    if driver == "dir":
        mend = N_("Create a btrfs or zfs pool and set OPENLXD_STORAGE_POOL to its name.")
        yield note("pool", N_("The pool {name} is a plain directory: disk limits are not enforced."), mend, name=name)
    elif percent >= 90:
        yield wrong(
            "pool",
            N_("The pool {name} is full to {percent} %."),
            N_("Enlarge the pool, or delete what is no longer needed."),
            name=name, percent=percent,
        )  # fmt: skip
    else:
        yield ok("pool", N_("{name}: {driver}, full to {percent} %."), name=name, driver=driver, percent=percent)


def check_ports(settings: Settings) -> Iterator[Finding]:
    """Each port is free, or it is we who listen there."""
    for name, host, port, speaks in (
        ("ssh", settings.ssh_host, settings.ssh_port, _speaks_ssh),
        ("api", settings.api_host, settings.api_port, _speaks_http),
    ):
        shown = f"{host}:{port}"
        reason = _why_not_free(host, port)
        if not reason:
            yield ok("ports", N_("{name}: {address} is free."), name=name, address=shown)
        elif speaks("127.0.0.1" if host == "0.0.0.0" else host, port, settings):  # noqa: S104
            yield ok("ports", N_("{name}: OpenLXD is listening on {address}."), name=name, address=shown)
        else:
            yield wrong(
                "ports", N_("{name}: {address} cannot be used: {reason}."),
                N_("Free the port, or choose another with OPENLXD_{setting}_PORT."),
                name=name, address=shown, reason=reason, setting=name.upper(),
            )  # fmt: skip


def _why_not_free(host: str, port: int) -> str:
    if port == 0:
        return ""
    try:
        for family, kind, protocol, _name, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _speaks_ssh(host: str, port: int, _settings: Settings) -> bool:
    try:
        with socket.create_connection((host, port), timeout=3) as connection:
            return re.match(rb"SSH-2\.0-\S*OpenLXD", connection.recv(100)) is not None
    except OSError:
        return False


def _speaks_http(host: str, port: int, settings: Settings) -> bool:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # our own certificate, on our own machine
    scheme = "http" if settings.api_tls == "off" else "https"
    try:
        url = f"{scheme}://{host}:{port}/api/v1/health"
        with urllib.request.urlopen(url, timeout=3, context=context) as answer:  # noqa: S310 - our own address
            return b'"success"' in answer.read(2000)
    except urllib.error.HTTPError as error:
        return b'"success"' in error.read(2000)
    except (OSError, ValueError):
        return False


def check_keys(settings: Settings) -> Iterator[Finding]:
    """The secrets are there, whole, and nobody else's to read."""
    if settings.api_tls == "on" and settings.tls_cert is not None and settings.tls_key is not None:
        key_files.check_tls_pair(settings.tls_cert, settings.tls_key)
    if not settings.keys_dir.is_dir():
        yield note(
            "keys",
            N_("{path} does not exist yet."),
            N_("It is created on the first start."),
            path=str(settings.keys_dir),
        )
        return
    made = 0
    for name in (key_files.SSH_HOST_KEY, key_files.JWT_SECRET, key_files.SYSTEM_API_KEY, key_files.TLS_KEY):
        path = settings.keys_dir / name
        if not os.path.lexists(path):
            continue
        made += 1
        try:
            key_files.check_private_file(path)
        except OpenLXDError as error:
            yield Finding(
                "keys",
                Level.WRONG,
                error.message,
                Message(N_("Run chmod 600, and make the service's account its owner.")),
            )
            return
    yield ok(
        "keys", N_("{count} keys in {path}, not readable by other users."), count=made, path=str(settings.keys_dir)
    )


def check_permissions(settings: Settings) -> Iterator[Finding]:
    """The state is ours to write and nobody else's to read."""
    for path in (settings.state_dir, settings.keys_dir):
        if not path.exists():
            home = next(parent for parent in path.absolute().parents if parent.exists())
            if not os.access(home, os.W_OK | os.X_OK):
                mend = N_("Create it and give it to the service's account, or run this as root.")
                yield wrong("permissions", N_("{path} does not exist, and this account cannot create it."), mend,
                            path=str(path))  # fmt: skip
                continue
            yield note(
                "permissions", N_("{path} does not exist yet."), N_("It is created on the first start."), path=str(path)
            )
            continue
        found = path.stat()
        if not path.is_dir():
            yield wrong(
                "permissions", N_("{path} is not a directory."), N_("Move it to another place."), path=str(path)
            )
        elif not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            mend = N_("Run this as the service's account or as root.")
            yield wrong("permissions", N_("Permission denied: {path} cannot be written."), mend, path=str(path))
        elif stat.S_IMODE(found.st_mode) & 0o077:
            yield wrong("permissions", N_("Other users can read {path}."), N_("chmod 700 {path}"), path=str(path))
        else:
            yield ok("permissions", N_("Only OpenLXD's own account can read {path}."), path=str(path))


def check_disk(settings: Settings) -> Iterator[Finding]:
    """There is room for what has to be saved."""
    place = settings.state_dir
    if not place.exists():
        return  # said by the permissions
    free = shutil.disk_usage(place).free
    shown = {"path": str(place), "free": format_bytes(free)}
    if faults.is_full(place):
        yield wrong(
            "disk", N_("Degraded: the disk of {path} is full. Signing in and reading work; changes are refused."),
            N_("Free some space on it. The servers then recover on their own."), **shown,
        )  # fmt: skip
    elif free < LITTLE_ROOM:
        yield note("disk", N_("Only {free} left on the disk of {path}."), N_("Free some space on it."), **shown)
    else:
        yield ok("disk", N_("{free} left on the disk of {path}."), **shown)


def check_clock(settings: Settings) -> Iterator[Finding]:
    """Tokens and one-time codes live by the clock."""
    now = time.time()
    newest = max((path.stat().st_mtime for path in _state_files(settings.state_dir)), default=0.0)
    if now < RELEASED or now + 60 < newest:
        yield wrong(
            "clock",
            N_("The clock is behind: {now}."),
            N_("Turn on time synchronization: timedatectl set-ntp true"),
            now=time.ctime(now),
        )
    elif not _is_synchronised():
        mend = N_("Turn on time synchronization: timedatectl set-ntp true")
        yield note("clock", N_("The kernel reports that the clock is not synchronized."), mend)
    else:
        yield ok("clock", N_("The clock is synchronized."))


def _state_files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []


def _is_synchronised() -> bool:
    """What the kernel says (``adjtimex``)."""
    buffer = (ctypes.c_long * 64)()  # room for struct timex; its fifth word is the status
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.byref(buffer))
    except (OSError, AttributeError):
        return True  # it cannot be asked
    status = ctypes.cast(buffer, ctypes.POINTER(ctypes.c_int))[_STATUS_WORD]
    return state >= 0 and not status & _STA_UNSYNC


_STATUS_WORD = 5 * ctypes.sizeof(ctypes.c_long) // ctypes.sizeof(ctypes.c_int)


def check_image_source(settings: Settings) -> Iterator[Finding]:
    """Each image server answers with an index."""
    for address in settings.images_servers:
        if not address.startswith(("https://", "http://127.0.0.1", "http://localhost", "http://[::1]")):
            yield wrong("images", N_("{url} is not an https address."), N_("Correct OPENLXD_IMAGES_URL."), url=address)
            continue
        reason = _why_no_index(address, settings.images_ca)
        if reason:
            yield wrong(
                "images", N_("{url} does not respond: {reason}."),
                N_("Check the network, or name a mirror in OPENLXD_IMAGES_URL."), url=address, reason=reason,
            )  # fmt: skip
        else:
            yield ok("images", N_("{url} responds."), url=address)


def _why_no_index(address: str, authority: Path | None) -> str:
    try:
        context = ssl.create_default_context(cafile=str(authority) if authority else None)
        url = f"{address.rstrip('/')}/streams/v1/index.json"
        with urllib.request.urlopen(url, timeout=NETWORK_SECONDS, context=context) as answer:  # noqa: S310
            return "" if answer.read(1) == b"{" else "no index"
    except (OSError, ValueError) as error:
        return clean(str(getattr(error, "reason", error)), 200)


def check_registration(settings: Settings) -> Iterator[Finding]:
    """Open registration on an address that anybody can reach should be intended."""
    if settings.registration_is_public:
        yield note(
            "registration", N_("Registration is open: anyone who can reach {address} can create an account."),
            N_("To close it: openlxd setup --registration off"),
            address=f"{settings.api_host}:{settings.api_port}",
        )  # fmt: skip
    elif settings.registration == "on":
        yield ok("registration", N_("Registration is open on this machine only."))
    else:
        yield ok("registration", N_("Registration is closed."))


async def check_database(settings: Settings) -> list[Finding]:
    """The database is there, whole, and of this version."""
    path = Path(settings.database.removeprefix("sqlite://").split("?")[0])
    if settings.database.startswith("sqlite://") and not _is_there(path):
        return [
            note("database", N_("{path} does not exist yet."), N_("It is created on the first start."), path=str(path))
        ]
    try:
        problems = await bootstrap.check_database(settings)
    except OpenLXDError as error:
        return [
            Finding("database", Level.WRONG, error.message, Message(N_("Restore a backup: openlxd db restore FILE")))
        ]
    mend = N_("Stop the servers and restore a backup: openlxd db restore FILE")
    if problems:
        return [wrong("database", "{problem}", mend, problem=clean(problem, 200)) for problem in problems]
    return [ok("database", N_("The database is intact."))]


def _is_there(path: Path) -> bool:
    return path.exists()
