"""The palette: everything from everywhere, in one order that typing only thins out."""

from __future__ import annotations

import random

import pytest
from textual.widgets import Input, OptionList

from openlxd_core.domain.container import State
from openlxd_tui.app import OpenLXDApp
from openlxd_tui.screens.account.forms import PasswordForm
from openlxd_tui.screens.containers.page import ContainersPage
from openlxd_tui.screens.containers.unmanaged import UnmanagedPage
from openlxd_tui.screens.images.page import ImagesPage
from openlxd_tui.screens.palette import Entry, Palette, narrow
from openlxd_tui.screens.users.page import UsersPage
from tests.tui.conftest import MakeApp
from tests.tui.fakes import ADMIN, ALICE, FakeCore, a_busy_day, container
from tests.tui.test_containers import page, screen_text, toasts, until


def listed(app: OpenLXDApp) -> list[str]:
    """What the palette shows, in order."""
    assert isinstance(app.screen, Palette)
    return [f"{entry.words}|{entry.where}" for entry in app.screen._shown]


def test_typing_thins_the_list_out_and_moves_nothing() -> None:
    """For random lists and every prefix of what is typed: the same order, and never an entry that comes back."""
    rng = random.Random(5)
    for _try in range(200):
        entries = [Entry("", "".join(rng.choices("abcd ", k=rng.randrange(1, 9))), lambda: None) for _n in range(30)]
        wish = "".join(rng.choices("abcd", k=4))
        before = entries
        for end in range(1, 5):
            exact = [entry for entry in entries if wish[:end] in entry.text]
            found = narrow(entries, wish[:end])
            assert found == narrow(entries, wish[:end]), "the same every time"
            places = [entries.index(entry) for entry in found]
            assert places == sorted(places), "in the order of the whole list"
            if exact:
                assert found == exact
                assert set(map(id, found)) <= set(map(id, before)), "nothing that had gone is back"
                before = found


@pytest.mark.slow
async def test_commands_of_every_screen_are_found_everywhere(core: FakeCore, make_app: MakeApp) -> None:
    """From the containers to a form of the account, from the help to the unmanaged instances."""
    a_busy_day(core)
    app = make_app(ADMIN)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: page(app).table.rows)
        await pilot.press("colon", *"change password", "enter")
        await until(pilot, lambda: isinstance(app.screen, PasswordForm))
        await pilot.press("escape", "4", "colon", *"hand over", "enter")
        await until(pilot, lambda: isinstance(app.screen, UnmanagedPage))
        await until(pilot, lambda: any("Choose a row, then press a." in said for said in toasts(app)))
        await pilot.press("colon", *"quota", "enter")
        await until(pilot, lambda: isinstance(app.screen, UsersPage))
        assert core.calls == [], "nothing was done to a row that nobody saw"


@pytest.mark.slow
async def test_what_cannot_act_now_says_why(core: FakeCore, make_app: MakeApp) -> None:
    """It is listed, told apart by words, and says its reason when it is chosen."""
    core.add(container("web1", State.STOPPED))
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: page(app).table.rows)
        await pilot.press("colon", *"restart")
        await until(pilot, lambda: "Restart (not now)" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: toasts(app) == ["web1 (stopped): only a running container can be restarted."])
        await pilot.press("colon", *"snapshots take", "enter")
        await until(pilot, lambda: any("Choose a container first" in said for said in toasts(app)))
        assert isinstance(app.screen, ContainersPage)


@pytest.mark.slow
async def test_containers_and_images_are_gone_to_by_name(core: FakeCore, make_app: MakeApp) -> None:
    """A container from another screen, past a filter; an image of the catalogue, whatever narrows it."""
    a_busy_day(core)
    core.images.open()
    app = make_app()
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: page(app).table.rows)
        await pilot.press("slash", *"blog", "enter", "2", "colon", *"mail", "enter")
        await until(pilot, lambda: isinstance(app.screen, ContainersPage) and page(app).table.current_key == "mail")
        await pilot.press("colon", *"fedora/43")
        await until(pilot, lambda: "fedora/43|image" in listed(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ImagesPage))
        images = app.screen
        assert isinstance(images, ImagesPage)
        await until(pilot, lambda: images.alias == "fedora/43")
        await pilot.press("slash", *"alpine", "enter", "colon", *"fedora/43", "enter")
        await until(pilot, lambda: images.alias == "fedora/43")


async def test_hostile_names_are_only_text(core: FakeCore, make_app: MakeApp) -> None:
    """Escape codes, markup and right-to-left marks in names neither act nor break the list."""
    core.add(container("[bold]x\x1b[2J"), container("\u202eevil[/]"), container("[@click=app.leave]y"))
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: page(app).table.rows)
        await pilot.press("colon", *"container ·")
        await until(pilot, lambda: "[bold]x[2J" in screen_text(app))
        drawn = "".join(strip.render(app.console) for strip in app.screen._compositor.render_strips())
        assert "\x1b[2J" not in drawn
        assert "\u202e" not in drawn
        assert "[@click=app.leave]y" in screen_text(app)


@pytest.mark.parametrize("actor", [ALICE, ADMIN])
async def test_tenants_are_not_shown_what_is_for_admins(core: FakeCore, make_app: MakeApp, actor: object) -> None:
    """Users and unmanaged instances are an admin's alone."""
    app = make_app(actor)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("colon")
        await until(pilot, lambda: isinstance(app.screen, Palette))
        await pilot.pause()
        text = " ".join(listed(app))
        for words in ("Unmanaged instances", "Set password", "Hide from tenants"):
            assert (words in text) == (actor is ADMIN), words


@pytest.mark.slow
async def test_five_thousand_images_do_not_hold_up_the_keys(core: FakeCore, make_app: MakeApp) -> None:
    """However many there are, the list holds a hundred, and all that was typed has arrived."""
    core.add(*(container(f"box-{number}") for number in range(1000)))
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: page(app).table.rows)
        await pilot.press("colon")
        await until(pilot, lambda: isinstance(app.screen, Palette))
        assert isinstance(app.screen, Palette)
        app.screen._entries += [Entry("", f"linux/{n}", lambda: None, "image", True, True) for n in range(5000)]
        await pilot.press(*"box-99")
        await until(pilot, lambda: app.screen.query_one(Input).value == "box-99")
        assert [line.split("|")[0] for line in listed(app)] == ["box-99", *(f"box-99{n}" for n in range(10))]
        await pilot.press("backspace", "backspace", "backspace", "backspace", "backspace", "backspace", *"linux")
        await until(pilot, lambda: app.screen.query_one(OptionList).option_count == 100)
