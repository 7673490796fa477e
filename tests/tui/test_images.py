"""The images screen's screen, driven key by key."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from textual.pilot import Pilot

from openlxd_core.domain.container import State
from openlxd_core.domain.errors import Forbidden, Message, ValidationFailed
from openlxd_core.domain.image import CatalogueState, Image, ImageStatus
from openlxd_core.domain.operation import OperationStatus
from openlxd_tui.app import OpenLXDApp
from openlxd_tui.screens.containers.create import CreateForm
from openlxd_tui.screens.containers.page import ContainersPage
from openlxd_tui.screens.images.columns import Progress, import_cell
from openlxd_tui.screens.images.page import ImagesPage
from openlxd_tui.widgets.paint import width_of
from tests.tui.conftest import MakeApp
from tests.tui.fake_images import NOW, offer
from tests.tui.fakes import ADMIN, ALICE, FakeCore, container
from tests.tui.test_containers import screen_text, toasts, until


def images_page(app: OpenLXDApp) -> ImagesPage:
    """The screen."""
    assert isinstance(app.screen, ImagesPage)
    return app.screen


async def enter(app: OpenLXDApp, pilot: Pilot[None]) -> ImagesPage:
    """Go there and wait for what it shows."""
    await pilot.press("3")
    await until(pilot, lambda: isinstance(app.screen, ImagesPage) and app.screen._ready and app.screen._local)
    await pilot.pause()
    return images_page(app)


@pytest.fixture
def stocked(core: FakeCore) -> FakeCore:
    """A core whose images screen has something of everything."""
    core.images.open()
    return core


async def test_the_catalogue_says_what_each_image_is(stocked: FakeCore, make_app: MakeApp) -> None:
    """Here, available or no longer published; size, build and end of life; and how fresh all that is."""
    stocked.images.newer = {"alpine/3.21"}
    app = make_app()
    async with app.run_test(size=(140, 40)) as pilot:
        await enter(app, pilot)
        assert "arm64" not in screen_text(app), "an image that this host cannot run is not shown at first"
        await pilot.press("u")
        text = screen_text(app)
        for words in ("● on this host", "↑ newer build", "○ available", "✗ no longer published", "✗ 2024-06-30",
                      "2029-05-31", "read 12 min ago", "115 MiB"):  # fmt: skip
            assert words in text, words


async def test_each_key_of_the_search_narrows_both_lists(stocked: FakeCore, make_app: MakeApp) -> None:
    """Typing shows what fits, the best first; Enter keeps it, Esc shows everything again."""
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        page = await enter(app, pilot)
        await pilot.press("down", "down", "slash", *"deb")
        assert [row.alias for row in page.offers.rows] == ["debian/13", "debian/12", "debian/12/cloud"]
        assert page.offers.cursor == 0
        assert [row.alias for row in page.images.rows] == ["debian/12"]
        await pilot.press("enter", "down")
        assert page.offers.current_key == "debian/12"
        await pilot.press("escape")
        assert len(page.offers.rows) > 10
        await pilot.press("escape")
        assert isinstance(app.screen, ContainersPage)


async def test_a_keystroke_draws_only_lines_in_view(core: FakeCore, make_app: MakeApp) -> None:
    """Of 5,000 images the search paints what fits on the terminal and not a line more."""
    core.images.open([offer(f"linux/{number}") for number in range(5000)])
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        page = await enter(app, pilot)
        await pilot.press("slash")
        drawn: list[int] = []
        original = page.offers.render_line
        page.offers.render_line = lambda y: (drawn.append(y), original(y))[1]  # type: ignore[method-assign, func-returns-value]
        await pilot.press("4")
        await until(pilot, lambda: "linux/4" in screen_text(app))
        assert len(page.offers.rows) > 1000
        assert len(drawn) <= 4 * page.offers.size.height


@pytest.mark.slow
async def test_chips_narrow_by_one_value_each(stocked: FakeCore, make_app: MakeApp) -> None:
    """A key opens the values that there are; what was chosen stands on its chip until Esc."""
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        page = await enter(app, pilot)
        await pilot.press("f", *"ubu", "enter")
        assert {row.distribution for row in page.offers.rows} == {"ubuntu"}
        assert "Distribution ubuntu" in screen_text(app)
        await pilot.press("r")
        assert "debian" not in screen_text(app).split("Release")[-1]
        await pilot.press(*"24", "enter")
        await pilot.press("v", *"clou", "enter")
        assert [row.alias for row in page.offers.rows] == ["ubuntu/24.04/cloud"]
        await pilot.press("a")
        await pilot.press("up", "enter")
        await pilot.press("escape")
        assert len(page.offers.rows) == 13
        assert {row.architecture for row in page.offers.rows} == {"amd64"}
        await pilot.press("a", *"arm", "enter")
        assert [row.alias for row in page.offers.rows] == ["ubuntu/24.04/arm64"]


async def test_the_details_tell_everything(stocked: FakeCore, make_app: MakeApp) -> None:
    """Other names, size, build, end of life, server, and the containers that were made from it."""
    stocked.add(container("web1", image="debian/12"))
    app = make_app()
    async with app.run_test(size=(140, 40)) as pilot:
        page = await enter(app, pilot)
        page.offers.seek("debian/12")
        await until(pilot, lambda: "web1" in screen_text(app))
        text = screen_text(app)
        for words in ("debian/bookworm", "debian 12 (bookworm)", "2028-06-30", "images.example.org", "amd64"):
            assert words in text, words
        await pilot.press("u")
        page.offers.seek("debian/10")
        await until(pilot, lambda: "No image server offers it." in screen_text(app))
        assert "Its security updates ended on" in screen_text(app)


async def test_an_import_is_seen_by_every_session(stocked: FakeCore, make_app: MakeApp) -> None:
    """i imports; percent, rate and time left move in the asker's session and in a neighbour's alike."""
    app, other = make_app(), make_app(replace(ALICE, user_id=7, username="bob"), "zh")
    async with app.run_test(size=(120, 30)) as pilot, other.run_test(size=(120, 30)) as neighbour:
        page = await enter(app, pilot)
        await enter(other, neighbour)
        page.offers.seek("ubuntu/22.04")
        await pilot.press("i")
        await until(pilot, lambda: "Waiting" in screen_text(app))
        assert stocked.calls == [("import", "ubuntu/22.04")]
        stocked.images.download("ubuntu/22.04", 42)
        await until(pilot, lambda: "Downloading 42%" in screen_text(app))
        assert "3.1 MiB/s" in screen_text(app)
        assert "0:12 left" in screen_text(app)
        await until(neighbour, lambda: "42%" in screen_text(other) and "剩余 0:12" in screen_text(other))
        stocked.images.download("ubuntu/22.04", 77)
        await until(neighbour, lambda: "77%" in screen_text(other))
        stocked.images.arrive("ubuntu/22.04")
        await until(pilot, lambda: "Image ubuntu/22.04 was imported." in toasts(app))
        await until(pilot, lambda: "77%" not in screen_text(app))
        await until(neighbour, lambda: "77%" not in screen_text(other))
        assert toasts(other) == []
        assert page.offer is not None
        assert page.offer.held


async def test_a_neighbour_cannot_cancel_and_the_asker_can(stocked: FakeCore, make_app: MakeApp) -> None:
    """x gives up one's own import, and is not even offered for another's."""
    app, other = make_app(), make_app(replace(ALICE, user_id=7, username="bob"))
    stocked.operations.only_own = True  # type: ignore[attr-defined]
    async with app.run_test(size=(120, 30)) as pilot, other.run_test(size=(120, 30)) as neighbour:
        page, theirs = await enter(app, pilot), await enter(other, neighbour)
        for table in (page.offers, theirs.offers):
            table.seek("ubuntu/22.04")
        await pilot.press("i")
        await until(neighbour, lambda: "ubuntu/22.04" in theirs._progress)
        assert not theirs.check_action("give_up", ())
        await pilot.press("x")
        await until(pilot, lambda: ("cancel", "op-ubuntu/22.04") in stocked.calls)
        await until(neighbour, lambda: not theirs._progress)
        await until(pilot, lambda: not page._progress)
        assert not any("failed" in text for text in toasts(app))


async def test_a_failed_import_says_why(stocked: FakeCore, make_app: MakeApp) -> None:
    """The reason is told to who asked, in their language."""
    app = make_app()
    async with app.run_test(size=(120, 30)) as pilot:
        page = await enter(app, pilot)
        page.offers.seek("ubuntu/22.04")
        await pilot.press("i")
        await until(pilot, lambda: page._progress)
        operation = stocked.under_way["op-ubuntu/22.04"]
        stocked.under_way[operation.id] = replace(
            operation, status=OperationStatus.FAILED, error=Message("The server hung up.")
        )
        stocked.feed.send("image", "failed", "ubuntu/22.04", None)
        await until(pilot, lambda: "Image ubuntu/22.04 could not be imported: The server hung up." in toasts(app))


async def test_what_may_not_be_imported_is_refused_in_words(stocked: FakeCore, make_app: MakeApp) -> None:
    """The service's no is a toast, and nothing is shown as under way."""
    app = make_app()
    async with app.run_test(size=(120, 30)) as pilot:
        page = await enter(app, pilot)
        page.offers.seek("ubuntu/22.04")
        stocked.fails = Forbidden("Only admins can import images here. Ask an admin for it.")
        await pilot.press("i")
        await until(pilot, lambda: toasts(app))
        assert toasts(app) == ["Only admins can import images here. Ask an admin for it."]
        assert page._progress == {}
        await pilot.press("u")
        page.offers.seek("centos/7")
        await pilot.press("i", "enter", "n")
        await pilot.pause()
        assert [call for call in stocked.calls if call[0] != "import"] == []
        assert app.screen is page


