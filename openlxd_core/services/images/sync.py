"""Keeping the rows of images in step with LXD, and deleting images that nobody needs any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog

from openlxd_core.coordination.change_log import announce
from openlxd_core.domain.account import AccountStatus
from openlxd_core.domain.actor import SYSTEM
from openlxd_core.domain.image import ImageStatus, offered_architecture
from openlxd_core.domain.operation import ENDED, Kind, OperationStatus
from openlxd_core.domain.text import clean, is_plain
from openlxd_core.lxd.gateway import LxdGateway, LxdImage
from openlxd_core.services import audit
from openlxd_core.services.images.local import PRIVATE, LocalImages
from openlxd_core.simplestreams.end_of_life import names_of_release
from openlxd_core.storage import models
from openlxd_core.storage.transaction import transaction

log = structlog.get_logger(__name__)

SUPERSEDED = "market.superseded"
"""The setting that holds the fingerprints of older builds, to be deleted once no container came from them."""
_ACTIVE = [status.value for status in OperationStatus if status not in ENDED]
_IMPORTS = [Kind.IMPORT.value, Kind.PUBLISH.value]


class ImageSync:
    """Does it; what LXD holds is asked of ``local``, which caches it."""

    def __init__(self, lxd: LxdGateway, local: LocalImages) -> None:
        self._lxd = lxd
        self._local = local

    async def held(self, *, fresh: bool = False) -> Sequence[LxdImage]:
        """What LXD holds. Raises LxdUnavailable."""
        return await self._local.held(fresh=fresh)

    # -- superseded builds -----------------------------------------------------------------------------------------

    async def supersede(self, fingerprint: str) -> None:
        """Delete this build once no container came from it; inside a transaction."""
        row, _new = await models.Setting.get_or_create(key=SUPERSEDED, defaults={"value": []})
        row.value = [*(f for f in row.value if f != fingerprint), fingerprint]
        await row.save()

    async def drop_unused(self) -> None:
        """Drop older builds that a newer one has replaced, once no container came from them."""
        row = await models.Setting.filter(key=SUPERSEDED).first()
        if row is None or not row.value:
            return
        used = set(await self._local.users(fresh=True))
        held = {image.fingerprint: image for image in await self.held(fresh=True)}
        for fingerprint in list(row.value):
            image = held.get(fingerprint)
            if image is not None and (fingerprint in used or image.aliases):
                if image.aliases:  # somebody gave it a name of its own: it is theirs now
                    await self._no_longer_superseded(fingerprint)
                continue
            if image is not None:
                log.info("old_image_dropped", fingerprint=fingerprint[:12])
                await self._lxd.delete_image(fingerprint)
            await self._no_longer_superseded(fingerprint)

    async def drop_of_deleted_accounts(self) -> None:
        """Drop the private images of accounts that were deleted: whoever has the name next must neither see them nor
        find their names taken. Raises LxdUnavailable; what is left is dropped the next time."""
        rows = await models.Image.filter(private=True)
        owners = [row.user_id for row in rows if row.user_id is not None]
        gone = {user.id for user in await models.User.filter(id__in=owners, status=AccountStatus.DELETED.value)}
        for row in rows:
            if row.user_id not in gone:
                continue
            if row.fingerprint:
                await self._local.remove(row.alias)
            log.info("image_of_deleted_account_dropped", alias=row.alias)
            await self._forget_private_row(row)

    @transaction
    async def _forget_private_row(self, row: models.Image) -> None:
        if await models.Image.filter(id=row.id, user_id=row.user_id).delete():
            await audit.record(SYSTEM, "image.delete", row.alias, user_id=row.user_id, detail=row.fingerprint)
            await announce("image", "deleted", row.alias, row.user_id)

    @transaction
    async def _no_longer_superseded(self, fingerprint: str) -> None:
        row = await models.Setting.filter(key=SUPERSEDED).first()
        if row is not None:
            row.value = [f for f in row.value if f != fingerprint]
            await row.save()

    # -- in step with LXD ------------------------------------------------------------------------------------------

    async def sync(self) -> None:
        """Bring the rows in line with what LXD holds. Raises LxdUnavailable."""
        began = datetime.now(UTC)
        held = {alias: image for image in await self.held(fresh=True) for alias in image.aliases}
        if await _differs(held):
            await self._store(held, began)

    @transaction
    async def _store(self, held: Mapping[str, LxdImage], began: datetime) -> None:
        active = set(await _under_way())
        rows = {row.alias: row for row in await models.Image.all()}
        for alias, image in held.items():
            row = rows.get(alias)
            if alias in active or (row is not None and row.updated_at > began):
                continue
            if row is None:
                if 0 < len(alias) <= 100 and is_plain(alias) and not alias.startswith(PRIVATE):
                    await models.Image.create(alias=alias, **_columns(image))
                    await announce("image", "created", alias, None)
            elif row.status != ImageStatus.IMPORTED or row.fingerprint != image.fingerprint:
                if row.fingerprint != image.fingerprint:
                    row.update_from_dict({"server": "", "product": "", "serial": "", **_columns(image)})
                row.status = ImageStatus.IMPORTED.value
                await row.save()
                await announce("image", "updated", alias, row.user_id if row.private else None)
        for alias, row in rows.items():
            if alias in held or alias in active or row.updated_at > began:
                continue
            owner = row.user_id if row.private else None
            if row.status == ImageStatus.DOWNLOADING:  # nobody does it any more
                row.status, row.fingerprint = ImageStatus.FAILED.value, ""
                await row.save()
                await announce("image", "updated", alias, owner)
            elif row.status != ImageStatus.FAILED:
                await row.delete()
                await announce("image", "deleted", alias, owner)


async def _under_way() -> Sequence[str]:
    rows = await models.Operation.filter(kind__in=_IMPORTS, status__in=_ACTIVE)
    return [str((row.args or {}).get("alias") or row.target) for row in rows]


async def _differs(held: Mapping[str, LxdImage]) -> bool:
    rows = {row.alias: row for row in await models.Image.all()}
    active = set(await _under_way())
    for alias, image in held.items():
        row = rows.get(alias)
        if alias in active:
            continue
        if row is None or row.status != ImageStatus.IMPORTED or row.fingerprint != image.fingerprint:
            return True
    return any(a not in held and a not in active and row.status != ImageStatus.FAILED for a, row in rows.items())


def _columns(image: LxdImage) -> dict[str, Any]:
    known = image.properties
    distribution, release = clean(known.get("os", ""), 50).lower(), clean(known.get("release", ""), 50)
    number, _codename = names_of_release(distribution, release, clean(known.get("version", ""), 50))
    return {
        "fingerprint": image.fingerprint,
        "distribution": distribution,
        "release": number,
        "architecture": clean(offered_architecture(image.architecture), 20),
        "variant": clean(known.get("variant") or "default", 50),
        "description": clean(image.description, 500),
        "size": image.size_bytes,
        "status": ImageStatus.IMPORTED.value,
        "imported_at": image.uploaded_at,
    }
