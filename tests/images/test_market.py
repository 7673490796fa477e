"""The catalogue kept fresh: conditional requests, the old copy while a server fails, mirrors, several processes."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import json
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from openlxd_core.bootstrap import Core, open_core
from openlxd_core.domain.actor import SYSTEM, Actor
from openlxd_core.domain.errors import ConfigurationError, ImageSourceUnavailable, ValidationFailed
from openlxd_core.domain.text import is_plain
from openlxd_core.services.images import catalogue
from openlxd_core.settings import Settings, load_settings
from openlxd_core.simplestreams import downloader
from openlxd_core.storage import models
from tests.images.conftest import metadata
from tests.support.core import eventually, finish, make_settings
from tests.support.faulty_lxd import FaultyLxd
from tests.support.simplestreams import INDEX, PRODUCTS, ImageServer


def aliases(core: Core) -> set[str]:
    return {offer.alias for offer in core.images.offers(SYSTEM) if offer.published}


EVERY = {
    "alpine/3.19", "alpine/3.20", "alpine/3.20/arm64", "ubuntu/22.04", "ubuntu/22.04/cloud", "debian/12",
    "centos/9-Stream", "rockylinux/9",
}  # fmt: skip


async def test_the_catalogue_is_the_servers(core: Core, alice: Actor) -> None:
    """Everything that it offers; filters say what there is to choose from; the promised and unpublished are told."""
    assert aliases(core) == EVERY
    state = core.images.catalogue_state()
    assert (state.stale, state.reason, state.offers) == (False, "", len(EVERY))
    assert state.fetched_at is not None
    filters = core.images.filters(alice)
    assert filters["architecture"] == ["amd64", "arm64"]
    assert "cloud" in filters["variant"]
    unpublished = [offer for offer in core.images.offers(alice, "ubuntu") if not offer.published]
    assert {offer.alias for offer in unpublished} == {"ubuntu/18.04", "ubuntu/20.04", "ubuntu/24.04"}


async def test_what_has_not_changed_is_not_sent_again(core: Core, server: ImageServer) -> None:
    """The second question is a conditional one; the copy counts as fresh from then."""
    before = core.images.catalogue_state().fetched_at
    await core.images.refresh(SYSTEM)
    assert server.headers[-1]["if-none-match"]
    after = core.images.catalogue_state().fetched_at
    assert before is not None
    assert after is not None
    assert after > before
    assert aliases(core) == EVERY


async def test_a_new_image_is_there_after_a_refresh(core: Core, server: ImageServer) -> None:
    """And one that went is gone."""
    server.add("fedora", "44")
    del server.products["rockylinux:9:amd64:default"]
    server.publish()
    await core.images.refresh(SYSTEM)
    assert aliases(core) == EVERY - {"rockylinux/9"} | {"fedora/44"}


FAULTS = [
    ("status", 0, "500 No"), ("status", 0, "404 No"), ("nuls", 5000, ""), ("nuls", 0, ""), ("garbage", 0, ""),
    ("silence", 0, ""), ("endless", 0, ""), ("bomb", 3_000_000, ""), ("cut", 20, ""), ("long", 5, ""),
    ("short", 10, ""), ("redirect", 0, "file:///etc/passwd"), ("redirect", 0, "http://169.254.169.254/"),
    ("redirect", 0, INDEX), ("redirect", 0, PRODUCTS), ("body", 0, "[" * 100_000), ("body", 0, "{}"),
    ("body", 0, '{"products": []}'), ("body", 0, "null"), ("body", 0, "\x1b[2J"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("path", [INDEX, PRODUCTS])
@pytest.mark.parametrize(("kind", "at", "text"), FAULTS)
async def test_the_old_copy_goes_on_while_the_server_fails(
    core: Core, server: ImageServer, monkeypatch: pytest.MonkeyPatch, path: str, kind: str, at: int, text: str
) -> None:
    """Its age and a plain reason are shown; it survives a restart; once the server is well the reason goes."""
    if (path, text) == (PRODUCTS, PRODUCTS):
        text = "/loop"
        server.break_("/loop", "redirect", text="/loop")
    monkeypatch.setattr(downloader, "LIST_SECONDS", 0.5)
    monkeypatch.setattr(downloader, "INDEX_BYTES_MOST", 1_000_000)
    monkeypatch.setattr(downloader, "PRODUCTS_BYTES_MOST", 1_000_000)
    before = core.images.catalogue_state().fetched_at
    server.break_(path, kind, at, text)
    await core.images.refresh(SYSTEM)
    state = core.images.catalogue_state()
    assert state.stale
    assert is_plain(state.reason)
    assert state.reason
    assert state.fetched_at == before
    assert aliases(core) == EVERY
    server.faults.clear()
    await core.images.refresh(SYSTEM)
    assert core.images.catalogue_state().stale is False
    assert aliases(core) == EVERY


async def test_gzip_is_understood(core: Core, server: ImageServer) -> None:
    """Most servers compress their lists."""
    server.add("fedora", "44")
    for path in (INDEX, PRODUCTS):
        server.break_(path, "gzip")
    await core.images.refresh(SYSTEM)
    assert not core.images.catalogue_state().stale
    assert "fedora/44" in aliases(core)


async def test_a_list_of_five_megabytes_is_read_and_an_index_of_five_is_not(core: Core, server: ImageServer) -> None:
    """A list may be long; an index that is names something else than images."""
    server.add("fedora", "44")
    server.files[PRODUCTS] = server.files[PRODUCTS][:-1] + b" " * 5_000_000 + b"}"
    await core.images.refresh(SYSTEM)
    assert "fedora/44" in aliases(core)
    server.files[INDEX] += b" " * 5_000_000
    await core.images.refresh(SYSTEM)
    assert core.images.catalogue_state().stale
    assert "fedora/44" in aliases(core)


async def test_without_a_server_and_a_copy_there_is_a_reason(tmp_path: Path, lxd: FaultyLxd) -> None:
    """Nothing is said to be unpublished, and an import says what is the matter."""
    async with open_core(make_settings(tmp_path, images_url="http://127.0.0.1:9"), lxd=lxd) as core:
        await core.images.ready()
        assert core.images.offers(SYSTEM) == []
        state = core.images.catalogue_state()
        assert state.stale
        assert state.fetched_at is None
        assert "127.0.0.1:9" in state.reason
        with pytest.raises(ImageSourceUnavailable):
            await core.images.import_image(SYSTEM, "alpine319")


async def test_a_restart_without_the_server_still_has_the_catalogue(
    settings: Settings, server: ImageServer, lxd: FaultyLxd
) -> None:
    """From the disk."""
    async with open_core(settings, lxd=lxd) as core:
        await core.images.ready()
    await server.stop()
    async with open_core(settings, lxd=lxd) as core:
        await core.images.ready()
        assert aliases(core) == EVERY


async def test_a_spoilt_copy_on_disk_is_fetched_anew(settings: Settings, server: ImageServer, lxd: FaultyLxd) -> None:
    """Cut by a crash, or by a full disk."""
    async with open_core(settings, lxd=lxd, background=False) as core:
        await core.images.ready()
    for path in (settings.state_dir / "market" / "lists").glob("*.0.json"):
        path.write_bytes(path.read_bytes()[:50])
    async with open_core(settings, lxd=lxd, background=False) as core:
        await core.images.ready()
        await core.images.refresh(SYSTEM)
        assert aliases(core) == EVERY


async def test_two_processes_share_one_copy(settings: Settings, server: ImageServer, lxd: FaultyLxd) -> None:
    """What one refreshes, flags or imports the other shows, soon."""
    async with open_core(settings, lxd=lxd) as one, open_core(settings, lxd=lxd) as other:
        await one.images.ready()
        await other.images.ready()
        server.add("fedora", "44")
        await one.images.refresh(SYSTEM)
        await eventually(lambda: "fedora/44" in aliases(other), "the other has it")
        await one.images.pin(SYSTEM, "fedora/44", True)
        await eventually(lambda: other.images.offers(SYSTEM)[0].alias == "fedora/44", "the other shows it first")
        await finish(one, await one.images.import_image(SYSTEM, "alpine319"))
        await eventually(lambda: other.images.offers(SYSTEM, "alpine/3.19")[0].held, "the other knows it is here")


async def test_several_servers_are_one_market(tmp_path: Path, server: ImageServer, lxd: FaultyLxd) -> None:
    """The second fills the gaps of the first, and goes on alone where the first fails."""
    async with ImageServer() as second:
        second.add("fedora", "44", metadata=metadata("fedora"))
        settings = make_settings(tmp_path, images_url=f"{server.url}, {second.url}/")
        async with open_core(settings, lxd=lxd) as core:
            await core.images.ready()
            assert aliases(core) == EVERY | {"fedora/44"}
            ended = await finish(core, await core.images.import_image(SYSTEM, "fedora44"))
            assert ended.status == "done", ended.error
            server.break_("*", "status", text="500 No")
            second.add("fedora", "45")
            await core.images.refresh(SYSTEM)
            assert core.images.catalogue_state().stale
            assert aliases(core) == EVERY | {"fedora/44", "fedora/45"}


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A private mirror's own certificate, for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mirror")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    ca, private = folder / "ca.pem", folder / "key.pem"
    ca.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                          serialization.NoEncryption()))  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca, private)
    return ca, context


async def test_a_private_mirror_is_believed_by_its_ca_alone(tmp_path: Path, lxd: FaultyLxd) -> None:
    """Without it the connection is refused; a CA file that cannot be read is said so; https never leads to http."""
    ca, context = certificate(tmp_path)
    plain = ImageServer()
    async with ImageServer(tls=context) as mirror, plain:
        mirror.add("alpine", "3.20", metadata=metadata())
        stranger = ssl.create_default_context()
        assert stranger is not None
        for name, given, offered in (("a", None, set()), ("b", ca, {"alpine/3.20"}), ("c", tmp_path / "no", set())):
            settings = make_settings(tmp_path / name, images_url=mirror.url, images_ca=given)
            async with open_core(settings, lxd=lxd) as core:
                await core.images.ready()
                assert aliases(core) == offered
                assert core.images.catalogue_state().stale is (not offered)
                if offered:
                    plain.files = dict(mirror.files)
                    mirror.break_(PRODUCTS, "redirect", text=f"{plain.url}{PRODUCTS}")
                    await core.images.refresh(SYSTEM)
                    assert core.images.catalogue_state().stale
                    assert plain.asked[PRODUCTS] == 0
                    mirror.faults.clear()


@pytest.mark.parametrize(
    ("url", "good"),
    [("https://images.example.org", True), ("https://a.example, https://b.example:8443/x", True), ("off", True),
     ("http://127.0.0.1:8480", True), ("http://localhost", True), ("http://10.0.0.5", True), ("http://[::1]:80", True),
     ("http://images.example.org", False), ("ftp://x", False), ("file:///etc", False), ("images.example.org", False),
     ("http://8.8.8.8", False), ("https://", False), ("https://x:99999999", False)],
)  # fmt: skip
def test_servers_speak_https_or_are_near(url: str, good: bool) -> None:
    """A list that nothing vouches for must not cross a network that OpenLXD does not manage."""
    if good:
        load_settings({"images_url": url}, environment={})
    else:
        with pytest.raises(ConfigurationError, match="images_url"):
            load_settings({"images_url": url}, environment={})


async def test_browsing_asks_nobody(core: Core, server: ImageServer, lxd: FaultyLxd, alice: Actor) -> None:
    """A key press in the search costs neither the server nor LXD anything."""
    asked, calls = dict(server.asked), sum(lxd.calls.values())
    for text in ("u", "ub", "ubu", "ubuntu", "ubuntu 22"):
        assert core.images.offers(alice, text)[0].distribution == "ubuntu"
    assert server.asked == asked
    assert sum(lxd.calls.values()) <= calls + 2  # the background's own look at LXD may fall into it


async def test_refreshes_that_meet_are_one(
    core: Core, server: ImageServer, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten sessions that press the key ask the server once; while it fails, tenants do not make it worse."""
    asked = server.asked[INDEX]
    await asyncio.gather(*(core.images.refresh(SYSTEM) for _ in range(10)))
    assert server.asked[INDEX] == asked + 1
    await core.images.refresh(alice)
    assert server.asked[INDEX] == asked + 1  # it is fresh enough for a tenant
    monkeypatch.setattr(catalogue, "TENANT_REFRESH", dt.timedelta(0))
    await core.images.refresh(alice)
    assert server.asked[INDEX] == asked + 2
    server.break_("*", "status", text="500 No")
    await core.images.refresh(alice)
    asked = server.asked[INDEX]
    await core.images.refresh(alice)
    assert server.asked[INDEX] == asked


