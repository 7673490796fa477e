"""``--help`` and mistakes in usage are in the caller's language, down to the last word."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from openlxd_tui.commands.table import GROUPS, Door, verbs_of
from tests.cli.conftest import Openlxd

_ENGLISH_ONLY = (
    *("Usage", "Commands", "Parameters", "Options", "Arguments", "Global", "Display"),
    *("[default", "[required", "[choices", "COMMAND", "[OPTIONS]", "[ARGS"),
)


@pytest.mark.parametrize("name", ["", *GROUPS, *(verb.name for verb in verbs_of(Door.PROGRAM))])
def test_chinese_help_is_chinese_throughout(openlxd: Openlxd, name: str) -> None:
    """Headings, descriptions, defaults and marks; only names and what one types stay as they are."""
    ran = openlxd("--lang", "zh", *name.split(), "--help")
    assert ran.code == 0
    assert [word for word in _ENGLISH_ONLY if word in ran.out] == []
    assert ran.out.startswith(f"用法：openlxd {name}".rstrip())
    for line in ran.out.splitlines():
        row = re.match(r"  (\S.*?)(?:  +(.*))?$", line)
        if row is not None and not line.startswith(" " * 8):
            assert re.search(r"[\u4e00-\u9fff]", row[2] or ""), line


@pytest.mark.parametrize(
    "arguments",
    [["--lang", "fr", "version"], ["--lang=fr", "--help"], ["help", "--lang", "zh_CN"], ["--lang", "", "version"]],
)
def test_a_language_that_is_not_there_is_refused(openlxd: Openlxd, arguments: list[str]) -> None:
    """A typing error is said, and not taken for English."""
    ran = openlxd(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "--lang" in ran.err
    assert "en, zh" in ran.err


def test_what_belongs_to_a_command_behind_dashes_is_not_our_language(openlxd: Openlxd) -> None:
    """Words after -- are arguments."""
    assert openlxd("config", "show", "--", "--lang", "fr").err.count("fr") <= 1
    assert openlxd("--lang", "zh", "version", "--", "--lang", "fr").err.startswith("错误：")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], ["nonsense", "openlxd --help"]),
        (["user", "nonsense"], ["nonsense", "openlxd user --help"]),
        (["user", "add"], ["USERNAME", "openlxd user add --help"]),
        (["user", "add", "a", "--role", "king"], ["king", "--role", "user, admin"]),
        (["user", "list", "--nonsense"], ["--nonsense", "openlxd user list --help"]),
        (["user", "list", "more"], ["more"]),
        (["user", "key", "delete", "NaN"], ["NaN", "ID"]),
        (["user", "add", "a", "--role"], ["--role"]),
    ],
)
def test_a_mistake_is_one_sentence_in_either_language(openlxd: Openlxd, arguments: list[str], said: list[str]) -> None:
    """It names the word at fault and the help that explains it."""
    english, chinese = openlxd(*arguments), openlxd("--lang", "zh", *arguments)
    assert (english.code, chinese.code) == (2, 2)
    for part in said:
        assert part in english.err
        assert part in chinese.err
    assert english.err.startswith("Error: ")
    assert chinese.err.startswith("错误：")
    assert re.search(r"[\u4e00-\u9fff]", chinese.err.removeprefix("错误："))
    assert chinese.err.count("\n") == english.err.count("\n") == 1


def test_help_fits_the_terminal() -> None:
    """On a narrow terminal descriptions wrap under themselves, wide characters counted as two cells."""
    done = subprocess.run(
        [sys.executable, "-m", "openlxd_tui.cli", "--lang", "zh", "user", "add", "--help"],
        capture_output=True, text=True, env={"COLUMNS": "60", "PATH": "/usr/bin:/bin", "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    from rich.cells import cell_len

    assert max(cell_len(line) for line in done.stdout.splitlines()) <= 60
    assert all(line == line.rstrip() for line in done.stdout.splitlines())
