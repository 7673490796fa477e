"""Draws scenes as SVG: ``python -m tests.tui.pictures`` renews the README's pictures in docs/pictures.

With a directory it draws every scene there, in both languages, to be looked at.
"""

from __future__ import annotations

import asyncio
import html
import re
import sys
from dataclasses import replace
from pathlib import Path

from rich.cells import cell_len

from openlxd_core.i18n import Translator
from openlxd_tui import formatting
from openlxd_tui.app import OpenLXDApp
from tests.tui.fake_images import NOW
from tests.tui.fakes import FakeShell, fake_core
from tests.tui.scenes import SCENES, Scene

FONTS = "Menlo, Consolas, 'DejaVu Sans Mono', 'Noto Sans Mono CJK SC', 'WenQuanYi Micro Hei Mono', monospace"
README = {
    "containers-readme": Scene(size=(124, 18)),
    "images-readme": replace(SCENES["images"], keys=("3", "end", "up", "up"), size=(124, 22)),
}
"""The README's own."""
HOME = Path(__file__).parents[2] / "docs" / "pictures"


async def draw(scene: Scene, language: str) -> str:
    """One scene as SVG."""
    core = fake_core()
    scene.prepare(core)
    environment = {"TERM": scene.term} | ({"NO_COLOR": scene.no_color} if scene.no_color else {})
    app = OpenLXDApp(
        core,  # type: ignore[arg-type]
        scene.actor,
        translator=Translator(language),
        environment=environment,
        host_shell=FakeShell(),
        host="host1",
    )
    async with app.run_test(size=scene.size) as pilot:
        await pilot.pause()
        await pilot.press(*scene.keys)
        await pilot.pause(0.1)
        return app.export_screenshot(title="ssh openlxd@host1", simplify=True)


def _by_cells(found: re.Match[str]) -> str:
    """Rich reckons the length of a text by its characters; a Chinese one takes two cells."""
    text = html.unescape(found[3])
    length = float(found[1]) * cell_len(text) / max(1, len(text))
    return f'textLength="{length:.1f}"{found[2]}>{found[3]}<'


def lighten(svg: str) -> str:
    """Without the fonts of a remote host: a reader's own monospaced font will do."""
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'textLength="([\d.]+)"([^>]*)>([^<]*)<', _by_cells, svg)
    return svg.replace("Fira Code, monospace", FONTS)


def main() -> None:
    """Draw what was asked for."""
    formatting.now = lambda: NOW
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HOME
    names = sys.argv[2:] or (list(SCENES) if len(sys.argv) > 1 else list(README))
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        scene = README.get(name) or SCENES[name]
        for language in ("en", "zh"):
            svg = lighten(asyncio.run(draw(scene, language)))
            (target / f"{name.removesuffix('-readme')}-{language}.svg").write_text(svg)


if __name__ == "__main__":
    main()
