"""The real gateway's calls about images: one noun, kept apart from the rest. Images live in the default project."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from openlxd_core.domain.errors import AlreadyExists, NotFound
from openlxd_core.lxd.gateway import Progress
from openlxd_core.lxd.refusals import Refusal, translate, unknown
from openlxd_core.lxd.streams import LxdSocket

IMPORT_SECONDS = 1800.0
PUBLISH_SECONDS = 3600.0


class ImageCalls:
    """Mixed into the gateway, which brings ``_read``, ``_do``, ``_change`` and the socket."""

    _lxd: LxdSocket

    async def _read(self, path: str, params: Mapping[str, str] | None = None, *, name: str = "") -> Any:
        raise NotImplementedError

    async def _do(self, name: str, call: Callable[[Any], Any]) -> None:
        raise NotImplementedError

    async def _change(self, call: Callable[[Any], Any]) -> str:
        raise NotImplementedError

    async def import_image(
        self, metadata: Path, rootfs: Path, fingerprint: str, progress: Progress | None = None
    ) -> None:
        """Hand LXD the two files of an image; it checks the fingerprint itself."""
        headers = {"X-LXD-fingerprint": fingerprint, "X-Incus-fingerprint": fingerprint, "X-LXD-public": "false"}
        parts: Sequence[tuple[str, Path]] = (("metadata", metadata), ("rootfs", rootfs))
        try:
            answer = await self._lxd.upload("/1.0/images", parts, headers, progress=progress)
            done = await self._lxd.wait(str(answer.get("operation", "")), seconds=IMPORT_SECONDS)
        except Refusal as refusal:
            raise translate(refusal, fingerprint[:12]) from refusal
        if done.get("fingerprint") not in (fingerprint, None):
            raise unknown()

    async def delete_image(self, fingerprint: str) -> None:
        """Drop an image and its aliases; containers made from it stay."""
        try:
            await self._do(fingerprint[:12], lambda api: api.images[_quoted(fingerprint)].delete())
        except NotFound:
            return

    async def set_alias(self, alias: str, fingerprint: str) -> None:
        """Let ``alias`` name this image, whatever it named before."""
        body = {"name": alias, "target": fingerprint, "description": ""}
        try:
            await self._do(alias, lambda api: api.images.aliases.post(json=body))
        except AlreadyExists:
            change = {"target": fingerprint, "description": ""}
            await self._do(alias, lambda api: api.images.aliases[_quoted(alias)].put(json=change))

    async def delete_alias(self, alias: str) -> None:
        """Drop a name; the image stays."""
        try:
            await self._do(alias, lambda api: api.images.aliases[_quoted(alias)].delete())
        except NotFound:
            return

    async def set_image_properties(self, fingerprint: str, properties: Mapping[str, str]) -> None:
        """Change some of an image's properties, leaving the others alone."""
        path = f"/1.0/images/{_quoted(fingerprint)}"
        found = await self._read(path, name=fingerprint[:12])
        held = {str(key): str(value) for key, value in (found.get("properties") or {}).items()}
        kept = ("auto_update", "public", "profiles", "expires_at")
        body = {key: found[key] for key in kept if key in found} | {"properties": {**held, **properties}}
        await self._do(fingerprint[:12], lambda api: api.images[_quoted(fingerprint)].put(json=body))

    async def publish_image(
        self,
        project: str,
        name: str,
        snapshot: str,
        properties: Mapping[str, str],
        progress: Progress | None = None,
    ) -> str:
        """Make an image of a stopped container, or of one of its snapshots."""
        source = {"type": "snapshot", "name": f"{name}/{snapshot}"} if snapshot else {"type": "instance", "name": name}
        body = {"source": source, "properties": dict(properties), "public": False}
        try:
            operation = await self._change(lambda api: api.images.post(json=body, params={"project": project}))
            done = await self._lxd.wait(operation, seconds=PUBLISH_SECONDS, progress=progress)
        except Refusal as refusal:
            if "export a running" in refusal.text:
                raise translate(Refusal("Instance is running", refusal.status), name) from refusal
            raise translate(refusal, name) from refusal
        fingerprint = str(done.get("fingerprint") or "")
        if not fingerprint:
            raise unknown()
        return fingerprint


def _quoted(name: str) -> str:
    return quote(name, safe="")
