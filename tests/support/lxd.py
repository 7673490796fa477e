"""An LXD of the test run's own, from the distribution's package, as root and without systemd.

Each has a short folder of its own (a Unix socket's path ends at 108 bytes), a storage pool of its own and a
bridge of its own, so any number run side by side and none touches the host's. What a crashed run left behind is
swept away at the next start: each folder holds the process id of the run that it belongs to.

By hand: ``python -m tests.support.lxd up`` holds one until Ctrl-C; ``... sweep`` clears leftovers.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from tests.support import rootfs

PREFIX = "/tmp/olx-"
RECORD = "rig.json"


class LxdCallFailed(Exception):
    """LXD said no to the rig."""


def why_not() -> str:
    """Why no LXD can be started here, or an empty string."""
    if os.geteuid() != 0:
        return "a live LXD needs root"
    missing = [tool for tool in ("lxd", "dnsmasq", "mksquashfs", "busybox", "ip") if _which(tool) is None]
    return f"a live LXD needs {', '.join(missing)} on the PATH" if missing else ""


class LiveLxd:
    """A running LXD daemon with a pool named ``default`` and one bridge."""

    def __init__(self, folder: Path, bridge: str) -> None:
        self.folder = folder
        self.bridge = bridge
        self.pool = "default"
        self.socket = folder / "unix.socket"
        self._process: subprocess.Popen[bytes] | None = None
        self._fingerprints: dict[str, str] = {}

    @classmethod
    def start(cls, *, btrfs: bool = True, pool_gib: int = 8) -> LiveLxd:
        """Start one; ``btrfs`` gives a loop-backed pool that holds disk limits, else a plain folder."""
        reason = why_not()
        if reason:
            raise LxdCallFailed(reason)
        sweep()
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        folder.chmod(0o711)
        lxd = cls(folder, f"olx{secrets.token_hex(4)}")
        record = {"pid": os.getpid(), "started": _start_ticks(os.getpid()), "bridge": lxd.bridge}
        (folder / RECORD).write_text(json.dumps(record))
        try:
            lxd._launch()
            lxd._set_up(btrfs=btrfs and _which("mkfs.btrfs") is not None, pool_gib=pool_gib)
        except BaseException:
            lxd.stop()
            raise
        return lxd

    # -- the daemon ------------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        assert self._process is not None
        return self._process.pid

    def _launch(self, timeout: float = 60) -> None:
        env = {**os.environ, "LXD_DIR": str(self.folder), "LXD_SECURITY_APPARMOR": "false"}
        with (self.folder / "daemon.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["lxd", "--group", "root"], env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd="/", start_new_session=True,
            )  # fmt: skip
        self._until(self._answers, timeout, "LXD did not start")

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise LxdCallFailed(f"LXD ended with {self._process.returncode}: {self.log()[-2000:]}")
        try:
            return bool(self.call("GET", "/1.0", timeout=5)["auth"] == "trusted")
        except (OSError, http.client.HTTPException, LxdCallFailed):
            return False

    def log(self) -> str:
        """What the daemon wrote."""
        return (self.folder / "daemon.log").read_text(errors="replace")

    def kill(self) -> None:
        """SIGKILL the daemon; its containers go on."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        """SIGSTOP: it hangs."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """Start the daemon again after :meth:`kill`, or end it gently (containers go on) and start it."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(60)
        self._launch()

    def stop(self) -> None:
        """Delete everything, shut down, and leave nothing behind."""
        process = self._process
        if process is not None and process.poll() is None:
            with contextlib.suppress(OSError):
                self.resume()
            with contextlib.suppress(OSError, http.client.HTTPException, LxdCallFailed):
                self._delete_everything()
            with contextlib.suppress(subprocess.TimeoutExpired):
                env = {**os.environ, "LXD_DIR": str(self.folder)}
                subprocess.run(["lxd", "shutdown", "--timeout", "20"], env=env, timeout=30, capture_output=True)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        remove_leftovers(self.folder, self.bridge)

    def _delete_everything(self) -> None:
        for instance in self.call("GET", "/1.0/instances?recursion=1&all-projects=true"):
            where = f"/1.0/instances/{instance['name']}"
            project = f"?project={quote(instance['project'])}"
            with contextlib.suppress(LxdCallFailed):
                self.call("PUT", f"{where}/state{project}", {"action": "stop", "force": True, "timeout": 10})
            with contextlib.suppress(LxdCallFailed):
                self.call("DELETE", where + project)
        for project in self.call("GET", "/1.0/projects?recursion=1"):
            if project["name"] != "default":
                with contextlib.suppress(LxdCallFailed):
                    self.call("DELETE", f"/1.0/projects/{project['name']}")
        for image in self.call("GET", "/1.0/images"):
            self.call("DELETE", image)
        self.call("PUT", "/1.0/profiles/default", {"devices": {}})
        self.call("DELETE", f"/1.0/networks/{self.bridge}")
        self.call("DELETE", f"/1.0/storage-pools/{self.pool}")

    def _set_up(self, *, btrfs: bool, pool_gib: int) -> None:
        pool = {"driver": "btrfs", "config": {"size": f"{pool_gib}GiB"}} if btrfs else {"driver": "dir"}
        self.call("POST", "/1.0/storage-pools", {"name": self.pool, **pool}, timeout=120)
        subnet = f"10.{10 + secrets.randbelow(200)}.{secrets.randbelow(256)}.1/24"
        config = {
            "ipv4.address": subnet,
            "ipv4.nat": "true",
            "ipv6.address": f"fd42:{secrets.token_hex(2)}:{secrets.token_hex(2)}:{secrets.token_hex(2)}::1/64",
            "ipv6.nat": "true",
        }
        self.call("POST", "/1.0/networks", {"name": self.bridge, "type": "bridge", "config": config}, timeout=60)
        devices = {
            "root": {"type": "disk", "path": "/", "pool": self.pool},
            "eth0": {"type": "nic", "network": self.bridge, "name": "eth0"},
        }
        self.call("PUT", "/1.0/profiles/default", {"devices": devices})

    # -- its API ---------------------------------------------------------------------------------------------------

    def call(self, method: str, path: str, body: object = None, *, timeout: float = 60) -> Any:
        """One call, waited for; the metadata of the answer. Raises LxdCallFailed with LXD's words."""
        data = None if body is None else json.dumps(body).encode()
        answer = self._request(method, path, data, {"Content-Type": "application/json"}, timeout)
        return self._waited(answer, timeout)

    def _waited(self, answer: dict[str, Any], timeout: float) -> Any:
        if answer.get("type") == "async":
            operation = f"{answer['operation']}/wait?timeout={int(timeout)}"
            answer = self._request("GET", operation, None, {}, timeout + 5)
            if answer["metadata"]["status_code"] != 200:
                raise LxdCallFailed(answer["metadata"]["err"] or answer["metadata"]["status"])
            return answer["metadata"].get("metadata")
        return answer.get("metadata")

    def _request(
        self, method: str, path: str, data: bytes | None, headers: Mapping[str, str], timeout: float
    ) -> dict[str, Any]:
        connection = _UnixConnection(self.socket, timeout)
        try:
            connection.request(method, path, body=data, headers=dict(headers))
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if answer.get("type") == "error":
            raise LxdCallFailed(f"{answer.get('error_code')}: {answer.get('error')}")
        return answer

    def import_image(
        self,
        alias: str = "busybox",
        *,
        description: str = "Busybox 1.35 amd64",
        properties: Mapping[str, str] | None = None,
        ballast_mib: int = 0,
        stubborn: bool = False,
    ) -> str:
        """Build and import an image under ``alias``; its fingerprint."""
        with tempfile.TemporaryDirectory(prefix="olx-image-") as scratch:
            metadata, squashfs = rootfs.build_image(
                Path(scratch),
                description=description,
                properties=properties,
                ballast_mib=ballast_mib,
                stubborn=stubborn,
            )
            boundary = secrets.token_hex(16)
            body = b"".join(
                f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{file.name}"\r\n'
                f"Content-Type: application/octet-stream\r\n\r\n".encode()
                + file.read_bytes()
                + b"\r\n"
                for field, file in (("metadata", metadata), ("rootfs", squashfs))
            )
            body += f"--{boundary}--\r\n".encode()
            headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
            done = self._waited(self._request("POST", "/1.0/images", body, headers, 120), 120)
        fingerprint = str(done["fingerprint"])
        self.call("POST", "/1.0/images/aliases", {"name": alias, "target": fingerprint})
        self._fingerprints[alias] = fingerprint
        return fingerprint

    def fingerprint(self, alias: str = "busybox") -> str:
        """Of an image imported here."""
        return self._fingerprints[alias]

    def _until(self, ready: Callable[[], bool], timeout: float, complaint: str) -> None:
        end = time.monotonic() + timeout
        while not ready():
            if time.monotonic() > end:
                raise LxdCallFailed(f"{complaint}: {self.log()[-2000:]}")
            time.sleep(0.02)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("lxd", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


# -- sweeping up ---------------------------------------------------------------------------------------------------


def sweep() -> list[Path]:
    """Remove what crashed runs left behind; the folders that were removed."""
    removed = []
    for record in Path("/").glob(f"{PREFIX[1:]}*/{RECORD}"):
        try:
            told = json.loads(record.read_text())
            ticks = _start_ticks(told["pid"])
            alive = ticks == told["started"] or (isinstance(told["started"], float) and ticks > 0)  # an older record
        except (OSError, ValueError, KeyError):
            continue  # another run is just writing or removing it
        if not alive:
            remove_leftovers(record.parent, told["bridge"])
            removed.append(record.parent)
    return removed


def remove_leftovers(folder: Path, bridge: str) -> None:
    """End the processes that live in ``folder``, unmount, detach, delete."""
    processes = list(_processes_of(folder))
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=10)
    for _ in range(3):
        mounts = [m for m in _mounts() if m == str(folder) or m.startswith(f"{folder}/")]
        for mount in sorted(mounts, key=len, reverse=True):
            _run("umount", "-l", mount)
    for line in _run("losetup", "-a").splitlines():
        if f"({folder}/" in line:
            _run("losetup", "-d", line.split(":", 1)[0])
    if Path(f"/sys/class/net/{bridge}").exists():
        _run("ip", "link", "delete", bridge)
    for tables in ("iptables", "ip6tables"):
        for table in ("filter", "nat", "mangle"):
            for rule in _run(tables, "-t", table, "-S").splitlines():
                if bridge in rule and rule.startswith("-A "):
                    _run(tables, "-t", table, *shlex.split("-D " + rule.removeprefix("-A ")))
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        for subvolume in sorted(_subvolumes(folder), key=len, reverse=True):
            _run("btrfs", "subvolume", "delete", subvolume)
        time.sleep(0.1)


