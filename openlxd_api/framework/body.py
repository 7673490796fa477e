"""One parser for request bodies: strict JSON, then a typed model.

Python's ``json`` accepts more than JSON (NaN, duplicate keys, unpaired surrogates, numbers of any length) and raises
RecursionError on deep nesting. What this module returns is plain data of bounded size.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import BaseModel, ValidationError

from openlxd_api.framework.errors import HttpProblem, problem
from openlxd_core.domain.errors import BadRequest, Message, ValidationFailed
from openlxd_core.i18n import N_

BODY_MAX_BYTES = 1024 * 1024
BODY_SECONDS = 30.0
DEPTH_MAX = 16
DIGITS_MAX = 18

M = TypeVar("M", bound=BaseModel)


async def read_json(request: web.Request) -> dict[str, Any]:
    """The JSON object in the request body. Raises HttpProblem (413, 415) or BadRequest."""
    if request.content_type != "application/json" or (request.charset or "utf-8").lower() not in ("utf-8", "utf8"):
        raise problem(415)
    if "Content-Encoding" in request.headers:  # a decompression bomb: a small body that unpacks to a huge one
        raise HttpProblem(415, "unsupported_media_type", N_("Send the request body uncompressed."))
    return parse_json(await read_body(request))


async def read_body(request: web.Request) -> bytes:
    """The request's body; later calls return the same bytes. Raises HttpProblem (400, 408, 413)."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise HttpProblem(408, "bad_request", N_("The request body took too long to arrive.")) from None
    except (HttpProcessingError, web.RequestPayloadError):
        raise problem(400) from None


async def read_no_body(request: web.Request) -> dict[str, Any]:
    """The fields of a body on an endpoint that takes none; billing systems send ``{}`` or ``[]`` for an empty one.

    Raises HttpProblem (400, 408, 413) or BadRequest.
    """
    raw = (await read_body(request)).strip() if request.body_exists else b""
    if raw in (b"", b"{}", b"[]", b"null"):
        return {}
    try:
        return parse_json(raw)
    except BadRequest:
        raise BadRequest(N_("This request takes no body.")) from None


def known(model: type[BaseModel] | None, values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` without fields that ``model`` does not have, and without optional fields that are null."""
    fields = model.model_fields if model is not None else {}
    return {
        name: value
        for name, value in values.items()
        if name in fields and (value is not None or fields[name].is_required())
    }


def parse_json(raw: bytes) -> dict[str, Any]:
    """The JSON object in ``raw``. Raises BadRequest with the reason."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest(N_("The request body is not valid UTF-8.")) from None
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_int=_bounded_int,
            parse_float=_finite_float,
        )
    except BadRequest:
        raise
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        raise BadRequest(N_("The request body is not valid JSON.")) from None
    if not isinstance(value, dict):
        raise BadRequest(N_("The request body is not a JSON object."))
    _check(value, 1)
    return value


def canonical(values: Any) -> bytes:
    """Equal bytes for equal JSON, independent of key order, white space, escapes and number notation (1, 1.0, 1e0);
    close to RFC 8785."""
    return json.dumps(_plain_numbers(values), sort_keys=True, separators=(",", ":")).encode()


def _plain_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _plain_numbers(item) for key, item in value.items()}
    return [_plain_numbers(item) for item in value] if isinstance(value, list | tuple) else value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadRequest(N_("The request body contains the same field twice."))
    return found


def _refuse_constant(_text: str) -> Any:
    raise BadRequest(N_("Invalid number in request body (NaN or Infinity)."))


def _bounded_int(text: str) -> int:
    if len(text) > DIGITS_MAX:
        raise BadRequest(N_("A number in the request body has too many digits."))
    return int(text)


def _finite_float(text: str) -> float:
    number = float(text) if len(text) <= 64 else math.inf
    if not math.isfinite(number):
        raise BadRequest(N_("Invalid number in request body (NaN or Infinity)."))
    return number


def _too_deep() -> BadRequest:
    return BadRequest(N_("The request body is nested too deeply."))


def _check(value: Any, depth: int) -> None:
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise BadRequest(N_("The request body contains an unpaired surrogate (half a character)."))
        return
    if not isinstance(value, dict | list):
        return
    if depth > DEPTH_MAX:
        raise _too_deep()
    if isinstance(value, dict):
        for key, item in value.items():
            _check(key, depth)
            _check(item, depth + 1)
    else:
        for item in value:
            _check(item, depth + 1)


_REASONS: Mapping[str, str] = {
    "missing": N_("This field is required."),
    "extra_forbidden": N_("There is no such field."),
    "string_type": N_("This is not text."),
    "int_type": N_("This is not a whole number."),
    "int_parsing": N_("This is not a whole number."),
    "int_from_float": N_("This is not a whole number."),
    "bool_type": N_("This must be true or false."),
    "bool_parsing": N_("This must be true or false."),
    "datetime_parsing": N_("This is not a moment with a time zone, like 2026-08-01T00:00:00Z."),
    "string_too_long": N_("This is too long."),
    "string_too_short": N_("This is too short."),
    "greater_than_equal": N_("This is too small."),
    "less_than_equal": N_("This is too large."),
}
_OTHERWISE = N_("This value is not allowed.")


def typed(model: type[M], values: Mapping[str, Any]) -> M:
    """``values`` as a ``model``. Raises ValidationFailed, which lists every invalid field."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        fields: dict[str, Message] = {}
        for found in error.errors(include_url=False, include_input=False):
            name = ".".join(str(part) for part in found["loc"])[:100] or "body"
            own = found.get("ctx", {}).get("error")
            reason = str(own) if isinstance(own, ValueError) else _REASONS.get(found["type"], _OTHERWISE)
            fields.setdefault(name, Message(reason))
        raise ValidationFailed(N_("Some values are not allowed."), fields=fields) from None


def as_sent(error: ValidationFailed, model: type[BaseModel] | None, sent: Mapping[str, Any]) -> ValidationFailed:
    """``error`` with each field by the name that the client sent it under.

    The core calls a field ``memory``; a body calls it ``memory_mb`` or, in older clients, ``memory``.
    """
    former: dict[str, str] = {}
    for kind in (model, *(field.annotation for field in model.model_fields.values())) if model is not None else ():
        for part in (kind, *get_args(kind)):
            former |= getattr(part, "former", {})
    if not former:
        return error
    fields: dict[str, Message] = {}
    for path, why in error.fields.items():
        above, _dot, name = path.rpartition(".")
        place: Any = sent.get(above) if above else sent
        new = former.get(name, name)
        old = next((old for old, now in former.items() if now == new), name)
        used = old if isinstance(place, Mapping) and old in place and new not in place else new
        known = path if isinstance(place, Mapping) and name in place else f"{above}.{used}" if above else used
        fields[known] = why
    return ValidationFailed(error.message.template, fields=fields, **dict(error.message.params))


def read_query(request: web.Request) -> dict[str, str]:
    """The query's fields. Raises BadRequest for a duplicate field."""
    if len(set(request.query)) != len(request.query):
        raise BadRequest(N_("The query string contains the same field twice."))
    return dict(request.query)
