"""What can be done to a container with one key and at most one question, as a table: when, what is asked, which call.

Actions that open a form or a page of their own are methods of :mod:`openlxd_tui.screens.containers.actions`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from openlxd_core.domain.actor import Actor
from openlxd_core.domain.container import IN_LXD, State
from openlxd_core.domain.operation import Kind, Operation
from openlxd_core.i18n import N_
from openlxd_core.services.containers import Containers
from openlxd_tui.screens.confirm import Choice

ANY_STATE = frozenset(State)

Call = Callable[[Containers, Actor, str, str], Awaitable[Operation]]
"""Starts the operation: of the service, for an actor, on a container's name, with the answer to the question."""


@dataclass(frozen=True)
class Verb:
    """One action on the container under the cursor."""

    kind: Kind
    """The operation that it starts."""
    call: Call
    question: str = ""
    """Asked first, with the container's name; an empty string asks nothing."""
    explanation: str = ""
    """What it means, beneath the question."""
    choices: tuple[Choice, ...] = ()
    """The answers that go ahead."""


STATES: dict[str, frozenset[State]] = {
    "shell": IN_LXD,
    "start": frozenset({State.STOPPED}),
    "stop": frozenset({State.RUNNING, State.FROZEN}),
    "restart": frozenset({State.RUNNING}),
    "pause": frozenset({State.RUNNING}),
    "resume": frozenset({State.FROZEN}),
    "retry": frozenset({State.ERROR, State.MISSING}),
    "resize": IN_LXD,
    "snapshots": IN_LXD,
    "forwards": IN_LXD,
    "reinstall": IN_LXD,
    "publish": frozenset({State.STOPPED}),
    "suspend": ANY_STATE,
    "unsuspend": ANY_STATE,
    "delete": ANY_STATE - {State.DELETING, State.CREATING},
}
"""The states in which an action is offered; the services judge again."""

VERBS: dict[str, Verb] = {
    "start": Verb(Kind.START, lambda service, actor, name, _answer: service.start(actor, name)),
    "stop": Verb(
        Kind.STOP,
        lambda service, actor, name, answer: service.stop(actor, name, force=answer == "force"),
        N_("Stop {name}?"),
        N_("It is shut down cleanly, or stopped by force after 30 seconds."),
        (Choice("stop", N_("Stop"), "y"), Choice("force", N_("Force stop now"), "f", danger=True)),
    ),
    "restart": Verb(
        Kind.RESTART,
        lambda service, actor, name, _answer: service.restart(actor, name),
        N_("Restart {name}?"),
        N_("Everything that runs in it is stopped first."),
        (Choice("restart", N_("Restart"), "y"),),
    ),
    "pause": Verb(
        Kind.PAUSE,
        lambda service, actor, name, _answer: service.pause(actor, name),
        N_("Pause {name}?"),
        N_("Its processes are frozen until you resume it."),
        (Choice("pause", N_("Pause"), "y"),),
    ),
    "resume": Verb(Kind.RESUME, lambda service, actor, name, _answer: service.resume(actor, name)),
    "retry": Verb(Kind.CREATE, lambda service, actor, name, _answer: service.retry(actor, name)),
    "unsuspend": Verb(Kind.UNSUSPEND, lambda service, actor, name, _answer: service.unsuspend(actor, name)),
}
"""By the name of the action, which is what the key binding says."""