def _processes_of(folder: Path) -> Iterator[psutil.Process]:
    """The daemon, its dnsmasq, its container monitors, and whatever runs in those containers."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid == os.getpid():
                continue
            words = process.cmdline()
            mine = any(f"{folder}/" in word or word == str(folder) for word in words)
            if mine and words and Path(words[0].split()[0]).name in ("lxd", "dnsmasq", "[lxc", "forkproxy", "rsync"):
                yield from process.children(recursive=True)
                yield process
            elif process.name() == "lxd" and process.environ().get("LXD_DIR") == str(folder):
                yield process


def _start_ticks(pid: int) -> int:
    """When a process started, in the kernel's ticks: with its id that names it for good. 0 where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return 0 if fields[0] in "ZX" else int(fields[19])  # one that is dead and not yet buried is dead
    except OSError:
        return 0


def _mounts() -> list[str]:
    return [line.split()[1].replace("\\040", " ") for line in Path("/proc/mounts").read_text().splitlines()]


def _subvolumes(folder: Path) -> list[str]:
    return [root for root, _, _ in os.walk(folder) if os.lstat(root).st_ino == 256]


def _run(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _which(tool: str) -> str | None:
    return shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin")


def _main() -> int:
    verb = sys.argv[1] if len(sys.argv) > 1 else "up"
    if verb == "sweep":
        for folder in sweep():
            print(f"removed {folder}")
        return 0
    lxd = LiveLxd.start()
    try:
        lxd.import_image("busybox")
        print(
            f"LXD_DIR={lxd.folder}\nOPENLXD_LXD_SOCKET={lxd.socket}\nbridge={lxd.bridge} image=busybox\nCtrl-C ends it"
        )
        sys.stdout.flush()
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        lxd.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(_main())
