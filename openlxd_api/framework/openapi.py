"""The OpenAPI 3.1 document, generated from the endpoints' records and types."""

from __future__ import annotations

import json
import types
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode
from pydantic_core import core_schema

from openlxd_api.framework.endpoint import Access, Endpoint
from openlxd_api.framework.errors import HTTP_CODES, STATUS
from openlxd_api.framework.idempotency import HEADER as IDEMPOTENCY_KEY
from openlxd_api.framework.idempotency import PATTERN as IDEMPOTENCY_PATTERN
from openlxd_api.framework.idempotency import REPLAYED
from openlxd_api.framework.limiting import LIMIT, REMAINING, RESET
from openlxd_api.framework.models import View
from openlxd_api.framework.responses import Answer, Paged, Raw, Stream
from openlxd_api.framework.version import product_version

DESCRIPTION = """Containers on LXD, for scripts, billing systems and web pages.

Every answer is an envelope: `{"success": true, "data": …, "message": …}`, or
`{"success": false, "error": "<code>", "message": …, "data": null}`, with `fields` where values are not allowed.
`Accept-Language` picks English or Chinese. What exists and is not yours answers exactly as what does not exist.
"""
SECURITY = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "From `POST /api/v1/users/login`, for 24 hours.",
    },
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "64 hex digits."},
}
_TAGS = {
    "users": "Accounts",
    "containers": "Containers",
    "whmcs": "Billing",
    "images": "Images",
    "operations": "Operations",
    "events": "Operations",
}
_NAMES = {400: "BadRequest", 401: "Unauthenticated", 403: "Forbidden", 404: "NotFound", 408: "TooSlow", 409: "Conflict"}
_TEXTS = {
    400: "The request cannot be read.",
    401: "No credential, or none that holds.",
    403: "Not allowed, or suspended.",
    404: "It does not exist, or you may not know that it does.",
    408: "The request body took too long to arrive.",
    409: "The thing is in a state, or the quota in a place, in which this cannot be done.",
    413: "The body is over 1 MiB.",
    415: "The body is not plain application/json.",
    422: "Values are not allowed; `fields` says which and why.",
    429: "Too many requests.",
    500: "A failure of ours. The message holds the id that finds it in the log.",
    503: "The database, LXD or the image server is away.",
}
_LINKS: Sequence[tuple[str, str, str, str, str]] = (
    # from an operation's answer, to another operation, which parameter, out of where, where that parameter is
    ("create_container", "show_container", "name", "$response.body#/data/name", "path"),
    ("create_container", "stop_container", "name", "$response.body#/data/name", "path"),
    ("create_container", "create_snapshot", "name", "$response.body#/data/name", "path"),
    ("create_container", "delete_container", "name", "$response.body#/data/name", "path"),
    ("create_container", "whmcs_info", "name", "$response.body#/data/name", "query"),
    ("whmcs_create", "whmcs_info", "container_id", "$response.body#/data/container_id", "query"),
    ("whmcs_create", "show_container", "name", "$response.body#/data/name", "path"),
    ("create_user", "show_user", "id", "$response.body#/data/id", "path"),
    ("create_user", "suspend_user", "id", "$response.body#/data/id", "path"),
    ("create_user", "set_quota", "id", "$response.body#/data/id", "path"),
    ("create_user", "delete_user", "id", "$response.body#/data/id", "path"),
    ("add_key", "delete_key", "id", "$response.body#/data/id", "path"),
)


class _Schemas(GenerateJsonSchema):
    """Pydantic's schemas, without null where a field is merely optional, and with OpenAPI's keywords for bounds."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> dict[str, Any]:
        if self.mode == "validation":
            return self.generate_inner(schema["schema"])
        return super().nullable_schema(schema)

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> dict[str, Any]:
        found = super().default_schema(schema)
        if found.get("default", 0) is None:
            del found["default"]
        return found

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


@lru_cache(maxsize=4)
def describe(endpoints: tuple[Endpoint, ...]) -> bytes:
    """The document as JSON. Building it takes 0.1 s; applications with the same endpoints share one."""
    return json.dumps(document(list(endpoints)), ensure_ascii=False, separators=(",", ":")).encode()


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The document as data."""
    parts = _Parts()
    paths: dict[str, dict[str, Any]] = {}
    here = {endpoint.name for endpoint in endpoints}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, parts, here)
    found = {
        "openapi": "3.1.0",
        "info": {
            "title": "OpenLXD",
            "version": product_version(),
            "description": DESCRIPTION,
            "license": {"name": "AGPL-3.0-or-later", "identifier": "AGPL-3.0-or-later"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys([*_TAGS.values(), "Service"])],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(parts.schemas.items())),
            "responses": {_name(status): _failure(status) for status in sorted(_TEXTS)},
            "headers": _HEADERS,
            "securitySchemes": SECURITY,
        },
    }
    return dict(_renamed(found))


