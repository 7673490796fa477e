"""The roots of what goes in and out as JSON, and what the framework itself needs of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, field_validator, model_validator
from pydantic_core import PydanticCustomError


class Body(BaseModel):
    """The root of what clients send: no field that we do not know, and what is left out is left out, not null."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
    former: ClassVar[Mapping[str, str]] = {}
    """Former names that are still taken, and the names in their place. The OpenAPI document names the new ones only."""

    @model_validator(mode="before")
    @classmethod
    def _by_new_names(cls, values: Any) -> Any:
        if not cls.former or not isinstance(values, Mapping):
            return values
        renamed = {old: new for old, new in cls.former.items() if old in values and new not in values}
        return {renamed.get(name, name): value for name, value in values.items()}  # both at once: the former is unknown

    @field_validator("*", mode="before")
    @classmethod
    def _not_null(cls, value: Any) -> Any:
        if value is None:
            raise PydanticCustomError("missing", "null")
        return value


class View(BaseModel):
    """The root of what clients get: every field of it is always there."""

    unfinished: ClassVar[bool] = False
    """Whether it tells of work that goes on: such an answer is always sent with 202."""

    model_config = ConfigDict(
        frozen=True, use_attribute_docstrings=True, json_schema_serialization_defaults_required=True
    )


class NoQuery(Body):
    """An endpoint without a query: any field in it is a mistake."""


class NoBody(Body):
    """An endpoint without a body: any field in it is a mistake."""
