"""The account screen and the users screen."""

from __future__ import annotations

import pytest
from textual.widgets import Input

from openlxd_core.domain.account import AccountStatus
from openlxd_core.domain.actor import Role
from openlxd_core.domain.errors import ValidationFailed
from openlxd_core.domain.quota import Quota
from openlxd_tui.screens.account.forms import KeyForm, PasswordForm
from openlxd_tui.screens.account.page import AccountPage
from openlxd_tui.screens.secret import Secret
from openlxd_tui.screens.users.forms import NewUserForm, QuotaForm, SuspendForm
from openlxd_tui.screens.users.page import UsersPage
from tests.tui.conftest import MakeApp
from tests.tui.fakes import ADMIN, ROOT, FakeCore, container, user
from tests.tui.test_containers import screen_text, toasts, until

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ alice@laptop"


async def test_a_tenant_reads_who_they_are(make_app: MakeApp) -> None:
    """Name, address, role and quota on one screen."""
    app = make_app()
    async with app.run_test(size=(100, 28)) as pilot:
        await pilot.press("2")
        await until(pilot, lambda: "alice@example.org" in screen_text(app))
        for words in ("tenant", "● active", "No SSH keys yet.", "0/3"):
            assert words in screen_text(app), words


@pytest.mark.slow
async def test_a_key_is_pasted_and_taken_away(core: FakeCore, make_app: MakeApp) -> None:
    """Paste, name, Enter; and it goes again only after a question."""
    app = make_app()
    async with app.run_test(size=(100, 28)) as pilot:
        await pilot.press("2")
        await until(pilot, lambda: "No SSH keys yet." in screen_text(app))
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, KeyForm))
        app.screen.query_one("#public_key", Input).insert_text_at_cursor(KEY)
        await pilot.press("tab", *"laptop", "enter")
        await until(pilot, lambda: "SHA256:n7Vq" in screen_text(app))
        assert core.calls == [("add_key", KEY, "laptop")]
        await pilot.press("d", "escape")
        assert len(core.ssh_keys) == 1
        await pilot.press("d", "y")
        await until(pilot, lambda: not core.ssh_keys)
        await until(pilot, lambda: "No SSH keys yet." in screen_text(app))


async def test_a_private_key_is_never_sent(core: FakeCore, make_app: MakeApp) -> None:
    """What looks like a private key stays in the form, with a warning."""
    app = make_app()
    async with app.run_test(size=(100, 28)) as pilot:
        await pilot.press("2")
        await until(pilot, lambda: "No SSH keys yet." in screen_text(app))
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, KeyForm))
        app.screen.query_one("#public_key", Input).value = "-----BEGIN OPENSSH PRIVATE KEY-----"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "This is a private key." in screen_text(app))
        assert core.calls == []


async def test_what_is_wrong_with_a_key_stands_beside_it(core: FakeCore, make_app: MakeApp) -> None:
    """The service's word on a field is shown at the field."""
    core.fails = ValidationFailed.of("public_key", "An RSA key needs at least {bits} bits.", bits=2048)
    app = make_app(language="zh")
    async with app.run_test(size=(100, 28)) as pilot:
        await pilot.press("2")
        await until(pilot, lambda: "还没有 SSH 密钥" in screen_text(app))
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, KeyForm))
        app.screen.query_one("#public_key", Input).value = KEY
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "2048" in screen_text(app))


@pytest.mark.slow
async def test_the_password_is_changed_with_the_old_one(core: FakeCore, make_app: MakeApp) -> None:
    """Old, new, new again; a new one that is too short or differs is not sent; none is ever shown."""
    app = make_app()
    async with app.run_test(size=(100, 28)) as pilot:
        await pilot.press("2")
        await until(pilot, lambda: "alice@example.org" in screen_text(app))
        await pilot.press("p")
        await until(pilot, lambda: isinstance(app.screen, PasswordForm))
        await pilot.press(*"old-secret", "tab", *"short", "ctrl+s")
        await until(pilot, lambda: "A password has at" in screen_text(app))
        await pilot.press(*"-no-more", "tab", *"short-no-mor", "ctrl+s")
        await until(pilot, lambda: "The two entries are different." in screen_text(app))
        assert "short" not in screen_text(app)
        assert core.calls == []
        app.screen.query_one("#again", Input).value = "short-no-more"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: core.calls)
        assert core.calls == [("change_password", "old-secret", "short-no-more")]
        await until(pilot, lambda: isinstance(app.screen, AccountPage))


