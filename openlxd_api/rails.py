"""The rails that every endpoint runs on: a plain async function, typed, with what it needs by name.

::

    @endpoints.post("/users/login", access=Access.ANYONE, summary="Sign in")
    async def sign_in(core: Core, client: Client, body: SignIn) -> SignedIn: ...

``core``, ``actor``, ``client``, ``body`` (a pydantic model), ``query`` (one, too) and ``token`` are handed in by
these names; every other parameter is a part of the path. What the function returns is put into the envelope.
The endpoint's record holds enough to write the OpenAPI document and to try every endpoint as a stranger.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, get_type_hints

from aiohttp import web
from pydantic import BaseModel

from openlxd_api.body import read_json, read_query, typed
from openlxd_api.client import Client
from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import Actor
from openlxd_core.i18n import N_, _

PREFIX = "/api/v1"
CORE: web.AppKey[Core] = web.AppKey("core", Core)
ACTOR: web.RequestKey[Actor] = web.RequestKey("actor", Actor)
CLIENT: web.RequestKey[Client] = web.RequestKey("client", Client)
TOKEN: web.RequestKey[str] = web.RequestKey("token", str)

DONE = N_("Done.")


class Access(StrEnum):
    """Who may knock. What they may then do is for the services to say."""

    ANYONE = "anyone"
    SIGNED_IN = "signed in"
    ADMIN = "admin"
    """As SIGNED_IN; the services refuse everybody but admins. For the documents and the stranger tests."""


@dataclass(frozen=True)
class Answer:
    """A success that needs more than its data: a status, a sentence, headers."""

    data: Any
    message: str = DONE
    """A template of the catalogue."""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Endpoint:
    """One method on one path, with everything that is known about it."""

    method: str
    path: str
    """With the prefix: ``/api/v1/containers/{name}``."""
    name: str
    """The function's name: the OpenAPI operation id."""
    access: Access
    summary: str
    body: type[BaseModel] | None
    query: type[BaseModel] | None
    answer: Any
    """The type of the data in the envelope."""
    call: Callable[..., Awaitable[Any]]
    wants: frozenset[str]

    @property
    def path_parameters(self) -> list[str]:
        """The names in braces."""
        return re.findall(r"\{(\w+)", self.path)

    async def handle(self, request: web.Request) -> web.Response:
        """Hand the function what it asked for by name; put what it returns into the envelope."""
        given: dict[str, Any] = dict(request.match_info)
        if "core" in self.wants:
            given["core"] = request.app[CORE]
        if "actor" in self.wants:
            given["actor"] = request[ACTOR]
        if "client" in self.wants:
            given["client"] = request[CLIENT]
        if "token" in self.wants:
            given["token"] = request.get(TOKEN, "")
        values = read_query(request)
        if self.query is not None:
            given["query"] = typed(self.query, values)
        if self.body is not None:
            given["body"] = typed(self.body, await read_json(request))
        return envelope(await self.call(**given))


def envelope(result: Any) -> web.Response:
    """The one shape of a success, in the language of the request."""
    answer = result if isinstance(result, Answer) else Answer(result)
    return web.json_response(
        {"success": True, "data": _plain(answer.data), "message": _(answer.message)},
        status=answer.status,
        headers=answer.headers,
    )


def _plain(data: Any) -> Any:
    if isinstance(data, BaseModel):
        return data.model_dump(mode="json")
    if isinstance(data, list | tuple):
        return [_plain(item) for item in data]
    return data


class Endpoints:
    """The endpoints of one module of routes."""

    def __init__(self) -> None:
        self._all: list[Endpoint] = []

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._all)

    def get(self, path: str, *, access: Access = Access.SIGNED_IN, summary: str) -> _Register:
        """Register a GET (and HEAD) below :data:`PREFIX`."""
        return self._on("GET", path, access, summary)

    def post(self, path: str, *, access: Access = Access.SIGNED_IN, summary: str) -> _Register:
        """Register a POST."""
        return self._on("POST", path, access, summary)

    def put(self, path: str, *, access: Access = Access.SIGNED_IN, summary: str) -> _Register:
        """Register a PUT."""
        return self._on("PUT", path, access, summary)

    def patch(self, path: str, *, access: Access = Access.SIGNED_IN, summary: str) -> _Register:
        """Register a PATCH."""
        return self._on("PATCH", path, access, summary)

    def delete(self, path: str, *, access: Access = Access.SIGNED_IN, summary: str) -> _Register:
        """Register a DELETE."""
        return self._on("DELETE", path, access, summary)

    def _on(self, method: str, path: str, access: Access, summary: str) -> _Register:
        def register(call: _Handler) -> _Handler:
            hints = get_type_hints(call)
            wants = frozenset(inspect.signature(call).parameters)
            endpoint = Endpoint(
                method=method,
                path=PREFIX + path,
                name=call.__name__,
                access=access,
                summary=summary,
                body=hints.get("body"),
                query=hints.get("query"),
                answer=hints.get("return"),
                call=call,
                wants=wants,
            )
            unknown = wants - {"core", "actor", "client", "token", "body", "query", *endpoint.path_parameters}
            if unknown:
                raise TypeError(f"{call.__name__}: nothing hands in {sorted(unknown)}")
            self._all.append(endpoint)
            return call

        return register


_Handler = Callable[..., Awaitable[Any]]
_Register = Callable[[_Handler], _Handler]
