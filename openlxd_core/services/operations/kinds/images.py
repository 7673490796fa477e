"""Import an image from an image server, and publish a container as an image.

An import's steps can be repeated after a crash at any point: downloads are resumed where they stopped, what LXD holds
already is taken as done, and what is left of an import that has ended is removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import structlog

from openlxd_core.coordination.change_log import announce
from openlxd_core.domain.errors import (
    AlreadyExists,
    Conflict,
    ImageSourceUnavailable,
    OpenLXDError,
    QuotaExceeded,
)
from openlxd_core.domain.image import ImageStatus
from openlxd_core.domain.operation import ENDED, Kind, Operation, OperationStatus
from openlxd_core.domain.text import clean
from openlxd_core.domain.units import format_bytes
from openlxd_core.i18n import N_
from openlxd_core.lxd.gateway import LxdGateway, LxdImage
from openlxd_core.services.operations.handler import ContainerHandler, Handler, Job
from openlxd_core.services.operations.store import Operations
from openlxd_core.services.quotas import tenant_image_room
from openlxd_core.settings import Settings
from openlxd_core.simplestreams.downloader import ImageServers, NotThere, combined_digest, no_room, require_room
from openlxd_core.simplestreams.index import Build, Product
from openlxd_core.storage import models

log = structlog.get_logger(__name__)

TELL_SECONDS = 1.0
"""How often a download's progress is told."""
OPERATION_MARK = "user.openlxd.op"
"""The property of a published image that holds the id of the operation that made it."""
_ACTIVE = [status.value for status in OperationStatus if status not in ENDED]


class HeldImages(Protocol):
    """What these handlers ask of the images that LXD holds."""

    async def held(self, *, fresh: bool = False) -> Sequence[LxdImage]:
        """What LXD holds. Raises LxdUnavailable."""

    async def supersede(self, fingerprint: str) -> None:
        """Delete this build once no container uses it; inside a transaction."""

    async def drop_unused(self) -> None:
        """Delete superseded builds that no container uses."""


class Products(Protocol):
    """What these handlers ask of the catalogue."""

    async def product(self, server: str, key: str) -> Product | None:
        """What an image server offers under a product's key, the newest build first."""


