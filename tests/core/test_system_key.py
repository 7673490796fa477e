"""The system API key: acts as the first admin, moves to nobody by itself, and is kept nowhere but in its file."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import secrets as random
import stat
from pathlib import Path

import pytest

from openlxd_core import key_files
from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.account import hash_api_key
from openlxd_core.domain.actor import SYSTEM, Actor, Role
from openlxd_core.domain.errors import Conflict, Forbidden, NotFound, Suspended, Unauthenticated
from openlxd_core.services.system_key import ORIGIN, bound_user
from openlxd_core.settings import Settings
from openlxd_core.storage import models
from openlxd_core.storage.database import open_database, upgrade
from tests.support.core import add_user, make_settings
from tests.support.faulty_lxd import FaultyLxd
from tests.support.upgrades import add_old_user, database_of

pytestmark = pytest.mark.slow


def key_of(settings: Settings) -> str:
    return (settings.keys_dir / key_files.SYSTEM_API_KEY).read_text().strip()


async def login(core: Core, key: str) -> Actor:
    return await core.auth.api_key_login(key, origin="api", address="203.0.113.9")


async def refused(core: Core, key: str) -> None:
    with pytest.raises(Unauthenticated):
        await login(core, key)


def rotate(settings: Settings, content: str, mode: int = 0o600) -> None:
    """Replace the file as docs/operations.md says."""
    file = settings.keys_dir / key_files.SYSTEM_API_KEY
    draft = file.with_name("draft")
    draft.write_text(content)
    draft.chmod(mode)
    draft.rename(file)


async def test_it_acts_as_the_first_admin_and_the_audit_says_that_it_was_the_key(
    core: Core, settings: Settings
) -> None:
    """Whoever was made first, not whoever has the lowest id or came later; what it does bears its own origin."""
    tenant = await add_user(core, "earlier")
    await refused(core, key_of(settings))  # nobody is admin yet
    await add_user(core, "boss", role=Role.ADMIN)
    await add_user(core, "second", role=Role.ADMIN)
    await core.accounts.update(SYSTEM, "earlier", role=Role.ADMIN)
    actor = await login(core, key_of(settings))
    assert (actor.username, actor.role, actor.origin, actor.address) == ("boss", Role.ADMIN, ORIGIN, "203.0.113.9")
    await core.accounts.suspend(actor, "earlier", "spam")
    entry = next(e for e in await core.audit.list(SYSTEM) if e.action == "user.suspend")
    assert (entry.actor, entry.origin, entry.target, entry.user_id) == ("boss", "system key", "earlier", tenant.user_id)


async def test_suspending_deleting_or_demoting_its_admin_shuts_it(core: Core, settings: Settings) -> None:
    """It does not go over to the next admin: a door that was shut stays shut until somebody opens another."""
    key = key_of(settings)
    await add_user(core, "boss", role=Role.ADMIN)
    second = await add_user(core, "second", role=Role.ADMIN)
    await core.accounts.suspend(second, "boss", "stolen laptop")
    with pytest.raises(Suspended, match="stolen laptop"):
        await login(core, key)
    await core.accounts.activate(second, "boss")
    assert (await login(core, key)).username == "boss"
    await core.accounts.update(second, "boss", role=Role.TENANT)
    await refused(core, key)
    await core.accounts.update(second, "boss", role=Role.ADMIN)
    await core.accounts.delete(second, "boss")
    await refused(core, key)
    assert await core.system_key.acts_as(second) is None
    await add_user(core, "third", role=Role.ADMIN)
    await refused(core, key)
    assert (await core.system_key.bind(second, "third")).username == "third"
    assert (await login(core, key)).username == "third"


async def test_the_next_first_admin_gets_it_where_none_is_left(core: Core, settings: Settings) -> None:
    """An installation whose admins are all gone begins anew."""
    await add_user(core, "boss", role=Role.ADMIN)
    await core.accounts.delete(SYSTEM, "boss")
    made = await core.accounts.ensure_first_admin()
    assert made is not None
    assert (await login(core, key_of(settings))).username == made[0]


async def test_only_admins_choose_whom_it_acts_as_and_only_an_active_admin_can_be_chosen(
    core: Core, root: Actor, alice: Actor
) -> None:
    """A tenant is refused and may not be chosen; a wrong choice changes nothing."""
    for call in (core.system_key.bind(alice, "alice"), core.system_key.acts_as(alice)):
        with pytest.raises(Forbidden):
            await call
    with pytest.raises(Conflict, match="alice is not an active admin"):
        await core.system_key.bind(root, "alice")
    with pytest.raises(NotFound):
        await core.system_key.bind(root, "nobody")
    await add_user(core, "second", role=Role.ADMIN)
    await core.accounts.suspend(root, "second")
    with pytest.raises(Conflict):
        await core.system_key.bind(root, "second")
    found = await core.system_key.acts_as(root)
    assert found is not None
    assert found.username == "boss"


async def test_a_new_file_counts_at_once_and_whatever_is_no_key_opens_nothing(
    core: Core, root: Actor, settings: Settings
) -> None:
    """Replaced, deleted, opened to others, half written, a link: the old key is dead from the next request on."""
    old, new = key_of(settings), random.token_hex(32)
    file = settings.keys_dir / key_files.SYSTEM_API_KEY
    assert (await login(core, old)).username == "boss"
    rotate(settings, new + "\n")
    await refused(core, old)
    assert (await login(core, new)).username == "boss"
    for content, mode in ((new[:30], 0o600), ("", 0o600), ("Z" * 64, 0o600), (new, 0o644), (new * 2, 0o600)):
        rotate(settings, content, mode)
        await refused(core, new)
        await refused(core, old)
    rotate(settings, new)
    assert (await login(core, new)).username == "boss"
    file.chmod(0o640)  # no new content: its mode alone changes
    await refused(core, new)
    file.chmod(0o600)
    assert (await login(core, new)).username == "boss"
    file.unlink()
    await refused(core, new)
    file.symlink_to(settings.keys_dir / "elsewhere")
    (settings.keys_dir / "elsewhere").write_text(new)
    await refused(core, new)
    await refused(core, hash_api_key(new))


async def test_a_deleted_file_is_made_anew_at_the_next_start(settings: Settings) -> None:
    """Deleting and restarting is a rotation, too; the binding stays."""
    async with open_core(settings, lxd=FaultyLxd()) as core:
        await add_user(core, "boss", role=Role.ADMIN)
        old = key_of(settings)
        (settings.keys_dir / key_files.SYSTEM_API_KEY).unlink()
    async with open_core(settings, lxd=FaultyLxd()) as core:
        await refused(core, old)
        assert (await login(core, key_of(settings))).username == "boss"
        assert stat.S_IMODE((settings.keys_dir / key_files.SYSTEM_API_KEY).stat().st_mode) == 0o600


async def test_no_copy_of_it_is_in_the_database_or_in_memory(core: Core, root: Actor, settings: Settings) -> None:
    """A backup does not hold it, nor its digest; the process keeps its digest alone."""
    key = key_of(settings)
    await login(core, key)
    stored = (settings.state_dir / "openlxd.sqlite3").read_bytes()
    assert key.encode() not in stored
    assert hash_api_key(key).encode() not in stored
    assert key not in repr(vars(core.system_key))
    assert await models.User.filter(api_key=hash_api_key(key)).count() == 0


def _start(directory: str, barrier: object, answers: object) -> None:
    async def main() -> None:
        settings = make_settings(Path(directory))
        barrier.wait(60)  # type: ignore[attr-defined]
        async with open_core(settings, lxd=FaultyLxd(), background=False) as core:
            made = await core.accounts.ensure_first_admin()
            actor = await login(core, key_of(settings))
            answers.put((made, key_of(settings), actor.user_id, actor.username))  # type: ignore[attr-defined]

    asyncio.run(main())


async def test_processes_that_start_at_once_agree_on_key_and_admin(tmp_path: Path) -> None:
    """One key, one first admin, one password told, whichever was faster."""
    make_settings(tmp_path)
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(4), context.Queue()
    processes = [context.Process(target=_start, args=(str(tmp_path), barrier, answers)) for _ in range(4)]
    for process in processes:
        process.start()
    found = [await asyncio.to_thread(answers.get, True, 90) for _ in processes]
    for process in processes:
        await asyncio.to_thread(process.join, 60)
        assert process.exitcode == 0
    assert len({(key, user_id, name) for _made, key, user_id, name in found}) == 1
    assert sum(made is not None for made, *_rest in found) == 1


@pytest.mark.parametrize("rows", [[], [(2, "tenant", {})], [(2, "gone", {"role": "admin", "status": "deleted"})]])
async def test_an_older_database_without_an_admin_binds_nobody(
    tmp_path: Path, rows: list[tuple[int, str, dict[str, object]]]
) -> None:
    """The first admin that is made is bound then."""
    file = tmp_path / "openlxd.sqlite3"
    await database_of("0005_wanted_addresses", file)
    for row in rows:
        add_old_user(file, row[0], row[1], **row[2])
    await upgrade(f"sqlite://{file}")
    async with open_database(f"sqlite://{file}"):
        assert await bound_user() is None


async def test_an_older_database_binds_its_oldest_admin(tmp_path: Path) -> None:
    """Not the deleted one before them, nor a tenant with a lower id; upgrading again changes nothing."""
    settings = make_settings(tmp_path)
    file = settings.state_dir / "openlxd.sqlite3"
    os.unlink(file)
    await database_of("0005_wanted_addresses", file)
    add_old_user(file, 1, "tenant")
    add_old_user(file, 2, "gone", role="admin", status="deleted")
    add_old_user(file, 3, "admin", role="admin")
    add_old_user(file, 4, "later", role="admin")
    async with open_core(settings, lxd=FaultyLxd()) as core:
        assert (await login(core, key_of(settings))).username == "admin"
