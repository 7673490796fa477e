"""How an operation ended, in one sentence: what was done to what, or what could not be done and why."""

from __future__ import annotations

from openlxd_core.domain.errors import Message
from openlxd_core.domain.operation import Kind, Operation
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _

DONE: dict[Kind, str] = {
    Kind.CREATE: N_("Container {name} was created."),
    Kind.START: N_("Container {name} was started."),
    Kind.STOP: N_("Container {name} was stopped."),
    Kind.RESTART: N_("Container {name} was restarted."),
    Kind.PAUSE: N_("Container {name} was paused."),
    Kind.RESUME: N_("Container {name} was resumed."),
    Kind.SUSPEND: N_("Container {name} was suspended."),
    Kind.UNSUSPEND: N_("Container {name} was unsuspended."),
    Kind.DELETE: N_("Container {name} was deleted."),
    Kind.RESIZE: N_("Container {name} was resized."),
    Kind.REINSTALL: N_("Container {name} was reinstalled from {image}."),
    Kind.SNAPSHOT: N_("Snapshot {snapshot} of {name} was taken."),
    Kind.RESTORE: N_("Container {name} was restored to snapshot {snapshot}."),
    Kind.SNAPSHOT_DELETE: N_("Snapshot {snapshot} of {name} was deleted."),
    Kind.FORWARD: N_("Port {listen} of {address} is forwarded to {name}."),
    Kind.FORWARD_DELETE: N_("Port {listen} of {address} is no longer forwarded to {name}."),
    Kind.IMPORT: N_("Image {name} was imported."),
    Kind.PUBLISH: N_("Image {alias} was created from {name}."),
}
"""The success message of each kind of operation. A test checks that every kind has one."""

FAILED: dict[Kind, str] = {
    Kind.CREATE: N_("Container {name} could not be created: {reason}"),
    Kind.START: N_("Container {name} could not be started: {reason}"),
    Kind.STOP: N_("Container {name} could not be stopped: {reason}"),
    Kind.RESTART: N_("Container {name} could not be restarted: {reason}"),
    Kind.PAUSE: N_("Container {name} could not be paused: {reason}"),
    Kind.RESUME: N_("Container {name} could not be resumed: {reason}"),
    Kind.SUSPEND: N_("Container {name} could not be suspended: {reason}"),
    Kind.UNSUSPEND: N_("Container {name} could not be unsuspended: {reason}"),
    Kind.DELETE: N_("Container {name} could not be deleted: {reason}"),
    Kind.RESIZE: N_("Container {name} could not be resized: {reason}"),
    Kind.REINSTALL: N_("Container {name} could not be reinstalled from {image}: {reason}"),
    Kind.SNAPSHOT: N_("Snapshot {snapshot} of {name} could not be taken: {reason}"),
    Kind.RESTORE: N_("Container {name} could not be restored to snapshot {snapshot}: {reason}"),
    Kind.SNAPSHOT_DELETE: N_("Snapshot {snapshot} of {name} could not be deleted: {reason}"),
    Kind.FORWARD: N_("Port {listen} could not be forwarded to {name}: {reason}"),
    Kind.FORWARD_DELETE: N_("The forward of port {listen} to {name} could not be deleted: {reason}"),
    Kind.IMPORT: N_("Image {name} could not be imported: {reason}"),
    Kind.PUBLISH: N_("Image {alias} could not be created from {name}: {reason}"),
}
"""The failure message of each kind, also used when the core refused to begin it."""


def done_text(operation: Operation) -> str:
    """The sentence for an operation that is done."""
    return _text(DONE, operation.kind, operation.target, operation.args)


def failed_text(operation: Operation) -> str:
    """The sentence for an operation that failed."""
    reason = _sentence(operation.error) if operation.error is not None else _(N_("the reason is not known."))
    return _text(FAILED, operation.kind, operation.target, operation.args, reason)


def refused_text(kind: Kind, target: str, reason: Message, **args: object) -> str:
    """The sentence for an operation that the core did not begin."""
    return _text(FAILED, kind, target, args, _sentence(reason))


def _text(sentences: dict[Kind, str], kind: Kind, target: str, args: object, reason: str = "") -> str:
    known = args if isinstance(args, dict) else {}
    values = {
        name: clean(str(known.get(name) or "?"), 100) for name in ("image", "snapshot", "alias", "listen", "address")
    }
    return _(sentences[kind]).format(name=clean(target, 100), reason=reason, **values)


def _sentence(message: Message) -> str:
    return clean(message.text(_))
