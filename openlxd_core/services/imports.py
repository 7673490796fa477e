"""Imports: an offer's two files fetched, checked and handed to LXD, once for all who ask.

Every step can be repeated after a crash at any point: files are gone on with where they stopped, what LXD holds
already is taken as done, and what a try left behind is swept up when its operation has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from openlxd_core.domain.actor import SYSTEM, Actor
from openlxd_core.domain.errors import (
    AlreadyExists,
    Busy,
    Conflict,
    Forbidden,
    ImageSourceUnavailable,
    LxdUnavailable,
    Message,
    OpenLXDError,
    OutcomeUnknown,
    QuotaExceeded,
    StorageUnavailable,
)
from openlxd_core.domain.image import ImageStatus, Offer
from openlxd_core.domain.operation import ENDED, Kind, OperationStatus
from openlxd_core.domain.policy import Action, require
from openlxd_core.domain.units import format_bytes, parse_size_mib
from openlxd_core.i18n import N_
from openlxd_core.lxd.gateway import LxdGateway, LxdImage
from openlxd_core.market.simplestreams import Build, Product
from openlxd_core.market.source import ImageServers, NotThere, combined_digest, no_room, require_room
from openlxd_core.services.feed import announce
from openlxd_core.services.images import SUPERSEDED, Images
from openlxd_core.services.live import Live
from openlxd_core.services.operations import Operations
from openlxd_core.services.records import to_operation
from openlxd_core.services.runner import ATTEMPTS_MOST, PAUSE_SECONDS
from openlxd_core.services.steps import Report
from openlxd_core.settings import Settings
from openlxd_core.storage import models
from openlxd_core.storage.transaction import surely, transaction

log = structlog.get_logger(__name__)

TENANT_AT_ONCE = 2
"""How many imports one tenant may have under way."""
TELL_SECONDS = 1.0
"""How often a download's progress is written: each is a write, and wakes every viewer."""
CANCELLED = N_("The import was cancelled.")
_ACTIVE = [status.value for status in OperationStatus if status not in ENDED]


class _Cancelled(Exception):
    """Somebody asked for it to be given up before LXD was given the files."""


async def tenant_room(user_id: int, settings: Settings) -> int:
    """Bytes that a tenant's images may still take."""
    used = sum(
        int(row.size) for row in await models.Image.filter(user_id=user_id).exclude(status=ImageStatus.FAILED.value)
    )
    return int(parse_size_mib(settings.tenant_images, "tenant_images") * 1024 * 1024 - used)


