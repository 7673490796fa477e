"""Publishing: a stopped container, or a snapshot of one, becomes an image of its owner's own."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import structlog

from openlxd_core.domain.actor import Actor
from openlxd_core.domain.container import State
from openlxd_core.domain.errors import (
    AlreadyExists,
    Conflict,
    NotFound,
    OpenLXDError,
    QuotaExceeded,
    StorageUnavailable,
    ValidationFailed,
)
from openlxd_core.domain.image import ImageStatus, offered_architecture
from openlxd_core.domain.operation import Kind, Operation
from openlxd_core.domain.policy import Action, require
from openlxd_core.domain.text import clean
from openlxd_core.domain.units import format_bytes
from openlxd_core.i18n import N_
from openlxd_core.lxd.gateway import LxdGateway, LxdImage
from openlxd_core.services.feed import announce
from openlxd_core.services.idempotency import repeatable
from openlxd_core.services.images import PRIVATE, Images
from openlxd_core.services.imports import tenant_room
from openlxd_core.services.live import Live
from openlxd_core.services.lookup import find_container
from openlxd_core.services.operations import Operations
from openlxd_core.services.records import pack_message, to_container
from openlxd_core.services.runner import ATTEMPTS_MOST, Runner
from openlxd_core.services.suspension import refuse_suspended
from openlxd_core.settings import Settings
from openlxd_core.storage import models
from openlxd_core.storage.transaction import surely, transaction

log = structlog.get_logger(__name__)

MARK = "user.openlxd.op"
"""The image's property that holds the id of the operation that made it."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
ALIAS_MAX = 100
"""Of the column; a long user name leaves less of it for the image's own."""


