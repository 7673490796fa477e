"""docs/zh says what docs/ says: the same pages, headings, code, tables and links, and every name that one types."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(path.name for path in DOCS.glob("*.md"))
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)]+)\)")


def _text(name: str, language: str = "") -> str:
    return (DOCS / language / name).read_text("utf-8")


def _prose(text: str) -> str:
    return _FENCE.sub("", text)


def _headings(text: str) -> list[tuple[int, str]]:
    return [(len(marks), words) for marks, words in re.findall(r"^(#+) (.+)$", _prose(text), re.MULTILINE)]


def _anchor(heading: str) -> str:
    """The name that a heading can be linked to by, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def _tables(text: str) -> list[list[int]]:
    """Each table as the number of cells in each of its rows."""
    tables: list[list[int]] = [[]]
    for line in _prose(text).splitlines():
        if line.startswith("|"):
            tables[-1].append(len(re.findall(r"(?<!\\)\|", line)))
        elif tables[-1]:
            tables.append([])
    return [table for table in tables if table]


def _code(text: str) -> set[str]:
    """What stands between backquotes, white space and line ends alike."""
    return {" ".join(span.split()) for span in re.findall(r"`([^`]+)`", _prose(text))}


def test_every_page_is_there_in_both_languages() -> None:
    """No page without its translation, and no translation of a page that is gone."""
    assert sorted(path.name for path in (DOCS / "zh").glob("*.md")) == PAGES


@pytest.mark.parametrize("name", PAGES)
def test_the_outline_is_the_same(name: str) -> None:
    """As many headings, in the same levels, each translated."""
    english, chinese = _headings(_text(name)), _headings(_text(name, "zh"))
    assert [level for level, _words in chinese] == [level for level, _words in english]
    same = {words for _level, words in chinese} & {words for _level, words in english}
    assert same <= {"IPv6", "SSH", "REST API"}


@pytest.mark.parametrize("name", PAGES)
def test_code_blocks_are_the_same(name: str) -> None:
    """A command is the same in every language."""
    assert _FENCE.findall(_text(name, "zh")) == _FENCE.findall(_text(name))


@pytest.mark.parametrize("name", PAGES)
def test_tables_have_the_same_rows(name: str) -> None:
    """A row that was added in one language is missed in the other."""
    assert _tables(_text(name, "zh")) == _tables(_text(name))


@pytest.mark.parametrize("name", PAGES)
def test_every_name_is_in_both_languages(name: str) -> None:
    """Settings, commands, routes, keys and values: what stands in backquotes."""
    english, chinese = _code(_text(name)), _code(_text(name, "zh"))
    assert english - chinese == set()
    assert chinese - english == set()


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_the_same_places(name: str) -> None:
    """The same pages, and the heading that corresponds; every anchor exists."""

    def places(language: str) -> list[tuple[str, int]]:
        found = []
        for target in _LINK.findall(_prose(_text(name, language))):
            page, _hash, anchor = target.partition("#")
            if page.startswith("http"):
                found.append((target, -1))
                continue
            anchors = [_anchor(words) for _level, words in _headings(_text(page or name, language))]
            assert not anchor or anchor in anchors, target
            found.append((page, anchors.index(anchor) if anchor else -1))
        return sorted(found)

    assert places("zh") == places("")


@pytest.mark.parametrize("name", PAGES)
def test_the_chinese_is_chinese(name: str) -> None:
    """No paragraph was left in English."""
    for paragraph in re.split(r"\n\s*\n", _prose(_text(name, "zh"))):
        words = re.sub(r"`[^`]+`|\]\([^)]+\)|https?://\S+", "", paragraph)
        if len(re.findall(r"[A-Za-z]{3,}", words)) > 8:
            assert len(re.findall(r"[\u4e00-\u9fff]", words)) > 20, paragraph[:200]
