"""The OpenAPI document is what is served, and its page works by itself."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
from aiohttp.test_utils import TestClient, TestServer

from openlxd_api.app import all_endpoints, make_app
from openlxd_api.framework.docs_page import STATIC
from openlxd_api.framework.openapi import document, failures
from openlxd_api.v1.schemas.base import Pending
from openlxd_api.v1.schemas.container import WhmcsPending
from openlxd_core.bootstrap import Core
from tests.api.conftest import Api

DOCUMENT = document(all_endpoints())
OPERATIONS = [(path, method, about) for path, methods in DOCUMENT["paths"].items() for method, about in methods.items()]


def _ids(value: Any) -> str:
    return value if isinstance(value, str) else ""


async def test_every_route_is_described_and_every_described_one_exists(core: Core) -> None:
    """The router and the document hold the same methods and paths; the page of the docs stands beside them."""
    app = make_app(core)
    served = {
        (route.method, re.sub(r"\{(\w+):[^{}]*(?:\{[^{}]*\}[^{}]*)*\}", r"{\1}", route.resource.canonical))
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    described = {(method.upper(), path) for path, method, _about in OPERATIONS}
    beside = {(method, path) for method, path in served if path.startswith("/api/docs")}
    assert served - beside == described
    assert beside


async def test_the_document_is_served_as_it_is_made(api: Api) -> None:
    """To anyone, as OpenAPI 3.1."""
    answer = await api.ask("GET", "/openapi.json")
    assert answer.status == 200
    assert answer.content_type == "application/json"
    assert await answer.json() == json.loads(json.dumps(DOCUMENT))
    assert DOCUMENT["openapi"].startswith("3.1")


def test_operation_ids_are_names_and_all_different() -> None:
    """Code is generated from them."""
    found = [about["operationId"] for _path, _method, about in OPERATIONS]
    assert len(found) == len(set(found))
    assert all(name.isidentifier() for name in found)


@pytest.mark.parametrize(("path", "method", "about"), OPERATIONS, ids=_ids)
def test_everything_is_said_about_an_endpoint(path: str, method: str, about: dict[str, Any]) -> None:
    """A summary, who may, its parameters, what it takes and every way in which it can answer."""
    assert about["summary"]
    assert {p["name"] for p in about.get("parameters", []) if p["in"] == "path"} == set(re.findall(r"\{(\w+)\}", path))
    endpoint = next(e for e in all_endpoints() if (e.path, e.method.lower()) == (path, method))
    said = set(about["responses"])
    assert {str(status) for status in failures(endpoint)} <= said
    assert str(endpoint.status) in said
    pending = any(kind.__name__ in str(endpoint.answer) for kind in (Pending, WhmcsPending))
    assert ("202" in said) is pending
    if method == "post":
        assert "Idempotency-Key" in {p["name"] for p in about["parameters"]}


def test_every_schema_is_a_schema_and_every_reference_leads_somewhere() -> None:
    """By JSON Schema's own rules; bodies take no field that they do not name, but for the design paper's."""
    for name, schema in DOCUMENT["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert "ge" not in json.dumps(list(_keys(schema))).split('"'), name
    text = json.dumps(DOCUMENT)
    for reference in set(re.findall(r'"#/components/(\w+)/(\w+)"', text)):
        assert reference[1] in DOCUMENT["components"][reference[0]]
    lenient = {(endpoint.path, endpoint.method.lower()) for endpoint in all_endpoints() if endpoint.lenient}
    for path, method, about in OPERATIONS:
        body = about.get("requestBody")
        if body is not None:
            name = body["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
            takes_more = (path, method) in lenient
            assert DOCUMENT["components"]["schemas"][name]["additionalProperties"] is takes_more, path


def _keys(value: Any) -> Any:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _keys(item)
    elif isinstance(value, list):
        for item in value:
            yield from _keys(item)


async def test_the_page_works_by_itself(core: Core) -> None:
    """Page, script and style come from us, under a policy that lets nothing else in; no address of others is loaded."""
    async with TestClient(TestServer(make_app(core))) as client:
        page = await client.get("/api/docs")
        html = await page.text()
        assert page.status == 200
        assert page.content_type == "text/html"
        loaded = re.findall(r'(?:src|href)="([^"]+)"', html)
        assert all(target.startswith(("/api/", "data:,")) for target in loaded)
        assert "<script>" not in html
        for target in loaded:
            if target.startswith("/api/"):
                answer = await client.get(target)
                assert answer.status == 200, target
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert (await client.get("/api/docs/../server.py")).status == 404
    assert "http" not in (STATIC / "start.js").read_text().replace("https://", "http")
    assert not re.search(r"url\(\s*[\"']?(?:https?:)?//", (STATIC / "swagger-ui.css").read_text())
