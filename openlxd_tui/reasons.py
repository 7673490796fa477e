"""Why a key does nothing just now, in a sentence: each action that a screen does not offer has its reason here.

Whether an action is offered, the screens decide (``check_action``); whether it is allowed, the services.
"""

from __future__ import annotations

from openlxd_core.domain.container import Container
from openlxd_core.domain.errors import Message
from openlxd_core.domain.operation import Operation
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _
from openlxd_tui.formatting import STATES, stage_word

ADMINS_ONLY = Message(N_("Only admins can do this."))
NOTHING_HERE = Message(N_("There is nothing here for this key to act on."))
NOT_NOW = Message(N_("This key has no effect at the moment."))

_CONTAINER: dict[str, str] = {
    "shell": N_("{name} ({state}): a shell needs a running container."),
    "start": N_("{name} ({state}): only a stopped container can be started."),
    "stop": N_("{name} ({state}): only a running or paused container can be stopped."),
    "restart": N_("{name} ({state}): only a running container can be restarted."),
    "pause": N_("{name} ({state}): only a running container can be paused."),
    "resume": N_("{name} ({state}): only a paused container can be resumed."),
    "retry": N_("{name} ({state}): only a container that could not be created can be retried."),
    "resize": N_("{name} ({state}): limits can be changed while it is running, paused or stopped."),
    "snapshots": N_("{name} ({state}): its snapshots can be seen while it is running, paused or stopped."),
    "forwards": N_("{name} ({state}): its port forwards can be seen while it is running, paused or stopped."),
    "reinstall": N_("{name} ({state}): it can be reinstalled while it is running, paused or stopped."),
    "publish": N_("{name} ({state}): stop it to create an image from it, or use one of its snapshots."),
    "delete": N_("{name} ({state}): it can be deleted when that is done."),
}


def no_row(total: int, create: str) -> Message:
    """There is no row under the cursor: none at all, or none that the filter lets through."""
    return Message(N_("The filter hides every row. Press Esc to show all again.")) if total else Message(create)


def container_reason(action: str, container: Container, operation: Operation | None) -> Message:
    """Why an action on a container is not offered."""
    values = {"name": clean(container.name, 63)}
    if operation is not None:
        stage = {"stage": stage_word(operation)}
        return Message(N_("{name} is busy ({stage}). Wait until that is done."), values | stage)
    values["state"] = _(STATES[container.status].word)
    return Message(_CONTAINER.get(action, NOT_NOW.template), values)
