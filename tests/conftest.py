"""The tiers of the suite: which test belongs to which, and a closing line that says which of them ran.

quick needs nothing; ssh drives a real SSH listener and OpenSSH's client; live starts an LXD of its own; browser
drives Chromium. With ``OPENLXD_REQUIRE_LIVE=1`` a tier of the last three that was skipped as a whole has failed,
and so has each test of theirs that was skipped because the machine lacks something (“… needs …”).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest

pytest_plugins = ["tests.support.fixtures"]

TIERS = ("quick", "ssh", "live", "browser")
REQUIRE_LIVE = os.environ.get("OPENLXD_REQUIRE_LIVE") == "1"
_TIER = pytest.StashKey[str]()
_counts: dict[str, Counter[str]] = {tier: Counter() for tier in TIERS}
_reasons: dict[str, set[str]] = {tier: set() for tier in TIERS}


def tier_of(item: pytest.Item) -> str:
    """The tier that a test belongs to, by its marks and its folder."""
    folders = Path(item.path).parts
    if item.get_closest_marker("live"):
        return "live"
    return next((tier for tier in ("browser", "ssh") if tier in folders), "quick")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Remember each test's tier; the quick ones go first, so that a slip shows early."""
    for item in items:
        item.stash[_TIER] = tier_of(item)
    items.sort(key=lambda item: TIERS.index(item.stash[_TIER]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note the tier; fail what was skipped where the run insists on it."""
    report = yield
    tier = item.stash.get(_TIER, "quick")
    report.user_properties.append(("tier", tier))
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        report.user_properties.append(("skipped", reason.removeprefix("Skipped: ")))
        if REQUIRE_LIVE and tier != "quick" and " needs " in reason:
            report.outcome = "failed"
            report.longrepr = f"OPENLXD_REQUIRE_LIVE=1, but this was skipped: {reason}"
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count what ran, here and in the workers of a run that is shared out."""
    known = dict(report.user_properties)
    tier = str(known.get("tier", "quick"))
    if "skipped" in known:
        _reasons[tier].add(str(known["skipped"]))
    if report.when == "call" or (report.when == "setup" and not report.passed):
        _counts[tier][report.outcome] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run where a whole tier was skipped that must run."""
    if REQUIRE_LIVE and _skipped_tiers() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _skipped_tiers() -> list[str]:
    return [t for t in TIERS[1:] if _counts[t]["skipped"] and not _counts[t]["passed"] + _counts[t]["failed"]]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The closing lines: each tier, and what became of it."""
    terminalreporter.section("tiers")
    for tier in TIERS:
        counts = _counts[tier]
        ran = counts["passed"] + counts["failed"]
        said = [f"{ran} ran", *(f"{counts[word]} {word}" for word in ("failed", "skipped") if counts[word])]
        line = f"{tier:<8} " + (", ".join(said) if counts else "not part of this run")
        if _reasons[tier]:
            line += " (" + "; ".join(sorted(_reasons[tier]))[:300] + ")"
        if REQUIRE_LIVE and tier in _skipped_tiers():
            line += ": OPENLXD_REQUIRE_LIVE=1, so this run has failed"
        terminalreporter.write_line(line, red=bool(counts["failed"]), green=bool(ran and not counts["failed"]))


@pytest.fixture(autouse=True)
def no_settings_of_the_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer's own shell says about settings and languages does not reach the tests."""
    for name in list(os.environ):
        if name.startswith("OPENLXD_") and name not in ("OPENLXD_REQUIRE_LIVE", "OPENLXD_TEST_PREPARE"):
            monkeypatch.delenv(name)
    for name in ("LANG", "LC_ALL", "LC_MESSAGES", "NO_COLOR", "LXD_DIR", "NOTIFY_SOCKET"):
        monkeypatch.delenv(name, raising=False)