async def test_enter_makes_a_container_from_it(stocked: FakeCore, make_app: MakeApp) -> None:
    """The form opens with the image filled in, says that it is imported first, and ends at the new row."""
    app = make_app()
    async with app.run_test(size=(120, 30)) as pilot:
        page = await enter(app, pilot)
        page.offers.seek("debian/13")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, CreateForm))
        form = app.screen
        assert isinstance(form, CreateForm)
        assert form.values()["image"] == "debian/13"
        await until(pilot, lambda: "imported first" in screen_text(app))
        await pilot.press(*"web1", "enter")
        await until(pilot, lambda: isinstance(app.screen, ContainersPage) and app.screen.table.current_key == "web1")
        assert stocked.calls == [("create", "web1", "debian/13", "1", "512MiB", "5GiB", None)]


async def test_the_local_list_names_who_uses_each(stocked: FakeCore, make_app: MakeApp) -> None:
    """Tab shows what LXD holds; a change there appears by itself."""
    stocked.add(container("web1", image="debian/12"), container("web2", image="debian/12"))
    app = make_app()
    async with app.run_test(size=(120, 30)) as pilot:
        page = await enter(app, pilot)
        await pilot.press("tab")
        assert "2  web1" in screen_text(app)
        stocked.aliases = [image for image in stocked.aliases if image.alias != "ubuntu/24.04"]
        stocked.feed.send("image", "deleted", "ubuntu/24.04", None)
        await until(pilot, lambda: len(page.images.rows) == 2)
        await pilot.press("tab")
        assert page.offers.has_focus


