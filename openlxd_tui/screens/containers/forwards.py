"""The port forwards of one container: make one, restore one that was removed in LXD, delete one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from openlxd_core.domain.errors import Message
from openlxd_core.domain.forward import (
    DESCRIPTION_MAX,
    Forward,
    ForwardState,
    Protocol,
    check_description,
    parse_ports,
)
from openlxd_core.domain.operation import Kind, Operation
from openlxd_core.domain.quota import Quota
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _
from openlxd_tui.formatting import Cell, Tint, moment
from openlxd_tui.reasons import no_row
from openlxd_tui.screens.confirm import Choice
from openlxd_tui.screens.containers.subpage import Subpage, SubpageBar
from openlxd_tui.screens.form import Form, faults
from openlxd_tui.widgets.banner import Banner
from openlxd_tui.widgets.field import Field
from openlxd_tui.widgets.key_bar import KeyBar
from openlxd_tui.widgets.record_table import Column, RecordTable
from openlxd_tui.widgets.top_bar import TopBar

_STATES: dict[ForwardState, tuple[str, str, Tint]] = {
    ForwardState.PENDING: ("◐", N_("being added"), "busy"),
    ForwardState.ACTIVE: ("●", N_("active"), "good"),
    ForwardState.INACTIVE: ("○", N_("inactive"), "quiet"),
    ForwardState.REMOVING: ("◐", N_("being deleted"), "busy"),
    ForwardState.MISSING: ("▲", N_("missing in LXD"), "bad"),
}


class ForwardForm(Form[Operation | None]):
    """A port of the container, and the host's port or none."""

    SUBMIT_TEXT: ClassVar[str] = N_("Forward")

    def __init__(self, container: str) -> None:
        super().__init__()
        self._container = container

    def title_text(self) -> str:
        """To which container."""
        return _(N_("Forward a port to {name}")).format(name=clean(self._container, 63))

    def fields(self) -> Sequence[Field]:
        """Ports, protocol, description."""
        return [
            Field("target", _(N_("Its port")), hint=_(N_("80, or a range: 8000-8010")), limit=11),
            Field("listen", _(N_("Host's port")), hint=_(N_("left empty: any free one")), limit=11),
            Field(
                "protocol", _(N_("Protocol")), value=Protocol.TCP.value,
                options=[("TCP", "tcp"), ("UDP", "udp"), (_(N_("TCP and UDP")), "both")],
            ),
            Field("description", _(N_("Description")), hint=_(N_("optional")), limit=DESCRIPTION_MAX),
        ]  # fmt: skip

    def check(self, values: Mapping[str, str]) -> Mapping[str, Message]:
        """As the service will."""
        checks: list[tuple[object, ...]] = [
            (parse_ports, values["target"].strip(), "target"),
            (check_description, values["description"].strip()),
        ]
        if values["listen"].strip():
            checks.append((parse_ports, values["listen"].strip(), "listen"))
        return faults(*checks)

    async def send(self, values: Mapping[str, str]) -> Operation | None:
        """Ask the core to make it."""
        return await self.session.core.forwards.create(
            self.session.actor,
            self._container,
            values["target"].strip(),
            protocol=values["protocol"],
            listen=values["listen"].strip() or None,
            description=values["description"].strip(),
        )


