"""Signing in and out, and one's own profile."""

from __future__ import annotations

from openlxd_api.client import Client
from openlxd_api.middleware import ORIGIN
from openlxd_api.rails import Access, Answer, Endpoints
from openlxd_api.schemas import ProfileChange, SignedIn, SignIn, UserView
from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.errors import BadRequest
from openlxd_core.i18n import N_

endpoints = Endpoints()


@endpoints.post("/users/login", access=Access.ANYONE, summary="Sign in with a password and get a token for 24 hours")
async def sign_in(core: Core, client: Client, body: SignIn) -> SignedIn:
    """An unknown account and a wrong password get the same answer."""
    actor = await core.auth.password_login(body.account, body.password, origin=ORIGIN, address=client.address)
    token = await core.auth.issue_token(actor)
    user = await core.accounts.get(actor)
    return SignedIn(token=token.token, expires_at=token.expires_at, user=UserView.of(user))


@endpoints.post("/users/logout", summary="Sign out: this token is refused from now on")
async def sign_out(core: Core, token: str) -> Answer:
    """An API key has no session to end."""
    if not token:
        raise BadRequest(N_("An API key cannot be signed out; make a new one instead."))
    await core.auth.revoke_token(token)
    return Answer(None, N_("You are signed out."))


@endpoints.get("/users/profile", summary="The account that is signed in")
async def show_profile(core: Core, actor: Actor) -> UserView:
    """Who am I."""
    return UserView.of(await core.accounts.get(actor))


@endpoints.patch("/users/profile", summary="Change one's own email address")
async def change_profile(core: Core, actor: Actor, body: ProfileChange) -> UserView:
    """The address that billing writes to."""
    return UserView.of(await core.accounts.update_profile(actor, email=body.email))
