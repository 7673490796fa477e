"""How long an index of 5,000 products takes to be read and searched, and what it costs in memory.

By hand: ``python -m tests.bench.catalogue``. The figures to hold: under 1 s, under 60 MB, 50 ms a key press.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import statistics
import sys
import time
from typing import Any

PRODUCTS = 5000
BUILDS = 3
DISTRIBUTIONS = (
    "almalinux", "alpine", "archlinux", "centos", "debian", "devuan", "fedora", "gentoo", "kali", "mint", "openeuler",
    "opensuse", "oracle", "rockylinux", "slackware", "ubuntu", "voidlinux",
)  # fmt: skip
TYPED = ("u", "ub", "ubu", "ubun", "ubunt", "ubuntu", "ubuntu ", "ubuntu 2", "ubuntu 22", "ubnutu", "zzzzz", "alp320",
         "arm64 cloud", "deb12", "9", "")  # fmt: skip


def make_index(count: int = PRODUCTS) -> bytes:
    """A list as linuxcontainers writes it, with every item that a container and a virtual machine have."""
    products: dict[str, Any] = {}
    number = 0
    while len(products) < count:
        distribution = DISTRIBUTIONS[number % len(DISTRIBUTIONS)]
        architecture = ("amd64", "arm64", "armhf", "ppc64el", "s390x", "riscv64")[number // 17 % 6]
        variant = ("default", "cloud", "openrc", "systemd")[number // 102 % 4]
        release = f"{number // 408 + 1}"
        number += 1
        tail = "" if variant == "default" else f"/{variant}"
        versions = {}
        for build in range(BUILDS):
            serial = f"202611{19 + build}_07:42"
            where = f"images/{distribution}/{release}/{architecture}/{variant}/{serial}"

            def digest(what: str, where: str = where) -> str:
                return hashlib.sha256(f"{where}/{what}".encode()).hexdigest()

            head = {"size": 640, "sha256": digest("m"), "path": f"{where}/incus.tar.xz",
                    "combined_squashfs_sha256": digest("c"), "combined_sha256": digest("d"),
                    "combined_rootxz_sha256": digest("d"), "combined_disk-kvm-img_sha256": digest("e")}  # fmt: skip
            versions[serial] = {"items": {
                "incus.tar.xz": {"ftype": "incus.tar.xz", **head}, "lxd.tar.xz": {"ftype": "lxd.tar.xz", **head},
                "root.squashfs": {"ftype": "squashfs", "size": 121_000_000, "sha256": digest("s"),
                                  "path": f"{where}/rootfs.squashfs"},
                "root.tar.xz": {"ftype": "root.tar.xz", "size": 104_000_000, "sha256": digest("t"),
                                "path": f"{where}/rootfs.tar.xz"},
                "disk.qcow2": {"ftype": "disk-kvm.img", "size": 402_000_000, "sha256": digest("q"),
                               "path": f"{where}/disk.qcow2"},
                "root.vcdiff": {"ftype": "squashfs.vcdiff", "size": 9_000_000, "sha256": digest("v"),
                                "path": f"{where}/delta.vcdiff", "delta_base": "20261118_07:42"},
            }}  # fmt: skip
        products[f"{distribution}:{release}:{architecture}:{variant}"] = {
            "aliases": f"{distribution}/{release}{tail}", "arch": architecture, "os": distribution.capitalize(),
            "release": release, "release_title": release, "requirements": {}, "variant": variant,
            "versions": versions,
        }  # fmt: skip
    return json.dumps({"format": "products:1.0", "datatype": "image-downloads", "products": products}).encode()


def _resident_mib() -> float:
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024


def measure(data: bytes) -> dict[str, float]:
    """Seconds and MiB of this process."""
    from openlxd_core.simplestreams.index import read_products
    from openlxd_core.simplestreams.offers import Catalogue

    before = _resident_mib()
    begun = time.perf_counter()
    products = read_products(data)
    read = time.perf_counter() - begun
    catalogue = Catalogue([("https://images.example.org", product) for product in products])
    built = time.perf_counter() - begun
    first = catalogue.search("ubuntu")
    ready = time.perf_counter() - begun
    assert len(catalogue) == PRODUCTS
    assert first
    keys = []
    for text in TYPED:
        begun = time.perf_counter()
        catalogue.search(text)
        keys.append(time.perf_counter() - begun)
    begun = time.perf_counter()
    for name in ("ubuntu2", "rockylinux-3-lxc", "alma3"):
        catalogue.resolve(name)
    resolved = (time.perf_counter() - begun) / 3
    return {
        "read_seconds": read, "catalogue_seconds": built, "searchable_seconds": ready,
        "key_press_median_ms": statistics.median(keys) * 1000, "key_press_slowest_ms": max(keys) * 1000,
        "resolve_ms": resolved * 1000, "memory_mib": _resident_mib() - before,
    }  # fmt: skip


def _in_child(path: str, results: Any) -> None:
    with open(path, "rb") as stream:
        data = stream.read()
    found = measure(data)
    results.put({**found, "index_mib": len(data) / 1024 / 1024})


def main() -> dict[str, float]:
    """The figures, measured in a process of its own."""
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        file.write(make_index())
        file.flush()
        context = multiprocessing.get_context("spawn")
        results = context.Queue()
        child = context.Process(target=_in_child, args=(file.name, results))
        child.start()
        found: dict[str, float] = results.get(timeout=120)
        child.join()
    return found


if __name__ == "__main__":
    for name, value in main().items():
        sys.stdout.write(f"{name:<24}{value:10.3f}\n")
