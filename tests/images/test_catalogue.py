"""The reader and the catalogue: pure, and suspicious of everything."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from openlxd_core.domain.errors import ImageSourceUnavailable, ValidationFailed
from openlxd_core.domain.text import is_plain
from openlxd_core.simplestreams.index import address, read_index, read_products, safe_path
from openlxd_core.simplestreams.offers import Catalogue
from tests.support.simplestreams import INDEX, NEW, OLD, PRODUCTS, ImageServer

SERVER = "https://images.example.org"


def offered() -> ImageServer:
    made = ImageServer()
    for serial in (OLD, NEW):
        made.add("alpine", "3.20", serial=serial, squashfs=serial.encode(), tarball=b"tar")
    for variant in ("default", "cloud"):
        for architecture in ("amd64", "arm64"):
            tail = "" if variant == "default" else f"/{variant}"
            made.add("ubuntu", "jammy", variant=variant, architecture=architecture,
                     aliases=f"ubuntu/jammy{tail},ubuntu/22.04{tail}")  # fmt: skip
    made.add("debian", "bookworm", aliases="debian/bookworm,debian/12")
    made.add("centos", "9-Stream")
    made.add("rockylinux", "9")
    return made


def catalogue_of(server: ImageServer) -> Catalogue:
    return Catalogue([(SERVER, product) for product in read_products(server.files[PRODUCTS])], "x86_64")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("ubuntu/22.04", "ubuntu/22.04"), ("ubuntu/jammy", "ubuntu/22.04"), ("ubuntu2204", "ubuntu/22.04"),
        ("Ubuntu-22.04", "ubuntu/22.04"), ("debian12", "debian/12"), ("debian-12", "debian/12"),
        ("debian-12-lxc", "debian/12"), ("debian/bookworm", "debian/12"), ("alpine320", "alpine/3.20"),
        ("centos9", "centos/9-Stream"), ("centos-9-Stream-lxc", "centos/9-Stream"), ("rockylinux9", "rockylinux/9"),
        ("rocky9", "rockylinux/9"), ("ubuntu/22.04/cloud", "ubuntu/22.04/cloud"),
        ("ubuntu/jammy/cloud", "ubuntu/22.04/cloud"), ("ubuntu/22.04/arm64", "ubuntu/22.04/arm64"),
        ("ubuntu/22.04/cloud/arm64", "ubuntu/22.04/cloud/arm64"), ("ubuntu/22.04/default", "ubuntu/22.04"),
    ],
)  # fmt: skip
def test_a_name_is_found_however_people_write_it(written: str, meant: str) -> None:
    """Aliases, code names, other panels' spellings."""
    assert catalogue_of(offered()).resolve(written).alias == meant


def test_architecture_and_variant_can_be_asked_for() -> None:
    """By Debian's name of it or LXD's."""
    found = catalogue_of(offered())
    assert found.resolve("ubuntu2204", "aarch64").alias == "ubuntu/22.04/arm64"
    assert found.resolve("ubuntu2204", "arm64", "cloud").alias == "ubuntu/22.04/cloud/arm64"
    assert found.resolve("ubuntu2204", variant="cloud").alias == "ubuntu/22.04/cloud"
    with pytest.raises(ValidationFailed, match="not built for"):
        found.resolve("debian12", "riscv64")


def test_what_this_host_cannot_run_is_not_available() -> None:
    """Another architecture's image, and one that nobody publishes, are marked; the host's own can be had."""
    offers = catalogue_of(offered()).search()
    assert {offer.architecture for offer in offers if offer.native} == {"amd64"}
    assert not any(offer.available for offer in offers if offer.architecture == "arm64")
    assert not any(offer.available for offer in offers if not offer.published)
    assert any(offer.available for offer in offers)


@pytest.mark.parametrize(
    ("written", "close"), [("ubunto/22.04", "ubuntu/22.04"), ("debian/13", "debian/12"), ("alpnie320", "alpine/3.20")]
)
def test_a_name_that_is_none_gets_close_ones(written: str, close: str) -> None:
    """The error names what it may have been."""
    with pytest.raises(ValidationFailed) as told:
        catalogue_of(offered()).resolve(written)
    assert close in str(told.value)


@pytest.mark.parametrize("name", ["", "/", "//", "\x1b[2J", "…", "x" * 5000, "%s%n", "../../etc/passwd", "\x00"])
def test_no_name_breaks_the_resolver(name: str) -> None:
    """Whatever it is, the answer is a plain sentence."""
    with pytest.raises(ValidationFailed) as told:
        catalogue_of(offered()).resolve(name)
    assert is_plain(str(told.value))


