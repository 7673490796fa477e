"""Every answer has one shape, whatever was sent."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from typing import Any

import pytest

from openlxd_api.framework.body import DEPTH_MAX
from openlxd_api.framework.errors import STATUS
from openlxd_core.bootstrap import Core
from openlxd_core.domain.actor import Actor
from openlxd_core.domain.errors import OpenLXDError, error_tree
from tests.api.conftest import Api

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("alice")]
LOGIN = "/users/login"
GOOD = {"username": "alice", "password": "correct horse"}


async def _failure(answer: Any, status: int, code: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(await answer.text())
    assert (answer.status, body["error"]) == (status, code), body
    assert body["success"] is False
    assert body["data"] is None
    assert body["message"]
    assert "\n" not in body["message"]
    assert set(body) <= {"success", "error", "message", "data", "fields"}
    assert answer.content_type == "application/json"
    assert answer.headers["X-Request-Id"]
    assert "Server" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in answer.headers
    return body


def test_every_error_of_the_core_has_a_status() -> None:
    """An error without a face of its own would look like a bug to the client."""
    ours = {error for error in error_tree() if error.__module__ == OpenLXDError.__module__}
    assert set(STATUS) == ours  # what a service makes of them for itself has its parent's face


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/users/login/", 404, "not_found"),
        ("GET", "/containers/a%2Fb", 401, "unauthenticated"),
        ("DELETE", "/users/login", 405, "method_not_allowed"),
        ("OPTIONS", "/users/login", 405, "method_not_allowed"),
        ("GET", "/users/profile", 401, "unauthenticated"),
        ("GET", "/containers", 401, "unauthenticated"),
    ],
)
async def test_a_request_that_leads_nowhere_has_the_shape(
    api: Api, method: str, path: str, status: int, code: str
) -> None:
    """404, 405 and 401 come in the envelope, too, with a request id."""
    answer = await api.ask(method, path)
    await _failure(answer, status, code)
    if status == 405:
        assert answer.headers["Allow"] == "POST"


async def test_a_bug_has_the_shape_and_tells_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure of ours is a 500 with the id that finds it in the log, and without its text."""

    async def broken(*_args: object, **_named: object) -> None:
        raise ValueError("the database password is hunter22")

    monkeypatch.setattr(api.core.auth, "password_login", broken)
    answer = await api.ask("POST", LOGIN, json=GOOD)
    body = await _failure(answer, 500, "internal_error")
    assert answer.headers["X-Request-Id"] in body["message"]
    assert "hunter22" not in json.dumps(body)


BAD_BODIES: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 400, "bad_request"),
    "not json": (b"{", 400, "bad_request"),
    "not an object": (b"[]", 400, "bad_request"),
    "text": (b'"x"', 400, "bad_request"),
    "not utf-8": (b'{"username": "\xff\xfe"}', 400, "bad_request"),
    "byte order mark": (b"\xef\xbb\xbf{}", 400, "bad_request"),
    "utf-16": ('{"username": "a"}'.encode("utf-16"), 400, "bad_request"),
    "NaN": (b'{"username": NaN}', 400, "bad_request"),
    "Infinity": (b'{"username": -Infinity}', 400, "bad_request"),
    "too large a float": (b'{"username": 1e309}', 400, "bad_request"),
    "5000 digits": (b'{"username": ' + b"9" * 5000 + b"}", 400, "bad_request"),
    "twice the same key": (b'{"username": "a", "username": "b"}', 400, "bad_request"),
    "half a character": (b'{"username": "\\ud800"}', 400, "bad_request"),
    "half a character as key": (b'{"\\udfff": 1}', 400, "bad_request"),
    "a little too deep": (b'{"a": ' + b"[" * DEPTH_MAX + b"]" * DEPTH_MAX + b"}", 400, "bad_request"),
    "200,000 deep": (b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", 400, "bad_request"),
    "wrong type": (b'{"username": 7, "password": "x"}', 422, "validation_failed"),
    "unknown fields are ignored": (b'{"username": "a", "password": "x", "role": "admin"}', 401, "unauthenticated"),
    "null for what is needed": (b'{"username": "a", "password": null}', 422, "validation_failed"),
    "neither name": (b'{"password": "x"}', 422, "validation_failed"),
    "both names": (b'{"password": "x", "username": "a", "email": "a@b.c"}', 422, "validation_failed"),
    "no password": (b'{"username": "a"}', 422, "validation_failed"),
    "a password of 5000": (b'{"username": "a", "password": "' + b"x" * 5000 + b'"}', 422, "validation_failed"),
}


@pytest.mark.parametrize(("raw", "status", "code"), BAD_BODIES.values(), ids=BAD_BODIES)
async def test_a_bad_body_gets_one_clear_sentence(api: Api, raw: bytes, status: int, code: str) -> None:
    """Nothing that can be sent as a body is a bug of ours."""
    await _failure(await api.ask("POST", LOGIN, data=raw, headers={"Content-Type": "application/json"}), status, code)


@pytest.mark.parametrize("password", ["x" * 73, "密" * 25, "", "\0", "p" * 4096])
async def test_an_impossible_password_is_a_wrong_one(api: Api, password: str) -> None:
    """A password that bcrypt would refuse, or that nobody can have, answers as any wrong one does."""
    wrong = await (await api.ask("POST", LOGIN, json={**GOOD, "password": "wrong horse"})).json()
    answer = await api.ask("POST", LOGIN, json={**GOOD, "password": password})
    assert await _failure(answer, 401, "unauthenticated") == wrong