class Publishing:
    """Beginning and doing it."""

    def __init__(
        self, settings: Settings, lxd: LxdGateway, live: Live, images: Images, operations: Operations, runner: Runner
    ) -> None:
        self._settings = settings
        self._lxd = lxd
        self._live = live
        self._images = images
        self._operations = operations
        self._runner = runner

    @repeatable(Kind.PUBLISH)
    async def publish(self, actor: Actor, container: str, name: str, snapshot: str | None = None) -> Operation:
        """Make a private image ``name`` of a stopped container, or of a snapshot.

        Raises NotFound, ValidationFailed, Conflict while it runs, AlreadyExists, QuotaExceeded.
        """
        row = await find_container(actor, container)
        require(actor, Action.IMAGE_PUBLISH, to_container(row))
        short = name.strip().removeprefix(f"{PRIVATE}{row.user.username}/")
        if not _NAME.fullmatch(short):
            raise ValidationFailed.of(
                "alias", N_("An image's name is up to 40 small letters, digits, dots, underscores and hyphens.")
            )
        alias = f"{PRIVATE}{row.user.username}/{short}"
        if len(alias) > ALIAS_MAX:
            raise ValidationFailed.of(
                "alias", N_("This name is too long: {alias} has more than {count} characters."),
                alias=alias, count=ALIAS_MAX,
            )  # fmt: skip
        self._live.require_reachable()
        operation_id = await self._begin(actor, container, alias, snapshot or "")
        self._runner.start(operation_id)
        return await self._operations.get(actor, operation_id)

    @transaction
    async def _begin(self, actor: Actor, container: str, alias: str, snapshot: str) -> str:
        row = await find_container(actor, container)
        refuse_suspended(actor, row)
        if snapshot and not await models.Snapshot.filter(container_id=row.id, name=snapshot, ready=True).exists():
            raise NotFound(N_("{name} has no snapshot {snapshot}."), name=row.name, snapshot=clean(snapshot, 100))
        if not snapshot and row.status != State.STOPPED and not row.operation_id:
            raise Conflict(N_("Stop {name} first, or publish one of its snapshots."), name=row.name)
        if await models.Image.filter(alias=alias).exclude(status=ImageStatus.FAILED.value).exists():
            raise AlreadyExists(N_("There is an image {alias} already."), alias=alias)
        if await tenant_room(row.user_id, self._settings) <= 0:
            raise QuotaExceeded(
                N_("Your images take all the {limit} that they may."), limit=self._settings.tenant_images
            )
        args = {"alias": alias, "snapshot": snapshot, "status": row.status}
        operation_id = await self._operations.begin(actor, Kind.PUBLISH, row, args)
        image = await models.Image.filter(alias=alias).first() or models.Image(alias=alias)
        image.update_from_dict({
            "fingerprint": "", "private": True, "user_id": row.user_id, "status": ImageStatus.DOWNLOADING.value,
            "architecture": offered_architecture(row.architecture)[:20], "size": 0,
        })  # fmt: skip
        await image.save()
        await announce("image", "updated", alias, row.user_id)
        return operation_id

    async def run(self, operation_id: str) -> None:
        """Do one whose row exists."""
        row = await models.Operation.filter(id=operation_id).first()
        container = await models.Container.filter(operation_id=operation_id).first()
        if row is None or row.status not in ("queued", "running"):
            return
        error: OpenLXDError | None = None
        image: LxdImage | None = None
        try:
            if container is None:
                raise NotFound(N_("The container is gone."))
            if row.attempts >= ATTEMPTS_MOST:
                raise Conflict(N_("This was interrupted several times and never finished. Try again."))
            image = await self._make(row, container)
        except StorageUnavailable:
            raise  # the runner waits, and begins again
        except OpenLXDError as failure:
            error = failure
        except Exception:
            log.exception("publish_failed", operation=operation_id)
            error = OpenLXDError(N_("Something went wrong inside OpenLXD; the operator's log says what."))
        if error is not None:
            await self._clear(operation_id, "")
        await surely(lambda: self._finish(operation_id, image, error), operation=operation_id)
        log.info("publish_ended", operation=operation_id, outcome=error.code if error else "ok")

    async def _made_by(self, operation_id: str) -> list[LxdImage]:
        return [i for i in await self._images.held(fresh=True) if i.properties.get(MARK) == operation_id]

    async def _make(self, row: models.Operation, container: models.Container) -> LxdImage:
        await self._operations.progress(row.id, "publish", 5)
        made = await self._made_by(row.id)  # by a try that was cut short
        if not made:
            properties = {
                MARK: row.id,
                "description": f"{container.name} {row.args['snapshot']}".strip(),
                "os": clean(container.image, 50),
                "release": "",
                "variant": "private",
            }
            await self._lxd.publish_image(container.project, container.name, str(row.args["snapshot"]), properties)
            made = await self._made_by(row.id)
        if not made:
            raise Conflict(N_("LXD made an image, and lost it."))
        image = made[0]
        await self._clear(row.id, image.fingerprint)
        room = await tenant_room(container.user_id, self._settings)
        if image.size_bytes > room:
            raise QuotaExceeded(
                N_("{asked} asked for this image, {left} left of the {limit} that your images may take."),
                asked=format_bytes(image.size_bytes), left=format_bytes(max(0, room)),
                limit=self._settings.tenant_images,
            )  # fmt: skip
        await self._operations.progress(row.id, "import", 95)
        await self._lxd.set_alias(str(row.args["alias"]), image.fingerprint)
        return image

    async def _clear(self, operation_id: str, keep: str) -> None:
        """Drop what tries of this operation made, but for ``keep``."""
        try:
            for image in await self._made_by(operation_id):
                if image.fingerprint != keep:
                    await self._lxd.delete_image(image.fingerprint)
        except OpenLXDError as error:
            log.warning("publish_left_an_image", operation=operation_id, reason=str(error))

    @transaction
    async def _finish(self, operation_id: str, image: LxdImage | None, error: OpenLXDError | None) -> None:
        operation = await models.Operation.get(id=operation_id)
        await self._operations.end(operation_id, error)
        alias = str(operation.args["alias"])
        row = await models.Image.filter(alias=alias).first()
        if row is not None and image is None:
            await row.delete()
        elif row is not None and image is not None:
            row.update_from_dict({
                "fingerprint": image.fingerprint, "size": image.size_bytes, "variant": "private",
                "description": clean(image.description, 500), "status": ImageStatus.IMPORTED.value,
                "imported_at": datetime.now(UTC), "distribution": clean(image.properties.get("os", ""), 50),
            })  # fmt: skip
            await row.save()
        await announce("image", "failed" if error else "imported", alias, row.user_id if row else operation.user_id)
        container = await models.Container.filter(operation_id=operation_id).first()
        if container is not None:
            container.operation_id = ""
            container.error = pack_message(error.message) if error else None
            await container.save()
            await announce("container", "updated", container.name, container.user_id)