@pytest.mark.slow
async def test_delete_warns_and_wants_the_name_typed(stocked: FakeCore, make_app: MakeApp) -> None:
    """An admin is told which containers came from it and that they keep working; a tenant is not offered it."""
    stocked.add(container("web1", image="debian/12"))
    app = make_app(ADMIN)
    async with app.run_test(size=(120, 30)) as pilot:
        page = await enter(app, pilot)
        page.offers.seek("debian/12")
        await pilot.press("d")
        await until(pilot, lambda: "Containers created from it: web1. They keep" in screen_text(app))
        await pilot.press(*"debian/1", "enter")
        assert stocked.calls == []
        await pilot.press("2", "enter")
        await until(pilot, lambda: stocked.calls == [("delete_image", "debian/12")])
        await until(pilot, lambda: page.offer is not None and not page.offer.held)
    tenant = make_app()
    async with tenant.run_test(size=(120, 30)) as pilot:
        page = await enter(tenant, pilot)
        page.offers.seek("alpine/3.21")
        await pilot.press("d", "p", "h")
        assert tenant.screen is page
        assert len(stocked.calls) == 1


async def test_a_tenant_deletes_their_own_image(stocked: FakeCore, make_app: MakeApp) -> None:
    """One that was published from their container is theirs to drop."""
    stocked.images.private = [
        Image("private/alice/mine", "2" * 64, "debian", "12", "amd64", "default", "", 9, ImageStatus.IMPORTED, NOW,
              private=True, user_id=2)
    ]  # fmt: skip
    app = make_app()
    async with app.run_test(size=(120, 30)) as pilot:
        page = await enter(app, pilot)
        await pilot.press("tab", "end")
        assert page.alias == "private/alice/mine"
        await pilot.press("d")
        await until(pilot, lambda: "There is no other copy" in screen_text(app))
        await pilot.press(*"private/alice/mine", "enter")
        await until(pilot, lambda: stocked.calls == [("delete_image", "private/alice/mine")])