async def test_an_api_key_is_shown_once(core: FakeCore, make_app: MakeApp) -> None:
    """After a question it is made, shown in full, and gone with Enter."""
    app = make_app()
    async with app.run_test(size=(100, 28)) as pilot:
        await pilot.press("2")
        await until(pilot, lambda: "alice@example.org" in screen_text(app))
        await pilot.press("K")
        await pilot.pause()
        assert core.calls == []
        await pilot.press("y")
        await until(pilot, lambda: isinstance(app.screen, Secret))
        assert "5e" * 32 in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, AccountPage))
        assert "5e5e" not in screen_text(app)


async def test_the_local_admin_has_no_account_to_change(make_app: MakeApp) -> None:
    """Root on the host is told so, and offered nothing that cannot be."""
    app = make_app(ROOT)
    async with app.run_test(size=(100, 28)) as pilot:
        await pilot.press("2")
        await until(pilot, lambda: "You are root on this host" in screen_text(app))
        await pilot.press("p", "a", "K")
        assert isinstance(app.screen, AccountPage)


async def _users(core: FakeCore, make_app: MakeApp) -> None:
    core.users[3] = user(3, "bob", status=AccountStatus.SUSPENDED, suspended_reason="Unpaid")


async def test_an_admin_suspends_with_a_reason_and_activates(core: FakeCore, make_app: MakeApp) -> None:
    """The reason goes with it; S lets in again."""
    await _users(core, make_app)
    app = make_app(ADMIN)
    async with app.run_test(size=(120, 28)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: "Unpaid" in screen_text(app))
        await pilot.press("down", "s")
        await until(pilot, lambda: isinstance(app.screen, SuspendForm))
        await pilot.press(*"spam", "enter")
        await until(pilot, lambda: core.calls)
        await until(pilot, lambda: "spam" in screen_text(app))
        await pilot.press("S")
        await until(pilot, lambda: len(core.calls) == 2)
        assert core.calls == [("suspend", 2, "spam"), ("activate", 2)]


async def test_an_admin_edits_a_quota(core: FakeCore, make_app: MakeApp) -> None:
    """Every part is checked by itself; what is not asked stays as it is."""
    app = make_app(ADMIN)
    async with app.run_test(size=(120, 28)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: "alice@" in screen_text(app))
        await pilot.press("down", "u")
        await until(pilot, lambda: isinstance(app.screen, QuotaForm))
        for name, value in (("containers", "x"), ("cpu", "8"), ("memory", "0"), ("disk", "lots,cpu=99")):
            app.screen.query_one(f"#{name}", Input).value = value
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "“x” is not a whole number" in screen_text(app))
        assert "is not a size" in screen_text(app)
        app.screen.query_one("#containers", Input).value = "7"
        app.screen.query_one("#disk", Input).value = "1TiB"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: core.calls)
        assert core.calls == [("set_quota", 2, Quota(7, 8, 0, 1024 * 1024))]


async def test_an_admin_adds_an_account(core: FakeCore, make_app: MakeApp) -> None:
    """Name, address and password are checked as one types."""
    app = make_app(ADMIN)
    async with app.run_test(size=(120, 28)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: "alice@" in screen_text(app))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, NewUserForm))
        await pilot.press(*"_carol")
        await until(pilot, lambda: "A user name has 3 to 64" in screen_text(app))
        for name, value in (
            ("username", "carol"), ("email", "c@example.org"), ("password", "longenough"), ("again", "longenough"),
        ):  # fmt: skip
            app.screen.query_one(f"#{name}", Input).value = value
        await pilot.press("ctrl+s")
        await until(pilot, lambda: core.calls)
        assert core.calls == [("create_user", "carol", "c@example.org", Role.TENANT)]
        await until(pilot, lambda: "API key of carol" in screen_text(app))
        assert "ab" * 32 in "".join(screen_text(app).split())
        await pilot.press("enter")
        await until(pilot, lambda: toasts(app) == ["carol can log in now."])
        await until(pilot, lambda: "carol" in screen_text(app))
        assert "abab" not in screen_text(app)


@pytest.mark.slow
@pytest.mark.parametrize("held", [0, 2])
async def test_an_account_is_deleted_only_by_its_name(core: FakeCore, make_app: MakeApp, held: int) -> None:
    """The name is typed, and the containers that go with it are counted out loud."""
    core.add(*(container(f"web{index}") for index in range(held)))
    app = make_app(ADMIN)
    async with app.run_test(size=(120, 28)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: "alice@" in screen_text(app))
        await pilot.press("down", "d")
        await until(pilot, lambda: not isinstance(app.screen, UsersPage))
        assert ("its 2 containers" in screen_text(app)) is bool(held)
        await pilot.press(*"alice", "enter")
        await until(pilot, lambda: core.calls)
        assert core.calls == [("delete_user", 2, bool(held))]
