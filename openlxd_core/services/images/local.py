"""The images that LXD holds: listed, found by the names that people write, deleted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from openlxd_core.coordination.change_log import announce
from openlxd_core.domain.actor import SYSTEM, Actor
from openlxd_core.domain.errors import Busy, NotFound, OpenLXDError, ValidationFailed
from openlxd_core.domain.image import Image, ImageStatus, offered_architecture
from openlxd_core.domain.operation import ENDED, Kind, OperationStatus
from openlxd_core.domain.policy import Action, may, require
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_
from openlxd_core.lxd.gateway import Instance, LxdEvent, LxdGateway, LxdImage
from openlxd_core.services import audit
from openlxd_core.services.images.flags import Flags
from openlxd_core.simplestreams.end_of_life import end_of_life, names_of_release
from openlxd_core.simplestreams.offers import compact, spellings
from openlxd_core.storage import models
from openlxd_core.storage.transaction import transaction

log = structlog.get_logger(__name__)

_CACHE_SECONDS = 30.0
PRIVATE = "private/"
"""The beginning of the name of every image that is somebody's own: ``private/alice/web``."""
_ACTIVE = [status.value for status in OperationStatus if status not in ENDED]
_IMPORTS = [Kind.IMPORT.value, Kind.PUBLISH.value]


@dataclass(frozen=True)
class HeldImage:
    """An image that LXD holds, under the name it was found by."""

    alias: str
    image: LxdImage


