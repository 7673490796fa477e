"""LXD's error answers translated into our errors.

LXD and Incus answer with a status and a message; the status is too coarse (a full quota is a 500), so the message
decides. The patterns match the messages of LXD 5.0 to 6 and Incus 6; an unknown message becomes LxdRefused with the
message in it.
"""

from __future__ import annotations

import re
from http import HTTPStatus

from openlxd_core.domain.errors import (
    AlreadyExists,
    Busy,
    Conflict,
    LxdRefused,
    LxdUnavailable,
    NotFound,
    OpenLXDError,
    OutcomeUnknown,
    QuotaExceeded,
)
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_

_AGGREGATE = re.compile(r'Reached maximum aggregate value "?(?P<limit>[^"]*)"? for "?limits\.(?P<what>[a-z]+)')
_QUOTAS = {
    "cpu": N_("Your CPU quota of {limit} would be exceeded."),
    "memory": N_("Your memory quota of {limit} would be exceeded."),
    "disk": N_("Your disk quota of {limit} would be exceeded."),
}
_COUNT = re.compile(r"Reached maximum number of (?:instances|containers)")
_TAKEN = re.compile(r"already exists|already in use|already defined", re.IGNORECASE)
_BUSY = re.compile(
    r"is busy running|being (?:created|deleted)|operation is already in progress|non-reusable operation", re.IGNORECASE
)
_MISSING = re.compile(r"not found|no such (?:object|instance|project)|Image not provided", re.IGNORECASE)
_STARTING = re.compile(
    r"daemon is (?:starting|shutting down|not ready)|not (?:yet )?ready|shutting down", re.IGNORECASE
)
_SLOW_STOP = re.compile(r"failed shutting down instance|context deadline exceeded|did ?n.t (?:stop|shut ?down)", re.I)
ALREADY_STOPPED = re.compile(r"already stopped|is not running|isn.t running|not running", re.IGNORECASE)
ALREADY_RUNNING = re.compile(r"already running", re.IGNORECASE)
ALREADY_FROZEN = re.compile(r"already frozen|is frozen", re.IGNORECASE)
RUNNING = re.compile(r"^(?:the )?(?:instance|container) is running", re.IGNORECASE)


class ApiError(Exception):
    """An error answer of LXD's API, not translated yet: its message and the HTTP status (or an operation's)."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.text = text
        self.status = status

    def says(self, pattern: re.Pattern[str]) -> bool:
        """Whether the message matches."""
        return pattern.search(self.text) is not None


def unreachable() -> LxdUnavailable:
    """Nothing was sent, or nothing could have been changed. The cause, in the system's words, is its ``__cause__``."""
    return LxdUnavailable(N_("LXD cannot be reached at the moment. Nothing was changed; try again soon."))


def unknown() -> OutcomeUnknown:
    """LXD was lost while it worked."""
    return OutcomeUnknown(
        N_("The connection to LXD was lost during the operation. Its result is checked when LXD is back.")
    )


def translate(error: ApiError, name: str = "") -> OpenLXDError:
    """Our error for LXD's message about ``name``."""
    text = error.text
    if (match := _AGGREGATE.search(text)) is not None:
        template = _QUOTAS.get(match["what"], N_("Your quota of {limit} for {what} would be exceeded."))
        return QuotaExceeded(template, limit=clean(match["limit"], 40), what=match["what"])
    if _COUNT.search(text):
        return QuotaExceeded(N_("You have as many containers as your quota allows."))
    if error.says(_BUSY):
        return Busy(N_("LXD is still working on “{name}”. Try again soon."), name=name)
    if error.says(ALREADY_STOPPED):
        return Conflict(N_("“{name}” is not running."), name=name)
    if error.says(ALREADY_FROZEN):
        return Conflict(N_("“{name}” is paused."), name=name)
    if error.says(RUNNING) or error.says(ALREADY_RUNNING):
        return Conflict(N_("“{name}” is running."), name=name)
    if error.says(_TAKEN):
        return AlreadyExists(N_("“{name}” already exists."), name=name)
    if error.status == HTTPStatus.NOT_FOUND or error.says(_MISSING):
        return NotFound(N_("LXD has no “{name}”."), name=name)
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE or error.says(_STARTING):
        return unreachable()
    return LxdRefused(N_("LXD refused: {reason}"), reason=clean(text, 300) or str(error.status))


def not_stopped(error: ApiError, name: str, seconds: float) -> OpenLXDError:
    """For a graceful stop: the container's own init did not end in time."""
    if error.says(_SLOW_STOP):
        return LxdRefused(N_("“{name}” did not stop within {seconds} seconds."), name=name, seconds=round(seconds))
    return translate(error, name)
