"""Holding back a screen's first frames until its content has been read.

A new screen is painted once empty and again piece by piece while it is laid out and read: of the 60 ms from a shell
request to the first useful frame with a hundred sessions, those frames, which nobody can read, took a fifth. Textual's
own ``App.batch_update`` renders them all the same and only shows none of them. Textual's privates that are used here:
``Screen._compositor_refresh``, through which every frame of a screen goes, its flags of pending work, and
``Screen._on_timer_update``, which paints what is pending.
"""

from __future__ import annotations

from typing import Any

from textual.screen import Screen
from textual.timer import Timer


class HeldPaint(Screen[None], inherit_bindings=False):
    """A screen that can wait with its first frame."""

    _held: Timer | None = None

    def hold_paint(self, seconds: float) -> None:
        """Paint nothing until :meth:`release_paint`, or until ``seconds`` have passed."""
        if self._held is None:
            self._held = self.set_timer(seconds, self.release_paint)

    def release_paint(self) -> None:
        """Paint the whole screen now, if it was held; do nothing otherwise."""
        held, self._held = self._held, None
        if held is None:
            return
        held.stop()
        self.refresh()
        if self.is_current and self.size:
            self._on_timer_update()  # at once: its timer would wait for up to 16 ms

    def _compositor_refresh(self, *arguments: Any) -> None:
        if self._held is None:
            super()._compositor_refresh(*arguments)
        else:
            self._dirty_widgets.clear()  # the release paints everything
