"""A client that openapi-python-client makes from our document: every body typed, every status an enum, and it works."""

from __future__ import annotations

import enum
import importlib
import json
import os
import pkgutil
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from openlxd_api.app import all_endpoints
from openlxd_api.framework.openapi import document
from openlxd_core.domain.actor import Actor
from openlxd_core.storage import models
from tests.api.conftest import Api
from tests.support.core import PASSWORD

NAME = "openlxd_generated"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The client, imported; the generator must have understood everything."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "openapi.json").write_text(json.dumps(document(all_endpoints())))
    done = subprocess.run(
        [
            sys.executable, "-m", "openapi_python_client", "generate", "--path", str(folder / "openapi.json"),
            "--output-path", str(folder / NAME), "--meta", "none", "--fail-on-warning",
        ],
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True, text=True, timeout=120, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module(NAME)
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.split(".")[0] == NAME]:
            del sys.modules[name]


def _operations(generated: ModuleType) -> dict[str, ModuleType]:
    api = importlib.import_module(f"{generated.__name__}.api")
    found = [module.name for module in pkgutil.walk_packages(api.__path__, f"{api.__name__}.") if not module.ispkg]
    return {name.rsplit(".", 1)[1]: importlib.import_module(name) for name in found}


def _models(generated: ModuleType) -> dict[str, Any]:
    there = importlib.import_module(f"{generated.__name__}.models")
    return {name: getattr(there, name) for name in there.__all__}


def _hints(cls: Any, models: dict[str, Any]) -> dict[str, Any]:
    """The types of a model's fields; those that only a type checker imports are filled in."""
    return typing.get_type_hints(cls, {**vars(sys.modules[cls.__module__]), **models})


def _parts(kind: Any) -> set[Any]:
    inner = typing.get_args(kind)
    return {kind}.union(*map(_parts, inner)) if inner and typing.get_origin(kind) is not typing.Literal else {kind}


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, enum.Enum)


@pytest.mark.slow
def test_every_operation_has_a_typed_answer(generated: ModuleType) -> None:
    """A model or text for each success, our failure for the rest, and nothing that is Any."""
    operations, models = _operations(generated), _models(generated)
    assert set(operations) == {endpoint.name for endpoint in all_endpoints()}
    for name, module in operations.items():
        answers = set(typing.get_args(typing.get_type_hints(module._parse_response)["return"]))
        assert Any not in answers, name
        assert models["Failure"] in answers, name
        successes = answers - {models["Failure"], type(None)}
        assert successes, name
        for kind in successes - {str}:
            data = _hints(kind, models).get("data", str)
            assert not {Any, object} & _parts(data), (name, data)


def test_every_body_and_model_is_typed(generated: ModuleType) -> None:
    """No field of what goes in or out is Any."""
    models = _models(generated)
    for name, cls in models.items():
        if hasattr(cls, "__attrs_attrs__"):
            for field, kind in _hints(cls, models).items():
                if field != "additional_properties":
                    assert Any not in _parts(kind), (name, field)
    for endpoint in all_endpoints():
        if endpoint.body is not None:
            names = (endpoint.body.__name__, f"{endpoint.body.__name__}Type0")  # one of two: a type for each
            assert any(name in models for name in names), endpoint.name


def test_every_status_is_an_enum(generated: ModuleType) -> None:
    """Statuses, roles and kinds of operations: a typing mistake is found before anything is sent."""
    models = _models(generated)
    found = set()
    for name, cls in models.items():
        if not hasattr(cls, "__attrs_attrs__"):
            continue
        for field, kind in _hints(cls, models).items():
            if field in ("status", "role") or (field == "kind" and name == "OperationView"):
                parts = [part for part in _parts(kind) if part not in (models.get("Unset"), type(None))]
                enums = [
                    part
                    for part in parts
                    if typing.get_origin(part) is typing.Literal
                    or (isinstance(part, type) and issubclass(part, enum.Enum))
                ]
                assert enums, (name, field, kind)
                assert str not in parts, (name, field)
                found.add(name)
    assert {"ContainerView", "UserView", "OperationView", "ImageView", "Pending", "Health", "WhmcsContainer"} <= found
    for module in _operations(generated).values():
        hints = typing.get_type_hints(module._get_kwargs)
        for field in {"status", "role", "kind", "sort"} & set(hints):
            assert str not in _parts(hints[field]), (module.__name__, field)


async def test_it_signs_in_walks_a_list_and_makes_a_container(generated: ModuleType, api: Api, alice: Actor) -> None:
    """Against a served API on the simulated LXD; a refusal comes as a typed failure."""
    operations, made = _operations(generated), _models(generated)
    base = str(api.client.make_url("/")).rstrip("/")
    form = made["SignInType0"](username="alice", password=PASSWORD)
    async with generated.Client(base_url=base) as anybody:
        signed_in = await operations["sign_in"].asyncio(client=anybody, body=form)
    assert signed_in.data.user.role is made["UserRole"].USER
    async with generated.AuthenticatedClient(base_url=base, token=signed_in.data.token) as client:
        await _use(operations, made, client, alice)


async def _use(operations: dict[str, ModuleType], made: dict[str, Any], client: Any, alice: Actor) -> None:
    order = made["NewContainer"](name="web1", image="debian/12", cpu=1, memory_mb="256MB", disk_mb=2048)
    answer = await operations["create_container"].asyncio_detailed(client=client, body=order, wait=25)
    assert answer.status_code == 201
    assert answer.parsed.data.status is made["ContainerStatus"].RUNNING
    assert (answer.parsed.data.memory_mb, answer.parsed.data.disk_mb) == (256, 2048)
    taken = await operations["create_container"].asyncio(client=client, body=order)
    assert isinstance(taken, made["Failure"])
    assert taken.error is made["FailureError"].ALREADY_EXISTS
    values = {"project": "p", "user_id": alice.user_id, "status": "stopped", "cpu": 1, "memory_mb": 64, "disk_mb": 64}
    await models.Container.bulk_create([models.Container(name=f"old{number}", **values) for number in range(6)])
    names: list[str] = []
    after: Any = importlib.import_module(f"{NAME}.types").UNSET
    while after is not None:
        page = await operations["list_containers"].asyncio(
            client=client, limit=3, after=after, sort=made["ListContainersSort"].VALUE_1
        )
        names += [found.name for found in page.data]
        after = page.next_
    assert names == ["web1", *(f"old{number}" for number in reversed(range(6)))]
    stopped = await operations["list_containers"].asyncio(client=client, status=made["ContainerStatus"].STOPPED)
    assert len(stopped.data) == 6
    changed = await operations["resize_container"].asyncio(
        "web1", client=client, body=made["Resize"](memory_mb=answer.parsed.data.memory_mb * 2)
    )
    assert changed.data.memory_mb == 512
    done = await operations["list_operations"].asyncio(client=client, kind=made["OperationKind"].CREATE)
    assert [one.status for one in done.data] == [made["OperationStatus"].DONE]