_NAMED = {"State": "ContainerStatus", "Kind": "OperationKind"}
"""Schema names of types whose class name is too vague outside its module."""


def _renamed(found: Any) -> Any:
    if isinstance(found, dict):
        schemas = found.get("schemas")
        if isinstance(schemas, dict):
            found = {**found, "schemas": {_NAMED.get(name, name): schema for name, schema in sorted(schemas.items())}}
        return {key: _renamed(value) for key, value in found.items()}
    if isinstance(found, list):
        return [_renamed(item) for item in found]
    if isinstance(found, str) and found.startswith("#/components/schemas/"):
        name = found.rsplit("/", 1)[1]
        return found.removesuffix(name) + _NAMED.get(name, name)
    return found


def _standard(schema: Any) -> Any:
    """Use JSON Schema's keywords for bounds: pydantic keeps its own (``ge``, ``le``) behind a BeforeValidator."""
    if isinstance(schema, dict):
        return {_BOUNDS.get(key, key): _standard(value) for key, value in schema.items()}
    return [_standard(item) for item in schema] if isinstance(schema, list) else schema


_BOUNDS = {"ge": "minimum", "le": "maximum"}


def _lenient(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a body in which unknown fields are ignored and null leaves an optional one out."""
    properties = dict(schema.get("properties", {}))
    for name in set(properties) - set(schema.get("required", [])):
        about = dict(properties[name])
        outside = {key: about.pop(key) for key in ("description", "default") if key in about}
        properties[name] = {"anyOf": [about, {"type": "null"}], **outside}
    return {**schema, "properties": properties, "additionalProperties": True}


def _alternatives(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a body that takes one of several fields, with each alternative as a whole object: generators make
    a type of each, and look at nothing beside it."""
    choices = schema.get("oneOf")
    if not choices or "properties" not in schema:
        return schema
    names = {name for choice in choices for name in choice["required"]}
    shared = {name: about for name, about in schema["properties"].items() if name not in names}
    whole = [
        {
            "type": "object",
            "properties": {
                **{name: schema["properties"][name] for name in choice["required"]},
                **choice.get("properties", {}),
                **shared,
            },
            "required": [*choice["required"], *schema.get("required", [])],
            "additionalProperties": schema.get("additionalProperties", True),
        }
        for choice in choices
    ]
    return {**schema, "oneOf": whole}


class _Parts:
    """Collects the named schemas (``components``)."""

    def __init__(self) -> None:
        self.schemas: dict[str, Any] = {
            "Failure": {
                "type": "object",
                "required": ["success", "error", "message", "data"],
                "additionalProperties": False,
                "properties": {
                    "success": {"const": False},
                    "error": {"type": "string", "enum": sorted({*HTTP_CODES, *(cls.code for cls in STATUS)})},
                    "message": {"type": "string", "description": "One sentence in the reader's language."},
                    "data": {"type": "null"},
                    "fields": {"type": "object", "additionalProperties": {"type": "string"}},
                },
            }
        }

    def of(self, kind: Any, mode: JsonSchemaMode, *, lenient: bool = False) -> dict[str, Any]:
        """A reference to, or the schema of, a type; ``lenient`` as :attr:`Endpoint.lenient` means it."""
        schema = self.inline(kind, mode)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            self._keep(kind.__name__, _alternatives(_lenient(schema) if lenient else schema))
            return {"$ref": f"#/components/schemas/{kind.__name__}"}
        return dict(schema)

    def inline(self, kind: Any, mode: JsonSchemaMode = "validation") -> dict[str, Any]:
        """The schema of a type; types that it refers to become components."""
        schema: dict[str, Any] = _standard(
            TypeAdapter(kind).json_schema(
                mode=mode, ref_template="#/components/schemas/{model}", schema_generator=_Schemas
            )
        )
        for name, found in schema.pop("$defs", {}).items():
            self._keep(name, found)
        return schema

    def _keep(self, name: str, schema: dict[str, Any]) -> None:
        schema = {
            key: value for key, value in schema.items() if key != "title"
        }  # a title that repeats the class's name
        if self.schemas.setdefault(name, schema) != schema:
            raise ValueError(f"two schemas are called {name}")


def _operation(endpoint: Endpoint, parts: _Parts, here: set[str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "description": _who(endpoint) + endpoint.description,
        "tags": [_TAGS.get(endpoint.path.split("/")[3], "Service")],
        "security": _security(endpoint),
    }
    parameters = [*_path_parameters(endpoint), *_query_parameters(endpoint, parts), *_header_parameters(endpoint)]
    if parameters:
        found["parameters"] = parameters
    if endpoint.body is not None:
        found["requestBody"] = {
            "required": endpoint.body_needed,
            "content": {
                "application/json": {"schema": parts.of(endpoint.body, "validation", lenient=endpoint.lenient)}
            },
        }
    responses = _successes(endpoint, parts)
    links = {
        f"{target}_by_{parameter}": {"operationId": target, "parameters": {f"{where}.{parameter}": expression}}
        for source, target, parameter, expression, where in _LINKS
        if source == endpoint.name and target in here
    }
    if links:
        responses[str(endpoint.status)]["links"] = links
    for status in sorted(failures(endpoint)):
        responses.setdefault(str(status), {"$ref": f"#/components/responses/{_name(status)}"})
    found["responses"] = responses
    return found


def _who(endpoint: Endpoint) -> str:
    who = {
        Access.ANYONE: "For anyone. ",
        Access.SIGNED_IN: "",
        Access.ADMIN: "For admins. ",
        Access.LOCAL: "For this machine and for admins. ",
    }
    return who[endpoint.access]


def _security(endpoint: Endpoint) -> list[dict[str, list[str]]]:
    credentials: list[dict[str, list[str]]] = [{name: []} for name in SECURITY]
    match endpoint.access:
        case Access.ANYONE:
            return []
        case Access.LOCAL:
            return [{}, *credentials]
        case _:
            return credentials


def failures(endpoint: Endpoint) -> set[int]:
    """Every status of a failure that the endpoint can answer with."""
    found = {400, 429, 500, 503} | endpoint.raises
    if endpoint.access is not Access.ANYONE:
        found |= {401, 403}
    if endpoint.path_parameters:
        found.add(404)
    if endpoint.query is not None:
        found.add(422)
    if endpoint.body is not None or not endpoint.lenient:
        found |= {408, 413, 422}
    if endpoint.body is not None:
        found.add(415)
    if endpoint.method == "POST":
        found |= {413, 422, 409}  # the idempotency key's
    if endpoint.method != "GET":
        found.add(409)
    return found


def _name(status: int) -> str:
    return _NAMES.get(status, f"Failure{status}")


def _failure(status: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "description": _TEXTS[status],
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}},
    }
    if status in (429, 503):
        found["headers"] = {"Retry-After": {"schema": {"type": "integer", "minimum": 1}, "description": "Seconds."}}
    if status == 429:
        found["headers"] |= _headers(LIMIT, REMAINING, RESET)
    return found


