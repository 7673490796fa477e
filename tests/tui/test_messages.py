"""The catalogue: everything that is said in English can be said in Chinese."""

from __future__ import annotations

import io
import re
import string
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po

from openlxd_core.i18n import LOCALE_DIR

ROOT = Path(__file__).parents[2]
PO = LOCALE_DIR / "zh" / "LC_MESSAGES" / "openlxd.po"


def _said() -> set[str]:
    """Every message of the source, as ``make messages`` extracts them."""
    found: set[str] = set()
    for package in ("openlxd_core", "openlxd_tui", "openlxd_api"):
        keywords = {"_": None, "N_": None}
        for _file, _line, message, _comments, _context in extract_from_dir(ROOT / package, keywords=keywords):
            found.add(message if isinstance(message, str) else message[0])
    return found - {""}


@pytest.fixture(scope="module")
def catalogue() -> Catalog:
    """The Chinese catalogue."""
    with PO.open("rb") as file:
        return read_po(file, locale="zh")


def _placeholders(text: str) -> set[str]:
    return {name for _text, name, _format, _conversion in string.Formatter().parse(text) if name is not None}


def test_everything_said_has_a_chinese_wording(catalogue: Catalog) -> None:
    """No message of the source is missing, empty or fuzzy, and none is left over from before."""
    said = _said()
    translated = {message.id: message for message in catalogue if message.id}
    assert sorted(said - translated.keys()) == []
    assert sorted(translated.keys() - said) == []
    assert [m.id for m in translated.values() if not m.string or m.fuzzy] == []


def test_translations_keep_their_placeholders(catalogue: Catalog) -> None:
    """A sentence has the same {values} in both languages."""
    for message in catalogue:
        if message.id:
            assert _placeholders(str(message.id)) == _placeholders(str(message.string)), message.id


def test_translations_are_chinese(catalogue: Catalog) -> None:
    """What has English words of more than a name or a term has Chinese ones, too."""
    same = {m.id for m in catalogue if m.id and m.id == m.string}
    assert same <= {"API", "CPU", "IPv4", "IPv6", "IPV4", "IPV6", "Shell", "chmod 700 {path}", "中文 / English"}
    for message in catalogue:
        if message.id and message.id not in same | {"CPUs"}:
            assert re.search(r"[\u4e00-\u9fff]", str(message.string)), message.id


def test_the_compiled_catalogue_is_the_written_one(catalogue: Catalog) -> None:
    """openlxd.mo holds what openlxd.po says."""
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    with PO.with_suffix(".mo").open("rb") as file:
        shipped = {m.id: m.string for m in read_mo(file) if m.id}
    assert shipped == {m.id: m.string for m in read_mo(compiled) if m.id}
