"""No setting, command, endpoint or key without its line in docs/."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from openlxd_api.app import all_endpoints
from openlxd_core.settings import Settings
from openlxd_tui.commands.table import HOST_VERBS, Door, verbs_of

ROOT = Path(__file__).resolve().parents[2]
DOCS = {path.name: path.read_text("utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
KEY_NAMES = {
    "slash": "/", "colon": ":", "question_mark": "?", "escape": "Esc", "enter": "Enter", "tab": "Tab", "space": "Space",
    "shift+tab": "Shift+Tab", "shift+down": "Shift+↓", "shift+up": "Shift+↑",
    "down": "↓", "up": "↑", "left": "←", "right": "→", "pagedown": "PgDn", "pageup": "PgUp",
    "home": "Home", "end": "End",
}  # fmt: skip


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_its_line(name: str) -> None:
    """docs/operations.md has a row for it, and the field a docstring."""
    assert f"| `OPENLXD_{name.upper()}` |" in DOCS["operations.md"]
    assert Settings.model_fields[name].description


def test_no_setting_is_documented_that_is_none() -> None:
    """A setting that went away takes its row with it."""
    rows = set(re.findall(r"^\| `OPENLXD_(\w+)` \|", DOCS["operations.md"], re.MULTILINE))
    assert rows == {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize("name", [verb.name for verb in HOST_VERBS])
def test_every_command_has_its_line(name: str) -> None:
    """docs/admins.md has a row for it."""
    assert re.search(rf"^\| `openlxd {name}[` ]", DOCS["admins.md"], re.MULTILINE)


@pytest.mark.parametrize("endpoint", all_endpoints(), ids=lambda endpoint: f"{endpoint.method} {endpoint.path}")
def test_every_endpoint_has_its_line(endpoint: object) -> None:
    """docs/api.md has a row for it."""
    assert f"| `{endpoint.method} {endpoint.path}` |" in DOCS["api.md"]  # type: ignore[attr-defined]


def _bindings() -> list[tuple[str, str]]:
    """Every key in the terminal UI's source, with the file that binds it."""
    found = []
    for path in sorted((ROOT / "openlxd_tui").rglob("*.py")):
        for keys in re.findall(r'Binding\("([^"]+)"', path.read_text("utf-8")):
            found += [(key, path.name) for key in keys.split(",")]
    return found


@pytest.mark.parametrize(("key", "where"), sorted(set(_bindings())))
def test_every_key_has_its_line(key: str, where: str) -> None:
    """docs/tenants.md names it."""
    shown = KEY_NAMES.get(key) or "+".join(
        part.upper() if len(part) == 1 and "+" in key else part for part in key.split("+")
    )
    shown = shown.replace("ctrl+", "Ctrl+")
    assert f"`{shown}`" in DOCS["tenants.md"], f"{shown} of {where}"


def test_the_ssh_commands_have_their_line() -> None:
    """docs/tenants.md names each word that can follow ssh openlxd@host."""
    assert [verb.name for verb in verbs_of(Door.SSH) if f"`{verb.name}" not in DOCS["tenants.md"]] == []


@pytest.mark.parametrize(
    "path", [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name
)
def test_every_link_leads_somewhere(path: Path) -> None:
    """Links and pictures within the repository exist."""
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text("utf-8")):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


def test_both_readmes_tell_the_same() -> None:
    """The same commands, keys and pages in both languages."""

    def told(name: str) -> list[str]:
        text = (ROOT / name).read_text("utf-8").replace("docs/zh/", "docs/")
        return sorted(re.findall(r"docs/\w[\w-]*\.md", text)) + re.findall(r"^make \w+|^ssh [^#]*", text, re.MULTILINE)

    assert told("README.md") == told("README.zh.md")


def test_the_tree_for_contributors_is_the_tree() -> None:
    """Every folder and file that starts a line of CONTRIBUTING's tree exists where it is drawn."""
    tree = (ROOT / "CONTRIBUTING.md").read_text("utf-8").split("```\n")[2]
    above: dict[int, Path] = {-2: ROOT}
    drawn = re.findall(r"^( {0,4})([a-z_]+/)", tree, re.MULTILINE)
    assert len(drawn) > 12
    for indent, name in drawn:
        above[len(indent)] = above[len(indent) - 2] / name
        assert above[len(indent)].is_dir(), name
