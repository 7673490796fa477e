"""Accounts, for admins."""

from __future__ import annotations

from openlxd_api.framework.endpoint import Access, Endpoints
from openlxd_api.framework.responses import Paged, paged
from openlxd_api.v1.schemas.account import (
    ApiKey,
    CreatedUserView,
    DeleteUser,
    NewPassword,
    NewUser,
    QuotaBody,
    QuotaStateView,
    Suspension,
    UserChange,
    UserView,
)
from openlxd_api.v1.schemas.lists import UserQuery
from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import Actor, Role
from openlxd_core.i18n import N_

endpoints = Endpoints()


@endpoints.get("/users", access=Access.ADMIN, summary="Every account")
async def list_users(core: Core, actor: Actor, query: UserQuery) -> Paged[list[UserView]]:
    """One page, sorted by name by default. Deleted accounts are listed only with ``status=deleted``."""
    return await paged(await core.accounts.page(actor, query.wanted, query.part), UserView.of)


@endpoints.post(
    "/users",
    access=Access.ADMIN,
    status=201,
    secret=True,
    summary="Make an account for somebody",
    message=N_("Account {username} was created. Save its API key now: it is not shown again."),
)
async def create_user(core: Core, actor: Actor, body: NewUser) -> CreatedUserView:
    """Creates an account with the default quota or the given one. Its API key is shown only in this answer."""
    quota = body.quota.quota("quota.") if body.quota is not None else None
    user = await core.accounts.create(
        actor, body.username, body.email, body.password, role=Role(body.role.value), quota=quota
    )
    return CreatedUserView.of_created(user)


@endpoints.get("/users/{id}", access=Access.ADMIN, summary="One account")
async def show_user(core: Core, actor: Actor, id: int) -> UserView:  # noqa: A002
    """Tenants can read their own account here."""
    return UserView.of(await core.accounts.get(actor, id))


@endpoints.patch(
    "/users/{id}",
    access=Access.ADMIN,
    summary="Change an account's email address or role",
    message=N_("Account {username} was changed."),
)
async def change_user(core: Core, actor: Actor, id: int, body: UserChange) -> UserView:  # noqa: A002
    """A new role revokes every token of the account."""
    role = Role(body.role.value) if body.role is not None else None
    return UserView.of(await core.accounts.update(actor, id, email=body.email, role=role))


@endpoints.delete(
    "/users/{id}",
    access=Access.ADMIN,
    summary="Delete an account; its row stays",
    message=N_("Account {username} was deleted."),
)
async def delete_user(core: Core, actor: Actor, id: int, query: DeleteUser) -> UserView:  # noqa: A002
    """Refused while the account has containers, unless ``containers=delete`` is given."""
    return UserView.of(await core.accounts.delete(actor, id, containers=query.containers == "delete"))


@endpoints.post(
    "/users/{id}/suspend",
    access=Access.ADMIN,
    summary="Shut every door to an account",
    message=N_("Account {username} was suspended."),
)
async def suspend_user(core: Core, actor: Actor, id: int, body: Suspension) -> UserView:  # noqa: A002
    """Containers keep running; open sessions end within two seconds."""
    return UserView.of(await core.accounts.suspend(actor, id, body.reason))


@endpoints.post(
    "/users/{id}/activate",
    access=Access.ADMIN,
    summary="Reactivate a suspended account",
    message=N_("Account {username} was reactivated."),
)
async def activate_user(core: Core, actor: Actor, id: int) -> UserView:  # noqa: A002
    """Succeeds if the account is already active."""
    return UserView.of(await core.accounts.activate(actor, id))


@endpoints.post(
    "/users/{id}/password",
    access=Access.ADMIN,
    secret=True,
    summary="Give somebody a new password",
    message=N_("The password of {username} was changed."),
)
async def set_password(core: Core, actor: Actor, id: int, body: NewPassword) -> UserView:  # noqa: A002
    """Ends every token and session of the account."""
    return UserView.of(await core.accounts.set_password(actor, id, body.password))


@endpoints.post(
    "/users/{id}/regenerate-key",
    access=Access.ADMIN,
    secret=True,
    summary="Make somebody's API key anew",
    message=N_(
        "A new API key was created for account {id}; the old key no longer works. Save it now: it is not shown again."
    ),
)
async def regenerate_key_of(core: Core, actor: Actor, id: int) -> ApiKey:  # noqa: A002
    """The key is shown only in this answer. The old key stops working immediately."""
    return ApiKey(api_key=await core.accounts.regenerate_key(actor, id))


@endpoints.get("/users/{id}/quota", access=Access.ADMIN, summary="What an account may have, has, and has left")
async def show_quota(core: Core, actor: Actor, id: int) -> QuotaStateView:  # noqa: A002
    """Limits and usage, summed over all containers of the account."""
    return QuotaStateView.of(await core.quotas.get(actor, id))


@endpoints.put(
    "/users/{id}/quota",
    access=Access.ADMIN,
    summary="Give an account another quota",
    message=N_("The quota of account {id} was changed."),
)
async def set_quota(core: Core, actor: Actor, id: int, body: QuotaBody) -> QuotaStateView:  # noqa: A002
    """A quota below the current usage keeps existing containers and refuses more."""
    return QuotaStateView.of(await core.quotas.set(actor, id, body.quota()))
