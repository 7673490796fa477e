"""What every form does with keys, mistakes and pastes."""

from __future__ import annotations

import random
import string

import asyncssh
import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from openlxd_core.domain.errors import AlreadyExists, ValidationFailed
from openlxd_core.domain.image import CatalogueState
from openlxd_tui.app import OpenLXDApp
from openlxd_tui.screens.account.forms import KeyForm, PasswordForm
from openlxd_tui.screens.containers.create import CreateForm
from openlxd_tui.screens.containers.page import ContainersPage
from openlxd_tui.screens.form import Form
from openlxd_tui.screens.users.forms import SuspendForm
from openlxd_tui.widgets.field import Field, Words
from openlxd_tui.widgets.pick_list import PickList
from tests.tui.conftest import MakeApp
from tests.tui.fakes import ADMIN, ALICE, FakeCore, container
from tests.tui.test_containers import screen_text, toasts, until


def note(app: OpenLXDApp, name: str) -> str:
    """What stands beside a field."""
    return app.screen.query_one(f"#field-{name}", Field).query_one(".field--note", Words).text


def focused(app: OpenLXDApp) -> str | None:
    """The field with the cursor."""
    return app.focused.id if app.focused is not None else None


async def paste(app: OpenLXDApp, pilot: Pilot[None], text: str) -> None:
    """As the driver hands over a bracketed paste."""
    app.post_message(events.Paste(text))
    await pilot.pause()
    await pilot.pause()


async def open_form(app: OpenLXDApp, pilot: Pilot[None], kind: type[Form[object]], *keys: str) -> None:
    """Press keys until a form is there."""
    for key in keys:
        await pilot.press(key)
        await pilot.pause()
    await until(pilot, lambda: isinstance(app.screen, kind) and app.focused is not None)


async def test_enter_on_a_bad_value_stays_on_it(core: FakeCore, make_app: MakeApp) -> None:
    """In each field of the form: Enter names the mistake and keeps the cursor there; on a good value it goes on."""
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await open_form(app, pilot, CreateForm, "n")
        await pilot.press("enter")
        assert focused(app) == "name"
        assert note(app, "name").startswith("✗ A name has"), "an empty one is no name"
        await pilot.press(*"Web_1", "enter", "enter")
        assert focused(app) == "name"
        app.screen.query_one("#name", Input).value = "web1"
        app.screen.query_one("#cpu", Input).value = "many"
        await pilot.press("enter")
        assert focused(app) == "image", "this value is right, another is not"
        await pilot.press("down", "enter")
        assert focused(app) == "cpu"
        assert "✗" in note(app, "cpu")
        assert core.calls == []
        app.screen.query_one("#cpu", Input).value = "1"
        await pilot.press("enter")
        await until(pilot, lambda: core.calls)


async def test_what_a_service_said_goes_with_the_value(core: FakeCore, make_app: MakeApp) -> None:
    """A name that was taken and a field that was refused are forgiven as soon as something is edited."""
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await open_form(app, pilot, CreateForm, "n")
        core.fails = AlreadyExists("The name {name} is taken.", name="web1")
        await pilot.press(*"web1", "enter")
        await until(pilot, lambda: "The name web1 is taken." in screen_text(app))
        await pilot.press("0")
        await until(pilot, lambda: "is taken" not in screen_text(app))
        core.fails = ValidationFailed.of("memory", "Too much for {box}.", box="web10")
        await pilot.press("enter")
        await until(pilot, lambda: "Too much for web10." in note(app, "memory"))
        assert focused(app) == "memory", "the cursor goes where something is wrong"
        await pilot.press("shift+tab", "shift+tab", "shift+tab", "1")
        assert "Too much" in note(app, "memory"), "this value was not edited"
        await pilot.press("tab", "tab", "tab", "backspace")
        assert "Too much" not in note(app, "memory")


async def test_arrows_walk_past_a_closed_list(make_app: MakeApp) -> None:
    """Up and down go from field to field; left and right choose; Space opens the list, where arrows choose."""
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await open_form(app, pilot, CreateForm, "n")
        images = app.screen.query_one("#image", PickList)
        walk = []
        for _step in range(4):
            await pilot.press("down")
            walk.append(focused(app))
        assert walk == ["image", "cpu", "memory", "disk"]
        await pilot.press("up", "up", "up")
        assert (focused(app), images.expanded, images.value) == ("image", False, "debian/12")
        await pilot.press("right")
        assert images.value == "ubuntu/24.04"
        await pilot.press("left", "left")
        assert images.value == "alpine/3.21"
        await pilot.press("space")
        assert images.expanded
        await pilot.press("up", "enter")
        await until(pilot, lambda: images.value == "ubuntu/24.04" and not images.expanded)


async def test_an_empty_list_is_walked_past(core: FakeCore, make_app: MakeApp) -> None:
    """Where there is no image at all, the arrows still lead on."""
    core.aliases = []
    core.images.open([])
    core.images.state = CatalogueState(None, True, "", 0)
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await open_form(app, pilot, CreateForm, "n")
        await pilot.press("down", "left", "right", "down")
        assert focused(app) == "cpu"


