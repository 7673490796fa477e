"""The banner below the top bar: LXD is unreachable, or nothing here is real."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_, _
from openlxd_tui.formatting import Cell, Tint
from openlxd_tui.widgets.text_bar import Notice

if TYPE_CHECKING:
    pass


class Banner(Notice):
    """What everybody must know now: LXD is away, or nothing here is real."""

    def on_mount(self) -> None:
        """Show it at once where there is something to show."""
        self.look()

    def look(self) -> None:
        """Look again whether there is something to say."""
        self.set_class(bool(self.words()), "-shown")
        self.refresh(layout=True)

    def words(self) -> tuple[str, Tint] | None:
        """The sentence and its weight."""
        if self.screen.has_class("-thin") or self.screen.has_class("-flat"):
            return _(N_("Enlarge the terminal")), "warn"
        state = self.session.core.lxd_status.state
        if not state.reachable and (state.reason or state.kind):
            text = _(N_("LXD is unreachable. Containers keep running; changes are possible again when LXD is back."))
            if self.session.actor.is_admin and state.reason:
                text += f" ({clean(state.reason, 120)})"
            return text, "bad"
        if state.kind == "simulated" and state.chosen:
            return _(N_("Simulated containers, as OPENLXD_LXD=simulated asks: nothing here is real.")), "warn"
        if state.kind == "simulated":
            return _(N_("Simulated: nothing here is real. No LXD was found on this host.")), "warn"
        return None

    def pieces(self, width: int) -> Cell:
        """The sentence behind its mark."""
        words = self.words()
        return ((" ▲ ", words[1]), (words[0], words[1])) if words else ()
