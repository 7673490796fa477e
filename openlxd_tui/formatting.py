"""How things look and what they are called: errors, states, sizes and ages in words, marks and colours.

Everything here turns a record of the core into text for a person. Colours are named by role (``good``, ``bad``,
``quiet`` …) and given their value by :mod:`openlxd_tui.theme`, so that this module knows no palette.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from openlxd_core.domain.account import AccountStatus, User
from openlxd_core.domain.actor import Role
from openlxd_core.domain.container import Container, State, Usage
from openlxd_core.domain.errors import (
    BadRequest,
    ConfigurationError,
    Conflict,
    Forbidden,
    ImageSourceUnavailable,
    LxdRefused,
    LxdUnavailable,
    Message,
    NotFound,
    OpenLXDError,
    OutcomeUnknown,
    QuotaExceeded,
    RateLimited,
    StorageUnavailable,
    Unauthenticated,
)
from openlxd_core.domain.image import Image
from openlxd_core.domain.operation import STAGES, Operation, OperationStatus
from openlxd_core.domain.text import clean
from openlxd_core.domain.units import format_age, format_bytes, format_mib
from openlxd_core.i18n import N_, _

if TYPE_CHECKING:
    from textual.app import App

Severity = Literal["information", "warning", "error"]

SEVERITY: dict[type[OpenLXDError], Severity] = {
    BadRequest: "warning",
    Unauthenticated: "error",
    Forbidden: "error",
    NotFound: "warning",
    Conflict: "warning",
    QuotaExceeded: "warning",
    RateLimited: "warning",
    LxdRefused: "error",
    LxdUnavailable: "error",
    OutcomeUnknown: "warning",
    ImageSourceUnavailable: "error",
    StorageUnavailable: "error",
    ConfigurationError: "error",
}
"""The weight of each error. An error without a line of its own takes that of the nearest class above it."""


def severity(error: OpenLXDError) -> Severity:
    """The weight of ``error``, looked up along its classes."""
    return next((SEVERITY[kind] for kind in type(error).__mro__ if kind in SEVERITY), "error")


def sentence(message: Message) -> str:
    """A message in the session's language, made safe to show."""
    return clean(message.text(_))


def show(app: App[None], error: OpenLXDError) -> None:
    """Say ``error`` to the person, as a toast of its weight."""
    app.notify(sentence(error.message), severity=severity(error), timeout=8, markup=False)


Tint = Literal["text", "quiet", "faint", "good", "warn", "bad", "busy", "accent", "cool"]
"""A colour by its role; see :data:`openlxd_tui.theme.ROLES`."""

Piece = tuple[str, Tint]
"""Text in one colour."""
Cell = tuple[Piece, ...]
"""What stands in one cell of a table, or on one line."""


@dataclass(frozen=True)
class Face:
    """How a state looks: a mark that reads without colour, a word, a colour."""

    mark: str
    word: str
    role: Tint


STATES: dict[State, Face] = {
    State.RUNNING: Face("●", N_("running"), "good"),
    State.STOPPED: Face("○", N_("stopped"), "quiet"),
    State.FROZEN: Face("‖", N_("paused"), "cool"),
    State.CREATING: Face("◐", N_("creating"), "busy"),
    State.DELETING: Face("◑", N_("deleting"), "busy"),
    State.ERROR: Face("✗", N_("error"), "bad"),
    State.MISSING: Face("?", N_("missing"), "warn"),
}
"""Every state of a container."""

ACCOUNTS: dict[AccountStatus, Face] = {
    AccountStatus.ACTIVE: Face("●", N_("active"), "good"),
    AccountStatus.SUSPENDED: Face("‖", N_("suspended"), "warn"),
    AccountStatus.DELETED: Face("✗", N_("deleted"), "faint"),
}
"""Every state of an account."""

ROLE_WORDS: dict[Role, str] = {
    Role.ADMIN: N_("admin"),
    Role.TENANT: N_("tenant"),
    Role.SYSTEM: N_("system"),
    Role.ANONYMOUS: N_("anonymous"),
}