async def test_the_example_name_is_the_actors_own(core: FakeCore, make_app: MakeApp) -> None:
    """The placeholder is built from one's own name, and is not the name of anybody's container."""
    core.add(container("web1", user_id=4, owner="carol"))
    app = make_app(ALICE)
    async with app.run_test(size=(100, 30)) as pilot:
        await open_form(app, pilot, CreateForm, "n")
        await until(pilot, lambda: "alice-1" in screen_text(app))
        assert "web1" not in app.screen.query_one("#name", Input).placeholder


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["\n", "\r", "\r\n"])
async def test_a_paste_is_taken_whole_or_refused_in_words(core: FakeCore, make_app: MakeApp, ending: str) -> None:
    """Blank lines around a value are dropped; two lines, or too much, change nothing and are said to be so."""
    rng = random.Random(ending)
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await open_form(app, pilot, CreateForm, "n")
        name = app.screen.query_one("#name", Input)
        await paste(app, pilot, f"{ending}{ending}  web1 {ending}")
        assert name.value == "web1"
        await paste(app, pilot, f"one{ending}two{ending}{ending}three")
        assert name.value == "web1"
        assert note(app, "name") == "✗ You pasted 3 lines, and this takes one. Nothing was pasted."
        await pilot.press("x")
        assert "pasted" not in note(app, "name"), "the complaint goes with the next edit"
        await paste(app, pilot, "".join(rng.choices(string.ascii_lowercase, k=rng.randrange(97, 5000))))
        assert name.value == "web1x"
        assert "at most 100 characters are allowed" in note(app, "name")
        await paste(app, pilot, ending * 3)
        assert note(app, "name") == "✗ The clipboard contains no text."
        name.select_all()
        await paste(app, pilot, "a" * 100)
        assert name.value == "a" * 100, "what fits in place of the selection is taken"
        await pilot.press("b")
        assert note(app, "name") == "✗ At most 100 characters are allowed."


async def test_a_wrapped_key_is_pasted_whole(core: FakeCore, make_app: MakeApp) -> None:
    """A key copied from a terminal that wrapped it is one key; several, half a one and a private one are refused."""
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("2")
        await until(pilot, lambda: "No SSH keys yet." in screen_text(app))
        await open_form(app, pilot, KeyForm, "a")
        field = app.screen.query_one("#public_key", Input)
        private = asyncssh.generate_private_key("ssh-rsa", comment="alice@laptop")
        line = private.export_public_key().decode().strip()
        await paste(app, pilot, "\n" + "\n".join(line[at : at + 80] for at in range(0, len(line), 80)) + "\n\n")
        assert field.value == line
        await paste(app, pilot, f"{line}\n{line}\n")
        assert "2 keys were pasted. Add them one at a time." in note(app, "public_key")
        await paste(app, pilot, private.export_private_key().decode())
        assert "This is a private key." in note(app, "public_key")
        await paste(app, pilot, line[:300])
        assert "The end of this key is missing." in note(app, "public_key")
        assert field.value == line, "nothing that was refused has left a trace"
        await paste(app, pilot, line)
        assert field.value == line, "a key takes the place of the one before"
        await pilot.press("enter")
        await until(pilot, lambda: core.calls == [("add_key", line, "")])


async def test_a_terminal_without_bracketed_paste_types_a_wrapped_key(core: FakeCore, make_app: MakeApp) -> None:
    """There the line ends arrive as Enter: half a key keeps the cursor, so that the other half joins it."""
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("2")
        await until(pilot, lambda: "No SSH keys yet." in screen_text(app))
        await open_form(app, pilot, KeyForm, "a")
        line = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
        field = app.screen.query_one("#public_key", Input)
        field.insert_text_at_cursor(line[:40])
        await pilot.press("enter")
        assert (focused(app), core.calls) == ("public_key", [])
        field.insert_text_at_cursor(line[40:])
        await pilot.press("enter")
        await until(pilot, lambda: core.calls == [("add_key", line, "")])


async def test_a_pasted_password_keeps_its_spaces(make_app: MakeApp) -> None:
    """Spaces at its ends belong to a password; a line end does not."""
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("2")
        await until(pilot, lambda: "alice@example.org" in screen_text(app))
        await open_form(app, pilot, PasswordForm, "p")
        await paste(app, pilot, "  secret words \n")
        assert app.screen.query_one("#old", Input).value == "  secret words "
        assert "secret" not in screen_text(app)


async def test_a_pasted_reason_becomes_one_line(make_app: MakeApp) -> None:
    """Text for people may come in several lines: they are joined."""
    app = make_app(ADMIN)
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: "alice@" in screen_text(app))
        await pilot.press("end")
        await open_form(app, pilot, SuspendForm, "s")
        await paste(app, pilot, "Unpaid since\n\nOctober.\n")
        assert app.screen.query_one("#reason", Input).value == "Unpaid since October."


async def test_a_paste_into_the_filter_is_refused_by_a_toast(core: FakeCore, make_app: MakeApp) -> None:
    """Outside of forms the reason is a toast."""
    core.add(container("web1"))
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "web1" in screen_text(app))
        await pilot.press("slash")
        await paste(app, pilot, "web1\n")
        assert app.screen.query_one("#filter", Input).value == "web1"
        await paste(app, pilot, "a\nb")
        assert toasts(app) == ["You pasted 2 lines, and this takes one. Nothing was pasted."]
        assert isinstance(app.screen, ContainersPage)
