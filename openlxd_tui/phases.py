"""When the periodic work of each session falls due: in small groups, and the groups spread over the period.

A hundred sessions that each wake alone every three seconds find the processor's caches cold each time: 5.2 % of a core
for their figures, beside 3 % where eight of them follow each other. All at once would keep a key waiting for 0.1 s. So
a group shares a moment, and the moments lie apart by the golden ratio, which spreads any number of them evenly.
"""

from __future__ import annotations

from itertools import count

GROUP = 8
"""Sessions that share a moment: about 8 ms of work, which a key may have to wait for."""
_GOLDEN = 0.6180339887498949
_numbers = count()


def next_phase() -> float:
    """A new session's place in every period, from 0 to 1: the same as those of the GROUP - 1 others around it."""
    return (next(_numbers) // GROUP) * _GOLDEN % 1


def until(phase: float, period: float, now: float) -> float:
    """Seconds from ``now`` to the next moment of this phase; more than 0, and ``period`` at most."""
    return period - (now - phase * period) % period
