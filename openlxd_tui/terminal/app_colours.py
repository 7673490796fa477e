"""How many colours an app chooses from, and how many it paints in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.color import ColorSystem

from openlxd_tui.terminal.capabilities import Colours

if TYPE_CHECKING:
    from textual.app import App


def app_environment(colours: Colours) -> dict[str, str]:
    """How many colours an app should choose from, in the variables that it reads.

    The app chooses its styles for that many; the driver converts each colour to what the terminal can show.
    """
    match colours:
        case Colours.NONE:
            return {"TERM": "xterm", "NO_COLOR": "1"}
        case Colours.STANDARD:
            return {"TERM": "xterm"}
        case Colours.INDEXED:
            return {"TERM": "xterm-256color"}
        case Colours.TRUE:
            return {"TERM": "xterm-256color", "COLORTERM": "truecolor"}


def paint_true_colours(app: App[Any]) -> None:
    """Let an app paint in 24-bit colours; the driver converts them to what its terminal can show."""
    app.console._color_system = ColorSystem.TRUECOLOR
