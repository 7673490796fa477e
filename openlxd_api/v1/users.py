"""Registering, signing in and out, and one's own account."""

from __future__ import annotations

from openlxd_api.framework.client import Client
from openlxd_api.framework.endpoint import Access, Endpoints
from openlxd_api.framework.limiting import Limiter
from openlxd_api.framework.middleware import ORIGIN
from openlxd_api.framework.responses import Answer, Paged, paged
from openlxd_api.v1.schemas.account import (
    ApiKey,
    CreatedUserView,
    KeyView,
    NewKey,
    PasswordChange,
    ProfileChange,
    QuotaStateView,
    Registration,
    SignedIn,
    SignIn,
    UserView,
)
from openlxd_api.v1.schemas.lists import KeyQuery
from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.errors import BadRequest
from openlxd_core.i18n import N_

endpoints = Endpoints()


@endpoints.post(
    "/users/register",
    lenient=True,
    access=Access.ANYONE,
    status=201,
    raises=(403, 409),
    secret=True,
    summary="Make an account for oneself, where registration is on",
    message=N_("Account {username} was created. Save its API key now: it is not shown again."),
)
async def register(core: Core, actor: Actor, client: Client, limiter: Limiter, body: Registration) -> CreatedUserView:
    """Creates an account. Its API key is shown only in this answer."""
    await limiter.register(client.address, body.username)
    user = await core.accounts.register(actor, body.username, body.email, body.password)
    return CreatedUserView.of_created(user)


@endpoints.post(
    "/users/login",
    lenient=True,
    access=Access.ANYONE,
    raises=(401, 403),
    secret=True,
    summary="Sign in with a password and get a token for 24 hours",
    message=N_("Signed in as {username}."),
)
async def sign_in(core: Core, client: Client, limiter: Limiter, body: SignIn) -> Answer[SignedIn]:
    """An unknown account and a wrong password get the same answer in the same time."""
    await limiter.sign_in(client.address, body.account)
    actor = await core.auth.password_login(body.account, body.password, origin=ORIGIN, address=client.address)
    token = await core.auth.issue_token(actor)
    user = await core.accounts.get(actor)
    signed_in = SignedIn(token=token.token, expires_at=token.expires_at, user=UserView.of(user))
    return Answer(signed_in, params={"username": user.username})


@endpoints.post(
    "/users/logout",
    lenient=True,
    summary="Sign out: this token is refused from now on",
    message=N_("You are signed out."),
)
async def sign_out(core: Core, token: str) -> None:
    """Revokes this token. An API key cannot be signed out."""
    if not token:
        raise BadRequest(N_("An API key cannot be signed out; make a new one instead."))
    await core.auth.revoke_token(token)


@endpoints.post(
    "/users/regenerate-key",
    lenient=True,
    secret=True,
    summary="Create a new API key. The old key stops working immediately",
    message=N_("A new API key was created; the old key no longer works. Save it now: it is not shown again."),
)
async def regenerate_key(core: Core, actor: Actor) -> ApiKey:
    """The new key is shown only in this answer."""
    return ApiKey(api_key=await core.accounts.regenerate_key(actor))


@endpoints.get("/users/profile", lenient=True, summary="The account that is signed in", from_database=True)
async def show_profile(core: Core, actor: Actor) -> UserView:
    """The account that is signed in."""
    return UserView.of(await core.accounts.get(actor))


@endpoints.patch(
    "/users/profile",
    summary="Change one's own email address",
    message=N_("The email address of {username} was changed to {email}."),
)
async def change_profile(core: Core, actor: Actor, body: ProfileChange) -> UserView:
    """Changes the email address."""
    return UserView.of(await core.accounts.update_profile(actor, email=body.email))


@endpoints.get("/users/quota", summary="What the account may have, has, and has left")
async def show_own_quota(core: Core, actor: Actor) -> QuotaStateView:
    """Limits and usage, summed over all containers of the account."""
    return QuotaStateView.of(await core.quotas.get(actor))


@endpoints.post(
    "/users/password",
    secret=True,
    summary="Change one's own password",
    message=N_("The password of {username} was changed. Sign in again."),
)
async def change_password(core: Core, actor: Actor, body: PasswordChange) -> UserView:
    """Revokes every token, including this one. Sign in again."""
    return UserView.of(await core.accounts.change_password(actor, body.old_password, body.new_password))


@endpoints.get("/users/keys", summary="One's own SSH public keys", from_database=True)
async def list_keys(core: Core, actor: Actor, query: KeyQuery) -> Paged[list[KeyView]]:
    """One page, oldest first by default."""
    return await paged(await core.keys.page(actor, query.part), KeyView.of)


@endpoints.post(
    "/users/keys", status=201, summary="Register an SSH public key", message=N_("SSH key {fingerprint} was added.")
)
async def add_key(core: Core, actor: Actor, body: NewKey) -> KeyView:
    """A key can belong to one account only."""
    return KeyView.of(await core.keys.add(actor, body.public_key, body.name))


@endpoints.delete("/users/keys/{id}", summary="Forget an SSH public key", message=N_("SSH key {id} was removed."))
async def delete_key(core: Core, actor: Actor, id: int) -> None:  # noqa: A002 - the path's own word
    """Ends the sessions that were opened with this key."""
    await core.keys.delete(actor, id)
