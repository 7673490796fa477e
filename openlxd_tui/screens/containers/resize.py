"""The form that changes a container's limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import work

from openlxd_core.domain.container import Container
from openlxd_core.domain.errors import Message, OpenLXDError
from openlxd_core.domain.operation import Operation
from openlxd_core.domain.quota import Quota
from openlxd_core.domain.text import clean
from openlxd_core.domain.units import format_mib
from openlxd_core.i18n import N_, _
from openlxd_tui.screens.containers.create import check_sizes, hint_what_is_left, size_fields
from openlxd_tui.screens.form import Form
from openlxd_tui.widgets.field import Field


class ResizeForm(Form[Operation | None]):
    """CPU, memory and disk of one container; closes with the operation under way."""

    SUBMIT_TEXT: ClassVar[str] = N_("Resize")

    def __init__(self, container: Container) -> None:
        super().__init__()
        self._container = container
        self._left: Quota | None = None

    def title_text(self) -> str:
        """Which container it is about."""
        return _(N_("Resize {name}")).format(name=clean(self._container.name, 63))

    def fields(self) -> Sequence[Field]:
        """The limits as they are."""
        c = self._container
        memory, disk = (format_mib(mib).replace(" ", "") for mib in (c.memory_mib, c.disk_mib))
        return size_fields(str(c.cpu), memory, disk)

    def on_mount(self) -> None:
        """Ask what the quota leaves."""
        super().on_mount()
        self.ask()

    @work(group="hint")
    async def ask(self) -> None:
        """What the quota leaves, with what the container holds itself added."""
        if self.session.actor.user_id is None or self.session.actor.is_admin:
            return
        try:
            state = await self.session.core.quotas.get(self.session.actor)
        except OpenLXDError:
            return  # the service judges in the end
        c, left = self._container, state.left
        self._left = Quota(
            left.containers,
            left.cpu + c.cpu,
            left.memory_mib + c.memory_mib,
            left.disk_mib + c.disk_mib,
            left.snapshots,
            left.forwards,
        )
        hint_what_is_left(self, self._left, state.quota)

    def check(self, values: Mapping[str, str]) -> Mapping[str, Message]:
        """As the service will."""
        return check_sizes(values, self._left)

    async def send(self, values: Mapping[str, str]) -> Operation | None:
        """Ask the core to change it."""
        return await self.session.core.containers.resize(
            self.session.actor,
            self._container.name,
            cpu=values["cpu"],
            memory=values["memory"],
            disk=values["disk"],
        )
