"""Images for live tests: a root file system of one static busybox that boots in well under a second.

It takes an IPv4 address by DHCP and an IPv6 one by router advertisement, has the shell and the tools that the
tests call, and halts by itself when LXD asks (LXD sends SIGPWR to the container's init).
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path

BUSYBOX = Path("/bin/busybox")

INIT = """#!/bin/sh
# Init of a test container. When it exits, the kernel ends everything else in the container and LXD sees it stop.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc 2>/dev/null
trap 'exit 0' PWR USR2 TERM
trap 'exit 0' RTMIN+3 2>/dev/null
[ -s /etc/hostname ] && hostname -F /etc/hostname
ip link set lo up
ip link set eth0 up && udhcpc -b -i eth0 -t 20 -T 1 -S -s /etc/udhcpc.script </dev/null >/dev/null 2>&1 &
while :; do sleep 86400 & wait $!; done
"""

STUBBORN_INIT = INIT.replace("trap 'exit 0' PWR USR2 TERM", "trap '' PWR USR2 TERM").replace(
    "trap 'exit 0' RTMIN+3 2>/dev/null", ""
)
"""One that does not care what LXD asks: it ends by force only."""

UDHCPC = """#!/bin/sh
# Takes what DHCP offers: the address, the default route and the name servers.
case "$1" in
  deconfig) ip -4 addr flush dev "$interface" ;;
  bound|renew)
    ip -4 addr flush dev "$interface"
    ip addr add "$ip/${mask:-24}" dev "$interface"
    for gateway in $router; do ip route replace default via "$gateway" dev "$interface"; done
    : > /etc/resolv.conf
    for server in $dns; do echo "nameserver $server" >> /etc/resolv.conf; done ;;
esac
"""

FILES: dict[str, tuple[str, int]] = {
    "sbin/init": (INIT, 0o755),
    "etc/udhcpc.script": (UDHCPC, 0o755),
    "etc/passwd": ("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", 0o644),
    # Debian's busybox has no chpasswd: this one keeps what it is told, for tests to read
    "sbin/chpasswd": ("#!/bin/sh\nexec cat > /root/told-chpasswd\n", 0o755),
    "etc/shadow": ("root:*:19000:0:99999:7:::\n", 0o640),
    "etc/group": ("root:x:0:\nnogroup:x:65534:\n", 0o644),
    "etc/profile": ("export PS1='root@\\h:\\w# '\n", 0o644),
    "etc/hostname": ("", 0o644),
    "etc/hosts": ("127.0.0.1 localhost\n::1 localhost\n", 0o644),
    "etc/resolv.conf": ("", 0o644),
    "etc/os-release": ('ID=busybox\nNAME="Busybox"\nVERSION_ID="1.35"\n', 0o644),
}
FOLDERS = ("bin", "sbin", "usr/bin", "usr/sbin", "etc", "root", "proc", "sys", "dev", "run", "tmp", "var/log", "srv")


def build_rootfs(path: Path, *, extra: Mapping[str, str] | None = None, ballast_mib: int = 0) -> Path:
    """Fill the folder ``path`` with the root file system; ``ballast_mib`` of noise makes unpacking it slow."""
    for folder in FOLDERS:
        (path / folder).mkdir(parents=True, exist_ok=True)
    (path / "root").chmod(0o700)
    (path / "tmp").chmod(0o1777)
    shutil.copy(BUSYBOX, path / "bin/busybox")
    (path / "bin/busybox").chmod(0o755)
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in applets:
        if applet not in ("busybox", "init", "linuxrc"):
            (path / "bin" / applet).symlink_to("busybox")
    for name, (text, mode) in {**FILES, **{k: (v, 0o644) for k, v in (extra or {}).items()}}.items():
        (path / name).write_text(text)
        (path / name).chmod(mode)
    if ballast_mib:
        with open("/dev/urandom", "rb") as noise, open(path / "srv/ballast", "wb") as ballast:
            for _ in range(ballast_mib):
                ballast.write(noise.read(1024 * 1024))
    return path


def build_image(
    folder: Path,
    *,
    description: str = "Busybox 1.35 amd64",
    properties: Mapping[str, str] | None = None,
    architecture: str = "x86_64",
    ballast_mib: int = 0,
    stubborn: bool = False,
    name: str = "image",
) -> tuple[Path, Path]:
    """Make ``metadata.tar.xz`` and ``rootfs.squashfs`` in ``folder``, as image servers offer them."""
    root = build_rootfs(folder / f"{name}.root", ballast_mib=ballast_mib)
    if stubborn:
        (root / "sbin/init").write_text(STUBBORN_INIT)
    rootfs = folder / f"{name}.squashfs"
    rootfs.unlink(missing_ok=True)
    compression = ["-noD", "-noF"] if ballast_mib else ["-comp", "gzip"]
    quiet = ["-all-root", "-no-xattrs", "-noappend", "-quiet", "-no-progress"]
    subprocess.run(
        ["mksquashfs", str(root), str(rootfs), *quiet, *compression],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    shutil.rmtree(root)
    metadata = folder / f"{name}.tar.xz"
    yaml = _metadata(description, {"os": "busybox", "release": "1.35", "variant": "default", **(properties or {})})
    with tarfile.open(metadata, "w:xz") as tar:
        for member, text in (
            ("metadata.yaml", yaml.replace("@ARCHITECTURE@", architecture)),
            ("templates/hostname.tpl", "{{ container.name }}\n"),
            ("templates/hosts.tpl", "127.0.0.1 localhost\n127.0.1.1 {{ container.name }}\n::1 localhost\n"),
        ):
            info = tarfile.TarInfo(member)
            info.size, info.mtime = len(text.encode()), int(time.time())
            tar.addfile(info, io.BytesIO(text.encode()))
    return metadata, rootfs


def _metadata(description: str, properties: Mapping[str, str]) -> str:
    lines = ["architecture: @ARCHITECTURE@", f"creation_date: {int(time.time())}", "properties:"]
    every = {"architecture": "amd64", "description": description, **properties}
    lines += [f"  {key}: {_quoted(value)}" for key, value in every.items()]
    lines += ["templates:"]
    for path, template in (("/etc/hostname", "hostname.tpl"), ("/etc/hosts", "hosts.tpl")):
        lines += [f"  {path}:", "    when: [create, copy, rename]", f"    template: {template}"]
    return "\n".join(lines) + "\n"


def _quoted(value: str) -> str:
    escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08X}" for c in value)
    return f'"{escaped}"'
