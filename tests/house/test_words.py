"""Promises of the wording: the riddles of earlier versions do not come back, in the sources or in a catalogue.

CONTRIBUTING.md asks for the words of LXD's, Docker's and GitHub's documentation. Each phrase here once stood in a
message, a docstring or a comment and stopped a reader; what replaced it says the same literally.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from scripts.messages import PACKAGES, ROOT

PHRASES = (
    r"open the doors",
    r"close every door",
    r"dead at once",
    r"a number that is none",
    r"half a character\.\"",
    r"\"done\.\"",
    r"\"done: ",
    r"made an image,? and lost it",
    r"does not take orders",
    r"makes an account unasked",
    r"handing it to lxd",
    r"speak of this container",
    r"let who leaves",
    r"is as new\b",
    r"\bput \{?\w+\}? back to \{",
    r"\"(take|make) it\"",
    r"turn the order",
    r"\"other list\"",
    r"read again\b",
    r"no image fits",
    r"never read\b",
    r"as it is now",
    r"puts it away for good",
    r"stands above",
    r"let it go on",
    r"is not ours to",
    r"closed to you",
    r"chinese / english",
    r"is none of ours",
    r"the hunt\b",
    r"\bknocks?\b",
    r"\bfor ever\b",
    r"what others brought",
    r"时长",
    r"先请它",
    r"使用者",
    r"由哪道墙",
    r"不接受此账户的指令",
    r"重新允许登录",
    r"不允许自行注册",
)
"""Regular expressions, met without regard to case."""

CHINESE = {
    "Age": "创建于",
    "Resume": "继续运行",
    "Restore": "恢复快照",
    "Used by": "使用中的容器",
}
"""Labels whose Chinese was mistaken for another's: one word served both Resume and Restore."""


PLACES = (*PACKAGES, "docs", "scripts", "systemd", "tests/bench", "tests/support")
ENDINGS = {".py", ".po", ".tcss", ".html", ".md", ".sh", ".service", ".env"}


def texts() -> list[Path]:
    """The sources of the packages and of the tools, their catalogues, and the documentation in both languages."""
    found = [path for place in PLACES for path in (ROOT / place).rglob("*") if path.suffix in ENDINGS]
    return sorted(found + list(ROOT.glob("*.md")))


@pytest.mark.parametrize("phrase", PHRASES)
def test_a_phrase_that_stopped_readers_stays_away(phrase: str) -> None:
    """No source and no catalogue holds it."""
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in texts()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(phrase, line, re.IGNORECASE)
    ]
    assert not found


def test_resume_and_restore_are_two_words_in_chinese() -> None:
    """Each of these labels has the Chinese that belongs to it alone."""
    with (ROOT / "openlxd_core/locale/zh/LC_MESSAGES/openlxd.po").open("rb") as stream:
        catalogue = read_po(stream)
    chosen = {label: getattr(catalogue.get(label), "string", None) for label in CHINESE}
    assert chosen == CHINESE


def test_chinese_does_not_mix_its_marks() -> None:
    """No half-width comma, colon, question mark or bracket follows or precedes a Chinese character."""
    with (ROOT / "openlxd_core/locale/zh/LC_MESSAGES/openlxd.po").open("rb") as stream:
        mixed = [
            message.string
            for message in read_po(stream)
            if message.id and re.search(r"[\u4e00-\u9fff][,;:!?()]|[,;!?()][\u4e00-\u9fff]", str(message.string))
        ]
    assert not mixed
