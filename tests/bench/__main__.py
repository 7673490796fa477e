"""``make bench``: what sessions, requests, lists and searches cost, each beside its promise.

All figures come from one run, and those of sessions and requests stand beside a baseline of the same run: the app as a
process per login, a bare aiohttp server. ``--json`` prints every figure for a program, ``--sessions N`` opens another
number of sessions than 100, ``--quick`` leaves out the thousand sessions, which take four minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time

from tests.bench import api, catalogue, lists, search, sessions
from tests.bench.promises import report

HELP_TIMES = 7


def help_seconds() -> float:
    """Seconds of ``openlxd --help``, the median of several."""
    spent = []
    for _time in range(HELP_TIMES):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-m", "openlxd_tui.cli", "--help"], check=True, stdout=subprocess.DEVNULL)
        spent.append(time.perf_counter() - begun)
    return statistics.median(spent)


def main() -> int:
    """Measure and print; 1 where a promise is missed."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--sessions", type=int, default=100)
    options = parser.parse_args()
    say = sys.stderr.write
    figures: dict[str, float] = {}
    say(f"{options.sessions} sessions in one process, and {sessions.ALONE} processes of one ...\n")
    figures |= asyncio.run(sessions.measure(options.sessions))
    if not options.quick:
        say(f"{sessions.MANY} sessions in one process, {sessions.TYPING} of them typing ...\n")
        figures |= asyncio.run(sessions.measure_many())
    say("requests ...\n")
    figures |= asyncio.run(api.main())
    say("lists ...\n")
    figures |= lists.main()
    say("the catalogue and its search ...\n")
    figures |= catalogue.main()
    figures |= search.main()
    figures["help_seconds"] = help_seconds()
    told, kept = report(figures)
    if options.json:
        sys.stdout.write(json.dumps({name: round(value, 3) for name, value in figures.items()} | {"kept": kept}) + "\n")
    else:
        for name, value in figures.items():
            sys.stdout.write(f"  {name:<32}{value:12.3f}\n")
        sys.stdout.write(told + "\n" + ("Every promise is kept.\n" if kept else "A promise is NOT kept.\n"))
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