class LocalImages:
    """The local images."""

    def __init__(self, lxd: LxdGateway, flags: Flags) -> None:
        self._lxd = lxd
        self._flags = flags
        self._cached: Sequence[LxdImage] = ()
        self._cached_until = 0.0
        self._instances: Sequence[Instance] = ()
        self._instances_until = 0.0
        self.changed = asyncio.Event()
        """Set when LXD says that its images, or the containers made from them, are others now."""

    def forget(self, event: LxdEvent) -> None:
        """Drop what is cached when LXD says that something changed, or when it was away."""
        if event.kind == "connected" or event.action.startswith("image"):
            self._cached_until = 0.0
            self.changed.set()
        if event.kind == "connected" or event.action in ("instance-created", "instance-deleted", "instance-renamed"):
            self._instances_until = 0.0
            self.changed.set()

    async def held(self, *, fresh: bool = False) -> Sequence[LxdImage]:
        """What LXD holds. Raises LxdUnavailable."""
        if fresh or time.monotonic() >= self._cached_until:
            self._cached = await self._lxd.images()
            self._cached_until = time.monotonic() + _CACHE_SECONDS
        return self._cached

    async def users(self, *, fresh: bool = False) -> Mapping[str, Sequence[tuple[str, str]]]:
        """The containers (project, name) made from each image, by fingerprint."""
        if fresh or time.monotonic() >= self._instances_until:
            self._instances = await self._lxd.instances()
            self._instances_until = time.monotonic() + _CACHE_SECONDS
        found: dict[str, list[tuple[str, str]]] = {}
        for instance in self._instances:
            if instance.base_image:
                found.setdefault(instance.base_image, []).append((instance.project, instance.name))
        return found

    def _may_use(self, actor: Actor, alias: str, row: models.Image | None) -> bool:
        if actor.is_admin:
            return True
        if not alias.startswith(PRIVATE):
            return alias not in self._flags.hidden
        owner = row.user_id if row is not None else None
        return owner is not None and owner == actor.user_id

    # -- listing ---------------------------------------------------------------------------------------------------

    async def list(self, actor: Actor) -> Sequence[Image]:
        """Every image that the actor can make a container from, by name. Raises LxdUnavailable."""
        require(actor, Action.IMAGE_VIEW)
        rows = {row.alias: row for row in await models.Image.all()}
        found = [
            _to_image(actor, alias, image, rows.get(alias))
            for image in await self.held()
            for alias in image.aliases
            if self._may_use(actor, alias, rows.get(alias))
        ]
        return sorted(found, key=lambda image: (image.private, image.alias))

    async def overview(self, actor: Actor) -> Sequence[Image]:
        """As :meth:`list`, with the containers made from each that the actor may see, and the imports under way or
        failed. Without LXD, what the rows say."""
        require(actor, Action.IMAGE_VIEW)
        rows = await models.Image.all()
        under_way = {
            row.target: row.id for row in await models.Operation.filter(kind=Kind.IMPORT.value, status__in=_ACTIVE)
        }
        try:
            found = {image.alias: image for image in await self.list(actor)}
            users = await self.users()
        except OpenLXDError:
            found, users = {}, {}
            for row in rows:
                if row.fingerprint and self._may_use(actor, row.alias, row):
                    found[row.alias] = _from_row(actor, row)
        for row in rows:
            if row.status in (ImageStatus.DOWNLOADING, ImageStatus.FAILED) and self._may_use(actor, row.alias, row):
                held = found.get(row.alias)
                found[row.alias] = replace(held, status=ImageStatus(row.status)) if held else _from_row(actor, row)
        seen = await self._visible(actor)
        return [
            replace(
                image,
                users=sorted(name for project, name in users.get(image.fingerprint, ()) if (project, name) in seen),
                operation_id=under_way.get(image.alias, ""),
            )
            for image in sorted(found.values(), key=lambda image: (image.private, image.alias))
        ]

    async def _visible(self, actor: Actor) -> set[tuple[str, str]]:
        rows = models.Container.all() if actor.is_admin else models.Container.filter(user_id=actor.user_id)
        return {(row.project, row.name) for row in await rows}

    # -- finding ---------------------------------------------------------------------------------------------------

    async def find(self, actor: Actor, name: str) -> HeldImage | None:
        """The image that ``name`` means to the actor, if LXD holds it: an alias, a fingerprint, one of their own
        private names, or an alias written another way (``debian12``, ``ubuntu/jammy``). Needs no image server."""
        rows = {row.alias: row for row in await models.Image.all()}
        usable = [
            HeldImage(alias, image)
            for image in await self.held()
            for alias in image.aliases
            if self._may_use(actor, alias, rows.get(alias))
        ]
        own = f"{PRIVATE}{actor.username}/{name}"
        for found in usable:
            if found.alias in (name, own) or (len(name) == 64 and found.image.fingerprint == name):
                return found
        public = [
            (found, _names(found, rows.get(found.alias))) for found in usable if not found.alias.startswith(PRIVATE)
        ]
        for spelling in spellings(name.strip().lower()[:200]):
            for found, names in public:
                if spelling and spelling in names:
                    return found
        return None

    async def resolve(self, alias: str, actor: Actor = SYSTEM) -> LxdImage:
        """The image that ``alias`` means. Raises ValidationFailed if LXD holds none."""
        found = await self.find(actor, alias)
        if found is None:
            raise ValidationFailed.of("image", N_("There is no image {alias} on this host."), alias=clean(alias, 100))
        return found.image

    async def get(self, actor: Actor, name: str) -> Image | None:
        """One image of :meth:`overview`, by any of its names; None for another's private one, too."""
        every = await self.overview(actor)
        exact = next((i for i in every if i.alias in (name, f"{PRIVATE}{actor.username}/{name}")), None)
        if exact is None:
            try:
                held = await self.find(actor, name)
            except OpenLXDError:
                held = None
            exact = next((i for i in every if held is not None and i.alias == held.alias), None)
        return exact

    # -- dropping --------------------------------------------------------------------------------------------------

    async def delete(self, actor: Actor, name: str) -> Image:
        """Drop an image, or what a failed import left; what it was, with the containers that came from it (they keep
        working). Raises NotFound, Forbidden, Busy while it is being imported."""
        image = await self.get(actor, name)
        if image is None:
            raise NotFound(N_("There is no image {alias} on this host."), alias=clean(name, 100))
        if not (image.private and may(actor, Action.IMAGE_PUBLISH, image)):
            require(actor, Action.IMAGE_MANAGE)
        await self._require_idle(image.alias)
        await self.remove(image.alias)
        await self._forget_row(actor, image)
        return image

    async def remove(self, alias: str) -> None:
        """Have LXD delete the image that ``alias`` names, or the alias alone where the image has others."""
        held = next((h for h in await self.held(fresh=True) if alias in h.aliases), None)
        if held is not None and len(held.aliases) == 1:
            await self._lxd.delete_image(held.fingerprint)
        elif held is not None:
            await self._lxd.delete_alias(alias)
        self._cached_until = 0.0

    @transaction
    async def _require_idle(self, alias: str) -> None:
        if await models.Operation.filter(kind__in=_IMPORTS, target=alias, status__in=_ACTIVE).exists():
            raise Busy(N_("{alias} is being imported. Cancel that, or wait until it is done."), alias=alias)

    @transaction
    async def _forget_row(self, actor: Actor, image: Image) -> None:
        await models.Image.filter(alias=image.alias).delete()
        owner = image.user_id if image.private else None
        await audit.record(actor, "image.delete", image.alias, user_id=owner, detail=image.fingerprint)
        await announce("image", "deleted", image.alias, owner)


