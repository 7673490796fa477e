"""Details and sentences: whatever they say can be read, at any size."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openlxd_core.domain.container import State
from openlxd_core.domain.errors import Message
from openlxd_core.domain.feed import LxdState
from openlxd_core.i18n import set_translator
from openlxd_tui.formatting import Cell
from openlxd_tui.screens.containers.details import Details
from openlxd_tui.screens.images.details import ImageDetails
from openlxd_tui.screens.images.page import ImagesPage
from openlxd_tui.widgets.paint import width_of
from openlxd_tui.widgets.pane import Pane
from openlxd_tui.widgets.wrap import wrap
from tests.tui.conftest import MakeApp
from tests.tui.fake_images import NOW
from tests.tui.fakes import ADMIN, ALICE, FakeCore, container, operation, usage
from tests.tui.test_columns import LONG_IPV6, SIZES
from tests.tui.test_containers import page, screen_text, until

pytestmark = pytest.mark.slow

FAULT = (
    "The image server images.example-of-a-long-name.hosting.example.org does not answer: Cannot connect to host "
    "images.example-of-a-long-name.hosting.example.org:443 ssl:default [Name or service not known]."
)


def shown(pane: Pane) -> list[str]:
    """The lines of a pane that are in view."""
    return [pane.render_line(y).text for y in range(pane.size.height)]


def squeezed(text: str) -> str:
    """Without blanks and line breaks: to compare what was wrapped."""
    return "".join(text.split())


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("actor", [ALICE, ADMIN])
async def test_every_fact_of_a_container_can_be_reached(
    core: FakeCore, make_app: MakeApp, actor: object, language: str
) -> None:
    """From the name to the age: in view, or further down where a mark says that there is more."""
    core.add(
        container(
            "w" * 63, State.RUNNING, image="我的镜像/" + "very-long-" * 4, ipv6=LONG_IPV6, ipv4="192.168.100.200",
            error=Message("LXD refused: {reason}", {"reason": "no space left on device " * 8}),
        )
    )  # fmt: skip
    core.lxd_status.figures = {"w" * 63: usage(99.9, 1024 * 1000, 4_000_000)}
    core.under_way["op"] = operation("w" * 63, id="op")
    app = make_app(actor, language)
    set_translator(app.translator)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: page(app).table.rows)
        pane = page(app).query_one(Details)
        for size in SIZES[1:]:
            await pilot.resize_terminal(*size)
            await pilot.pause()
            if not page(app).has_class("-details"):
                await pilot.press("i")
                await pilot.pause()
            assert pane.display, size
            page_down = shown(pane)
            assert len(pane.lines()) <= pane.size.height or "▼" in page_down[-1]
            seen = "\n".join(page_down)
            for _step in range(40):
                await pilot.press("J")
                await pilot.pause()
                seen += "\n" + "\n".join(shown(pane))
            assert len(pane.lines()) <= pane.size.height or "▲" in shown(pane)[0]
            created = "2026-11-22 08:59"
            for words in ("99", "192.168.100.200", created, "3 h" if language == "en" else "3 小时"):
                assert words in seen, (size, words)
            assert "w" * 20 in seen
            for _step in range(40):
                await pilot.press("shift+up")
            assert shown(pane) == page_down, "and back"


@pytest.mark.parametrize("actor", [ALICE, ADMIN])
@pytest.mark.parametrize("size", [(120, 40), (120, 24), (140, 45), (200, 60)])
async def test_an_ipv6_address_stands_on_one_line_from_120_columns_on(
    core: FakeCore, make_app: MakeApp, actor: object, size: tuple[int, int]
) -> None:
    """The longest there is, whole, to be copied; admins see it, too."""
    core.add(container("web1", ipv6=LONG_IPV6))
    app = make_app(actor)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: page(app).table.rows)
        await until(pilot, lambda: LONG_IPV6 in screen_text(app))


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_created_and_age_are_in_view_at_80_columns(core: FakeCore, make_app: MakeApp, language: str) -> None:
    """Beneath the table short facts stand side by side."""
    core.add(container("web1"))
    core.lxd_status.figures = {"web1": usage()}
    app = make_app(language=language)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: page(app).table.rows)
        await pilot.press("i")
        await until(pilot, lambda: "2026-11-22 08:59" in screen_text(app))
        pane = page(app).query_one(Details)
        assert len(pane.lines()) <= pane.size.height


async def test_another_container_is_told_from_its_first_line(core: FakeCore, make_app: MakeApp) -> None:
    """Scrolling down is for this one; figures that change do not scroll."""
    core.add(container("web1", ipv6=LONG_IPV6), container("web2", ipv6=LONG_IPV6))
    app = make_app()
    async with app.run_test(size=(118, 10)) as pilot:
        await until(pilot, lambda: page(app).table.rows)
        pane = page(app).query_one(Details)
        await pilot.press("J", "J")
        top = pane._top
        assert top > 0
        core.lxd_status.figures = {"web1": usage()}
        page(app).measure_use()
        await pilot.pause()
        assert pane._top == top
        await pilot.press("down")
        await until(pilot, lambda: "web2" in shown(pane)[0])


@pytest.mark.parametrize("size", SIZES[1:])
@pytest.mark.parametrize("language", ["en", "zh"])
async def test_why_an_image_server_does_not_answer_is_said_in_full(
    core: FakeCore, make_app: MakeApp, size: tuple[int, int], language: str
) -> None:
    """In the empty catalogue, and above an old copy of it."""
    core.images.open([])
    core.aliases = []
    core.images.state = replace(core.images.state, fetched_at=None, stale=True, reason=FAULT)
    app = make_app(language=language)
    async with app.run_test(size=size) as pilot:
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, ImagesPage) and app.screen._ready)
        await until(pilot, lambda: squeezed(FAULT) in squeezed(screen_text(app)))
        core.images.open()
        core.images.state = replace(core.images.state, fetched_at=NOW, stale=True, reason=FAULT)
        core.feed.send("image", "catalogue", "", None)
        await until(pilot, lambda: "debian/12" in screen_text(app))
        await until(pilot, lambda: squeezed(FAULT) in squeezed(screen_text(app)))
        core.images.state = replace(core.images.state, stale=False, reason="")
        core.feed.send("image", "catalogue", "", None)
        await until(pilot, lambda: "images.example-of" not in screen_text(app))


async def test_what_is_wrong_with_lxd_is_said_in_full(core: FakeCore, make_app: MakeApp) -> None:
    """An admin reads the reason on a narrow terminal, too."""
    core.lxd_status.state = LxdState(
        False, "lxd", "5.0.2", "Connection refused by /var/snap/lxd/common/lxd/unix.socket", NOW
    )
    app = make_app(ADMIN)
    async with app.run_test(size=(60, 20)) as pilot:
        await until(pilot, lambda: "/var/snap/lxd/common/lxd/unix.socket)" in screen_text(app))


async def test_the_details_of_an_image_scroll_too(core: FakeCore, make_app: MakeApp) -> None:
    """Down to the server it comes from."""
    core.images.open()
    app = make_app()
    async with app.run_test(size=(118, 12)) as pilot:
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, ImagesPage) and app.screen._ready)
        pane = app.screen.query_one(ImageDetails)
        await until(pilot, lambda: "▼" in shown(pane)[-1])
        assert "images.example.org" not in screen_text(app)
        await pilot.press(*["J"] * 30)
        await until(pilot, lambda: "images.example.org" in screen_text(app))


@given(
    st.lists(st.tuples(st.text(st.characters(codec="utf-8"), max_size=30), st.just("text")), max_size=5),
    st.integers(2, 60),
    st.integers(0, 12),
)
def test_wrapping_loses_nothing_and_keeps_to_the_width(cell: list[tuple[str, str]], width: int, indent: int) -> None:
    """Whatever the text: no line is wider than asked, and only blanks at its breaks go."""
    lines = wrap(tuple(cell), width, indent)  # type: ignore[arg-type]
    assert all(width_of(line) <= width for line in lines)
    whole = squeezed("".join(text for line in wrap(tuple(cell), 10_000) for text, _tint in line))  # type: ignore[arg-type]
    assert squeezed("".join(text for line in lines for text, _tint in line)) == whole


def test_words_are_kept_together_and_chinese_is_broken_anywhere() -> None:
    """As people break lines."""

    def lines(text: str, width: int) -> list[str]:
        cell: Cell = ((text, "text"),)
        return ["".join(part for part, _tint in line).rstrip() for line in wrap(cell, width)]

    assert lines("changes are possible again when LXD is back", 12) == [
        "changes are",
        "possible",
        "again when",
        "LXD is back",
    ]
    assert lines("无法连接 LXD，稍后再试", 10) == ["无法连接", "LXD，稍后", "再试"]
    assert lines("x" * 25, 10) == ["x" * 10, "x" * 10, "x" * 5]
