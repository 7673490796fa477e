"""Small disks to fill: a tmpfs or an ext4 image, mounted for one test. They need root."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KINDS = ("tmpfs", "ext4")


def why_not(kind: str) -> str:
    """Why such a disk cannot be made here, or an empty string."""
    if os.geteuid() != 0:
        return "a disk to fill needs root"
    if kind == "ext4" and not (shutil.which("mkfs.ext4") and Path("/dev/loop-control").exists()):
        return "an ext4 disk to fill needs mkfs.ext4 and loop devices"
    return ""


class Disk:
    """A mounted disk."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._ballast = place / "ballast"

    def fill(self) -> None:
        """Take every byte that is left."""
        with self._ballast.open("ab", buffering=0) as stream:
            for size in (65536, 4096, 512, 1):
                try:
                    while stream.write(b"x" * size) == size:
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def mounted(kind: str, place: Path, mib: int = 8) -> Iterator[Disk]:
    """A disk of ``mib`` at ``place``; raises RuntimeError where the system does not let us mount."""
    place.mkdir(parents=True)
    if kind == "tmpfs":
        command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0700", "tmpfs", str(place)]
    else:
        image = place.with_name(f"{place.name}.img")
        with image.open("wb") as stream:
            stream.truncate(mib * 1024 * 1024)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
        command = ["mount", "-o", "loop", str(image), str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"a disk to fill needs the right to mount: {done.stderr.strip()}")
    try:
        place.chmod(0o700)
        yield Disk(place)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)
