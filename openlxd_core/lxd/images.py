"""Images, which live in the default project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from openlxd_core.domain.errors import AlreadyExists, NotFound
from openlxd_core.lxd.calls import Calls, in_project, quoted
from openlxd_core.lxd.errors import ApiError, translate, unknown
from openlxd_core.lxd.gateway import LxdImage, Progress
from openlxd_core.lxd.parsing import read_image

IMPORT_SECONDS = 1800.0
PUBLISH_SECONDS = 3600.0


class ImageCalls(Calls):
    """Calls about images."""

    async def images(self) -> Sequence[LxdImage]:
        """The images of the default project."""
        found = await self._read("/1.0/images", {"recursion": "1"})
        return [read_image(entry) for entry in found or [] if entry.get("type", "container") == "container"]

    async def import_image(
        self, metadata: Path, rootfs: Path, fingerprint: str, progress: Progress | None = None
    ) -> None:
        """Hand LXD the two files of an image; it checks the fingerprint itself."""
        headers = {"X-LXD-fingerprint": fingerprint, "X-Incus-fingerprint": fingerprint, "X-LXD-public": "false"}
        parts: Sequence[tuple[str, Path]] = (("metadata", metadata), ("rootfs", rootfs))
        try:
            answer = await self._client.upload("/1.0/images", parts, headers, progress=progress)
            done = await self._client.wait(str(answer.get("operation", "")), seconds=IMPORT_SECONDS)
        except ApiError as error:
            raise translate(error, fingerprint[:12]) from error
        if done.get("fingerprint") not in (fingerprint, None):
            raise unknown()

    async def delete_image(self, fingerprint: str) -> None:
        """Drop an image and its aliases; containers made from it stay."""
        try:
            await self._change(fingerprint[:12], "DELETE", f"/1.0/images/{quoted(fingerprint)}")
        except NotFound:
            return

    async def set_alias(self, alias: str, fingerprint: str) -> None:
        """Let ``alias`` name this image, whatever it named before."""
        body = {"name": alias, "target": fingerprint, "description": ""}
        try:
            await self._change(alias, "POST", "/1.0/images/aliases", body=body)
        except AlreadyExists:
            change = {"target": fingerprint, "description": ""}
            await self._change(alias, "PUT", f"/1.0/images/aliases/{quoted(alias)}", body=change)

    async def delete_alias(self, alias: str) -> None:
        """Drop a name; the image stays."""
        try:
            await self._change(alias, "DELETE", f"/1.0/images/aliases/{quoted(alias)}")
        except NotFound:
            return

    async def set_image_properties(self, fingerprint: str, properties: Mapping[str, str]) -> None:
        """Change some of an image's properties, leaving the others alone."""
        path = f"/1.0/images/{quoted(fingerprint)}"
        found = await self._read(path, name=fingerprint[:12])
        held = {str(key): str(value) for key, value in (found.get("properties") or {}).items()}
        kept = ("auto_update", "public", "profiles", "expires_at")
        body = {key: found[key] for key in kept if key in found} | {"properties": {**held, **properties}}
        await self._change(fingerprint[:12], "PUT", path, body=body)

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
            operation = await self._begin("POST", "/1.0/images", in_project(project), body)
            done = await self._done(operation, PUBLISH_SECONDS, progress)
        except ApiError as error:
            if "export a running" in error.text:
                raise translate(ApiError("Instance is running", error.status), name) from error
            raise translate(error, name) from error
        fingerprint = str(done.get("fingerprint") or "")
        if not fingerprint:
            raise unknown()
        return fingerprint