def _names(found: HeldImage, row: models.Image | None) -> set[str]:
    """Every compact spelling of a held image, by what LXD knows of it and what the image server said of it once."""
    known = _facts(found.alias, found.image, row)
    tail = "" if known.variant in ("", "default") else known.variant.lower()
    names = {compact(found.alias)}
    for release in (known.release, known.codename):
        if known.distribution and release:
            names.add(compact(f"{known.distribution}{release}{tail}"))
    architecture = found.image.architecture
    return names | {compact(f"{name}{a}") for name in names for a in (architecture, offered_architecture(architecture))}


@dataclass(frozen=True)
class _Facts:
    """What is known of a held image, put together from LXD's properties, the row and the alias."""

    distribution: str
    release: str
    codename: str
    variant: str


def _facts(alias: str, image: LxdImage, row: models.Image | None) -> _Facts:
    known = image.properties
    parts = [] if alias.startswith(PRIVATE) else clean(alias, 100).lower().split("/")
    recorded = row.distribution if row is not None else ""
    distribution = clean(known.get("os", ""), 50).lower() or recorded
    if row is not None and row.product:  # the name that the image server's own aliases use
        distribution = recorded
    release = clean(known.get("release", ""), 50)
    if "/" in distribution:  # a published image has the alias of the image that its container was made from
        distribution, _slash, rest = distribution.partition("/")
        release = release or rest.partition("/")[0]
    if not distribution and len(parts) > 1:
        distribution = parts[0]
    hints = [clean(known.get("version", ""), 50), row.release if row is not None else ""]
    hints += parts[1:2] if parts[:1] == [distribution] else []
    release = release or next((hint for hint in hints if hint), "")
    number, codename = names_of_release(distribution, release, *hints)
    variant = clean(known.get("variant", ""), 50) or (row.variant if row is not None else "") or "default"
    return _Facts(distribution, number, codename, variant)


def _to_image(actor: Actor, alias: str, image: LxdImage, row: models.Image | None) -> Image:
    known = _facts(alias, image, row)
    return Image(
        alias=clean(alias, 100),
        fingerprint=image.fingerprint,
        distribution=known.distribution,
        release=known.release,
        codename=known.codename,
        architecture=clean(offered_architecture(image.architecture), 20),
        variant=known.variant,
        description=clean(image.description, 200),
        size_bytes=image.size_bytes,
        status=ImageStatus.IMPORTED,
        imported_at=image.uploaded_at,
        private=alias.startswith(PRIVATE),
        user_id=_importer(actor, row),
        end_of_life=end_of_life(known.distribution, known.release),
        id=row.id if row is not None else None,
        created_at=row.created_at if row is not None else image.uploaded_at,
        updated_at=row.updated_at if row is not None else image.uploaded_at,
    )


def _importer(actor: Actor, row: models.Image | None) -> int | None:
    """Whose it is, for those who may know: tenants learn of themselves alone."""
    return row.user_id if row is not None and (actor.is_admin or row.user_id == actor.user_id) else None


def _from_row(actor: Actor, row: models.Image) -> Image:
    parts = [] if row.private else row.alias.split("/")
    number, codename = names_of_release(row.distribution, row.release, *parts[1:2])
    return Image(
        alias=row.alias,
        fingerprint=row.fingerprint,
        distribution=row.distribution,
        release=number,
        codename=codename,
        architecture=offered_architecture(row.architecture),
        variant=row.variant,
        description=row.description,
        size_bytes=row.size,
        status=ImageStatus(row.status),
        imported_at=row.imported_at,
        private=row.private,
        user_id=_importer(actor, row),
        end_of_life=end_of_life(row.distribution, number),
        id=row.id,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
