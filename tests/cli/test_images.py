"""``openlxd image …``: from the catalogue to an image and back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from openlxd_tui.cli import exits
from tests.cli.conftest import Openlxd
from tests.images.conftest import metadata, noise
from tests.support.simplestreams import ImageServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ImageServer]:
    """An image server in a thread of its own; the settings name it."""
    made, loop, up = ImageServer(), asyncio.new_event_loop(), threading.Event()
    made.add("alpine", "3.19", metadata=metadata(), squashfs=noise(20_000))
    made.add("ubuntu", "jammy", aliases="ubuntu/jammy,ubuntu/22.04", metadata=metadata("u"))

    async def serve() -> None:
        await made.start()
        up.set()

    loop.create_task(serve())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    assert up.wait(10)
    monkeypatch.setenv("OPENLXD_IMAGES_URL", made.url)
    yield made
    asyncio.run_coroutine_threadsafe(made.stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.mark.slow
def test_from_the_catalogue_to_an_image_and_back(openlxd: Openlxd, server: ImageServer) -> None:
    """Listed, imported by another spelling, listed as here, deleted."""
    offered = openlxd("image", "remote", "alpine", "3.19", "--json")
    assert offered.code == exits.DONE, offered.err
    assert [(offer["alias"], offer["held"]) for offer in offered.data] == [("alpine/3.19", False)]
    imported = openlxd("image", "import", "alpine319", "--json")
    assert imported.code == exits.DONE, imported.err
    assert imported.data["fingerprint"] == offered.data[0]["fingerprint"]
    assert [offer["held"] for offer in openlxd("image", "remote", "alpine", "--json").data] == [True]
    assert "alpine/3.19" in openlxd("image", "list").out
    assert openlxd("image", "delete", "alpine/3.19").code == exits.FAILED  # nobody to ask
    deleted = openlxd("image", "delete", "alpine/3.19", "--yes")
    assert deleted.code == exits.DONE, deleted.err
    assert openlxd("image", "delete", "alpine/3.19", "--yes").code == exits.NOT_FOUND


@pytest.mark.slow
def test_what_cannot_be_imported_says_why(openlxd: Openlxd, server: ImageServer) -> None:
    """A close name, a server that spoils it, a server that is away: one line each, and a code."""
    typo = openlxd("image", "import", "ubunto2204")
    assert (typo.code, "Did you mean ubuntu/22.04" in typo.err) == (exits.USAGE, True)
    path = next(path for path in server.files if "alpine" in path and "rootfs" in path)
    server.break_(path, "hash")
    spoilt = openlxd("image", "import", "alpine319")
    assert (spoilt.code, spoilt.err.count("\n")) == (exits.CONFLICT, 1)
    assert "checksum" in spoilt.err
    server.break_("*", "status", text="500 No")
    assert [offer["alias"] for offer in openlxd("image", "remote", "--json").data] == ["alpine/3.19", "ubuntu/22.04"]