class ForwardsPage(Subpage[Forward]):
    """Beneath it stands the containers screen."""

    PAGE = "forwards"
    OPENED_BY = "f"
    TOPICS = frozenset({"container", "operation", "forward"})
    ROW_ACTIONS = frozenset({"restore", "delete"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "add", N_("Forward a port")),
        Binding("r", "restore", N_("Restore")),
        Binding("d", "delete", N_("Delete")),
        Binding("escape", "app.go('containers')", N_("Back")),
    ]

    def compose(self) -> ComposeResult:
        """Bar, line, table, keys."""
        yield TopBar()
        yield Banner()
        yield SubpageBar(N_("Port forwards of {name}"), self.container)
        yield RecordTable[Forward](
            self._columns(), lambda forward: str(forward.id), sort_by="listen", empty=self._empty, id="forwards"
        )
        yield KeyBar()

    @staticmethod
    def _columns() -> list[Column[Forward]]:
        return [
            Column("listen", N_("Host"), lambda f, _w: ((f"{f.address}:{f.listen}", "text"),), 22, 0, 1, 40,
                   fair=26, sort=lambda f: f.listen.first),
            Column("target", N_("Container's port"), lambda f, _w: (("→ ", "faint"), (str(f.target), "text")), 13, 0,
                   sort=lambda f: f.target.first),
            Column("protocol", N_("Protocol"), lambda f, _w: ((_protocol(f.protocol), "quiet"),), 8, 1,
                   sort=lambda f: f.protocol.value),
            Column("state", N_("State"), lambda f, _w: _state(f), 16, 1, sort=lambda f: f.state.value),
            Column("description", N_("Description"), lambda f, _w: ((clean(f.description, 100), "quiet"),), 12, 2, 2,
                   100, fair=24, sort=lambda f: f.description),
            Column("created", N_("Created"), lambda f, _w: ((moment(f.created_at), "quiet"),), 16, 3,
                   sort=lambda f: f.created_at.timestamp(), largest_first=True),
        ]  # fmt: skip

    def _empty(self) -> Sequence[Cell]:
        if not self._loaded:
            return (((_(N_("Reading…")), "faint"),),)
        return (
            ((_(N_("No port forwards yet.")), "text"),),
            ((_(N_("A port forward makes a port of the container reachable at the host's address.")), "quiet"),),
            (("n", "accent"), ("  " + _(N_("forwards a port")), "quiet")),
        )

    async def read(self) -> Sequence[Forward]:
        """The container's forwards."""
        return await self.session.core.forwards.list(self.session.actor, self.container)

    def count_of(self, quota: Quota) -> int:
        """The forwards of a quota."""
        return quota.forwards

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what makes sense for the forward under the cursor."""
        if action in ("add", "restore", "delete"):
            if not self.is_mounted or self._operation is not None:
                return False
            current = self.table.current
            if action == "restore":
                return current is not None and current.state is ForwardState.MISSING
            return action == "add" or current is not None
        return True

    def why_not(self, action: str, parameters: tuple[object, ...]) -> Message:
        """Something runs on the container, or there is no forward under the cursor, or it is not missing."""
        if (busy := self.busy()) is not None:
            return busy
        if self.table.current is None:
            return no_row(self.table.total, N_("There is no port forward yet. Press n to add one."))
        return Message(N_("Only a port forward that is missing in LXD can be restored."))

    @work(group="ask")
    async def action_add(self) -> None:
        """Make one; the cursor goes to it."""
        operation = await self.app.push_screen_wait(ForwardForm(self.container))
        if operation is not None:
            self.table.expect(str(operation.args.get("forward", "")))
            self.follow(operation)

    @work(group="ask")
    async def action_restore(self) -> None:
        """Put it back into LXD."""
        if (current := self.table.current) is not None:
            service = self.session.core.forwards
            call = service.restore(self.session.actor, self.container, current.id)
            await self.do(Kind.FORWARD, call, listen=current.listen, address=current.address)

    @work(group="ask")
    async def action_delete(self) -> None:
        """Delete it."""
        if (current := self.table.current) is not None:
            question = _(N_("Delete the forward of port {listen}?")).format(listen=current.listen)
            explanation = _(N_("Connections through it end. The container itself is not affected."))
            if await self.ask(question, explanation, Choice("delete", N_("Delete"), "y", danger=True)):
                service = self.session.core.forwards
                call = service.delete(self.session.actor, self.container, current.id)
                await self.do(Kind.FORWARD_DELETE, call, listen=current.listen, address=current.address)


def _protocol(protocol: Protocol) -> str:
    return "TCP+UDP" if protocol is Protocol.BOTH else protocol.value.upper()


def _state(forward: Forward) -> Cell:
    mark, word, tint = _STATES[forward.state]
    return ((f"{mark} ", tint), (_(word), tint))
