"""Every error that the product raises on purpose.

A sentence is kept as a template and its values, so that each reader gets it in their own language::

    OpenLXDError
    ├── BadRequest                    bad_request
    │   └── ValidationFailed          validation_failed
    ├── Unauthenticated               unauthenticated
    │   └── TokenExpired              token_expired
    ├── Forbidden                     forbidden
    │   └── Suspended                 suspended
    ├── NotFound                      not_found
    ├── Conflict                      conflict
    │   ├── AlreadyExists             already_exists
    │   └── Busy                      busy
    ├── QuotaExceeded                 quota_exceeded
    ├── RateLimited                   rate_limited
    ├── LxdRefused                    lxd_refused
    ├── LxdUnavailable                lxd_unavailable
    │   └── OutcomeUnknown            lxd_unavailable
    ├── ImageSourceUnavailable        image_source_unavailable
    ├── StorageUnavailable            storage_unavailable
    │   ├── StorageFull               storage_full
    │   └── DatabaseBusy              database_busy
    └── ConfigurationError            configuration_error

Anything else that is raised is a bug: it is logged with its traceback and ends that one request or session.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from openlxd_core.i18n import N_


@dataclass(frozen=True)
class Message:
    """A sentence for a person: a template from the catalogue and the values that go into it."""

    template: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def text(self, translate: Callable[[str], str] = lambda text: text) -> str:
        """The sentence, its template passed through ``translate`` first."""
        return translate(self.template).format(**self.params) if self.params else translate(self.template)

    def __str__(self) -> str:
        return self.text()


class OpenLXDError(Exception):
    """The base class: a request that cannot be fulfilled, with the reason."""

    code = "internal_error"

    def __init__(self, template: str, **params: Any) -> None:
        super().__init__(template)
        self.message = Message(template, params)

    def __str__(self) -> str:
        return self.message.text()


class BadRequest(OpenLXDError):
    """The request cannot be parsed."""

    code = "bad_request"


class ValidationFailed(BadRequest):
    """One or more values are not allowed; ``fields`` says which and why."""

    code = "validation_failed"

    def __init__(self, template: str = "", fields: Mapping[str, Message] | None = None, **params: Any) -> None:
        self.fields: dict[str, Message] = dict(fields or {})
        if not template:
            first = next(iter(self.fields.values()), Message(N_("Some values are not allowed.")))
            template, params = first.template, dict(first.params)
        super().__init__(template, **params)

    @classmethod
    def of(cls, name: str, template: str, /, **params: Any) -> ValidationFailed:
        """The failure of one field."""
        return cls(fields={name: Message(template, params)})


class Unauthenticated(OpenLXDError):
    """The request has no valid credential."""

    code = "unauthenticated"


class TokenExpired(Unauthenticated):
    """The token is past its expiry time."""

    code = "token_expired"


class Forbidden(OpenLXDError):
    """The actor is known and may not do this."""

    code = "forbidden"


class Suspended(Forbidden):
    """The account or the container is suspended."""

    code = "suspended"


class NotFound(OpenLXDError):
    """It does not exist, or the actor cannot see it; both look the same."""

    code = "not_found"


class Conflict(OpenLXDError):
    """The state of the thing does not allow this."""

    code = "conflict"


class AlreadyExists(Conflict):
    """The name, address or key is taken."""

    code = "already_exists"


class Busy(Conflict):
    """Another operation on the same thing is in progress."""

    code = "busy"


class QuotaExceeded(OpenLXDError):
    """The change would take the tenant past a quota they were given."""

    code = "quota_exceeded"


class RateLimited(OpenLXDError):
    """Too many attempts; try again after ``retry_after`` seconds."""

    code = "rate_limited"

    def __init__(self, template: str, retry_after: float, **params: Any) -> None:
        super().__init__(template, seconds=max(1, round(retry_after)), **params)
        self.retry_after = retry_after


class LxdRefused(OpenLXDError):
    """LXD refused the request; the message contains its reason."""

    code = "lxd_refused"


class LxdUnavailable(OpenLXDError):
    """LXD cannot be reached, or does not answer in time."""

    code = "lxd_unavailable"


class OutcomeUnknown(LxdUnavailable):
    """The connection was lost while LXD worked: it may have been done or not."""


class ImageSourceUnavailable(OpenLXDError):
    """The image server cannot be reached or its response is invalid."""

    code = "image_source_unavailable"


class StorageUnavailable(OpenLXDError):
    """The database or its disk failed; nothing of the change was saved."""

    code = "storage_unavailable"


class StorageFull(StorageUnavailable):
    """The disk under the state directory is full. Reading still works."""

    code = "storage_full"


class DatabaseBusy(StorageUnavailable):
    """Another process has locked the database for longer than the time-out."""

    code = "database_busy"


class ConfigurationError(OpenLXDError):
    """A setting, a key file or the database stops the start."""

    code = "configuration_error"


def error_tree() -> list[type[OpenLXDError]]:
    """Every error class there is, parents before children."""
    found: list[type[OpenLXDError]] = []
    waiting: list[type[OpenLXDError]] = [OpenLXDError]
    while waiting:
        cls = waiting.pop(0)
        found.append(cls)
        waiting.extend(cls.__subclasses__())
    return found


def lxd_unreachable() -> LxdUnavailable:
    """The one sentence for it."""
    return LxdUnavailable(N_("LXD cannot be reached at the moment. Nothing was changed; try again soon."))


def unusable(path: object, error: OSError) -> OpenLXDError:
    """What the system said about a file or directory that we need, as one sentence that names it."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return Forbidden(
            N_("Permission denied: {path}. Run this as root or as the service's account."),
            path=str(path),
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return storage_full()
    return ConfigurationError(N_("{path} cannot be used: {reason}."), path=str(path), reason=system_reason(error))


def system_reason(error: OSError) -> str:
    """The system's words for an error, without asyncio's around them."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)  # of a name that cannot be resolved, for one


def storage_full() -> StorageFull:
    """The one sentence for it."""
    return StorageFull(
        N_("The server's disk is full, so this change was not saved. Signing in and reading work; try again later.")
    )
