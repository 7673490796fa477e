"""An image server for tests: it offers real images that it builds, and misbehaves when told to.

It speaks HTTP by hand, so that it can do what no decent server does: stop in the middle, say too much, say nothing.
By hand: ``python -m tests.support.simplestreams`` serves until Ctrl-C, to try the market against.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import json
import ssl
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.support.rootfs import build_image, build_rootfs

INDEX, PRODUCTS = "/streams/v1/index.json", "/streams/v1/images.json"
OLD, NEW = "20261120_13:00", "20261121_13:00"


@dataclass
class Fault:
    """What is wrong with one path, until it has happened ``times`` times (0: always)."""

    kind: str
    """``cut`` (after ``at`` bytes), ``hash``, ``short``, ``long``, ``endless``, ``status``, ``redirect``, ``nuls``,
    ``silence``, ``slow`` (``at`` bytes a second), ``gzip``, ``garbage``, ``body``."""
    at: int = 0
    text: str = ""
    times: int = 0
    done: int = 0


@dataclass
class ImageServer:
    """One server: files by path, faults by path, and a record of what was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    products: dict[str, Any] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    # -- what it offers --------------------------------------------------------------------------------------------

    def add(
        self,
        distribution: str,
        release: str,
        *,
        aliases: str = "",
        architecture: str = "amd64",
        variant: str = "default",
        serial: str = NEW,
        metadata: bytes = b"metadata",
        squashfs: bytes | None = b"squashfs",
        tarball: bytes | None = None,
        **changes: Any,
    ) -> str:
        """Offer one build; the fingerprint that its squashfs (or tarball) makes. ``changes`` go into the product."""
        key = f"{distribution}:{release}:{architecture}:{variant}"
        tail = "" if variant == "default" else f"/{variant}"
        product = self.products.setdefault(key, {
            "aliases": aliases or f"{distribution}/{release}{tail}", "arch": architecture,
            "os": distribution.capitalize(), "release": release, "release_title": release, "requirements": {},
            "variant": variant, "versions": {},
        })  # fmt: skip
        product.update(changes)
        where = f"images/{distribution}/{release}/{architecture}/{variant}/{serial}"
        digest = hashlib.sha256
        head = {"size": len(metadata), "sha256": digest(metadata).hexdigest(), "path": f"{where}/incus.tar.xz"}
        items: dict[str, Any] = {}
        if squashfs is not None:
            head["combined_squashfs_sha256"] = digest(metadata + squashfs).hexdigest()
            items["root.squashfs"] = self._item(f"{where}/rootfs.squashfs", "squashfs", squashfs)
        if tarball is not None:
            head["combined_rootxz_sha256"] = head["combined_sha256"] = digest(metadata + tarball).hexdigest()
            items["root.tar.xz"] = self._item(f"{where}/rootfs.tar.xz", "root.tar.xz", tarball)
        items["incus.tar.xz"] = {"ftype": "incus.tar.xz", **head}
        items["lxd.tar.xz"] = {"ftype": "lxd.tar.xz", **head}
        items["disk.qcow2"] = {"ftype": "disk-kvm.img", "size": 9, "sha256": "0" * 64, "path": f"{where}/disk.qcow2"}
        product["versions"][serial] = {"items": items}
        self.files[f"/{where}/incus.tar.xz"] = metadata
        self.publish()
        return str(head.get("combined_squashfs_sha256") or head["combined_rootxz_sha256"])

    def _item(self, path: str, kind: str, data: bytes) -> dict[str, Any]:
        self.files[f"/{path}"] = data
        return {"ftype": kind, "size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "path": path}

    def publish(self) -> None:
        """Write the two lists anew."""
        index = {"index": {"images": {"datatype": "image-downloads", "path": PRODUCTS[1:], "format": "products:1.0",
                                      "products": list(self.products)}}, "format": "index:1.0"}  # fmt: skip
        self.files[INDEX] = json.dumps(index).encode()
        lists = {"content_id": "images", "datatype": "image-downloads", "format": "products:1.0"}
        self.files[PRODUCTS] = json.dumps({**lists, "products": self.products}).encode()

    def path(self, name: str, serial: str = NEW) -> str:
        """The one path that holds both words."""
        found = [path for path in self.files if name in path and serial in path]
        assert len(found) == 1, found
        return found[0]

    def break_(self, path: str, kind: str, at: int = 0, text: str = "", times: int = 0) -> None:
        """From now on misbehave there."""
        self.faults[path] = Fault(kind, at, text, times)

    # -- serving ---------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Its address."""
        assert self._server is not None
        scheme = "https" if self.tls else "http"
        return f"{scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def start(self, port: int = 0) -> ImageServer:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=self.tls)
        return self

    async def stop(self) -> None:
        """Drop everybody and listen no more."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in list(self._writers):
            writer.transport.abort()
        if self._server is not None:
            await self._server.wait_closed()

    async def __aenter__(self) -> ImageServer:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        except asyncio.CancelledError:
            pass
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()
            with contextlib.suppress(Exception):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = unquote(head[0].split(" ")[1])
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
        self.asked[path] += 1
        self.headers.append(headers)
        fault = self.faults.get(path) or self.faults.get("*")
        if fault is not None and fault.times and fault.done >= fault.times:
            fault = None
        if fault is not None:
            fault.done += 1
            return await self._misbehave(fault, path, headers, writer)
        data = self.files.get(path)
        if data is None:
            return await self._send(writer, "404 Not Found", b"")
        return await self._send_file(writer, data, headers)

    async def _send_file(self, writer: asyncio.StreamWriter, data: bytes, headers: Mapping[str, str]) -> bool:
        tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        if headers.get("if-none-match") == tag:
            return await self._send(writer, "304 Not Modified", b"", {"ETag": tag})
        start = _range(headers)
        if start >= len(data) > 0 and start:
            return await self._send(writer, "416 Range Not Satisfiable", b"")
        if start:
            more = {"ETag": tag, "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
            return await self._send(writer, "206 Partial Content", data[start:], more)
        return await self._send(writer, "200 OK", data, {"ETag": tag})

    async def _send(
        self, writer: asyncio.StreamWriter, status: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> bool:
        more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        length = "" if status.startswith("304") else f"Content-Length: {len(body)}\r\n"
        writer.write(f"HTTP/1.1 {status}\r\n{length}{more}\r\n".encode() + body)
        await writer.drain()
        return True

    async def _misbehave(
        self, fault: Fault, path: str, headers: Mapping[str, str], writer: asyncio.StreamWriter
    ) -> bool:
        data = self.files.get(path, b"")
        start = _range(headers)
        rest = data[start:]
        part = f"Content-Range: bytes {start}-{len(data) - 1}/{len(data)}\r\n" if start else ""
        status = "206 Partial Content" if start else "200 OK"
        match fault.kind:
            case "status":
                return await self._send(writer, fault.text, b"nothing to see")
            case "redirect":
                return await self._send(writer, "302 Found", b"", {"Location": fault.text})
            case "silence":
                await asyncio.sleep(3600)
            case "garbage":
                writer.write(b"SSH-2.0-nonsense\r\n\r\n")
                await writer.drain()
                return False
            case "cut":
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(rest)}\r\n{part}\r\n".encode())
                writer.write(rest[: fault.at])
                await writer.drain()
                return False
            case "slow":
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(rest)}\r\n{part}\r\n".encode())
                step = max(1, fault.at // 20)
                for offset in range(0, len(rest), step):
                    writer.write(rest[offset : offset + step])
                    await writer.drain()
                    await asyncio.sleep(0.05)
                return True
            case "hash":
                turned = bytes(255 - byte for byte in rest[:64]) + rest[64:]
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(rest)}\r\n{part}\r\n".encode() + turned)
                await writer.drain()
                return True
            case "short":
                return await self._send(writer, "200 OK", data[: fault.at])
            case "long":
                return await self._send(writer, "200 OK", data + b"x" * max(1, fault.at))
            case "endless":
                writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + data)
                while True:
                    writer.write(b"\0" * 65536)
                    await writer.drain()
            case "nuls":
                return await self._send(writer, "200 OK", b"\0" * (fault.at or 4096))
            case "gzip":
                return await self._send(writer, "200 OK", gzip.compress(data), {"Content-Encoding": "gzip"})
            case "bomb":
                return await self._send(writer, "200 OK", gzip.compress(b" " * fault.at), {"Content-Encoding": "gzip"})
            case "body":
                return await self._send(writer, "200 OK", fault.text.encode())
        raise AssertionError(fault.kind)


def _range(headers: Mapping[str, str]) -> int:
    asked = headers.get("range", "")
    return int(asked.removeprefix("bytes=").removesuffix("-")) if asked.startswith("bytes=") else 0


@dataclass(frozen=True)
class BuiltImage:
    """Real files of one image."""

    metadata: bytes
    squashfs: bytes
    tarball: bytes


def build(description: str, *, release: str, ballast_mib: int = 0, architecture: str = "x86_64") -> BuiltImage:
    """A busybox that boots, as both kinds of root."""
    with tempfile.TemporaryDirectory(prefix="olx-market-") as scratch:
        folder = Path(scratch)
        properties = {"os": "alpine", "release": release}
        metadata, squashfs = build_image(
            folder, description=description, properties=properties, architecture=architecture, ballast_mib=ballast_mib
        )
        root = build_rootfs(folder / "root")
        tarball = folder / "root.tar.xz"
        subprocess.run(["tar", "-C", str(root), "--numeric-owner", "--owner=0", "--group=0", "-cJf", tarball, "."],
                       check=True)  # fmt: skip
        return BuiltImage(metadata.read_bytes(), squashfs.read_bytes(), tarball.read_bytes())


def offer_real_images(server: ImageServer, *, ballast_mib: int = 0) -> dict[str, str]:
    """Let the server offer bootable images under well-known names; their newest fingerprints by alias."""
    found = {}
    for serial in (OLD, NEW):
        made = build(f"Alpine 3.19 amd64 ({serial})", release="3.19", ballast_mib=ballast_mib)
        found["alpine/3.19"] = server.add(
            "alpine", "3.19", serial=serial, metadata=made.metadata, squashfs=made.squashfs, tarball=made.tarball
        )
    made = build("Alpine 3.20 amd64", release="3.20")
    found["alpine/3.20"] = server.add("alpine", "3.20", metadata=made.metadata, squashfs=None, tarball=made.tarball)
    server.add("alpine", "3.19", architecture="arm64", metadata=made.metadata, squashfs=made.squashfs)
    return found


async def _main() -> None:
    server = ImageServer()
    offer_real_images(server)
    await server.start(8480)
    print(f"OPENLXD_IMAGES_URL={server.url}")
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    await server.stop()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main())
