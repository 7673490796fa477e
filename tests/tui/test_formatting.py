"""Words, marks and weights."""

from __future__ import annotations

import pytest

from openlxd_core.domain import errors
from openlxd_core.domain.account import AccountStatus
from openlxd_core.domain.actor import Role
from openlxd_core.domain.container import State
from openlxd_core.domain.errors import OpenLXDError
from openlxd_tui import formatting
from openlxd_tui.formatting import ACCOUNTS, ROLE_WORDS, SEVERITY, STATES, matches, short_mib
from openlxd_tui.theme import ROLES, THEMES


def _tree() -> list[type[OpenLXDError]]:
    found, waiting = [], list(OpenLXDError.__subclasses__())
    while waiting:
        kind = waiting.pop()
        if kind.__module__ == errors.__name__:
            found.append(kind)
            waiting += kind.__subclasses__()
    return found


def test_every_error_has_a_weight() -> None:
    """Each error of the tree is found in the table, itself or by a class above it, short of the root."""
    assert set(OpenLXDError.__subclasses__()) >= {kind for kind in SEVERITY if OpenLXDError in kind.__bases__}
    for kind in _tree():
        assert any(base in SEVERITY for base in kind.__mro__), kind


def test_every_state_has_a_face() -> None:
    """No state of a container, an account or a role is without its word."""
    assert set(STATES) == set(State)
    assert set(ACCOUNTS) == set(AccountStatus)
    assert set(ROLE_WORDS) == set(Role)
    assert len({face.mark for face in STATES.values()}) == len(STATES), "marks differ without colour, too"


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("name", list(THEMES))
def test_text_can_be_read_on_every_ground(name: str) -> None:
    """Contrast by WCAG: 4.5:1 for whatever says something, 3:1 for what only fills a gap."""
    variables = THEMES[name].variables
    for role, colour in ROLES[name].items():
        for ground in ("ox-ground", "ox-raised"):
            light, dark = sorted((_luminance(colour), _luminance(variables[ground])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= (3.0 if role == "faint" else 4.5), (role, ground)


@pytest.mark.parametrize(
    ("mib", "text"), [(0, "0M"), (38, "38M"), (999, "999M"), (1000, "1G"), (1536, "1.5G"), (200_000, "195G")]
)
def test_short_sizes_stay_short(mib: int, text: str) -> None:
    """A size in a narrow column takes five cells at most."""
    assert short_mib(mib) == text


def test_a_filter_finds_parts_in_any_case() -> None:
    """Every part that is typed must be found somewhere."""
    assert matches("WEB deb", ("web1", "debian/12"))
    assert not matches("web alp", ("web1", "debian/12"))


def test_ages_count_from_now() -> None:
    """An age is what lies between then and now."""
    assert formatting.age(formatting.now()) == "0 s"