def state_cell(container: Container) -> Cell:
    """A container's mark and state."""
    face = STATES[container.status]
    if container.suspended_by:
        return (("‖ ", "warn"), (_("suspended"), "warn"))
    return ((f"{face.mark} ", face.role), (_(face.word), face.role))


def account_cell(user: User) -> Cell:
    """An account's mark and state."""
    face = ACCOUNTS[user.status]
    return ((f"{face.mark} ", face.role), (_(face.word), face.role))


def stage_word(operation: Operation) -> str:
    """What an operation is doing just now."""
    if operation.status is OperationStatus.QUEUED:
        return _(STAGES["queued"])
    return _(STAGES.get(operation.stage, STAGES["work"]))


def bar(share: float, width: int) -> tuple[str, str]:
    """A bar of ``width`` cells: the filled part and the empty part. ``share`` may lie outside 0 to 1."""
    filled = round(min(1.0, max(0.0, share)) * width)
    if filled == 0 and share > 0:
        filled = 1
    return "━" * filled, "─" * (width - filled)


def progress_cell(operation: Operation, width: int) -> Cell:
    """An operation under way, in ``width`` cells: its stage and how far it is."""
    word = stage_word(operation)
    percent = f" {operation.progress}%" if 0 < operation.progress < 100 else ""
    full, empty = bar(operation.progress / 100, 8)
    cell: list[Piece] = [("◐ ", "busy"), (word, "busy")]
    if width >= 38 and percent:
        cell += [("  ", "text"), (full, "busy"), (empty, "faint")]
    return (*cell, (percent, "quiet"))


def load_role(share: float) -> Tint:
    """Green while there is room, amber when it gets tight, red at the end."""
    return "bad" if share >= 0.95 else "warn" if share >= 0.8 else "good"


def cpu_cell(usage: Usage | None, cpu: int) -> Cell:
    """CPU in per cent of one core, as top shows it."""
    if usage is None or usage.cpu_percent is None:
        return (("–", "faint"),)
    percent = usage.cpu_percent
    role: Tint = "text" if percent < 80 * max(1, cpu) else "warn"
    return ((f"{percent:.0f}%" if percent >= 9.95 else f"{percent:.1f}%", role),)


def memory_cell(usage: Usage | None, limit_mib: int) -> Cell:
    """Memory in use against its limit."""
    if usage is None:
        return ((format_mib(limit_mib), "quiet"),)
    share = usage.memory_mib / limit_mib if limit_mib else 0
    role: Tint = "text" if share < 0.8 else load_role(share)
    return ((short_mib(usage.memory_mib), role), (f" / {format_mib(limit_mib)}", "quiet"))


def short_mib(mib: float) -> str:
    """A size without a space, for places where room is short: ``38M``, ``1.5G``."""
    if mib < 1000:
        return f"{mib:.0f}M"
    for unit, size in (("G", 1024), ("T", 1024 * 1024)):
        if mib < 1000 * size or unit == "T":
            figure = f"{mib / size:.1f}" if mib < 99.5 * size else f"{mib / size:.0f}"
            return figure.removesuffix(".0") + unit
    raise AssertionError


def now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


def age(since: datetime) -> str:
    """How long ago something was, in the session's language."""
    return format_age(since, now() if since.tzinfo else now().replace(tzinfo=None))


def moment(at: datetime) -> str:
    """A date and time for people, in the zone of this host."""
    return (at.astimezone() if at.tzinfo else at).strftime("%Y-%m-%d %H:%M")


def address(text: str) -> Cell:
    """An address, or a dash."""
    return ((clean(text), "text"),) if text else (("–", "faint"),)


def image_note(image: Image) -> str:
    """What an image says of itself, where that adds something to its alias, and its size."""
    description = clean(image.description, 60)
    size = format_bytes(image.size_bytes) if image.size_bytes else ""
    return " · ".join(part for part in (description, size) if part and part.lower() != image.alias.lower())


def matches(wish: str, words: Iterable[str]) -> bool:
    """Whether every part of ``wish`` (parted by spaces) is found in one of ``words``, whatever the case."""
    haystack = "\n".join(words).casefold()
    return all(part in haystack for part in wish.casefold().split())
