"""Containers, snapshots and usage."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, ConfigDict, Field, StrictStr, WithJsonSchema, model_validator

from openlxd_api.framework.models import Body, View
from openlxd_api.v1.schemas.account import Username
from openlxd_api.v1.schemas.base import SIZES, ContainerName, Cpu, Disk, Flag, ImageAlias, Memory, number_or_text
from openlxd_api.v1.schemas.states import WhmcsStatus, doing
from openlxd_core import shapes
from openlxd_core.domain import container
from openlxd_core.domain.operation import Operation
from openlxd_core.domain.snapshot import Snapshot
from openlxd_core.domain.units import CPU_MAX
from openlxd_core.i18n import N_, _


def _address(version: int) -> Any:
    """``auto``, ``none`` or an address; the services say whether it is one of the network's."""
    examples = {4: "10.77.0.20", 6: "fd42:77::20"}
    return Annotated[
        StrictStr,
        Field(max_length=45),
        WithJsonSchema(
            {
                "anyOf": [{"type": "string", "enum": ["auto", "none"]}, {"type": "string", "format": f"ipv{version}"}],
                "description": "auto: given out by the host's network; none; or a free address of that network.",
                "examples": ["auto", "none", examples[version]],
            }
        ),
    ]


IPv4 = _address(4)
IPv6 = _address(6)


class NewContainer(Body):
    """A container to create, with the field names of the view. Sizes are MiB as a number, or text like ``2GB``."""

    former: ClassVar[Mapping[str, str]] = SIZES

    name: ContainerName
    image: ImageAlias
    cpu: Cpu
    memory_mb: Memory
    disk_mb: Disk
    owner: Username | None = None
    """User name of the owner; admins only."""
    ipv4: IPv4 = "auto"  # type: ignore[valid-type]
    ipv6: IPv6 = "auto"  # type: ignore[valid-type]


class Resize(Body):
    """New limits; omitted fields stay unchanged. A disk can only grow."""

    former: ClassVar[Mapping[str, str]] = SIZES

    cpu: Cpu | None = None
    memory_mb: Memory | None = None
    disk_mb: Disk | None = None


class Stop(Body):
    """Options of stopping a container."""

    force: Flag = False
    """Stop immediately, without a clean shutdown."""


class Reinstall(Body):
    """The image of a reinstallation."""

    image: ImageAlias | None = None
    """The container's current image if omitted."""


class ContainerSuspension(Body):
    """The reason of a suspension, shown to the owner."""

    reason: StrictStr = Field("", max_length=500)


class RootPassword(Body):
    """A new password for root inside the container; it is not stored."""

    password: StrictStr = Field(min_length=1, max_length=128, json_schema_extra={"format": "password"})
    """At most 128 bytes, without control characters."""


class NewSnapshot(Body):
    """A snapshot's name."""

    name: StrictStr | None = Field(
        None, min_length=1, max_length=100, json_schema_extra={"pattern": "^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$"}
    )
    """The current date and time if omitted."""


class ContainerView(View):
    """One container as its owner sees it. Sizes are MiB."""

    id: int
    name: str
    owner: str
    image: str
    architecture: str
    status: container.State
    cpu: int
    memory_mb: int
    disk_mb: int
    ipv4: str
    ipv6: str
    suspended: bool
    """Whether an admin has suspended it: it stays stopped, and its owner can only view it."""
    suspended_by: str
    """Who suspended it, or an empty string."""
    suspended_reason: str
    suspended_at: datetime | None
    error: str
    """What went wrong, in the reader's language, or an empty string."""
    operation_id: str
    """The operation in progress, or an empty string."""
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, found: container.Container) -> ContainerView:
        """The view of a record, its error in the language of the request."""
        return cls(**shapes.container(found))


class SnapshotView(View):
    """A container's state at one moment."""

    name: str
    container: str
    ready: bool
    """False while LXD is still creating it."""
    created_at: datetime

    @classmethod
    def of(cls, snapshot: Snapshot) -> SnapshotView:
        """The view of a record."""
        return cls(**shapes.snapshot(snapshot))


class UsageView(View):
    """What a container uses at one moment."""

    cpu_percent: float | None
    """Of one core, so 200 is two cores; null before the second sample."""
    memory_mb: float
    disk_mb: float
    processes: int
    received_bytes: int
    """Bytes since the container was started."""
    sent_bytes: int

    @classmethod
    def of(cls, usage: container.Usage) -> UsageView:
        """The view of a record."""
        return cls(
            cpu_percent=usage.cpu_percent,
            memory_mb=usage.memory_mib,
            disk_mb=usage.disk_mib,
            processes=usage.processes,
            received_bytes=usage.received_bytes,
            sent_bytes=usage.sent_bytes,
        )


class SampleView(View):
    """Usage at a moment in the past."""

    at: datetime
    usage: UsageView


