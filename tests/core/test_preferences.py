"""What an account chose in the terminal UI, from one login to the next."""

from __future__ import annotations

import asyncio
import json
import random

import pytest

from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import Actor, anonymous, local_admin
from openlxd_core.domain.errors import NotFound, Unauthenticated, ValidationFailed
from openlxd_core.domain.preferences import BYTES_MAX, Preferences, TableView, check_preferences, read_preferences
from openlxd_core.storage import models
from tests.support.core import add_user


async def test_each_account_keeps_its_own(core: Core, alice: Actor, bob: Actor, root: Actor) -> None:
    """What one sets, nobody else has; admins included."""
    assert await core.preferences.get(alice) == Preferences()
    view = TableView("memory", True, ("name", "memory"))
    await core.preferences.update(alice, theme="openlxd-light", language="zh", tables={"containers": view})
    kept = await core.preferences.get(alice)
    assert (kept.theme, kept.language, dict(kept.tables)) == ("openlxd-light", "zh", {"containers": view})
    for other in (bob, root, local_admin()):
        assert await core.preferences.get(other) == Preferences()
    await core.preferences.update(bob, language="en")
    assert (await core.preferences.get(alice)).language == "zh"


async def test_two_sessions_at_once_lose_nothing(core: Core, alice: Actor) -> None:
    """Each changes something else, many times: the last of each stands."""

    async def session(name: str) -> None:
        for number in range(10):
            await core.preferences.update(alice, tables={name: TableView(f"column-{number}")})

    await asyncio.gather(session("containers"), session("users"), core.preferences.update(alice, theme="openlxd-light"))
    kept = await core.preferences.get(alice)
    assert kept.theme == "openlxd-light"
    assert {name: view.sort for name, view in kept.tables.items()} == {"containers": "column-9", "users": "column-9"}
    assert await models.Preference.all().count() == 1


async def test_strangers_and_the_deleted_have_none(core: Core, alice: Actor, root: Actor) -> None:
    """Nobody without an account is asked or answered; a deleted account cannot write any more."""
    with pytest.raises(Unauthenticated):
        await core.preferences.get(anonymous("ssh"))
    with pytest.raises(Unauthenticated):
        await core.preferences.update(anonymous("ssh"), theme="x")
    await core.preferences.update(local_admin(), theme="openlxd-light")
    assert await models.Preference.all().count() == 0
    carol = await add_user(core, "carol")
    await core.accounts.delete(root, "carol")
    with pytest.raises(NotFound):
        await core.preferences.update(carol, language="zh")


@pytest.mark.parametrize(
    "preferences",
    [
        Preferences(theme="\x1b[2J"),
        Preferences(theme="x" * 33),
        Preferences(language="tlh"),
        Preferences(tables={"": TableView()}),
        Preferences(tables={"containers": TableView("a b")}),
        Preferences(tables={"containers": TableView(columns=("ok", "NOT"))}),
        Preferences(tables={"containers": TableView(columns=("a",) * 33)}),
        Preferences(tables={f"t{number}": TableView() for number in range(17)}),
        Preferences(tables={f"t{n}": TableView(columns=tuple(f"{c:030d}" for c in range(32))) for n in range(16)}),
    ],
)
async def test_what_is_no_preference_changes_nothing(core: Core, alice: Actor, preferences: Preferences) -> None:
    """Names that are none, languages that we do not speak, and too much of it are refused; what stood, stands."""
    await core.preferences.update(alice, theme="openlxd-light")
    with pytest.raises(ValidationFailed):
        await core.preferences.update(
            alice, theme=preferences.theme, language=preferences.language, tables=dict(preferences.tables)
        )
    assert await core.preferences.get(alice) == Preferences("openlxd-light")


def test_whatever_stands_in_the_database_can_be_read() -> None:
    """Another version's choices, or nonsense: what is known is taken, the rest is left out, and it fits again."""
    rng = random.Random(3)
    atoms = [None, True, 0, "", "name", "zh", "\x1b", "x" * 99, [], {}, ["name", 7], {"sort": "name", "reverse": 1}]

    def anything(depth: int) -> object:
        if depth and rng.random() < 0.5:
            keys = ["theme", "language", "tables", "sort", "reverse", "columns", "containers", "X y"]
            return {rng.choice(keys): anything(depth - 1) for _n in range(rng.randrange(6))}
        return rng.choice(atoms)

    for _try in range(2000):
        stored = check_preferences(read_preferences(anything(4)))
        assert len(json.dumps(stored)) <= BYTES_MAX
        assert read_preferences(stored).to_json() == stored
    assert read_preferences({"language": "zh", "of_tomorrow": 1, "tables": {"users": {"sort": "", "new": 2}}}) == (
        Preferences(language="zh").with_table("users", TableView(""))
    )