@pytest.mark.slow
async def test_admins_pin_and_hide(stocked: FakeCore, make_app: MakeApp) -> None:
    """p and h, each there and back; a hidden one is gone from a tenant's list at once."""
    app, other = make_app(ADMIN), make_app()
    async with app.run_test(size=(120, 30)) as pilot, other.run_test(size=(120, 30)) as tenant:
        page, theirs = await enter(app, pilot), await enter(other, tenant)
        page.offers.seek("fedora/43")
        await pilot.press("p")
        await until(pilot, lambda: "★ fedora/43" in screen_text(app))
        await until(tenant, lambda: theirs.offers.rows[0].alias == "fedora/43")
        await pilot.press("h")
        await until(pilot, lambda: "⊘ fedora/43" in screen_text(app) and "Hidden from tenants." in screen_text(app))
        await until(tenant, lambda: all(row.alias != "fedora/43" for row in theirs.offers.rows))
        await pilot.press("h")
        await until(tenant, lambda: theirs.offers.rows[0].alias == "fedora/43")
        await pilot.press("p")
        await until(pilot, lambda: "★" not in screen_text(app))


@pytest.mark.slow
async def test_the_palette_knows_the_images_screens_commands(stocked: FakeCore, make_app: MakeApp) -> None:
    """What a key does is found by its words, too."""
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        page = await enter(app, pilot)
        page.offers.seek("ubuntu/22.04")
        await pilot.press("colon", *"import", "enter")
        await until(pilot, lambda: stocked.calls == [("import", "ubuntu/22.04")])
        await pilot.press("colon", *"variant", "enter")
        await until(pilot, lambda: "Type to narrow" in screen_text(app))


async def test_the_smallest_terminal_can_search(stocked: FakeCore, make_app: MakeApp) -> None:
    """At 20×5 there are two images and the keys; the search line comes up when it is asked for."""
    app = make_app()
    async with app.run_test(size=(20, 5)) as pilot:
        page = await enter(app, pilot)
        assert "alpine/3.21" in screen_text(app)
        assert "searches" not in screen_text(app)
        await pilot.press("slash")
        await until(pilot, lambda: page.query_one("#filter").has_focus)
        await pilot.press(*"fed")
        await until(pilot, lambda: "fedora/43" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: page.offers.has_focus and "fed\n" not in screen_text(app))


async def test_a_stale_catalogue_says_so(stocked: FakeCore, make_app: MakeApp) -> None:
    """An old copy stays in use; its age and the reason stand above it, and ^r asks again."""
    stocked.images.state = replace(
        stocked.images.state, fetched_at=NOW - timedelta(hours=7), stale=True, reason="No answer.\x1b[2J"
    )
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await enter(app, pilot)
        assert "▲ read 7 h ago" in screen_text(app)
        assert "The catalogue may be out of date: No answer." in screen_text(app)
        assert "\x1b" not in screen_text(app)
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "read 0 s ago" in screen_text(app))
        assert "An old copy" not in screen_text(app)


@pytest.mark.parametrize(
    ("servers", "state", "words"),
    [
        ([], CatalogueState(None, False, "", 0), "The operator sets one with OPENLXD_IMAGES_URL."),
        (["https://a.example"], CatalogueState(None, True, "It does not answer.", 0), "^r  refreshes"),
    ],
    ids=["no server", "server away"],
)
async def test_an_empty_catalogue_says_what_to_do(
    core: FakeCore, make_app: MakeApp, servers: list[str], state: CatalogueState, words: str
) -> None:
    """Without offers the screen tells why, and what one can press."""
    core.settings.images_servers = servers
    core.images.state = state
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await enter(app, pilot)
        assert words in screen_text(app)


async def test_a_refused_create_stays_in_the_form(stocked: FakeCore, make_app: MakeApp) -> None:
    """What the images screen says of an image stands beside its field."""
    app = make_app()
    async with app.run_test(size=(120, 30)) as pilot:
        page = await enter(app, pilot)
        page.offers.seek("debian/13")
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, CreateForm))
        stocked.fails = ValidationFailed.of("image", "There is no image {alias}.", alias="debian/13")
        await pilot.press(*"web1", "enter")
        await until(pilot, lambda: "There is no image debian/13." in screen_text(app))
        assert isinstance(app.screen, CreateForm)