async def test_every_wrong_field_is_named(api: Api) -> None:
    """A form can mark each field that is wrong, at once."""
    token = await api.sign_in("alice")
    answer = await api.ask("POST", "/users/password", token=token, json={"old_password": 7, "extra": 1})
    body = await _failure(answer, 422, "validation_failed")
    assert set(body["fields"]) == {"old_password", "extra", "new_password"}


async def test_a_body_of_two_mebibytes_is_too_large(api: Api) -> None:
    """The limit is 1 MiB, whatever is in it."""
    raw = b'{"username": "' + b"x" * 2 * 1024 * 1024 + b'"}'
    answer = await api.ask("POST", LOGIN, data=io.BytesIO(raw), headers={"Content-Type": "application/json"})
    await _failure(answer, 413, "payload_too_large")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_anything_but_plain_json_is_refused(api: Api, headers: dict[str, str]) -> None:
    """Forms and text would let another site's page send requests; packed bodies could unpack to gigabytes."""
    import gzip

    raw = json.dumps(GOOD).encode()
    data = gzip.compress(raw) if "Content-Encoding" in headers else raw
    await _failure(await api.ask("POST", LOGIN, data=data, headers=headers), 415, "unsupported_media_type")


async def test_the_query_is_read_as_strictly_as_the_body(api: Api) -> None:
    """A field said twice cannot mean one thing to a proxy and another to us."""
    await _failure(await api.ask("GET", "/health?a=1&a=2"), 400, "bad_request")


@pytest.mark.parametrize(("wish", "language"), [("zh-CN,zh;q=0.9", "zh"), ("en-GB", "en"), ("fr", "en"), ("", "en")])
async def test_the_reader_chooses_the_language(api: Api, wish: str, language: str) -> None:
    """Accept-Language decides, request by request."""
    answer = await api.ask("GET", "/users/profile", headers={"Accept-Language": wish})
    assert answer.headers["Content-Language"] == language


@pytest.mark.parametrize(
    ("sent", "kept"), [("abc-123_DEF4", True), ("x", False), ("a" * 65, False), ("no spaces here", False)]
)
async def test_a_sensible_request_id_is_kept(api: Api, sent: str, kept: bool) -> None:
    """Callers can follow their own ids through our log; nothing else gets into it that way."""
    answer = await api.ask("GET", "/health", headers={"X-Request-Id": sent})
    assert (answer.headers["X-Request-Id"] == sent) is kept


async def test_what_is_not_http_gets_the_shape_and_no_name(core: Core) -> None:
    """Garbage on the wire is answered in the envelope, without naming our software, and the connection is closed."""
    from openlxd_api.server import listening

    settings = core.settings.model_copy(update={"api_tls": "off"})
    async with listening(core, settings) as address:
        host, port = address.removeprefix("http://").split(":")
        for sent in (b"\x00\xff\x00\r\n\r\n", b"GET /api/v1/health HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n"):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(sent)
            answer = await asyncio.wait_for(reader.read(), 10)
            writer.close()
            assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400")), answer
            assert b"aiohttp" not in answer
            assert b"Python" not in answer
            assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"] == "bad_request"


async def test_the_api_speaks_tls_by_default(core: Core) -> None:
    """The self-signed pair serves; plain HTTP on that port gets no answer of ours."""
    import ssl

    from openlxd_api.server import listening

    async with listening(core, core.settings) as address:
        assert address.startswith("https://")
        host, port = address.removeprefix("https://").split(":")
        context = ssl.create_default_context(cafile=str(core.settings.keys_dir / "tls_cert.pem"))
        reader, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname="localhost")
        writer.write(b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_somebody_signed_in_is_named_by_the_credential_alone(api: Api, alice: Actor, bob: Actor) -> None:
    """No header, query or cookie makes anybody somebody else."""
    token = await api.sign_in("alice")
    sneaky = {"X-User": "bob", "X-Forwarded-User": "bob", "Cookie": "user=bob"}
    answer = await api.ask("GET", "/users/profile?user=bob", token=token, headers=sneaky)
    assert (await answer.json())["data"]["username"] == "alice"


async def test_a_slow_client_is_let_go(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a head nor a body that never ends holds a connection for long; a quick client is served meanwhile."""
    from openlxd_api import server
    from openlxd_api.framework import body

    monkeypatch.setattr(server, "HEADER_SECONDS", 0.3)
    monkeypatch.setattr(body, "BODY_SECONDS", 0.3)
    settings = core.settings.model_copy(update={"api_tls": "off"})
    async with server.listening(core, settings) as address:
        host, port = address.removeprefix("http://").split(":")
        silent, silent_writer = await asyncio.open_connection(host, int(port))
        slow, slow_writer = await asyncio.open_connection(host, int(port))
        slow_writer.write(b"GET /api/v1/health HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        endless, endless_writer = await asyncio.open_connection(host, int(port))
        endless_writer.write(
            b"POST /api/v1/users/login HTTP/1.1\r\nHost: a\r\n"
            b"Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
        )
        quick, quick_writer = await asyncio.open_connection(host, int(port))
        quick_writer.write(b"GET /api/v1/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert (await asyncio.wait_for(quick.read(), 10)).startswith(b"HTTP/1.1 200")
        assert (await asyncio.wait_for(endless.read(1000), 10)).startswith(b"HTTP/1.1 408")
        for reader in (silent, slow):
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), 10) == b""
        for writer in (silent_writer, slow_writer, endless_writer, quick_writer):
            writer.close()
