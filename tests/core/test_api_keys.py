"""API keys: every account has one from the start, it is shown once, and the column is never empty."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.account import hash_api_key
from openlxd_core.domain.actor import SYSTEM, Actor, Role, anonymous
from openlxd_core.domain.errors import Unauthenticated
from openlxd_core.settings import Settings
from openlxd_core.storage import models
from openlxd_core.storage.database import check, upgrade
from tests.support.core import PASSWORD
from tests.support.faulty_lxd import FaultyLxd
from tests.support.upgrades import add_old_user, database_of

DIGEST = re.compile("[0-9a-f]{64}")


async def stored() -> dict[int, str | None]:
    return {row.id: row.api_key for row in await models.User.all()}


async def test_whoever_registers_or_is_made_gets_a_key_that_opens(core: Core, root: Actor, settings: Settings) -> None:
    """It is in that answer alone: neither a record of later, nor the database, nor a log that prints it has it."""
    mine = await core.accounts.register(anonymous("api"), "carol", "c@example.org", PASSWORD)
    theirs = await core.accounts.create(root, "dora", "d@example.org", PASSWORD, role=Role.ADMIN)
    for user in (mine, theirs):
        assert DIGEST.fullmatch(user.api_key)
        actor = await core.auth.api_key_login(user.api_key, origin="api")
        assert (actor.user_id, actor.role) == (user.id, user.role)
        assert user.api_key_shown
        assert user.api_key not in repr(user)
        assert user.api_key not in repr(await core.accounts.get(root, user.id))
        assert (await stored())[user.id] == hash_api_key(user.api_key)
        assert user.api_key.encode() not in (settings.state_dir / "openlxd.sqlite3").read_bytes()
    new = await core.accounts.regenerate_key(actor)
    with pytest.raises(Unauthenticated):
        await core.auth.api_key_login(theirs.api_key, origin="api")
    assert await core.auth.api_key_login(new, origin="api")


async def test_the_column_is_never_empty(core: Core, root: Actor, alice: Actor) -> None:
    """Not of the first admin by a start, nor of a deleted account; and no two rows hold the same."""
    await core.accounts.delete(SYSTEM, "boss")
    assert await core.accounts.ensure_first_admin()
    await core.accounts.delete(SYSTEM, "alice")
    await core.accounts.register(anonymous("api"), "alice", "alice@example.org", PASSWORD)
    found = list((await stored()).values())
    assert len(found) == 4
    assert all(key is not None and DIGEST.fullmatch(key) for key in found)
    assert len(set(found)) == len(found)


async def test_the_first_admins_key_was_shown_to_nobody_until_they_make_one(core: Core) -> None:
    """A start prints the password; the screens say that the key is to be made."""
    made = await core.accounts.ensure_first_admin()
    assert made is not None
    actor = await core.auth.password_login(*made, origin="ssh")
    assert not (await core.accounts.get(actor)).api_key_shown
    await core.accounts.regenerate_key(actor)
    assert (await core.accounts.get(actor)).api_key_shown


@pytest.mark.slow
async def test_an_older_database_gets_keys_that_nobody_knows(settings: Settings) -> None:
    """A key that was in use goes on, marked as shown; where there was none, and for the deleted, there is one now,
    different for each; making one works as ever."""
    file = settings.state_dir / "openlxd.sqlite3"
    os.unlink(file)
    await database_of("0005_wanted_addresses", file)
    in_use = "c0" * 32
    add_old_user(file, 1, "admin", role="admin")
    add_old_user(file, 2, "alice", api_key=hash_api_key(in_use))
    for number in range(3, 60):
        add_old_user(file, number, f"user{number}", status="deleted" if number % 3 == 0 else "active")
    async with open_core(settings, lxd=FaultyLxd()) as core:
        found = await stored()
        assert len(found) == 59
        assert all(key is not None and DIGEST.fullmatch(key) for key in found.values())
        assert len(set(found.values())) == 59
        assert (await core.auth.api_key_login(in_use, origin="api")).username == "alice"
        shown = {user.username for user in await core.accounts.list(SYSTEM) if user.api_key_shown}
        assert shown == {"alice"}
        key = await core.accounts.regenerate_key(SYSTEM, "user4")
        assert (await core.auth.api_key_login(key, origin="api")).username == "user4"
        assert (await core.accounts.get(SYSTEM, "user4")).api_key_shown
    assert await check(settings.database) == []


@pytest.mark.slow
async def test_an_upgrade_that_is_cut_short_is_whole_afterwards(tmp_path: Path) -> None:
    """The column and what goes into it are one unit: after a failure in the middle neither is there, and the next start
    does both."""
    file = tmp_path / "openlxd.sqlite3"
    await database_of("0005_wanted_addresses", file)
    for number in (1, 2, 3):
        add_old_user(file, number, f"user{number}")
    with closing(sqlite3.connect(file)) as raw, raw:
        raw.execute(
            "CREATE TRIGGER cut BEFORE UPDATE OF api_key ON users WHEN old.id = 2 BEGIN SELECT RAISE(ABORT, 'cut'); END"
        )
    with pytest.raises(Exception, match="cut"):
        await upgrade(f"sqlite://{file}")
    with closing(sqlite3.connect(file)) as raw, raw:
        assert "api_key_shown" not in {row[1] for row in raw.execute("PRAGMA table_info(users)")}
        assert [row[0] for row in raw.execute("SELECT api_key FROM users")] == [None, None, None]
        raw.execute("DROP TRIGGER cut")
    await upgrade(f"sqlite://{file}")
    with closing(sqlite3.connect(file)) as raw:
        assert len({row[0] for row in raw.execute("SELECT api_key FROM users")}) == 3