async def test_the_unknown_is_unknown(core: Core, alice: Actor) -> None:
    """Information about nothing is not found; hostile names do not get into the sentence."""
    from openlxd_core.domain.errors import NotFound

    with pytest.raises(NotFound):
        await core.images.info(alice, "nothing/1")
    with pytest.raises(ValidationFailed) as told:
        await core.images.import_image(alice, "\x1b]0;x\x07evil")
    assert is_plain(str(told.value))
    assert json.dumps(str(told.value))


async def test_a_slow_server_does_not_keep_the_rows_from_following_lxd(
    settings: Settings, server: ImageServer, lxd: FaultyLxd
) -> None:
    """What lxc does is noticed while the list is waited for."""
    server.break_("*", "silence")
    async with open_core(settings, lxd=lxd) as core:
        await eventually(lambda: server.asked[INDEX] > 0, "the server was asked")
        lxd.add_image("by/hand")

        async def there() -> bool:
            return "by/hand" in [row.alias for row in await models.Image.all()]

        await eventually(there, "the row is there")
        assert core.images.catalogue_state().refreshing


@pytest.mark.parametrize(
    ("before", "location", "allowed"),
    [("https://a.example/x", "https://b.example/y", True), ("https://a.example/x", "/y", True),
     ("https://a.example/x", "http://a.example/x", False), ("https://a.example/x", "https://10.0.0.1/", False),
     ("https://a.example/x", "https://169.254.169.254/latest", False), ("https://a.example/x", "https://[::1]/", False),
     ("https://a.example/x", "https://[fe80::1]/", False), ("https://a.example/x", "https://192.168.1.1/", False),
     ("https://a.example/x", "https://u:p@b.example/", False), ("https://a.example/x", "", False),
     ("https://a.example/x", "file:///etc/passwd", False), ("http://127.0.0.1:1/x", "http://127.0.0.1:1/y", True),
     ("http://127.0.0.1:1/x", "http://127.0.0.1:2/y", False), ("http://127.0.0.1:1/x", "https://b.example/", False),
     ("https://127.0.0.1:1/x", "https://127.0.0.1:2/y", True)],
)  # fmt: skip
async def test_where_a_redirect_may_lead(tmp_path: Path, before: str, location: str, allowed: bool) -> None:
    """From https to https, anywhere public; within one server; never into a network that only we can reach."""
    servers = downloader.ImageServers(["https://a.example", "http://127.0.0.1:1"], tmp_path)
    if allowed:
        assert servers._redirected(before, location)
    else:
        with pytest.raises(ImageSourceUnavailable):
            servers._redirected(before, location)


async def test_a_name_that_resolves_into_the_house_is_not_followed() -> None:
    """The name of a configured server is; any other must be public."""
    guard = downloader._Guard(frozenset({"localhost"}))
    assert await guard.resolve("localhost", 80)
    stranger = downloader._Guard(frozenset({"images.example.org"}))
    with pytest.raises(OSError, match="public"):
        await stranger.resolve("localhost", 80)
