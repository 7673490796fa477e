"""Permissions: one table of actions and roles, and one function that reads it."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from openlxd_core.domain.actor import Actor, Role
from openlxd_core.domain.errors import Forbidden, Unauthenticated
from openlxd_core.i18n import N_


class Action(StrEnum):
    """Actions that need a permission. The value is the audit log's name for it."""

    REGISTER = "account.register"
    ACCOUNT_OWN = "account.own"
    CONTAINER_VIEW = "container.view"
    CONTAINER_CREATE = "container.create"
    CONTAINER_POWER = "container.power"
    CONTAINER_RESIZE = "container.resize"
    CONTAINER_DELETE = "container.delete"
    CONTAINER_SHELL = "container.shell"
    CONTAINER_ADOPT = "container.adopt"
    CONTAINER_SUSPEND = "container.suspend"
    CONTAINER_REINSTALL = "container.reinstall"
    CONTAINER_PASSWORD = "container.password"  # noqa: S105 - an action, not a password
    SNAPSHOT = "container.snapshot"
    FORWARD = "container.forward"
    OPERATION_VIEW = "operation.view"
    OPERATION_CANCEL = "operation.cancel"
    IMAGE_VIEW = "image.view"
    IMAGE_MANAGE = "image.manage"
    IMAGE_IMPORT = "image.import"
    IMAGE_PUBLISH = "image.publish"
    USER_VIEW = "user.view"
    USER_MANAGE = "user.manage"
    QUOTA_SET = "quota.set"
    AUDIT_VIEW = "audit.view"


class Owned(Protocol):
    """Anything that belongs to a user."""

    @property
    def user_id(self) -> int | None:
        """The owner."""


_TENANT_OWN = {
    Action.ACCOUNT_OWN, Action.CONTAINER_VIEW, Action.CONTAINER_CREATE, Action.CONTAINER_POWER,
    Action.CONTAINER_RESIZE, Action.CONTAINER_DELETE, Action.CONTAINER_SHELL, Action.CONTAINER_REINSTALL,
    Action.CONTAINER_PASSWORD, Action.SNAPSHOT, Action.FORWARD, Action.OPERATION_VIEW, Action.OPERATION_CANCEL,
    Action.AUDIT_VIEW, Action.IMAGE_PUBLISH,
}  # fmt: skip
_TENANT_ANY = {Action.IMAGE_VIEW, Action.IMAGE_IMPORT}
"""Importing further depends on ``tenant_import``, which the image services check."""


def may(actor: Actor, action: Action, thing: Owned | None = None) -> bool:
    """Whether ``actor`` may do ``action`` to ``thing`` (to something of their own where none is named)."""
    match actor.role:
        case Role.ADMIN | Role.SYSTEM:
            return True
        case Role.TENANT:
            own = thing is None or (thing.user_id is not None and thing.user_id == actor.user_id)
            return action in _TENANT_ANY or (action in _TENANT_OWN and own)
        case Role.ANONYMOUS:
            return action is Action.REGISTER


def require(actor: Actor, action: Action, thing: Owned | None = None) -> None:
    """Raise Unauthenticated or Forbidden unless :func:`may` agrees."""
    if may(actor, action, thing):
        return
    if actor.role is Role.ANONYMOUS:
        raise Unauthenticated(N_("Sign in first."))
    raise Forbidden(N_("You are not allowed to do this."))