_HEADERS = {
    LIMIT: {"schema": {"type": "integer", "minimum": 1}, "description": "How many requests one window takes."},
    REMAINING: {"schema": {"type": "integer", "minimum": 0}, "description": "How many are left of it."},
    RESET: {"schema": {"type": "integer", "minimum": 1}, "description": "Seconds until there are more."},
    "ETag": {
        "schema": {"type": "string"},
        "description": "Sent back as `If-None-Match`, it gets 304 and no body while nothing changed.",
    },
    REPLAYED: {"schema": {"const": "true"}, "description": "This is the first answer to this idempotency key, again."},
}


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _successes(endpoint: Endpoint, parts: _Parts) -> dict[str, Any]:
    found = _bare_successes(endpoint, parts)
    more = {"GET": ("ETag",), "POST": (REPLAYED,)}.get(endpoint.method, ()) if endpoint.answer is not Stream else ()
    for status, response in found.items():
        if status < "300":
            response["headers"] = _headers(LIMIT, REMAINING, RESET, *more)
    return found


def _bare_successes(endpoint: Endpoint, parts: _Parts) -> dict[str, Any]:
    if endpoint.answer is Stream:
        return {"200": {"description": "Events.", "content": {"text/event-stream": {"schema": _EVENT}}}}
    if endpoint.answer is Raw:
        kind, schema = (
            ("application/json", {"type": "object"})
            if endpoint.path.endswith(".json")
            else ("text/plain", {"type": "string"})
        )
        return {"200": {"description": "The document.", "content": {kind: {"schema": schema}}}}
    found: dict[str, Any] = {}
    for kind in _members(endpoint.answer):
        pending = isinstance(kind, type) and issubclass(kind, View) and kind.unfinished
        text = "In progress; query the operation." if pending else "Success."
        pages = get_origin(kind) is Paged
        data = parts.of(get_args(kind)[0] if pages else kind, "serialization")
        found[str(202 if pending else endpoint.status)] = _envelope(text, data, pages=pages)
    if endpoint.path.endswith("/health"):
        found["503"] = _envelope("The database does not answer.", found["200"]["content"]["application/json"]["schema"])
        found["503"]["content"] = found["200"]["content"]
    return found


