"""Endpoints: plain typed async functions that get their arguments by name.

::

    @endpoints.post("/users/login", access=Access.ANYONE, summary="Sign in")
    async def sign_in(core: Core, client: Client, body: SignIn) -> SignedIn: ...

``core``, ``actor``, ``client``, ``token``, ``waiter``, ``limiter``, ``body`` (a pydantic model), ``query`` (one, too)
and ``resume`` (the Last-Event-ID) are passed by these names; every other parameter is a part of the
path. The return value is put into the envelope. The :class:`Endpoint` record is also the source of the OpenAPI document
and of the access tests.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, get_type_hints

from aiohttp import web
from pydantic import BaseModel, ValidationError

from openlxd_api.framework.app_keys import ACTOR, CLIENT, CORE, HEADERS, LIMITER, METER, PREFIX, STOPPING, TOKEN
from openlxd_api.framework.body import as_sent, known, read_json, read_no_body, read_query, typed
from openlxd_api.framework.caching import finish, kept
from openlxd_api.framework.idempotency import HEADER as IDEMPOTENCY_KEY
from openlxd_api.framework.idempotency import once
from openlxd_api.framework.models import NoBody, NoQuery
from openlxd_api.framework.pending import Waiter
from openlxd_api.framework.responses import Answer, Raw, Stream, envelope, respond
from openlxd_api.framework.sse import last_event_id, serve_stream
from openlxd_core.domain.errors import ValidationFailed

__all__ = [
    "ACTOR",
    "CLIENT",
    "CORE",
    "PREFIX",
    "TOKEN",
    "Access",
    "Answer",
    "Endpoint",
    "Endpoints",
    "Raw",
    "Stream",
    "envelope",
]

_HANDED_IN = frozenset(
    {"core", "actor", "client", "token", "waiter", "limiter", "meter", "app", "body", "query", "resume"}
)
_NOT_A_PATH = "(?!(?:list|remote|import|publish|refresh|.*/info)$)"
"""Names that an alias at the end of a path cannot have, as they are paths of their own."""
SLASHES = frozenset({"alias"})
"""The parts of paths that may hold slashes, sent raw or as %2F."""


class Access(StrEnum):
    """Who may call an endpoint. Which rows and actions they may use is decided by the services."""

    ANYONE = "anyone"
    SIGNED_IN = "signed in"
    ADMIN = "admin"
    """As SIGNED_IN; the services refuse everyone but admins. Read by the OpenAPI document and the access tests."""
    LOCAL = "this machine, or an admin"
    """As ADMIN, but no credential is needed from the loopback address, unless through a proxy."""


@dataclass(frozen=True)
class Endpoint:
    """One method on one path, and what the router, the handler and the OpenAPI document need of it."""

    method: str
    path: str
    """With the prefix: ``/api/v1/containers/{name}``."""
    name: str
    """The function's name: the OpenAPI operation id."""
    access: Access
    summary: str
    description: str
    """The function's docstring."""
    body: type[BaseModel] | None
    query: type[BaseModel] | None
    answer: Any
    """The type of the data in the envelope; a union with a pending view where it may be 202."""
    call: Callable[..., Awaitable[Any]]
    wants: frozenset[str]
    status: int = 200
    """The status of a success."""
    raises: frozenset[int] = frozenset()
    """Error statuses beyond those that every endpoint of its kind can return."""
    secret: bool = False
    """The body or the answer contains a password or a key; neither is stored in clear text."""
    message: str = ""
    """The success message: a template filled in from the path and the data. Operations have their own."""
    lenient: bool = False
    """One of the design paper's endpoints, which billing systems call with extra fields: unknown fields are ignored
    and null counts as absent. Everywhere else both are refused."""
    numbers: frozenset[str] = frozenset()
    """The path parameters that are integers."""
    from_database: bool = False
    """For GET: the answer depends on the database alone, not on LXD, the clock or a process's memory. It is kept while
    the database is unchanged."""

    @property
    def path_parameters(self) -> list[str]:
        """The names in braces."""
        return re.findall(r"\{(\w+)", self.path)

    @property
    def route(self) -> str:
        """The path in aiohttp's syntax. An id matches digits only and hides no path; an alias may hold slashes."""

        def narrowed(match: re.Match[str]) -> str:
            if match[1] in self.numbers:
                return f"{{{match[1]}:[0-9]{{1,9}}}}"
            if match[1] not in SLASHES:
                return match[0]
            return f"{{{match[1]}:{_NOT_A_PATH if self.path.endswith(match[0]) else ''}.+}}"

        return re.sub(r"\{(\w+)\}", narrowed, self.path)

    @cached_property
    def body_needed(self) -> bool:
        """Whether a request must have a body."""
        if self.body is None:
            return False
        try:
            self.body.model_validate({})
        except ValidationError:
            return True
        return False

    @property
    def streams(self) -> bool:
        """Whether it answers with server-sent events."""
        return self.answer is Stream

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Call the function with its arguments and turn the return value into a response."""

        async def answer() -> web.StreamResponse:
            result = await self._called(request)
            if isinstance(result, Stream):
                return await serve_stream(request, result)
            return respond(result, self.status, self.message, request.match_info)

        if self.method == "POST" and IDEMPOTENCY_KEY in request.headers:
            return await once(request, answer, body=await self._sent(request), secret=self.secret)
        if self.from_database:
            return await kept(request, self.name, answer)  # type: ignore[arg-type]
        response = await answer()
        if self.method == "GET" and not self.secret and isinstance(response, web.Response):
            return await finish(request, response)
        return response

    async def _called(self, request: web.Request) -> Any:
        sent: dict[str, Any] = {}
        try:
            return await self.call(**await self._given(request, sent))
        except ValidationFailed as error:
            raise as_sent(error, self.body, sent) from None

    async def _sent(self, request: web.Request) -> dict[str, Any]:
        """The fields of the body as sent; may be called repeatedly. Raises HttpProblem, BadRequest."""
        if self.body is not None:
            return await read_json(request) if self.body_needed or request.body_exists else {}
        return {} if self.lenient else await read_no_body(request)

    async def _given(self, request: web.Request, sent: dict[str, Any]) -> dict[str, Any]:
        """The function's arguments; ``sent`` receives the body's fields under the client's names."""
        app = request.app
        given: dict[str, Any] = {
            name: int(value) if name in self.numbers else value for name, value in request.match_info.items()
        }
        offered: dict[str, Callable[[], Any]] = {
            "core": lambda: app[CORE],
            "actor": lambda: request[ACTOR],
            "client": lambda: request[CLIENT],
            "token": lambda: request.get(TOKEN, ""),
            "waiter": lambda: Waiter(app[CORE], request[ACTOR], app[STOPPING]),
            "limiter": lambda: app[LIMITER].telling(request[HEADERS]),
            "meter": lambda: app[METER],
            "app": lambda: app,
            "resume": lambda: last_event_id(request),
        }
        given |= {name: make() for name, make in offered.items() if name in self.wants}
        query = typed(self.query or NoQuery, self._read(self.query, read_query(request)))
        if self.query is not None:
            given["query"] = query
        sent |= await self._sent(request)
        if self.body is not None:
            given["body"] = typed(self.body, self._read(self.body, sent))
        else:
            typed(NoBody, sent)
        return given

    def _read(self, model: type[BaseModel] | None, values: dict[str, Any]) -> dict[str, Any]:
        return known(model, values) if self.lenient else values


