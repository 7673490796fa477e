"""Errors over HTTP: a status, a code and one sentence in the client's language.

Every failure of the API is made here, so that it has one shape:
``{"success": false, "error": code, "message": …, "data": null}`` and, for validation, ``"fields"``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from openlxd_core import shapes
from openlxd_core.domain import errors
from openlxd_core.domain.errors import Message, OpenLXDError
from openlxd_core.i18n import N_

STATUS: Mapping[type[OpenLXDError], int] = {
    OpenLXDError: 500,
    errors.BadRequest: 400,
    errors.ValidationFailed: 422,
    errors.Unauthenticated: 401,
    errors.TokenExpired: 401,
    errors.Forbidden: 403,
    errors.Suspended: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.AlreadyExists: 409,
    errors.Busy: 409,
    errors.QuotaExceeded: 409,
    errors.RateLimited: 429,
    errors.LxdRefused: 409,
    errors.LxdUnavailable: 503,
    errors.OutcomeUnknown: 503,
    errors.ImageSourceUnavailable: 503,
    errors.StorageUnavailable: 503,
    errors.StorageFull: 507,
    errors.DatabaseBusy: 503,
    errors.ConfigurationError: 500,
}
"""The HTTP status of each error of the core."""


def status_of_code(code: str) -> int:
    """The HTTP status of an error code, as stored with a failed operation."""
    return next((status for cls, status in STATUS.items() if cls.code == code), 500)


TRY_AGAIN_SECONDS = 5
"""Seconds in ``Retry-After`` where the error has none of its own."""

INTERNAL_ERROR = Message(N_("Internal error. It was logged as request {request_id}."))


class HttpProblem(Exception):
    """A request that is invalid as HTTP, before the core is called; or the failure of its operation."""

    def __init__(self, status: int, code: str, template: str, **params: Any) -> None:
        super().__init__(template)
        self.status = status
        self.code = code
        self.message = Message(template, params)


_HTTP = {
    400: ("bad_request", N_("This request cannot be read.")),
    404: ("not_found", N_("There is nothing here.")),
    405: ("method_not_allowed", N_("This method is not allowed here.")),
    413: ("payload_too_large", N_("This is too large.")),
    415: ("unsupported_media_type", N_("Send application/json.")),
}
"""Our codes and messages for errors that aiohttp raises."""
HTTP_CODES = frozenset({"internal_error", *(code for code, _text in _HTTP.values())})
"""Codes that exist only over HTTP."""


def problem(status: int) -> HttpProblem:
    """The problem for a status that aiohttp raised."""
    code, template = _HTTP.get(status, _HTTP[400])
    return HttpProblem(status if status in _HTTP else 400, code, template)


def failure(status: int, code: str, message: Message, fields: Mapping[str, Message] | None = None) -> web.Response:
    """The envelope of a failure, in the language of the request."""
    return web.json_response(shapes.failure(code, message, fields), status=status)


def error_response(error: OpenLXDError) -> web.Response:
    """The response to an OpenLXDError."""
    status = next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)
    fields = error.fields if isinstance(error, errors.ValidationFailed) else None
    response = failure(status, error.code, error.message, fields)
    if isinstance(error, errors.RateLimited):
        wait = str(max(1, math.ceil(error.retry_after)))
        response.headers.update({"Retry-After": wait, "RateLimit-Remaining": "0", "RateLimit-Reset": wait})
    elif status == 503:
        response.headers["Retry-After"] = str(TRY_AGAIN_SECONDS)
    elif status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def problem_response(error: HttpProblem) -> web.Response:
    """The response to an HttpProblem."""
    response = failure(error.status, error.code, error.message)
    if error.status == 503:
        response.headers["Retry-After"] = str(TRY_AGAIN_SECONDS)
    return response