def _members(answer: Any) -> list[Any]:
    """The types of data in a return annotation."""
    if get_origin(answer) in (Union, types.UnionType):
        return [kind for part in get_args(answer) for kind in _members(part)]
    if get_origin(answer) is Answer:
        return [get_args(answer)[0]]
    return [answer]


def _envelope(text: str, data: dict[str, Any], *, pages: bool = False) -> dict[str, Any]:
    properties = {"success": {"const": True}, "data": data, "message": {"type": "string"}}
    if pages:
        properties["next"] = {
            "type": ["string", "null"],
            "description": "The cursor of the page that follows, for `after`; null at the end.",
        }
    schema = {
        "type": "object",
        "required": list(properties),
        "additionalProperties": False,
        "properties": properties,
    }
    return {"description": text, "content": {"application/json": {"schema": schema}}}


_EVENT = {
    "type": "object",
    "description": "One server-sent event; `data` is JSON.",
    "required": ["event", "data"],
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}, "id": {"type": "string"}},
}
_PATTERNS = {
    "id": {"type": "string", "pattern": "^[0-9a-f-]{36}$"},
    "name": {"type": "string", "pattern": "^[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$"},
    "snapshot": {"type": "string", "pattern": "^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$"},
}


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    found = []
    for name in endpoint.path_parameters:
        schema: dict[str, Any] = _PATTERNS.get(name, {"type": "string", "minLength": 1})
        if name in endpoint.numbers:
            schema = {"type": "integer", "minimum": 1, "maximum": 999_999_999}
        found.append({"name": name, "in": "path", "required": True, "schema": schema})
    return found


def _query_parameters(endpoint: Endpoint, parts: _Parts) -> list[dict[str, Any]]:
    if endpoint.query is None:
        return []
    schema = parts.inline(endpoint.query)
    found = []
    for name, about in schema.get("properties", {}).items():
        text = about.pop("description", "")
        found.append(
            {
                "name": name,
                "in": "query",
                "required": name in schema.get("required", []),
                "description": text,
                "schema": about,
            }
        )
    return found


def _header_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if endpoint.method == "POST":
        found.append(
            {
                "name": IDEMPOTENCY_KEY,
                "in": "header",
                "required": False,
                "description": "The same key with the same request gets the first answer, for a day.",
                "schema": {"type": "string", "pattern": f"^{IDEMPOTENCY_PATTERN}$"},
            }
        )
    if "resume" in endpoint.wants:
        found.append(
            {
                "name": "Last-Event-ID",
                "in": "header",
                "required": False,
                "description": "Go on after this event.",
                "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
            }
        )
    return found