class UsageOverTime(View):
    """Usage now, and over the last 24 hours."""

    now: UsageView | None
    """Null if the container is not running."""
    history: list[SampleView]
    """Oldest first: one a minute for two hours, one in ten minutes before."""


# -- /whmcs: the design paper's bodies and answers ------------------------------------------------------------------


def _own_id(value: Any) -> int:
    value = number_or_text(value)
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) <= 9 else 0
    if not 0 < value < 1_000_000_000:
        raise ValueError(N_("This is not the id of a container."))
    return int(value)


OwnId = Annotated[
    int,
    BeforeValidator(_own_id),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 999_999_999},
                {"type": "string", "pattern": "^[1-9][0-9]{0,8}$"},
            ]
        }
    ),
]


def _count(value: Any) -> int | str:
    value = number_or_text(value)
    return value if isinstance(value, int) or value.isdigit() else "?"


Count = Annotated[
    int | str,
    BeforeValidator(_count),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": CPU_MAX},
                {"type": "string", "pattern": "^[1-9][0-9]{0,2}$"},
            ]
        }
    ),
]


class WhmcsCreate(Body):
    """A container to create for a billing system."""

    name: ContainerName
    image: ImageAlias
    cpu: Count = 1
    memory: Memory = "512MB"
    disk: Disk = "10GB"
    ipv4: IPv4 = "auto"  # type: ignore[valid-type]
    ipv6: IPv6 = "auto"  # type: ignore[valid-type]
    owner: Username | None = None
    """User name of the owner; admins only. The API key's account if omitted."""


_NAMED: dict[str, Any] = {
    "oneOf": [
        {"required": ["name"], "properties": {"name": {"type": "string"}}},
        {"required": ["container_id"], "properties": {"container_id": {"type": ["integer", "string"]}}},
    ]
}


class WhmcsNamed(Body):
    """A container by its name or its id."""

    model_config = ConfigDict(json_schema_extra=_NAMED)

    name: ContainerName | None = None
    container_id: OwnId | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.name is None) == (self.container_id is None):
            raise ValueError(N_("Send the name of the container or its id."))
        return self

    @property
    def which(self) -> str | int:
        """The name or the id."""
        return self.name if self.name is not None else self.container_id or 0


class WhmcsSuspend(WhmcsNamed):
    """A container to suspend, and the reason, which its owner can read."""

    reason: StrictStr = Field("", max_length=500)


class WhmcsInfo(Body):
    """A container by its name or its id, in a query."""

    name: ContainerName | None = None
    """Send either ``name`` or ``container_id``."""
    container_id: OwnId | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.name is None) == (self.container_id is None):
            raise ValueError(N_("Send the name of the container or its id."))
        return self

    @property
    def which(self) -> str | int:
        """The name or the id."""
        return self.name if self.name is not None else self.container_id or 0


class WhmcsConfig(WhmcsNamed):
    """New limits; omitted fields stay unchanged."""

    cpu: Count | None = None
    memory: Memory | None = None
    disk: Disk | None = None


class WhmcsContainer(View):
    """A container in the design paper's shape."""

    container_id: int
    name: str
    status: WhmcsStatus
    ipv4: str
    ipv6: str

    @classmethod
    def of(cls, found: container.Container, status: WhmcsStatus | None = None) -> WhmcsContainer:
        """The view of a record."""
        return cls(
            container_id=found.id,
            name=found.name,
            status=status or WhmcsStatus(found.status.value),
            ipv4=found.ipv4,
            ipv6=found.ipv6,
        )


class WhmcsDetails(WhmcsContainer):
    """A container with all details. Sizes are MiB."""

    cpu: int
    memory: int
    disk: int
    image: str
    error: str
    """What went wrong, in the reader's language, or an empty string."""
    suspended: bool
    suspended_reason: str

    @classmethod
    def of(cls, found: container.Container, status: WhmcsStatus | None = None) -> WhmcsDetails:
        """The view of a record."""
        return cls(
            **WhmcsContainer.of(found, status).model_dump(),
            cpu=found.cpu,
            memory=found.memory_mib,
            disk=found.disk_mib,
            image=found.image,
            error=found.error.text(_) if found.error else "",
            suspended=found.suspended,
            suspended_reason=found.suspended_reason,
        )


class WhmcsPending(WhmcsContainer):
    """A container with an operation in progress. Always sent with 202."""

    unfinished = True

    operation_id: str

    @classmethod
    def during(cls, found: container.Container, operation: Operation) -> WhmcsPending:
        """The view of a container and what is under way on it."""
        return cls(
            container_id=found.id,
            name=found.name,
            status=WhmcsStatus(doing(operation.kind).value),
            ipv4=found.ipv4,
            ipv6=found.ipv6,
            operation_id=operation.id,
        )
