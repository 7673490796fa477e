"""The simulated LXD's images: the same rules, the real fingerprints, nothing unpacked."""

from __future__ import annotations

import asyncio
import hashlib
import re
import tarfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from openlxd_core.lxd.errors import ApiError, translate
from openlxd_core.lxd.gateway import LxdImage, Progress
from openlxd_core.lxd.parsing import read_image
from openlxd_core.lxd.simulated.calls import SimulatedCalls
from openlxd_core.lxd.simulated.world import note


class SimulatedImages(SimulatedCalls):
    """Calls about images."""

    def add_image(self, alias: str, *, description: str = "", fingerprint: str = "") -> str:
        """Let LXD hold one more image; its fingerprint."""
        fingerprint = fingerprint or f"{abs(hash(alias)):064x}"[-64:]
        with self.world.change() as state:
            properties = {"os": alias.split("/", maxsplit=1)[0], "description": description}
            state["images"][fingerprint] = {
                "aliases": [alias], "description": description, "architecture": "x86_64", "size": 1_000_000,
                "properties": properties, "uploaded_at": datetime.now(UTC).isoformat(),
            }  # fmt: skip
            note(state, "image-created", "default", fingerprint)
        self._wake()
        return fingerprint

    async def images(self) -> Sequence[LxdImage]:
        """The images."""
        await self._enter("images")
        found = []
        for fingerprint, entry in self.world.look()["images"].items():
            aliases = [{"name": alias} for alias in entry["aliases"]]
            found.append(read_image({**entry, "fingerprint": fingerprint, "aliases": aliases}))
        return found

    async def import_image(
        self, metadata: Path, rootfs: Path, fingerprint: str, progress: Progress | None = None
    ) -> None:
        """Hold the image; its metadata is read, its root is only hashed."""
        async with self._verb("import_image"):
            digest, architecture, properties, size = await asyncio.to_thread(_read, metadata, rootfs)
            if digest != fingerprint:
                text = f"Image fingerprint doesn't match, got {digest} expected {fingerprint}"
                raise translate(ApiError(text), fingerprint[:12])
            if fingerprint in self.world.look()["images"]:
                raise translate(ApiError("Image with same fingerprint already exists"), fingerprint[:12])
            await self._take("import_image", progress)
            with self.world.change() as state:
                state["images"][fingerprint] = {
                    "aliases": [], "description": properties.get("description", ""), "architecture": architecture,
                    "size": size, "properties": properties, "uploaded_at": datetime.now(UTC).isoformat(),
                }  # fmt: skip
                note(state, "image-created", "default", fingerprint)

    async def delete_image(self, fingerprint: str) -> None:
        """Drop an image and its aliases."""
        async with self._verb("delete_image"):
            with self.world.change() as state:
                if state["images"].pop(fingerprint, None) is not None:
                    note(state, "image-deleted", "default", fingerprint)

    async def set_alias(self, alias: str, fingerprint: str) -> None:
        """Let ``alias`` name this image."""
        async with self._verb("set_alias"):
            with self.world.change() as state:
                if fingerprint not in state["images"]:
                    raise translate(ApiError("Image not found", 404), alias)
                known = any(alias in image["aliases"] for image in state["images"].values())
                for image in state["images"].values():
                    image["aliases"] = [name for name in image["aliases"] if name != alias]
                state["images"][fingerprint]["aliases"].append(alias)
                note(state, "image-alias-updated" if known else "image-alias-created", "default", alias)

    async def delete_alias(self, alias: str) -> None:
        """Drop a name."""
        async with self._verb("delete_alias"):
            with self.world.change() as state:
                for image in state["images"].values():
                    if alias in image["aliases"]:
                        image["aliases"].remove(alias)
                        note(state, "image-alias-deleted", "default", alias)

    async def set_image_properties(self, fingerprint: str, properties: Mapping[str, str]) -> None:
        """Change some properties."""
        async with self._verb("set_image_properties"):
            with self.world.change() as state:
                image = state["images"].get(fingerprint)
                if image is None:
                    raise translate(ApiError("Image not found", 404), fingerprint[:12])
                image["properties"] = {**image["properties"], **properties}
                image["description"] = image["properties"].get("description", "")
                note(state, "image-updated", "default", fingerprint)

    async def publish_image(
        self,
        project: str,
        name: str,
        snapshot: str,
        properties: Mapping[str, str],
        progress: Progress | None = None,
    ) -> str:
        """Make an image of a stopped container or a snapshot."""
        async with self._verb("publish_image"):
            entry: dict[str, Any] | None = self.world.look()["instances"].get(f"{project}/{name}")
            if entry is None or (snapshot and snapshot not in entry.get("snapshots", {})):
                raise translate(ApiError("Instance not found", 404), name)
            if not snapshot and entry["status"] != "stopped":
                raise translate(ApiError("Instance is running", 400), name)
            await self._take("publish_image", progress)
            made = f"{project}/{name}/{snapshot} {datetime.now(UTC).isoformat()}"
            fingerprint = hashlib.sha256(made.encode()).hexdigest()
            with self.world.change() as state:
                base = state["images"].get(entry["image"], {})
                state["images"][fingerprint] = {
                    "aliases": [], "description": properties.get("description", ""),
                    "architecture": base.get("architecture", "x86_64"), "size": base.get("size", 1_000_000),
                    "properties": {**base.get("properties", {}), **properties},
                    "uploaded_at": datetime.now(UTC).isoformat(),
                }  # fmt: skip
                note(state, "image-created", "default", fingerprint)
            return fingerprint


def _read(metadata: Path, rootfs: Path) -> tuple[str, str, dict[str, str], int]:
    digest, size = hashlib.sha256(), 0
    for path in (metadata, rootfs):
        data = path.read_bytes()
        digest.update(data)
        size += len(data)
    try:
        with tarfile.open(metadata) as tar:
            member = tar.extractfile("metadata.yaml")
            text = member.read(1024 * 1024).decode(errors="replace") if member else ""
    except (tarfile.TarError, OSError, KeyError, EOFError) as error:
        raise translate(ApiError("Unsupported compression"), "") from error
    architecture = re.search(r"^architecture: *\"?([\w-]+)", text, re.MULTILINE)
    if architecture is None:
        raise translate(ApiError("Metadata tarball is missing architecture"), "")
    properties = dict(re.findall(r"^  (\w+): *\"?([^\"\n]*)", text, re.MULTILINE))
    return digest.hexdigest(), architecture[1], properties, size