@pytest.mark.parametrize("width", range(1, 90, 4))
def test_progress_says_as_much_as_there_is_room_for(width: int) -> None:
    """Rate and time left give way to the bar, that to the percent; nothing is cut while something can be left out."""
    cell = import_cell(Progress("x", "download", 42, 3_250_000, 75), width)
    text = "".join(piece for piece, _tint in cell)
    assert "42%" in text
    assert width_of(cell) <= max(width, 17)
    if width >= 57:
        assert "3.1 MiB/s" in text
        assert "1:15 left" in text


async def test_publishing_names_the_image(core: FakeCore, make_app: MakeApp) -> None:
    """P on a stopped container asks for a name and makes its image."""
    core.add(container("web1", State.STOPPED))
    app = make_app()
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "web1" in screen_text(app))
        await pilot.press("P")
        await until(pilot, lambda: "Create an image from web1" in screen_text(app))
        await pilot.press(*"mine", "enter")
        await until(pilot, lambda: core.calls == [("publish", "web1", "mine", None)])
        await until(pilot, lambda: "Creating the image" in screen_text(app))


def counts(app: OpenLXDApp) -> str:
    """The line of tabs with their counts."""
    return next(line for line in screen_text(app).splitlines() if "On this host" in line)


async def test_every_count_of_the_catalogue_is_the_same(stocked: FakeCore, make_app: MakeApp) -> None:
    """The tab, the list, the filters and "n of m" come from one number; nothing else counts."""
    app = make_app()
    async with app.run_test(size=(120, 40)) as pilot:
        page = await enter(app, pilot)
        can_be_had = [o.alias for o in stocked.images.there if o.published and o.native]
        assert sorted(row.alias for row in page.offers.rows) == sorted(can_be_had)
        assert f"Catalogue {len(can_be_had)}▌" in counts(app)
        assert "images, read" not in counts(app), "no second count beside it"
        assert f"u Unavailable {len(stocked.images.there) - len(can_be_had)}" in screen_text(app)
        await pilot.press("slash", *"debian", "enter")
        assert f"Catalogue {len(page.offers.rows)}/{len(can_be_had)}▌" in counts(app)
        assert "On this host 1/3" in counts(app)
        await pilot.press("escape", "u")
        assert f"Catalogue {len(page.offers.rows)}▌" in counts(app)
        assert len(page.offers.rows) == len(stocked.images.there)
        await pilot.press("slash", *"debian", "enter")
        assert f"Catalogue {len(page.offers.rows)}/{len(stocked.images.there)}▌" in counts(app)


async def test_what_cannot_be_had_is_behind_a_filter_that_says_why(stocked: FakeCore, make_app: MakeApp) -> None:
    """Not shown at first; ``u`` shows it with its reason, Esc puts it away; it is never offered to be imported."""
    app = make_app()
    async with app.run_test(size=(140, 40)) as pilot:
        page = await enter(app, pilot)
        assert not {"centos/7", "debian/10", "ubuntu/24.04/arm64"} & {row.alias for row in page.offers.rows}
        await pilot.press("u")
        assert {"centos/7", "debian/10", "ubuntu/24.04/arm64"} <= {row.alias for row in page.offers.rows}
        page.offers.seek("ubuntu/24.04/arm64")
        await until(pilot, lambda: "It is built for arm64." in screen_text(app))
        assert "✗ other architecture" in screen_text(app)
        assert "✗ no longer published" in screen_text(app)
        for action in ("import", "use"):
            assert page.check_action(action, ()) is False
        await pilot.press("escape")
        assert len(page.offers.rows) == 13
        await pilot.press("slash", *"centos 7")
        await until(pilot, lambda: "shows unavailable images" in screen_text(app))
        await pilot.press("enter", "u")
        assert [row.alias for row in page.offers.rows] == ["centos/7"]


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_every_filter_is_in_view_at_60_columns(stocked: FakeCore, make_app: MakeApp, language: str) -> None:
    """Titles give way before the keys and the count of what is kept back do."""
    stocked.images.there += [offer(f"linux/{n}/arm64", architecture="arm64", native=False) for n in range(150)]
    app = make_app(language=language)
    async with app.run_test(size=(60, 20)) as pilot:
        await enter(app, pilot)
        chips = next(line for line in screen_text(app).splitlines() if line.startswith(" f "))
        for key in (" f ", " r ", " a ", " v ", " u "):
            assert key in chips
        assert "153" in chips
