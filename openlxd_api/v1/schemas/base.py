"""Base types and value types that many bodies share.

The core validates values (a name, a size, a password), once for all front ends. These types hold the JSON type, a bound
on the length and a description for the OpenAPI document that matches the core's rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    StrictStr,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from openlxd_api.framework.models import Body, View
from openlxd_api.v1.schemas.states import Doing, doing
from openlxd_core.domain.container import DISK_MIN_MIB, MEMORY_MIN_MIB
from openlxd_core.domain.operation import Operation
from openlxd_core.domain.units import CPU_MAX


def _whole(value: Any) -> int:
    """A JSON number without a fraction: 2.0 is accepted, "2" and true are not."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise PydanticCustomError("int_type", "not a whole number")
    return int(value)


def _digits(value: Any) -> int:
    """A whole number of a query."""
    if not (isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit() and len(value) <= 10):
        raise PydanticCustomError("int_type", "not a whole number")
    return int(value)


def _truth(value: Any) -> bool:
    """``true`` or ``false`` of a query."""
    if value not in ("true", "false"):
        raise PydanticCustomError("bool_type", "neither true nor false")
    return bool(value == "true")


def _moment(value: Any) -> datetime:
    """A moment of a query, with its zone: ``2026-08-01T00:00:00Z``."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) and "T" in value else None
        if found is not None and found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise PydanticCustomError("datetime_parsing", "not a moment")


def number_or_text(value: Any) -> Any:
    """A whole number or text, as sizes are written."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise PydanticCustomError("value", "neither a number nor text")
    return value if isinstance(value, str) else _whole(value)


SIZE_MAX = 999_999_999
"""The largest size in MiB; more than a petabyte is surely a mistake."""
Whole = Annotated[int, BeforeValidator(_whole)]
Digits = Annotated[int, BeforeValidator(_digits)]
Truth = Annotated[bool, BeforeValidator(_truth)]
Moment = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
Flag = Annotated[bool, Field(strict=True)]


def _size(low: int, text: str) -> Any:
    """A size: MiB as a number, or text with a unit; ``text`` are the MiB figures of two digits and more."""
    return WithJsonSchema(
        {
            "description": f"MiB as a number, or text like 512MB, 2GB, 2GiB (a thousand is 1024). At least {low}.",
            "anyOf": [
                {"type": "integer", "minimum": low, "maximum": SIZE_MAX},
                {"type": "string", "pattern": f"^(?:(?:{text})(?:M|MB|MiB)?|[1-9][0-9]{{0,3}}(?:G|GB|GiB))$"},
            ],
            "examples": ["2GB"],
        }
    )


Memory = Annotated[
    int | str, BeforeValidator(number_or_text), _size(MEMORY_MIN_MIB, "1[6-9]|[2-9][0-9]|[1-9][0-9]{2,5}")
]
Disk = Annotated[int | str, BeforeValidator(number_or_text), _size(DISK_MIN_MIB, "6[4-9]|[7-9][0-9]|[1-9][0-9]{2,5}")]
SIZES: Mapping[str, str] = {"memory": "memory_mb", "disk": "disk_mb"}
"""Deprecated names of the size fields."""
Cpu = Annotated[Whole, Field(ge=1, le=CPU_MAX)]
ContainerName = Annotated[
    StrictStr, Field(max_length=200, json_schema_extra={"pattern": "^[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$"})
]
ImageAlias = Annotated[StrictStr, Field(min_length=1, max_length=100, examples=["debian/12"])]


class Waiting(Body):
    """How long the request waits for its operation."""

    wait: Digits = Field(25, ge=0, le=60)
    """Seconds to wait for the operation; 0 returns immediately. Then the answer is 202 and the operation continues."""


class Pending(View):
    """An operation in progress: query it, or follow its events. Always sent with 202."""

    unfinished = True

    name: str
    """The name of the container or image."""
    status: Doing
    operation_id: str
    progress: int
    """0 to 100."""

    @classmethod
    def of(cls, operation: Operation) -> Self:
        """The view of an operation that has not ended."""
        return cls(
            name=operation.target,
            status=doing(operation.kind),
            operation_id=operation.id,
            progress=operation.progress,
        )


class Deleted(View):
    """The name of what was deleted."""

    name: str
    status: Literal["deleted"] = "deleted"