class Imports:
    """Beginning and doing imports. ``directory`` holds what is being fetched."""

    def __init__(
        self,
        settings: Settings,
        lxd: LxdGateway,
        live: Live,
        images: Images,
        operations: Operations,
        servers: ImageServers,
        directory: Path,
    ) -> None:
        self._settings = settings
        self._lxd = lxd
        self._live = live
        self._images = images
        self._operations = operations
        self._servers = servers
        self._directory = directory
        self.products: dict[tuple[str, str], Product] = {}
        """What the servers offer, by server and key; the market keeps it."""
        self.prepare: Callable[[], Awaitable[None]] | None = None
        """See that :attr:`products` is filled."""

    # -- beginning -------------------------------------------------------------------------------------------------

    @transaction
    async def begin(self, actor: Actor, offer: Offer) -> str:
        """The operation that imports ``offer``: a new one, or the one under way that the actor joins.

        Raises Forbidden, QuotaExceeded, Busy.
        """
        self._require_allowed(actor)
        active = await models.Operation.filter(
            kind=Kind.IMPORT.value, target=offer.alias, status__in=_ACTIVE
        ).first()  # fmt: skip
        if active is not None:
            if active.cancelled_by:
                raise Busy(N_("The import of {alias} is being cancelled. Try again in a moment."), alias=offer.alias)
            await self._join(actor, active)
            return active.id
        if not actor.is_admin:
            await self._require_tenant_room(actor, offer)
        await self._mark_downloading(actor, offer)
        args = {
            "server": offer.server,
            "product": offer.product,
            "distribution": offer.distribution,
            "release": offer.release,
            "architecture": offer.architecture,
            "variant": offer.variant,
            "askers": [actor.user_id] if actor.user_id is not None else [],
        }
        return await self._operations.begin_on(actor, Kind.IMPORT, offer.alias, actor.user_id, args)

    @transaction
    async def already_here(self, actor: Actor, alias: str, fingerprint: str) -> str:
        """The operation of an import that has nothing to do, since LXD holds the image; it has ended.

        Raises Forbidden.
        """
        self._require_allowed(actor)
        args = {"fingerprint": fingerprint, "askers": [actor.user_id] if actor.user_id is not None else []}
        operation_id = await self._operations.begin_on(actor, Kind.IMPORT, alias, actor.user_id, args)
        await self._operations.end(operation_id, None)
        return operation_id

    def _require_allowed(self, actor: Actor) -> None:
        require(actor, Action.IMAGE_IMPORT)
        if not actor.is_admin and self._settings.tenant_import == "off":
            raise Forbidden(N_("Only admins import images here. Ask one of them for it."))

    async def _join(self, actor: Actor, active: models.Operation) -> None:
        askers = active.args.get("askers", [])
        if actor.user_id is not None and actor.user_id not in askers:
            active.args = {**active.args, "askers": [*askers, actor.user_id]}
            await active.save()

    async def _require_tenant_room(self, actor: Actor, offer: Offer) -> None:
        assert actor.user_id is not None
        mine = models.Operation.filter(kind=Kind.IMPORT.value, user_id=actor.user_id, status__in=_ACTIVE)
        if await mine.count() >= TENANT_AT_ONCE:
            raise Busy(N_("You have {count} imports under way already. Wait for one."), count=TENANT_AT_ONCE)
        already = await models.Image.filter(alias=offer.alias).first()
        if already is not None and already.fingerprint:
            if not already.product:
                raise AlreadyExists(N_("There is an image {alias} already."), alias=offer.alias)
            return  # it is here for everybody: a newer build takes nobody's room
        left = await tenant_room(actor.user_id, self._settings)
        if offer.size_bytes > left:
            raise QuotaExceeded(
                N_("{asked} asked for this image, {left} left of the {limit} that your images may take."),
                asked=format_bytes(offer.size_bytes), left=format_bytes(max(0, left)),
                limit=self._settings.tenant_images,
            )  # fmt: skip

    async def _mark_downloading(self, actor: Actor, offer: Offer) -> None:
        row = await models.Image.filter(alias=offer.alias).first() or models.Image(alias=offer.alias)
        if not row.fingerprint:
            row.update_from_dict({
                "user_id": None if actor.is_admin else actor.user_id, "private": False, "imported_at": None,
                "description": "", "serial": "", **_about(offer.distribution, offer.release, offer.architecture,
                offer.variant), "size": offer.size_bytes,
            })  # fmt: skip
        row.status = ImageStatus.DOWNLOADING.value
        await row.save()
        await announce("image", "updated", offer.alias, None)

    # -- waiting for one (a container is to be made from it) -------------------------------------------------------

    async def wait_for(self, operation_id: str, report: Report) -> str:
        """The fingerprint that an import brought; raises what it failed with. Tells ``report`` how far it is."""
        shown = -1
        while True:
            operation = await self._operations.wait(SYSTEM, operation_id, 1.0)
            if operation.status is OperationStatus.DONE:
                return str(operation.args["fingerprint"])
            if operation.ended:
                message = operation.error or Message(CANCELLED)
                raise _again(operation.error_code, message)
            if operation.progress > shown:
                shown = operation.progress
                await report("image", 3 + shown // 50)

    # -- doing -----------------------------------------------------------------------------------------------------

    async def run(self, operation_id: str) -> None:
        """Do an import whose row exists, to its end; or give it up once somebody asks for that."""
        row = await models.Operation.filter(id=operation_id).first()
        if row is None or to_operation(row).ended:
            return
        error: OpenLXDError | None = None
        cancelled = False
        try:
            if row.attempts >= ATTEMPTS_MOST:
                raise Conflict(N_("This import was interrupted several times and never finished. Try again."))
            build = await self._unless_cancelled(row)
            await self._drop_files(row.id)
            await _surely(lambda: self._finish(row.id, build))
        except _Cancelled:
            error, cancelled = Conflict(CANCELLED), True
        except StorageUnavailable:
            raise  # the runner waits, and begins again: what was downloaded is still here
        except OpenLXDError as failure:
            error = failure
        except Exception:
            log.exception("import_failed", operation=operation_id)
            error = OpenLXDError(N_("Something went wrong inside OpenLXD; the operator's log says what."))
        if (failure_told := error) is not None:
            await self._drop_files(row.id)
            await _surely(lambda: self._fail(row.id, failure_told, cancelled))
        log.info("import_ended", operation=operation_id, image=row.target, outcome=error.code if error else "ok")
        with contextlib.suppress(OpenLXDError):
            await self._images.drop_unused()

    async def _unless_cancelled(self, row: models.Operation) -> Build:
        work = asyncio.ensure_future(self._bring(row))
        asked = asyncio.ensure_future(self._operations.cancel_requested(row.id))
        try:
            await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
        finally:  # also where this process stops: the next one goes on
            for task in (work, asked):
                task.cancel()
            await asyncio.gather(work, asked, return_exceptions=True)
        if not work.cancelled():
            return work.result()  # it was faster
        raise _Cancelled

    async def _drop_files(self, operation_id: str) -> None:
        """Before the end is told: whoever hears of it finds nothing lying about."""
        await asyncio.to_thread(shutil.rmtree, self._folder(operation_id), ignore_errors=True)

    def _folder(self, operation_id: str) -> Path:
        return self._directory / operation_id

    async def _bring(self, row: models.Operation) -> Build:
        """LXD holds the newest whole build under its name; which one that is."""
        await self._tell(row.id, row.target, "resolve", 1)
        if self.prepare is not None:
            await self.prepare()
        product = self.products.get((str(row.args["server"]), str(row.args["product"])))
        if product is None:
            raise ImageSourceUnavailable(N_("No image server offers {alias} any more."), alias=row.target)
        for build in product.builds:
            try:
                await self._bring_build(row, build)
            except NotThere:
                log.warning("image_build_incomplete", image=row.target, serial=build.serial)
                continue
            return build
        raise ImageSourceUnavailable(N_("The image server does not have the files that it lists."))

    async def _bring_build(self, row: models.Operation, build: Build) -> None:
        if await self._until_lxd(row, self._is_held(build.fingerprint)) is None:
            folder = self._folder(row.id) / build.fingerprint
            files = (folder / "metadata", folder / "rootfs")
            try:
                await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True, mode=0o700)
                await self._download(row, build, files)
            except OSError as error:
                raise no_room(build.size, 0) from error
            await self._tell(row.id, row.target, "verify", 86)
            if await asyncio.to_thread(combined_digest, files) != build.fingerprint:
                raise ImageSourceUnavailable(
                    N_("The files of the image server do not make the image that it lists; they were not used.")
                )
            # from here on it cannot be cancelled: what LXD does is LXD's
            await self._tell(row.id, row.target, "import", 88)
            await self._until_lxd(row, lambda: self._hand_over(files, build.fingerprint))
        await self._tell(row.id, row.target, "import", 98)
        description = _description(row, build)
        await self._until_lxd(
            row,
            lambda: self._name(row.target, build.fingerprint, {"description": description, "serial": build.serial}),
        )

    def _is_held(self, fingerprint: str) -> Any:
        async def look() -> LxdImage | None:
            return next((i for i in await self._images.held(fresh=True) if i.fingerprint == fingerprint), None)

        return look

    async def _hand_over(self, files: Sequence[Path], fingerprint: str) -> None:
        if await self._is_held(fingerprint)() is None:
            with contextlib.suppress(AlreadyExists):  # a try that was cut short reached LXD after all
                await self._lxd.import_image(files[0], files[1], fingerprint)

    async def _name(self, alias: str, fingerprint: str, properties: Mapping[str, str]) -> None:
        await self._lxd.set_image_properties(fingerprint, properties)
        await self._lxd.set_alias(alias, fingerprint)

    async def _until_lxd(self, row: models.Operation, work: Any) -> Any:
        """Do ``work``, again each time LXD was lost in the middle."""
        pause, unknown = PAUSE_SECONDS, 0
        while True:
            try:
                return await work()
            except LxdUnavailable as error:
                unknown += isinstance(error, OutcomeUnknown)
                if unknown >= ATTEMPTS_MOST:
                    raise
                log.warning("import_waits_for_lxd", operation=row.id, reason=str(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, 10)
                await self._live.until_reachable()

    async def _download(self, row: models.Operation, build: Build, files: Sequence[Path]) -> None:
        got = [0, 0]

        def sizes() -> int:
            return sum(file.stat().st_size for file in files if file.exists())

        await asyncio.to_thread(require_room, files[0].parent, build.size - min(build.size, sizes()), build.size)
        teller = asyncio.create_task(self._tell_progress(row, build.size, got))
        try:
            for number, (part, file) in enumerate(zip((build.metadata, build.rootfs), files, strict=True)):

                def report(there: int, number: int = number) -> None:
                    got[number] = there

                await self._servers.download(str(row.args["server"]), part, file, report)
                got[number] = part.size
        finally:
            teller.cancel()
            await asyncio.gather(teller, return_exceptions=True)

    async def _tell_progress(self, row: models.Operation, total: int, got: Sequence[int]) -> None:
        """Write how far the download is, its rate over the last seconds, and the time left."""
        marks = [(time.monotonic(), sum(got))]
        while True:
            there = sum(got)
            now = time.monotonic()
            marks = [*marks[-9:], (now, there)]
            seconds, fetched = now - marks[0][0], there - marks[0][1]
            rate = int(fetched / seconds) if seconds > 0.2 and fetched > 0 else 0
            detail = {"bytes": there, "total": total, "rate": rate}
            if rate:
                detail["seconds_left"] = max(0, round((total - there) / rate))
            with contextlib.suppress(_Cancelled, StorageUnavailable):  # whoever waits for that is told at once
                await self._tell(row.id, row.target, "download", 2 + there * 83 // max(1, total), detail)
            await asyncio.sleep(TELL_SECONDS)

    @transaction
    async def _tell(
        self, operation_id: str, alias: str, stage: str, percent: int, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Say how far it is, to its askers and to every market screen. Raises _Cancelled."""
        row = await models.Operation.get(id=operation_id)
        if row.cancelled_by:
            raise _Cancelled
        await self._operations.progress(operation_id, stage, percent, detail)
        told = {"operation": operation_id, "stage": stage, "percent": percent, **(detail or {})}
        await announce("image", "progress", alias, None, **told)

    # -- how it ends -----------------------------------------------------------------------------------------------

    @transaction
    async def _finish(self, operation_id: str, build: Build) -> None:
        operation = await models.Operation.get(id=operation_id)
        args = operation.args
        operation.args = {**args, "fingerprint": build.fingerprint, "serial": build.serial}
        await operation.save()
        row = await models.Image.filter(alias=operation.target).first() or models.Image(alias=operation.target)
        before = row.fingerprint if row.product else ""  # what others brought is not ours to drop
        row.update_from_dict({
            "fingerprint": build.fingerprint, "size": build.size, "serial": build.serial, "server": args["server"],
            "product": args["product"], "status": ImageStatus.IMPORTED.value, "imported_at": datetime.now(UTC),
            "description": _description(operation, build),
            **_about(args["distribution"], args["release"], args["architecture"], args["variant"]),
        })  # fmt: skip
        await row.save()
        if before and before != build.fingerprint:
            old, _ = await models.Setting.get_or_create(key=SUPERSEDED, defaults={"value": []})
            old.value = [*(f for f in old.value if f != before), before]
            await old.save()
        await self._operations.end(operation_id, None)
        await announce("image", "imported", operation.target, None)

    @transaction
    async def _fail(self, operation_id: str, error: OpenLXDError, cancelled: bool) -> None:
        operation = await models.Operation.get(id=operation_id)
        await self._operations.end(operation_id, error, cancelled=cancelled)
        row = await models.Image.filter(alias=operation.target).first()
        if row is not None and row.fingerprint:  # an older build is still there
            row.status = ImageStatus.IMPORTED.value
            await row.save()
        elif row is not None and cancelled:
            await row.delete()
        elif row is not None:
            row.status = ImageStatus.FAILED.value
            await row.save()
        await announce("image", "failed" if not cancelled else "cancelled", operation.target, None)

    async def sweep(self) -> None:
        """Remove what is left of downloads whose operation has ended, however it did."""
        if not self._directory.is_dir():
            return
        active = {row.id for row in await models.Operation.filter(kind=Kind.IMPORT.value, status__in=_ACTIVE)}
        for folder in await asyncio.to_thread(lambda: list(self._directory.iterdir())):
            if folder.name not in active:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _surely(write: Callable[[], Awaitable[None]]) -> None:
    """Write the end, also where the database is held up for a while: nobody else would."""
    for pause in (1, 5, 30, 60):
        try:
            return await surely(write)
        except OpenLXDError:
            raise
        except Exception:
            log.exception("import_end_not_written")
            await asyncio.sleep(pause)
    return await write()


def _about(distribution: str, release: str, architecture: str, variant: str) -> dict[str, str]:
    return {
        "distribution": distribution[:50],
        "release": release[:50],
        "architecture": architecture[:20],
        "variant": variant[:50],
    }


def _description(row: models.Operation, build: Build) -> str:
    args = row.args
    variant = "" if args["variant"] == "default" else f" {args['variant']}"
    return f"{args['distribution'].capitalize()} {args['release']} {args['architecture']}{variant} ({build.serial})"


def _again(code: str, message: Message) -> OpenLXDError:
    """An operation's stored error as one that can be raised. LXD's absence then is no reason to wait now."""
    kind = {k.code: k for k in (ImageSourceUnavailable, QuotaExceeded, Forbidden)}.get(code, Conflict)
    return kind(message.template, **dict(message.params))
