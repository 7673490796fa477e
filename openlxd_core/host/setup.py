"""``openlxd setup``: from a bare Debian or Ubuntu to an LXD that can hold tenants' containers.

It says each step before it takes it, takes only the steps that are still missing, and works with and without
systemd. Nothing that is there already is changed.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from openlxd_core.domain.errors import ConfigurationError, LxdRefused, LxdUnavailable
from openlxd_core.host import busybox
from openlxd_core.host.lxd import LxdHost, Server, find_lxd, require_root
from openlxd_core.i18n import N_, _
from openlxd_core.settings import Settings

Say = Callable[[str], None]
BRIDGES = {"lxd": "lxdbr0", "incus": "incusbr0"}
HELPERS = ("btrfs-progs", "dnsmasq-base", "iptables", "nftables", "busybox-static")
"""Disk limits, addresses and NAT for containers, and the small first image."""
START_SECONDS = 60.0
POOL_SHARE = 0.2
"""Of the free disk, for a pool in a loop file; between 5 and 30 GiB, as LXD's own default."""


def can_set_up() -> bool:
    """Whether this is root on a Debian or an Ubuntu."""
    return os.geteuid() == 0 and bool(_distribution()) and shutil.which("apt-get") is not None


def set_up(settings: Settings, say: Say) -> Server:
    """Install, start and initialise LXD, and leave one image in it. Raises ConfigurationError, LxdUnavailable."""
    server = find_lxd(settings) if settings.lxd_socket else find_lxd(settings.model_copy(update={"lxd": "auto"}))
    if server is None:
        require_root()
        server = _install_and_start(settings, say)
    else:
        say(_("{kind} {version} is running.").format(kind=server.kind.upper(), version=server.version))
    host = LxdHost(server.socket)
    if not server.trusted:
        raise ConfigurationError(N_("Permission denied on the LXD socket. Run this as root."))
    _ensure_pool(host, server, settings.storage_pool, say)
    _ensure_bridge(host, settings.network or BRIDGES[server.kind], say)
    _ensure_profile(host, settings, say)
    _ensure_image(host, say)
    return server


def _distribution() -> str:
    """``debian`` or ``ubuntu`` (or what is made of them), else an empty string."""
    try:
        lines = Path("/etc/os-release").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    values = {key: value.strip('"') for key, _sign, value in (line.partition("=") for line in lines)}
    family = [values.get("ID", ""), *values.get("ID_LIKE", "").split()]
    return next((name for name in ("ubuntu", "debian") if name in family), "")


def _has_systemd() -> bool:
    return Path("/run/systemd/system").is_dir()


def _install_and_start(settings: Settings, say: Say) -> Server:
    program = next((name for name in ("lxd", "incusd") if shutil.which(name)), "")
    if not program:
        program = _install(say)
    else:
        _install_helpers(say)
    _start(program, say)
    return _wait(settings, program)


def _install(say: Say) -> str:
    if not can_set_up():
        raise ConfigurationError(
            N_(
                "LXD can be installed automatically on Debian and Ubuntu only. Install LXD or Incus, "
                "then run this again."
            )
        )
    _apt(["update"], say, _("Reading the distribution's list of packages."))
    wanted = ("incus", "lxd") if _distribution() == "ubuntu" else ("lxd", "incus")
    package = next((name for name in wanted if _is_offered(name)), "")
    if not package:
        raise ConfigurationError(N_("This distribution offers neither LXD nor Incus. Install one of them by hand."))
    packages = [package, *(["lxd-client"] if package == "lxd" else []), *filter(_is_offered, HELPERS)]
    _apt(
        ["install", "-y", "--no-install-recommends", *packages],
        say,
        _("Installing {packages}.").format(packages=", ".join(packages)),
    )
    return "lxd" if package == "lxd" else "incusd"


def _install_helpers(say: Say) -> None:
    """The helpers that a bare LXD package lacks. Their absence costs comfort, not the start."""
    needed = {
        "btrfs-progs": "mkfs.btrfs",
        "dnsmasq-base": "dnsmasq",
        "iptables": "iptables",
        "busybox-static": "busybox",
    }
    missing = [package for package, tool in needed.items() if shutil.which(tool, path=_PATH) is None]
    if not missing or not can_set_up():
        return
    try:
        _apt(["update"], say, _("Reading the distribution's list of packages."))
        _apt(
            ["install", "-y", "--no-install-recommends", *missing],
            say,
            _("Installing {packages}.").format(packages=", ".join(missing)),
        )
    except ConfigurationError as error:
        say(str(error))


_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin"


def _is_offered(package: str) -> bool:
    """Whether apt has a real package of that name (Ubuntu's ``lxd`` is a shell for a snap)."""
    done = subprocess.run(
        ["apt-cache", "policy", package], capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
    )
    candidate = next((line.split(":", 1)[1].strip() for line in done.stdout.splitlines() if "Candidate:" in line), "")
    return candidate not in ("", "(none)") and not (package == "lxd" and candidate.startswith("1:0."))


