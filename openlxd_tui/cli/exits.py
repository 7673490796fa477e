"""Exit codes of the command line and of the commands by SSH; the API's process shares them."""

from openlxd_core.domain.exits import (
    CONFLICT,
    DONE,
    EXIT_CODES,
    FAILED,
    INTERRUPTED,
    LXD_UNREACHABLE,
    NOT_ALLOWED,
    NOT_FOUND,
    QUOTA,
    STORAGE,
    TIMED_OUT,
    USAGE,
    exit_code,
    exit_code_of,
)

__all__ = [
    "CONFLICT",
    "DONE",
    "EXIT_CODES",
    "FAILED",
    "INTERRUPTED",
    "LXD_UNREACHABLE",
    "NOT_ALLOWED",
    "NOT_FOUND",
    "QUOTA",
    "STORAGE",
    "TIMED_OUT",
    "USAGE",
    "exit_code",
    "exit_code_of",
]
