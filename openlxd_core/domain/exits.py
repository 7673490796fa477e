"""Exit codes of the ``openlxd`` program, the servers and the commands by SSH."""

from __future__ import annotations

from collections.abc import Mapping

from openlxd_core.domain import errors
from openlxd_core.domain.errors import OpenLXDError

DONE = 0
FAILED = 1
USAGE = 2
NOT_FOUND = 3
NOT_ALLOWED = 4
QUOTA = 5
CONFLICT = 6
LXD_UNREACHABLE = 7
STORAGE = 9
"""The disk under the state directory is full, or the database cannot be used."""
TIMED_OUT = 124
"""A wait timed out, as with timeout(1); the operation continues."""
INTERRUPTED = 130

EXIT_CODES: Mapping[type[OpenLXDError], int] = {
    OpenLXDError: FAILED,
    errors.ValidationFailed: USAGE,
    errors.Unauthenticated: NOT_ALLOWED,
    errors.Forbidden: NOT_ALLOWED,
    errors.NotFound: NOT_FOUND,
    errors.Conflict: CONFLICT,
    errors.QuotaExceeded: QUOTA,
    errors.LxdUnavailable: LXD_UNREACHABLE,
    errors.StorageUnavailable: STORAGE,
}
"""The exit code of each error; one that is not named here has its parent's."""


def exit_code(error: OpenLXDError) -> int:
    """The code for an error, looked up along its family."""
    return next(EXIT_CODES[cls] for cls in type(error).__mro__ if cls in EXIT_CODES)


def exit_code_of(code: str) -> int:
    """The code for an error that is known by its own code alone, as operations keep it."""
    waiting: list[type[OpenLXDError]] = [OpenLXDError]
    while waiting:
        kind = waiting.pop()
        if kind.code == code:
            return next(EXIT_CODES[cls] for cls in kind.__mro__ if cls in EXIT_CODES)
        waiting += kind.__subclasses__()
    return FAILED
