"""The first image: a root file system around one static busybox, made on the spot and imported.

It boots in half a second, takes an address by DHCP, has a shell, and stops when LXD asks. It is there so that a
fresh machine leads to a real container at once; real distributions come from the image market.
"""

from __future__ import annotations

import gzip
import io
import platform
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

from openlxd_core.domain.errors import LxdRefused
from openlxd_core.host.lxd import LxdHost

ALIAS = "busybox"

_INIT = """#!/bin/sh
# When this ends, the kernel ends everything else in the container and LXD sees it stop.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc 2>/dev/null
trap 'exit 0' PWR USR2 TERM
trap 'exit 0' RTMIN+3 2>/dev/null
[ -s /etc/hostname ] && hostname -F /etc/hostname
ip link set lo up
ip link set eth0 up && udhcpc -b -i eth0 -t 20 -T 1 -S -s /etc/udhcpc.script </dev/null >/dev/null 2>&1 &
while :; do sleep 86400 & wait $!; done
"""
_UDHCPC = """#!/bin/sh
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
_FILES = {
    "sbin/init": (_INIT, 0o755),
    "etc/udhcpc.script": (_UDHCPC, 0o755),
    "etc/passwd": ("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", 0o644),
    "etc/shadow": ("root:*:19000:0:99999:7:::\n", 0o640),
    "etc/group": ("root:x:0:\nnogroup:x:65534:\n", 0o644),
    "etc/profile": ("export PS1='root@\\h:\\w# '\n", 0o644),
    "etc/hostname": ("", 0o644),
    "etc/hosts": ("127.0.0.1 localhost\n::1 localhost\n", 0o644),
    "etc/resolv.conf": ("", 0o644),
    "etc/os-release": ('ID=busybox\nNAME="Busybox"\n', 0o644),
}
_FOLDERS = ("bin", "sbin", "usr/bin", "usr/sbin", "etc", "root", "proc", "sys", "dev", "run", "tmp", "var/log", "srv")
_TEMPLATES = {
    "hostname.tpl": "{{ container.name }}\n",
    "hosts.tpl": "127.0.0.1 localhost\n127.0.1.1 {{ container.name }}\n::1 localhost\n",
}


def find() -> Path | None:
    """A busybox that needs no library, or None (a shared one cannot live in a root file system of its own)."""
    for name in ("/bin/busybox", "/usr/bin/busybox", shutil.which("busybox") or ""):
        path = Path(name)
        if name and path.is_file() and _is_static(path):
            return path
    return None


def _is_static(path: Path) -> bool:
    """Whether the ELF file asks for no interpreter."""
    return b"/ld-linux" not in path.read_bytes() and b"/ld-musl" not in path.read_bytes()


def build(tool: Path) -> bytes:
    """The image as one tarball, as LXD takes it."""
    applets = subprocess.run([tool, "--list"], capture_output=True, text=True, check=True).stdout.split()
    now = int(time.time())
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=now) as packed, tarfile.open(fileobj=packed, mode="w") as tar:

        def add(name: str, data: bytes = b"", mode: int = 0o644, kind: bytes = tarfile.REGTYPE, link: str = "") -> None:
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime, info.type, info.linkname = len(data), mode, now, kind, link
            tar.addfile(info, io.BytesIO(data))

        add("metadata.yaml", _metadata(now).encode())
        for name, text in _TEMPLATES.items():
            add(f"templates/{name}", text.encode())
        add("rootfs", mode=0o755, kind=tarfile.DIRTYPE)
        for folder in _FOLDERS:
            mode = {"root": 0o700, "tmp": 0o1777}.get(folder, 0o755)
            add(f"rootfs/{folder}", mode=mode, kind=tarfile.DIRTYPE)
        add("rootfs/bin/busybox", tool.read_bytes(), 0o755)
        for applet in applets:
            if applet not in ("busybox", "init", "linuxrc"):
                add(f"rootfs/bin/{applet}", kind=tarfile.SYMTYPE, mode=0o777, link="busybox")
        for name, (text, mode) in _FILES.items():
            add(f"rootfs/{name}", text.encode(), mode)
    return buffer.getvalue()


def _metadata(now: int) -> str:
    return (
        f"architecture: {platform.machine()}\ncreation_date: {now}\n"
        "properties:\n  os: busybox\n  release: current\n  variant: default\n"
        f"  architecture: {platform.machine()}\n  description: Busybox, the small first image\n"
        "templates:\n"
        "  /etc/hostname:\n    when: [create, copy, rename]\n    template: hostname.tpl\n"
        "  /etc/hosts:\n    when: [create, copy, rename]\n    template: hosts.tpl\n"
    )


def import_into(host: LxdHost, tool: Path) -> str:
    """Build the image, import it and name it :data:`ALIAS`; its fingerprint."""
    headers = {"Content-Type": "application/octet-stream", "X-LXD-filename": "busybox.tar.gz"}
    metadata = host.call("POST", "/1.0/images", raw=build(tool), headers=headers)
    fingerprint = str(metadata["fingerprint"])
    body = {"name": ALIAS, "target": fingerprint, "description": "Busybox, the small first image"}
    try:
        host.call("POST", "/1.0/images/aliases", body)
    except LxdRefused:  # the alias was left by an image that has gone
        host.call("PUT", f"/1.0/images/aliases/{ALIAS}", {"target": fingerprint, "description": body["description"]})
    return fingerprint
