"""Suspending a container: the reason, which its owner reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from openlxd_core.domain.container import Container
from openlxd_core.domain.errors import Message
from openlxd_core.domain.operation import Operation
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _
from openlxd_tui.screens.form import Form
from openlxd_tui.widgets.field import Field
from openlxd_tui.widgets.text_input import prose


class SuspendContainerForm(Form[Operation | None]):
    """Asks for the reason."""

    SUBMIT_TEXT: ClassVar[str] = N_("Suspend")

    def __init__(self, container: Container) -> None:
        super().__init__()
        self._container = container

    def title_text(self) -> str:
        """Which container."""
        return _(N_("Suspend {name}")).format(name=clean(self._container.name, 63))

    def explanation_text(self) -> str:
        """What it means for the owner."""
        return _(N_("It is stopped, and its owner can only look at it until it is unsuspended."))

    def fields(self) -> Sequence[Field]:
        """One."""
        return [Field("reason", _(N_("Reason")), hint=_(N_("shown to the tenant; may be empty")), limit=200,
                      paste=prose)]  # fmt: skip

    def check(self, values: Mapping[str, str]) -> Mapping[str, Message]:
        """Any reason will do."""
        return {}

    async def send(self, values: Mapping[str, str]) -> Operation | None:
        """Ask the core."""
        core, actor = self.session.core, self.session.actor
        return await core.containers.suspend(actor, self._container.name, values["reason"].strip())
