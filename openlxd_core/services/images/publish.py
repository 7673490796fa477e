"""Asking for a private image of a stopped container, or of a snapshot of one."""

from __future__ import annotations

import re

import structlog

from openlxd_core.coordination.change_log import announce
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.container import State
from openlxd_core.domain.errors import (
    AlreadyExists,
    Conflict,
    NotFound,
    QuotaExceeded,
    ValidationFailed,
)
from openlxd_core.domain.image import ImageStatus, offered_architecture
from openlxd_core.domain.operation import Kind, Operation
from openlxd_core.domain.policy import Action, require
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_
from openlxd_core.services.idempotency import repeatable
from openlxd_core.services.images.local import PRIVATE
from openlxd_core.services.lookup import find_container
from openlxd_core.services.lxd_status import LxdStatus
from openlxd_core.services.operations.runner import Runner
from openlxd_core.services.operations.store import Begun, Operations
from openlxd_core.services.quotas import tenant_image_room
from openlxd_core.services.records import to_container
from openlxd_core.services.suspension import refuse_suspended
from openlxd_core.settings import Settings
from openlxd_core.storage import models
from openlxd_core.storage.transaction import transaction

log = structlog.get_logger(__name__)

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
ALIAS_MAX = 100
"""Of the column; a long user name leaves less of it for the image's own."""


class Publishing:
    """Begins it."""

    def __init__(self, settings: Settings, lxd_status: LxdStatus, operations: Operations, runner: Runner) -> None:
        self._settings = settings
        self._lxd_status = lxd_status
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
        self._lxd_status.require_reachable()
        begun = await self._begin(actor, container, alias, snapshot or "")
        self._runner.start(begun)
        return begun.operation

    @transaction
    async def _begin(self, actor: Actor, container: str, alias: str, snapshot: str) -> Begun:
        row = await find_container(actor, container)
        refuse_suspended(actor, row)
        if snapshot and not await models.Snapshot.filter(container_id=row.id, name=snapshot, ready=True).exists():
            raise NotFound(N_("{name} has no snapshot {snapshot}."), name=row.name, snapshot=clean(snapshot, 100))
        if not snapshot and row.status != State.STOPPED and not row.operation_id:
            raise Conflict(N_("Stop {name} first, or publish one of its snapshots."), name=row.name)
        if await models.Image.filter(alias=alias).exclude(status=ImageStatus.FAILED.value).exists():
            raise AlreadyExists(N_("Image {alias} already exists."), alias=alias)
        if await tenant_image_room(row.user_id, self._settings) <= 0:
            raise QuotaExceeded(N_("Your images use all of their {limit}."), limit=self._settings.tenant_images)
        args = {"alias": alias, "snapshot": snapshot, "status": row.status}
        begun = await self._operations.begin(actor, Kind.PUBLISH, row, args)
        image = await models.Image.filter(alias=alias).first() or models.Image(alias=alias)
        image.update_from_dict({
            "fingerprint": "", "private": True, "user_id": row.user_id, "status": ImageStatus.DOWNLOADING.value,
            "architecture": offered_architecture(row.architecture)[:20], "size": 0,
        })  # fmt: skip
        await image.save()
        await announce("image", "updated", alias, row.user_id)
        return begun
