"""Base classes of request bodies, queries and response views."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, field_validator, model_validator
from pydantic_core import PydanticCustomError


class Body(BaseModel):
    """The base of request bodies: unknown fields and null are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
    former: ClassVar[Mapping[str, str]] = {}
    """Deprecated field names that are still accepted, and their replacements. The OpenAPI document shows only those."""

    @model_validator(mode="before")
    @classmethod
    def _by_new_names(cls, values: Any) -> Any:
        if not cls.former or not isinstance(values, Mapping):
            return values
        renamed = {old: new for old, new in cls.former.items() if old in values and new not in values}
        return {
            renamed.get(name, name): value for name, value in values.items()
        }  # both at once: the deprecated name is refused as unknown

    @field_validator("*", mode="before")
    @classmethod
    def _not_null(cls, value: Any) -> Any:
        if value is None:
            raise PydanticCustomError("missing", "null")
        return value


class View(BaseModel):
    """The base of response views: every field is always present."""

    unfinished: ClassVar[bool] = False
    """Whether it describes an operation in progress: such a response always has the status 202."""

    model_config = ConfigDict(
        frozen=True, use_attribute_docstrings=True, json_schema_serialization_defaults_required=True
    )


class NoQuery(Body):
    """An endpoint without query parameters: any parameter is refused."""


class NoBody(Body):
    """An endpoint without a body: any field is refused."""
