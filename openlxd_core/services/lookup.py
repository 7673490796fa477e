"""Rows, fetched through the actor: what they may not see does not exist for them."""

from __future__ import annotations

from openlxd_core.domain.account import AccountStatus, fold_username
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.errors import NotFound, Unauthenticated
from openlxd_core.i18n import N_
from openlxd_core.storage import models


async def find_user(actor: Actor, user: int | str | None = None) -> models.User:
    """The account with this id (an ``int``) or name (a ``str``); the actor's own for None. Raises NotFound.

    The type decides, never what the text looks like: ``"12345"`` is somebody's name and not the account 12345.
    """
    if user is None:
        if actor.user_id is None:
            raise Unauthenticated(N_("Sign in first."))
        user = actor.user_id
    found = models.User.exclude(status=AccountStatus.DELETED)
    found = found.filter(id=user) if isinstance(user, int) else found.filter(username=fold_username(user))
    row = await found.first()
    if row is None or not (actor.is_admin or row.id == actor.user_id):
        raise NotFound(N_("There is no user {name}."), name=str(user)[:100])
    return row


async def find_container(actor: Actor, name: str) -> models.Container:
    """The container of this name, its owner fetched with it. Raises NotFound, alike for another's and none."""
    row = None
    if isinstance(name, str) and 0 < len(name) <= 63:
        found = models.Container.filter(name=name)
        if not actor.is_admin:
            found = found.filter(user_id=actor.user_id if actor.user_id is not None else -1)
        row = await found.select_related("user").first()
    if row is None:
        raise NotFound(N_("There is no container named {name}."), name=str(name)[:100])
    return row


async def find_container_by_id(actor: Actor, container_id: int) -> models.Container:
    """As :func:`find_container`, by the id that billing systems keep."""
    found = models.Container.filter(id=container_id)
    if not actor.is_admin:
        found = found.filter(user_id=actor.user_id if actor.user_id is not None else -1)
    row = await found.select_related("user").first()
    if row is None:
        raise NotFound(N_("There is no container named {name}."), name=str(container_id))
    return row


async def ids_of(username: str) -> list[int]:
    """The ids that a filter by owner takes: of the account with this name, or none."""
    return [row.id for row in await models.User.filter(username=username).only("id")]
