"""``/api/docs``: the OpenAPI document as a page, from bundled files; it works offline."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

STATIC = Path(__file__).parent.with_name("static") / "docs"
PATH = "/api/docs"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "Cache-Control": "no-cache",
}


@cache
def _file(name: str) -> tuple[bytes, str]:
    path = STATIC / name
    return path.read_bytes(), _TYPES[path.suffix]


def add_to(app: web.Application) -> None:
    """Serve the page and its files."""
    for file in sorted(STATIC.iterdir()):
        if file.suffix in _TYPES:
            path = PATH if file.name == "index.html" else f"{PATH}/{file.name}"
            app.router.add_get(path, _serve(file.name))


def _serve(name: str) -> Handler:
    async def serve(_request: web.Request) -> web.Response:
        body, content_type = _file(name)
        return web.Response(body=body, content_type=content_type, charset="utf-8", headers=_HEADERS)

    return serve
