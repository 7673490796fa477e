"""One JSON for one record: REST's views have the very fields of openlxd_core.shapes, and the same text comes out."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from pydantic import BaseModel

from openlxd_api.v1.schemas.account import KeyView, QuotaView, UserView
from openlxd_api.v1.schemas.container import ContainerView, SnapshotView
from openlxd_api.v1.schemas.image import ImageView, OfferView
from openlxd_api.v1.schemas.system import OperationView
from openlxd_core import shapes
from openlxd_core.domain.account import AccountStatus, SshKey, User
from openlxd_core.domain.actor import Role
from openlxd_core.domain.container import Container, State
from openlxd_core.domain.errors import Message
from openlxd_core.domain.image import Image, ImageStatus, Offer
from openlxd_core.domain.operation import Kind, Operation, OperationStatus
from openlxd_core.domain.quota import Quota
from openlxd_core.domain.snapshot import Snapshot

WHOLE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
EXACT = datetime(2026, 3, 1, 12, 0, 7, 123456, tzinfo=UTC)
ODD = '容器 \u202e\x1b[2J "quoted" \u007f'

CONTAINER = Container(
    1, "web1", 2, "alice", "openlxd-2", ODD, "amd64", State.ERROR, 2, 512, 4096, "10.0.0.2", "fd42::2", "boss",
    Message("{what} has failed.", {"what": ODD}), "op", EXACT, WHOLE, suspended_reason=ODD, suspended_at=EXACT,
)  # fmt: skip
PLAIN = Container(
    1, "web1", 2, "alice", "openlxd-2", "debian/12", "amd64", State.RUNNING, 2, 512, 4096, "", "", "", None, "", WHOLE,
    WHOLE,
)  # fmt: skip
USER = User(3, "alice", "a@example.org", Role.TENANT, AccountStatus.ACTIVE, True, ODD, WHOLE, EXACT)
OPERATION = Operation(
    "id", Kind.IMPORT, 2, "alice", "debian/12", OperationStatus.FAILED, "download", 40, "lxd_refused",
    Message("No."), {"secret": "not shown"}, WHOLE, EXACT, detail={"bytes": 3, "rate": 1.5},
)  # fmt: skip
IMAGE = Image(
    "debian/12", "ab" * 32, "debian", "bookworm", "amd64", "default", ODD, 123, ImageStatus.IMPORTED, EXACT,
    users=("web1",), end_of_life=date(2028, 6, 30),
)  # fmt: skip
OFFER = Offer(
    "debian/12", ("debian/bookworm",), "debian", "bookworm", "12", "amd64", "default", 123, EXACT, "20260301_05:24",
    "cd" * 32, "https://images.example.org", "debian:bookworm:amd64:default", date(2020, 1, 1), True,
)  # fmt: skip

CASES: list[tuple[Any, Any, type[BaseModel]]] = [
    (shapes.container, CONTAINER, ContainerView),
    (shapes.container, PLAIN, ContainerView),
    (shapes.snapshot, Snapshot("before", "web1", 2, True, EXACT), SnapshotView),
    (shapes.operation, OPERATION, OperationView),
    (shapes.user, USER, UserView),
    (shapes.ssh_key, SshKey(1, 2, "laptop", "SHA256:x", "ssh-ed25519 AAAA", WHOLE, None), KeyView),
    (shapes.quota, Quota(1, 2, 3, 4, 5, 6), QuotaView),
    (shapes.image, IMAGE, ImageView),
    (shapes.offer, OFFER, OfferView),
]


@pytest.mark.parametrize(("shape", "record", "view"), CASES, ids=lambda value: getattr(value, "__name__", None))
def test_what_is_printed_is_what_rest_answers(shape: Any, record: Any, view: Any) -> None:
    """Field by field, moments and odd characters too; no view adds a field or leaves one out."""
    printed = json.loads(shapes.encode(shape(record)))
    assert list(printed) == list(view.model_fields)
    assert printed == json.loads(view.of(record).model_dump_json())


def test_json_on_a_terminal_drives_no_terminal() -> None:
    """Escape codes and text that runs backwards are escaped; the value stays what it was."""
    text = shapes.encode(shapes.container(CONTAINER))
    assert text.isascii()
    assert "\x1b" not in text
    assert "\x7f" not in text
    assert json.loads(text)["image"] == ODD