class ImportHandler(Handler):
    """Downloads an image's two files, verifies them and imports them into LXD, once for all who ask.

    ``directory`` holds downloads, each in a folder that its operation's id names.
    """

    kinds = (Kind.IMPORT,)
    cancellable = True

    def __init__(
        self,
        lxd: LxdGateway,
        operations: Operations,
        images: HeldImages,
        products: Products,
        servers: ImageServers,
        directory: Path,
    ) -> None:
        self._lxd = lxd
        self._operations = operations
        self._images = images
        self._products = products
        self._servers = servers
        self._directory = directory

    async def told(self, operation: Operation, stage: str, percent: int, detail: Mapping[str, Any]) -> None:
        """Every image screen shows the progress, not only the askers'."""
        progress = {"operation": operation.id, "stage": stage, "percent": percent, **detail}
        await announce("image", "progress", operation.target, None, **progress)

    async def run(self, job: Job) -> Build:
        """Have LXD hold the newest complete build under the image's alias; which build that is."""
        args, alias = job.operation.args, job.operation.target
        await job.report("resolve", 1)
        product = await self._products.product(str(args["server"]), str(args["product"]))
        if product is None:
            raise ImageSourceUnavailable(N_("No image server offers {alias} any more."), alias=alias)
        for build in product.builds:
            try:
                await self._bring(job, build)
            except NotThere:
                log.warning("image_build_incomplete", image=alias, serial=build.serial)
                continue
            await asyncio.to_thread(shutil.rmtree, self._folder(job), ignore_errors=True)
            return build
        raise ImageSourceUnavailable(N_("The image server does not have the files that it lists."))

    def _folder(self, job: Job) -> Path:
        return self._directory / job.operation.id

    async def _bring(self, job: Job, build: Build) -> None:
        if not await self._is_held(build.fingerprint):
            folder = self._folder(job) / build.fingerprint
            files = (folder / "metadata", folder / "rootfs")
            try:
                await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True, mode=0o700)
                await self._download(job, build, files)
            except OSError as error:
                raise no_room(build.size, 0) from error
            await job.report("verify", 86)
            if await asyncio.to_thread(combined_digest, files) != build.fingerprint:
                raise ImageSourceUnavailable(
                    N_("The image server's files do not match the image that it lists. They were discarded; try again.")
                )
            await self._commit(job, 88)
            with contextlib.suppress(AlreadyExists):  # a try that was cut short reached LXD after all
                await self._lxd.import_image(files[0], files[1], build.fingerprint)
        await self._commit(job, 98)
        properties = {"description": description_of(job.operation.args, build), "serial": build.serial}
        await self._lxd.set_image_properties(build.fingerprint, properties)
        await self._lxd.set_alias(job.operation.target, build.fingerprint)

    async def _commit(self, job: Job, percent: int) -> None:
        """Write that LXD has the files from here on, so that nobody cancels it any more. Raises CancelRequested."""
        if not job.committed:
            operation = job.operation
            await self._operations.progress(
                operation.id, "import", percent, None, lambda: self.told(operation, "import", percent, {})
            )
            job.committed = True

    async def _is_held(self, fingerprint: str) -> bool:
        return any(image.fingerprint == fingerprint for image in await self._images.held(fresh=True))

    async def _download(self, job: Job, build: Build, files: Sequence[Path]) -> None:
        got = [0, 0]

        def sizes() -> int:
            return sum(file.stat().st_size for file in files if file.exists())

        await asyncio.to_thread(require_room, files[0].parent, build.size - min(build.size, sizes()), build.size)
        teller = asyncio.create_task(_tell_download(job, build.size, got))
        try:
            for number, (part, file) in enumerate(zip((build.metadata, build.rootfs), files, strict=True)):

                def report(there: int, number: int = number) -> None:
                    got[number] = there

                await self._servers.download(str(job.operation.args["server"]), part, file, report)
                got[number] = part.size
        finally:
            teller.cancel()
            await asyncio.gather(teller, return_exceptions=True)

    async def before_end(self, job: Job, error: OpenLXDError | None) -> None:
        """Whoever hears of the end finds no files lying about."""
        await asyncio.to_thread(shutil.rmtree, self._folder(job), ignore_errors=True)

    async def settle(self, job: Job, error: OpenLXDError | None) -> None:
        """The image's row says what is held now."""
        alias = job.operation.target
        row = await models.Image.filter(alias=alias).first()
        if error is None:
            await self._settle_success(job, row or models.Image(alias=alias), job.result)
            return
        if row is not None and row.fingerprint:  # an older build is still there
            row.status = ImageStatus.IMPORTED.value
            await row.save()
        elif row is not None and job.cancelled:
            await row.delete()
        elif row is not None:
            row.status = ImageStatus.FAILED.value
            await row.save()
        await announce("image", "cancelled" if job.cancelled else "failed", alias, None)

    async def _settle_success(self, job: Job, row: models.Image, build: Build) -> None:
        operation = await models.Operation.get(id=job.operation.id)
        args = operation.args
        operation.args = {**args, "fingerprint": build.fingerprint, "serial": build.serial}
        await operation.save()
        before = row.fingerprint if row.product else ""  # an image imported outside OpenLXD is kept
        row.update_from_dict({
            "fingerprint": build.fingerprint, "size": build.size, "serial": build.serial, "server": args["server"],
            "product": args["product"], "status": ImageStatus.IMPORTED.value, "imported_at": datetime.now(UTC),
            "description": description_of(args, build), **image_columns(args),
        })  # fmt: skip
        await row.save()
        if before and before != build.fingerprint:
            await self._images.supersede(before)
        await announce("image", "imported", operation.target, None)

    async def after_end(self, job: Job) -> None:
        """An older build may be unused now."""
        await self._images.drop_unused()

    async def sweep(self) -> None:
        """Remove what is left of downloads whose operation has ended, however it did."""
        if not self._directory.is_dir():
            return
        active = {row.id for row in await models.Operation.filter(kind=Kind.IMPORT.value, status__in=_ACTIVE)}
        for folder in await asyncio.to_thread(lambda: list(self._directory.iterdir())):
            if folder.name not in active:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _tell_download(job: Job, total: int, got: Sequence[int]) -> None:
    """Report how far a download is, its rate over the last seconds, and the time left, until cancelled."""
    marks = [(time.monotonic(), sum(got))]
    while True:
        there, now = sum(got), time.monotonic()
        marks = [*marks[-9:], (now, there)]
        seconds, fetched = now - marks[0][0], there - marks[0][1]
        rate = int(fetched / seconds) if seconds > 0.2 and fetched > 0 else 0
        detail = {"bytes": there, "total": total, "rate": rate}
        if rate:
            detail["seconds_left"] = max(0, round((total - there) / rate))
        await job.report("download", 2 + there * 83 // max(1, total), detail)
        await asyncio.sleep(TELL_SECONDS)


def image_columns(args: Mapping[str, Any]) -> dict[str, str]:
    """The columns of an image's row that an import's arguments hold; its release is the number."""
    lengths = {"distribution": 50, "release": 50, "architecture": 20, "variant": 50}
    known = {**args, "release": args.get("version") or args["release"]}
    return {column: str(known[column])[:length] for column, length in lengths.items()}


def description_of(args: Mapping[str, Any], build: Build) -> str:
    """An imported image's description: “Debian bookworm amd64 (20261121_05:24)”."""
    variant = "" if args["variant"] == "default" else f" {args['variant']}"
    return f"{args['distribution'].capitalize()} {args['release']} {args['architecture']}{variant} ({build.serial})"


class PublishHandler(ContainerHandler):
    """Makes a private image of a stopped container, or of a snapshot of one."""

    kinds = (Kind.PUBLISH,)

    def __init__(self, settings: Settings, lxd: LxdGateway, operations: Operations, images: HeldImages) -> None:
        super().__init__(lxd, operations)
        self._settings = settings
        self._images = images

    async def run(self, job: Job) -> LxdImage:
        """Have LXD make it, weigh it against the tenant's room, and name it."""
        args, container = job.operation.args, job.container
        await job.report("publish", 5)
        made = await self._made_by(job)  # by a try that was cut short
        if not made:
            origin = "" if container.image.startswith("private/") else container.image
            distribution, _slash, release = origin.partition("/")
            properties = {
                OPERATION_MARK: job.operation.id,
                "description": f"{container.name} {args['snapshot']}".strip(),
                "os": clean(distribution, 50),
                "release": clean(release.partition("/")[0], 50),
                "variant": "private",
            }
            await self._lxd.publish_image(*job.place, str(args["snapshot"]), properties)
            made = await self._made_by(job)
        if not made:
            raise Conflict(N_("The published image is missing in LXD. Try again."))
        image = made[0]
        await self._clear(job, image.fingerprint)
        if container.user_id is not None:
            room = await tenant_image_room(container.user_id, self._settings)
            if image.size_bytes > room:
                raise QuotaExceeded(
                    N_("This image needs {asked}; {left} of the {limit} for your images is left."),
                    asked=format_bytes(image.size_bytes), left=format_bytes(max(0, room)),
                    limit=self._settings.tenant_images,
                )  # fmt: skip
        await job.report("import", 95)
        await self._lxd.set_alias(str(args["alias"]), image.fingerprint)
        return image

    async def _made_by(self, job: Job) -> list[LxdImage]:
        held = await self._images.held(fresh=True)
        return [image for image in held if image.properties.get(OPERATION_MARK) == job.operation.id]

    async def _clear(self, job: Job, keep: str) -> None:
        """Delete what tries of this operation made, but for ``keep``."""
        for image in await self._made_by(job):
            if image.fingerprint != keep:
                await self._lxd.delete_image(image.fingerprint)

    async def undo(self, job: Job) -> None:
        """Delete what it made."""
        await self._clear(job, "")

    async def settle(self, job: Job, error: OpenLXDError | None) -> None:
        """The image's row stays with what was made, or goes."""
        await super().settle(job, error)
        alias = str(job.operation.args["alias"])
        row = await models.Image.filter(alias=alias).first()
        if row is not None and error is not None:
            await row.delete()
        elif row is not None:
            image: LxdImage = job.result
            row.update_from_dict({
                "fingerprint": image.fingerprint, "size": image.size_bytes, "variant": "private",
                "description": clean(image.description, 500), "status": ImageStatus.IMPORTED.value,
                "imported_at": datetime.now(UTC), "distribution": clean(image.properties.get("os", ""), 50),
            })  # fmt: skip
            await row.save()
        owner = row.user_id if row is not None else job.operation.user_id
        await announce("image", "failed" if error else "imported", alias, owner)