class Endpoints:
    """The endpoints of one module of routes."""

    def __init__(self) -> None:
        self._all: list[Endpoint] = []

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(self._all)

    def get(self, path: str, **about: Any) -> _Register:
        """Register a GET (and HEAD) below :data:`PREFIX`; ``about`` as in :meth:`on`."""
        return self.on("GET", path, **about)

    def post(self, path: str, **about: Any) -> _Register:
        """Register a POST."""
        return self.on("POST", path, **about)

    def put(self, path: str, **about: Any) -> _Register:
        """Register a PUT."""
        return self.on("PUT", path, **about)

    def patch(self, path: str, **about: Any) -> _Register:
        """Register a PATCH."""
        return self.on("PATCH", path, **about)

    def delete(self, path: str, **about: Any) -> _Register:
        """Register a DELETE."""
        return self.on("DELETE", path, **about)

    def on(
        self,
        method: str,
        path: str,
        *,
        summary: str,
        access: Access = Access.SIGNED_IN,
        status: int = 200,
        raises: tuple[int, ...] = (),
        secret: bool = False,
        message: str = "",
        lenient: bool = False,
        from_database: bool = False,
    ) -> _Register:
        """Register the decorated function; the keywords are :class:`Endpoint`'s fields."""

        def register(call: _Handler) -> _Handler:
            hints = get_type_hints(call)
            wants = frozenset(inspect.signature(call).parameters)
            endpoint = Endpoint(
                method=method,
                path=PREFIX + path,
                name=call.__name__,
                access=access,
                summary=summary,
                description=inspect.cleandoc(call.__doc__ or ""),
                body=hints.get("body"),
                query=hints.get("query"),
                answer=hints.get("return"),
                call=call,
                wants=wants,
                status=status,
                raises=frozenset(raises),
                secret=secret,
                message=message,
                lenient=lenient,
                from_database=from_database,
                numbers=frozenset(name for name in re.findall(r"\{(\w+)", path) if hints.get(name) is int),
            )
            unknown = wants - {*_HANDED_IN, *endpoint.path_parameters}
            if from_database and (method != "GET" or secret or endpoint.streams):
                raise TypeError(f"{call.__name__}: only a GET without secrets can be kept")
            if unknown:
                raise TypeError(f"{call.__name__}: nothing hands in {sorted(unknown)}")
            self._all.append(endpoint)
            return call

        return register


_Handler = Callable[..., Awaitable[Any]]
_Register = Callable[[_Handler], _Handler]
