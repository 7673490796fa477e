"""Quotas: what a tenant may have, has, and has left; and the LXD project that enforces it once more."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tortoise.functions import Count, Sum

from openlxd_core.coordination.change_log import announce
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.container import HOLDING
from openlxd_core.domain.errors import LxdUnavailable, ValidationFailed
from openlxd_core.domain.image import ImageStatus
from openlxd_core.domain.policy import Action, require
from openlxd_core.domain.quota import NOTHING, Quota, format_quota
from openlxd_core.domain.units import parse_size_mib
from openlxd_core.i18n import N_
from openlxd_core.lxd.gateway import LxdGateway, ProjectSpec
from openlxd_core.services import audit
from openlxd_core.services.lookup import find_user
from openlxd_core.services.records import to_quota, to_user
from openlxd_core.settings import Settings
from openlxd_core.storage import models
from openlxd_core.storage.transaction import transaction


def project_name(user_id: int) -> str:
    """The LXD project of a tenant."""
    return f"openlxd-{user_id}"


async def used_by(user_id: int) -> Quota:
    """The sum over a user's containers that LXD holds or is about to hold."""
    rows = await models.Container.filter(user_id=user_id, status__in=[state.value for state in HOLDING])
    return replace(
        NOTHING,
        containers=len(rows),
        cpu=sum(row.cpu for row in rows),
        memory_mib=sum(row.memory_mb for row in rows),
        disk_mib=sum(row.disk_mb for row in rows),
    )


async def quota_of(user_id: int, settings: Settings) -> Quota:
    """What a user may have."""
    row = await models.Quota.filter(user_id=user_id).first()
    return to_quota(row) if row else settings.quota


@dataclass(frozen=True)
class QuotaState:
    """What a tenant may have, has, and has left."""

    quota: Quota
    used: Quota
    left: Quota


class Quotas:
    """Quotas, and the projects that follow them."""

    def __init__(self, settings: Settings, lxd: LxdGateway) -> None:
        self._settings = settings
        self._lxd = lxd

    async def get(self, actor: Actor, user: int | str | None = None) -> QuotaState:
        """A user's quota and what is left of it; the actor's own for None."""
        row = await find_user(actor, user)
        return await self._state(row.id)

    async def list(self, actor: Actor) -> Mapping[int, QuotaState]:
        """Every account's quota and what is used of it, by user id; five queries, however many accounts there are."""
        require(actor, Action.USER_VIEW)
        limits = {row.user_id: to_quota(row) for row in await models.Quota.all()}
        holding = models.Container.filter(status__in=[state.value for state in HOLDING])
        sums = await (
            holding.annotate(held=Count("id"), cores=Sum("cpu"), memory=Sum("memory_mb"), disk=Sum("disk_mb"))
            .group_by("user_id")
            .values("user_id", "held", "cores", "memory", "disk")
        )
        taken = await (
            models.Snapshot.all().annotate(held=Count("id")).group_by("container__user_id")
            .values("container__user_id", "held")
        )  # fmt: skip
        snapshots = {row["container__user_id"]: row["held"] for row in taken}
        leading = await (
            models.PortForward.all().annotate(held=Count("id")).group_by("container__user_id")
            .values("container__user_id", "held")
        )  # fmt: skip
        forwards = {row["container__user_id"]: row["held"] for row in leading}
        used = {
            row["user_id"]: Quota(row["held"], row["cores"], row["memory"], row["disk"], 0, 0) for row in sums
        }  # fmt: skip
        found: dict[int, QuotaState] = {}
        for user_id in await models.User.exclude(status="deleted").values_list("id", flat=True):
            number = int(str(user_id))
            quota = limits.get(number, self._settings.quota)
            mine = replace(
                used.get(number, NOTHING), snapshots=snapshots.get(number, 0), forwards=forwards.get(number, 0)
            )
            found[number] = QuotaState(quota, mine, quota.minus(mine))
        return found

    async def _state(self, user_id: int) -> QuotaState:
        quota, used = await quota_of(user_id, self._settings), await used_by(user_id)
        used = replace(
            used,
            snapshots=await models.Snapshot.filter(container__user_id=user_id).count(),
            forwards=await models.PortForward.filter(container__user_id=user_id).count(),
        )
        return QuotaState(quota, used, quota.minus(used))

    async def set(self, actor: Actor, user: int | str, quota: Quota) -> QuotaState:
        """Give a user another quota. One under what they use keeps what is there and refuses more."""
        row = await find_user(actor, user)
        require(actor, Action.QUOTA_SET, to_user(row))
        if min(vars(quota).values()) < 0:
            raise ValidationFailed.of("quota", N_("A quota cannot be negative."))
        await self._store(actor, row.id, row.username, quota)
        if await models.Container.filter(user_id=row.id, project=project_name(row.id)).exists():
            with contextlib.suppress(LxdUnavailable):  # the next create or resize brings the project in line
                await self.ensure_project(row.id)
        return await self._state(row.id)

    @transaction
    async def _store(self, actor: Actor, user_id: int, username: str, quota: Quota) -> None:
        await models.Quota.update_or_create(
            user_id=user_id,
            defaults={
                "containers": quota.containers,
                "cpu": quota.cpu,
                "memory_mb": quota.memory_mib,
                "disk_mb": quota.disk_mib,
                "snapshots": quota.snapshots,
                "forwards": quota.forwards,
            },
        )
        await audit.record(actor, "quota.set", username, user_id=user_id, detail=format_quota(quota))
        await announce("quota", "updated", username, user_id)

    async def ensure_project(self, user_id: int, spare: Quota = NOTHING) -> str:
        """Make the tenant's project, or bring its limits in line with the quota; returns its name.

        ``spare`` is room beyond it, for a moment in which two of one container exist.

        LXD refuses limits under what is in use, so a quota lowered under its use holds here alone.
        """
        quota, used = await quota_of(user_id, self._settings), await used_by(user_id)
        name = project_name(user_id)
        await self._lxd.ensure_project(
            ProjectSpec(
                name=name,
                pool=self._settings.storage_pool,
                network=self._settings.network,
                containers=max(quota.containers, used.containers) + spare.containers,
                cpu=max(quota.cpu, used.cpu) + spare.cpu,
                memory_mib=max(quota.memory_mib, used.memory_mib) + spare.memory_mib,
                disk_mib=max(quota.disk_mib, used.disk_mib) + spare.disk_mib,
            )
        )
        return name


async def tenant_image_room(user_id: int, settings: Settings) -> int:
    """Bytes that a tenant's images may still take; below zero where they take more than they may."""
    rows = await models.Image.filter(user_id=user_id).exclude(status=ImageStatus.FAILED.value)
    allowed = parse_size_mib(settings.tenant_images, "tenant_images") * 1024 * 1024
    return int(allowed - sum(int(row.size) for row in rows))