def _apt(arguments: list[str], say: Say, what: str) -> None:
    say(what)
    done = subprocess.run(
        ["apt-get", "-q", *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "?").splitlines()[-1]
        raise ConfigurationError(N_("apt-get {verb} failed: {reason}"), verb=arguments[0], reason=last)


def _start(program: str, say: Say) -> None:
    if _has_systemd():
        unit = "lxd" if program == "lxd" else "incus"
        say(_("Starting {what} with systemd.").format(what=unit))
        subprocess.run(["systemctl", "enable", "--now", f"{unit}.socket"], capture_output=True, check=False)
        subprocess.run(["systemctl", "start", f"{unit}.service"], capture_output=True, check=False)
        return
    log = Path("/var/log") / f"{program}-openlxd.log"
    say(_("Starting {program} (there is no systemd here); it writes to {log}.").format(program=program, log=log))
    group = ["--group", "lxd" if program == "lxd" and _group_exists("lxd") else "root"]
    with log.open("ab") as stream:
        subprocess.Popen(  # it outlives us on purpose
            [program, *group],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            cwd="/",
            start_new_session=True,
        )


def _group_exists(name: str) -> bool:
    import grp

    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _wait(settings: Settings, program: str) -> Server:
    deadline = time.monotonic() + START_SECONDS
    looking = settings.model_copy(update={"lxd": "auto"})
    while time.monotonic() < deadline:
        try:
            server = find_lxd(looking)
        except LxdUnavailable:
            server = None
        if server is not None:
            return server
        time.sleep(0.2)
    raise LxdUnavailable(
        N_("{program} was started but did not respond within {seconds} seconds."),
        program=program,
        seconds=round(START_SECONDS),
    )


def _ensure_pool(host: LxdHost, server: Server, name: str, say: Say) -> None:
    if name in host.names("/1.0/storage-pools"):
        return
    if shutil.which("mkfs.btrfs", path=_PATH) and "btrfs" in server.storage_drivers:
        size = _pool_gib()
        say(_("Creating the storage pool {name}: btrfs in a file of at most {size} GiB.").format(name=name, size=size))
        try:
            config = {"size": f"{size}GiB"}
            host.call("POST", "/1.0/storage-pools", {"name": name, "driver": "btrfs", "config": config}, timeout=300)
            return
        except LxdRefused as error:
            say(str(error))
    say(_("Creating the storage pool {name} in a plain directory: disk limits will not be enforced.").format(name=name))
    host.call("POST", "/1.0/storage-pools", {"name": name, "driver": "dir"})


def _pool_gib() -> int:
    free = shutil.disk_usage("/var/lib").free / 1024**3
    return max(5, min(30, int(free * POOL_SHARE)))


def _ensure_bridge(host: LxdHost, name: str, say: Say) -> None:
    bridges = host.managed_bridges()
    if name in bridges or (bridges and name in BRIDGES.values()):
        return
    say(_("Creating the bridge {name} with NAT.").format(name=name))
    chosen = _unused_subnet()
    local = f"fd42:{secrets.token_hex(2)}:{secrets.token_hex(2)}:{secrets.token_hex(2)}::1/64"
    # LXD's own choice first; it finds none where a route covers all private networks. Then without IPv6.
    tries = [("auto", "auto"), (chosen, local), (chosen, "none")]
    for ipv4, ipv6 in tries:
        config = {"ipv4.address": ipv4, "ipv4.nat": "true", "ipv6.address": ipv6}
        if ipv6 != "none":
            config["ipv6.nat"] = "true"
        try:
            host.call("POST", "/1.0/networks", {"name": name, "type": "bridge", "config": config})
            return
        except LxdRefused:
            if (ipv4, ipv6) == tries[-1]:
                raise


def _unused_subnet() -> str:
    """A private /24 that no interface's route lies in, as ``10.x.y.1/24``."""
    taken = set()
    try:
        for line in Path("/proc/net/route").read_text().splitlines()[1:]:
            destination, mask = line.split()[1], line.split()[7]
            if mask != "00000000":
                taken.add(ipaddress.ip_address(int.from_bytes(bytes.fromhex(destination), "little")))
    except (OSError, ValueError, IndexError):
        pass  # no such list: any will do
    while True:
        subnet = ipaddress.ip_network(f"10.{60 + secrets.randbelow(190)}.{secrets.randbelow(256)}.0/24")
        if not any(address in subnet for address in taken):
            return f"{subnet[1]}/24"


def _ensure_profile(host: LxdHost, settings: Settings, say: Say) -> None:
    """The default profile gets a root disk and a NIC, so that plain ``lxc launch`` works as well."""
    profile = host.call("GET", "/1.0/profiles/default")
    devices = dict(profile.get("devices") or {})
    missing = {}
    if not any(device.get("path") == "/" for device in devices.values()):
        missing["root"] = {"type": "disk", "path": "/", "pool": settings.storage_pool}
    if not any(device.get("type") == "nic" for device in devices.values()):
        bridge = settings.network or host.managed_bridges()[0]
        missing["eth0"] = {"type": "nic", "name": "eth0", "network": bridge}
    if missing:
        say(_("Adding {devices} to the default profile.").format(devices=", ".join(missing)))
        host.call("PATCH", "/1.0/profiles/default", {"devices": {**devices, **missing}})


def _ensure_image(host: LxdHost, say: Say) -> None:
    """One image to begin with: a small one made on the spot, where there is none and Busybox is at hand."""
    if host.call("GET", "/1.0/images"):
        return
    tool = busybox.find()
    if tool is None:
        say(_("There is no image yet, and no static busybox to make a first one from."))
        return
    say(_("Creating the first image, {alias}, from the static busybox.").format(alias=busybox.ALIAS))
    busybox.import_into(host, tool)
