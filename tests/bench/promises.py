"""What ``make bench`` promises: a figure, the most or the least it may be, and what it is measured in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Promise:
    """One figure that is held to."""

    figure: str
    """Its name among the figures."""
    what: str
    bound: float
    unit: str
    at_least: bool = False
    """Whether the figure must reach ``bound``; otherwise it must not pass it."""

    def kept(self, figures: Mapping[str, float]) -> bool:
        """Whether it holds."""
        value = figures[self.figure]
        return value >= self.bound if self.at_least else value <= self.bound

    def line(self, figures: Mapping[str, float]) -> str:
        """The figure beside its bound."""
        way = "at least" if self.at_least else "at most"
        verdict = "kept" if self.kept(figures) else "MISSED"
        value, bound = (
            f"{number:.3g}" if number < 1000 else f"{number:.0f}" for number in (figures[self.figure], self.bound)
        )
        return f"  {self.what:<62} {value:>7} {self.unit:<18} promised {way} {bound:<4} {verdict}"


PROMISES = (
    Promise("faster", "first frame, beside a process per login", 3, "times faster", at_least=True),
    Promise("lighter", "memory a session, beside a process per login", 10, "times lighter", at_least=True),
    Promise("first_frame_ms", "shell request to first frame, 100 sessions", 60, "ms"),
    Promise("key_to_paint_p99_ms", "key to paint, 99 of 100 keys, 100 sessions", 25, "ms"),
    Promise("idle_cpu_percent", "100 idle sessions that each show a live container", 4, "% of a core"),
    Promise("tick_bytes", "sent for a tick that changes two figures", 300, "bytes"),
    Promise("many_key_to_paint_p99_ms", "key to paint, 99 of 100 keys, 1,000 sessions, 100 typing", 100, "ms"),
    Promise("api_list_of_hello", "GET /containers, 10 of 1,000, beside a hello", 0.30, "of its rate", at_least=True),
    Promise("api_profile_of_hello", "GET /users/profile, beside a hello", 0.40, "of its rate", at_least=True),
    Promise("admin_list_held_ms", "longest hold of the loop by an admin's list of 2,041", 10, "ms"),
    Promise("admin_screen_held_ms", "the same, read and shown by the console", 10, "ms"),
    Promise("searchable_seconds", "5,000 images on offer read and searchable", 1, "s"),
    Promise("search_p95_ms", "key to paint in the search of 5,000 images", 50, "ms of processor"),
    Promise("help_seconds", "openlxd --help", 0.25, "s"),
)  # fmt: skip


def report(figures: Mapping[str, float]) -> tuple[str, bool]:
    """Every promise whose figure was measured, a line each; whether all of them are kept."""
    measured = [promise for promise in PROMISES if promise.figure in figures]
    return "\n".join(promise.line(figures) for promise in measured), all(one.kept(figures) for one in measured)