def test_search_takes_words_and_slips() -> None:
    """Several words, in any order; parts of words; a typing error; nothing found is nothing."""
    found = catalogue_of(offered())

    def hits(text: str, **filters: str) -> list[str]:
        return [offer.alias for offer in found.search(text, **filters) if offer.published]

    assert hits("jammy cloud") == ["ubuntu/22.04/cloud", "ubuntu/22.04/cloud/arm64"]
    assert hits("cloud ubu") == ["ubuntu/22.04/cloud", "ubuntu/22.04/cloud/arm64"]
    assert hits("ubnutu")[0] == "ubuntu/22.04"
    assert hits("deb12") == ["debian/12"]
    assert hits("zzzz") == []
    assert hits("", distribution="ubuntu", architecture="arm64", variant="cloud") == ["ubuntu/22.04/cloud/arm64"]
    assert hits("", release="jammy", architecture="x86_64") == ["ubuntu/22.04", "ubuntu/22.04/cloud"]


def test_the_promised_are_shown_even_when_nobody_builds_them() -> None:
    """With their end of life; before the first answer nothing is said of them."""
    offers = {offer.alias: offer for offer in catalogue_of(offered()).search()}
    bionic = offers["ubuntu/18.04"]
    assert not bionic.published
    assert bionic.end_of_life == date(2023, 5, 31)
    assert bionic.ended(date(2026, 11, 22))
    assert offers["ubuntu/22.04"].listed
    assert offers["ubuntu/22.04"].published
    assert not offers["ubuntu/22.04"].ended(date(2026, 11, 22))
    assert "centos/9-Stream" in offers
    assert offers["centos/9-Stream"].published
    assert list(Catalogue([], complete=False).search()) == []


def test_an_offer_says_what_it_is() -> None:
    """Size of both files, build date, fingerprint of the better root, the newest build."""
    server = offered()
    fingerprint = server.add("alpine", "3.20", serial=NEW, squashfs=NEW.encode(), tarball=b"tar")
    offer = catalogue_of(server).resolve("alpine320")
    assert offer.fingerprint == fingerprint
    assert offer.size_bytes == len(b"metadata") + len(NEW)
    assert offer.serial == NEW
    assert offer.built_at is not None
    assert offer.built_at.date() == date(2026, 11, 21)
    assert offer.server == SERVER


def test_an_incomplete_newest_build_gives_way_to_the_one_before() -> None:
    """No root, no metadata, no combined hash: as if it were not there."""
    for drop in ("root.squashfs", "metadata", "hash"):
        server = ImageServer()
        old = server.add("alpine", "3.19", serial=OLD, squashfs=b"old")
        server.add("alpine", "3.19", serial=NEW, squashfs=b"new")
        items = server.products["alpine:3.19:amd64:default"]["versions"][NEW]["items"]
        if drop == "metadata":
            del items["incus.tar.xz"], items["lxd.tar.xz"]
        elif drop == "hash":
            for name in ("incus.tar.xz", "lxd.tar.xz"):
                del items[name]["combined_squashfs_sha256"]
        else:
            del items[drop]
        server.publish()
        assert catalogue_of(server).resolve("alpine319").fingerprint == old


def test_servers_are_merged_in_their_order() -> None:
    """The first that has it is the one it comes from; the second fills the gaps."""
    first, second = ImageServer(), ImageServer()
    mine = first.add("alpine", "3.20", squashfs=b"first")
    second.add("alpine", "3.20", squashfs=b"second")
    second.add("debian", "bookworm", aliases="debian/12")
    merged = Catalogue(
        [("https://a", p) for p in read_products(first.files[PRODUCTS])]
        + [("https://b", p) for p in read_products(second.files[PRODUCTS])]
    )
    assert merged.resolve("alpine320").fingerprint == mine
    assert merged.resolve("debian12").server == "https://b"
    assert len(merged) == 2


def test_canonicals_own_layout_is_read() -> None:
    """Keys with a prefix, aliases without the distribution, serials without a colon, other item names."""
    entry = {"aliases": "24.04,noble,lts", "arch": "amd64", "os": "ubuntu", "release": "noble", "version": "24.04",
             "release_title": "24.04 LTS", "versions": {"20261101_0500": {"items": {
                 "lxd.tar.xz": {"ftype": "lxd.tar.xz", "size": 400, "sha256": "a" * 64, "path": "server/a.tar.xz",
                                "combined_squashfs_sha256": "c" * 64},
                 "squashfs": {"ftype": "squashfs", "size": 1000, "sha256": "b" * 64, "path": "server/a.squashfs"},
             }}}}  # fmt: skip
    products = read_products(json.dumps({"products": {"com.ubuntu.cloud:server:24.04:amd64": entry}}).encode())
    offer = Catalogue([(SERVER, product) for product in products]).resolve("ubuntu/24.04")
    assert (offer.distribution, offer.version, offer.release) == ("ubuntu", "24.04", "noble")
    assert offer.built_at is not None


