"""One number and one code name for each release, whatever the server, LXD or an alias says of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from openlxd_core import shapes
from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import SYSTEM
from openlxd_core.domain.image import Offer
from openlxd_core.lxd.gateway import LxdImage
from openlxd_core.services.images.local import HeldImage, _names, _to_image
from openlxd_core.simplestreams.end_of_life import names_of_release

NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("distribution", "release", "hints", "names"),
    [
        ("ubuntu", "jammy", (), ("22.04", "jammy")), ("ubuntu", "22.04", (), ("22.04", "jammy")),
        ("debian", "bookworm", (), ("12", "bookworm")), ("debian", "11", (), ("11", "bullseye")),
        ("debian", "sid", (), ("sid", "")), ("alpine", "3.19", (), ("3.19", "")), ("alpine", "edge", (), ("edge", "")),
        ("centos", "9-Stream", (), ("9-Stream", "")), ("archlinux", "current", (), ("current", "")),
        ("mint", "wilma", (), ("wilma", "")), ("mint", "wilma", ("cloud", "22"), ("22", "wilma")),
        ("ubuntu", "", ("24.04",), ("24.04", "noble")), ("", "", (), ("", "")),
        ("mars", "jammy", (), ("jammy", "")),
    ],
)  # fmt: skip
def test_a_release_has_one_number_and_one_name(
    distribution: str, release: str, hints: tuple[str, ...], names: tuple[str, str]
) -> None:
    """Known by heart, or from a hint that is a number; what nobody knows stays as it is."""
    assert names_of_release(distribution, release, *hints) == names


@pytest.mark.parametrize(
    ("alias", "properties", "told"),
    [
        ("debian/12", {"os": "Debian", "release": "bookworm", "variant": "default"}, ("debian", "12", "bookworm")),
        ("debian/12", {}, ("debian", "12", "bookworm")),
        ("u", {"os": "ubuntu", "release": "noble", "version": "24.04"}, ("ubuntu", "24.04", "noble")),
        ("mint/22", {"os": "Mint", "release": "wilma"}, ("mint", "22", "wilma")),
        ("alpine/edge", {"os": "Alpinelinux", "release": "edge"}, ("alpinelinux", "edge", "")),
        ("private/alice/web", {"os": "debian/12", "release": ""}, ("debian", "12", "bookworm")),
        ("private/alice/web", {"os": "debian", "release": "12"}, ("debian", "12", "bookworm")),
        ("my-image", {}, ("", "", "")),
        ("x/y", {"os": "\x1b[2J", "release": "a" * 300}, ("[2j", "a" * 49 + "…", "")),
    ],
)
def test_an_image_of_lxds_is_named_like_an_offer(
    alias: str, properties: dict[str, str], told: tuple[str, str, str]
) -> None:
    """From LXD's properties, else from its alias; the architecture by Debian's name."""
    held = LxdImage("ab" * 32, [alias], "An image", "x86_64", 5, properties, NOW)
    shown = shapes.image(_to_image(SYSTEM, alias, held, None))
    assert (shown["distribution"], shown["release"], shown["codename"]) == told
    assert shown["architecture"] == "amd64"
    assert (shown["status"], shown["created_at"], shown["updated_at"], shown["id"]) == ("imported", NOW, NOW, None)


def test_both_names_find_an_image_of_which_lxd_knows_nothing() -> None:
    """By its alias alone: ``debian/bookworm`` is ``debian/12``, and the other way round."""
    for alias in ("debian/12", "debian/bookworm"):
        names = _names(HeldImage(alias, LxdImage("f", [alias], "", "x86_64", 5, {}, NOW)), None)
        assert {"debian12", "debianbookworm", "debian12amd64", "debian12x8664"} <= names


def test_an_offer_that_is_nowhere_is_available() -> None:
    """Its dates are the build's; its description says what it is."""
    offer = Offer(
        "ubuntu/22.04/cloud", (), "ubuntu", "jammy", "22.04", "amd64", "cloud", 1, NOW, "1", "f", "s", "p", None, True
    )
    shown = shapes.offer(offer)
    assert (shown["id"], shown["status"], shown["imported_at"]) == (None, "available", None)
    assert (shown["release"], shown["codename"], shown["description"]) == ("22.04", "jammy", "Ubuntu 22.04 cloud")
    assert shown["created_at"] == shown["updated_at"] == NOW
    assert shapes.image_info(None, offer)["alias"] == "ubuntu/22.04/cloud"


@pytest.mark.parametrize("name", ["debian/12", "debian/bookworm"])
async def test_both_names_create_and_inform(core: Core, name: str) -> None:
    """The image keeps one name here."""
    assert (await core.images.info(SYSTEM, name)).offer is not None
    operation = await core.images.import_image(SYSTEM, name)
    assert (await core.operations.wait(SYSTEM, operation.id, 30)).error is None
    [image] = [i for i in await core.images.overview(SYSTEM) if i.alias == "debian/12"]
    assert (image.release, image.codename, image.architecture) == ("12", "bookworm", "amd64")
    info = await core.images.info(SYSTEM, name)
    assert info.image is not None
    assert info.offer is not None
    assert info.offer.record is not None
    assert info.offer.record.id == info.image.id
    assert info.offer.status == "imported"
