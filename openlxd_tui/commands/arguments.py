"""The arguments and options that several commands take, each with its name, type and help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Parameter

from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _
from openlxd_tui.commands.call import UsageError

WAIT_SECONDS = 600.0
"""How long a command waits for an operation, unless it is told otherwise."""
_WAIT_SECONDS_MAX = 86_400.0


def _seconds(type_: Any, tokens: Sequence[Any]) -> float:
    """Read a number of seconds. Raises UsageError, also for what ``float`` takes and no clock does (nan, 1e99)."""
    text = tokens[-1].value
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= _WAIT_SECONDS_MAX:
        raise UsageError(_("“{value}” is not a number of seconds.").format(value=clean(text, 40)))
    return seconds


Name = Annotated[str, Parameter(help=N_("Name of the container."))]
Json = Annotated[bool, Parameter(name="--json", help=N_("Print JSON, failures too."), negative="")]
Wait = Annotated[bool, Parameter(name="--wait", help=N_("Wait until it is done. This is the default."), negative="")]
NoWait = Annotated[
    bool, Parameter(name="--no-wait", help=N_("Return as soon as the operation has begun."), negative="")
]
Timeout = Annotated[
    float,
    Parameter(
        name="--timeout",
        help=N_("How long to wait (600). Exit code 124 when the time is over."),
        metavar="SECONDS",
        converter=_seconds,
        show_default=False,
    ),
]


@Parameter(name="*")
@dataclass(frozen=True)
class Following:
    """The options of every command that begins an operation: whether it waits, and what it prints."""

    timeout: Timeout = WAIT_SECONDS
    wait: Wait = False
    """Accepted and without effect, as it is the default: scripts say it."""
    no_wait: NoWait = False
    as_json: Json = False


FOLLOWING = Following()
CPU = Parameter(name="--cpu", help=N_("Number of CPUs."), metavar="N")
MEMORY = Parameter(name="--memory", help=N_("Memory, such as 512MiB or 2GiB."), metavar="SIZE")
DISK = Parameter(name="--disk", help=N_("Size of the disk, such as 10GiB."), metavar="SIZE")