HOSTILE: list[Any] = [
    None, [], {}, "text", 5, {"index": 5}, {"index": {"a": 5}}, {"index": {"a": {"datatype": "image-downloads"}}},
    {"index": {"a": {"datatype": "image-downloads", "path": "../../secrets"}}},
    {"index": {"a": {"datatype": "image-downloads", "path": "https://evil.example/x"}}},
    {"index": {"a": {"datatype": "image-downloads", "path": "/etc/passwd"}}},
]  # fmt: skip


@pytest.mark.parametrize("entry", HOSTILE)
def test_a_nonsense_index_is_refused(entry: Any) -> None:
    """Of whatever shape; its paths stay below the server's address."""
    with pytest.raises(ImageSourceUnavailable):
        read_index(json.dumps(entry).encode())


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 4096, b"{", b"[" * 200_000, b'{"products": {' * 5000, b"\xff\xfe", b'{"a": ' + b"9" * 5000 + b"}",
     b"null", b'{"products": {}', b"<html>"],
)  # fmt: skip
def test_bytes_that_are_no_list_are_refused(data: bytes) -> None:
    """With one plain sentence, and no traceback."""
    for read in (read_index, read_products):
        with pytest.raises(ImageSourceUnavailable) as told:
            read(data)
        assert is_plain(str(told.value))


@pytest.mark.parametrize(
    "path",
    ["../x", "a/../b", "/abs", "a//b", "a/./b", "https://x/y", "file:///etc/passwd", "a\\b", "a\0b", "a\x1b[2Jb", "a?b",
     "a#b", "%2e%2e/x", "", "x" * 501, 5, None, "a/b/", "javascript:alert(1)"],
)  # fmt: skip
def test_a_path_that_leads_elsewhere_is_no_path(path: object) -> None:
    """Whatever could climb, leave, or act."""
    assert safe_path(path) is None


def test_a_serials_colon_is_percent_encoded() -> None:
    """Some proxies stumble over it otherwise."""
    path = "images/alpine/3.20/amd64/default/20261121_13:00/rootfs.squashfs"
    assert safe_path(path) == path
    assert address(f"{SERVER}/", path) == f"{SERVER}/{path.replace(':', '%3A')}"


HARM = "\x1b[2J\x1b]0;x\x07\u202e\x9b1m[/]"


@pytest.mark.parametrize(
    "change",
    [{"aliases": f"alpine/3.20,{HARM}"}, {"os": HARM}, {"release": HARM}, {"variant": HARM}, {"arch": HARM},
     {"aliases": 5}, {"os": ["x"]}, {"versions": []}, {"versions": {"x": []}}, {"versions": {HARM: {"items": {}}}},
     {"aliases": "x/" * 500}, {"release": {"ftype": ["squashfs"]}}, {"versions": {"1": {"items": []}}}],
)  # fmt: skip
def test_hostile_fields_never_get_into_the_catalogue(change: dict[str, Any]) -> None:
    """The product loses the field or is left out; its neighbour is not harmed."""
    server = offered()
    server.products["alpine:3.20:amd64:default"].update(change)
    server.publish()
    found = catalogue_of(server)
    for offer in found.search():
        for text in (offer.alias, *offer.aliases, offer.distribution, offer.release, offer.variant, offer.version,
                     offer.architecture, offer.serial, offer.product):  # fmt: skip
            assert is_plain(text)
            assert "[" not in text
    assert found.resolve("debian12").alias == "debian/12"


@pytest.mark.parametrize(
    "change",
    [{"size": -1}, {"size": True}, {"size": "5"}, {"size": 10**15}, {"size": 1.5}, {"sha256": "xyz"}, {"sha256": None},
     {"path": "../../up"}, {"path": "http://169.254.169.254/x"}, {"ftype": 5}, {"ftype": None}],
)  # fmt: skip
def test_a_file_that_cannot_be_is_no_file(change: dict[str, Any]) -> None:
    """Its build is incomplete then."""
    server = ImageServer()
    server.add("alpine", "3.20")
    items = server.products["alpine:3.20:amd64:default"]["versions"][NEW]["items"]
    items["root.squashfs"].update(change)
    server.publish()
    assert read_products(server.files[PRODUCTS]) == []
    assert read_index(server.files[INDEX]) == [PRODUCTS[1:]]
