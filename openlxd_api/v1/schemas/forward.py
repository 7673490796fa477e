"""Bodies and views of port forwards."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictStr, WithJsonSchema

from openlxd_api.framework.models import Body, View
from openlxd_api.v1.schemas.base import number_or_text
from openlxd_api.v1.schemas.lists import ListQuery
from openlxd_core import shapes
from openlxd_core.domain.forward import DESCRIPTION_MAX, Forward, ForwardState, Protocol


def _ports(value: Any) -> Any:
    value = number_or_text(value)
    return value if isinstance(value, int) or len(value) <= 20 else "?"


Ports = Annotated[
    int | str,
    BeforeValidator(_ports),
    WithJsonSchema(
        {
            "description": "A port as a number, or ports as text such as 8000-8010.",
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 65535},
                {"type": "string", "pattern": "^[1-9][0-9]{0,3}$"},
            ],
            "examples": ["8000-8010"],
        }
    ),
]


class NewForward(Body):
    """A port forward to make."""

    target: Ports
    """The container's port, or a range."""
    listen: Ports | None = None
    """The host's port, or a range of as many; a random free one of the operator's range if omitted."""
    protocol: Protocol = Protocol.TCP
    description: Annotated[StrictStr, Field(max_length=DESCRIPTION_MAX)] = ""


class ForwardQuery(ListQuery):
    """The page of port forwards."""

    sort: Literal["listen", "-listen", "container", "-container", "created_at", "-created_at"] = "listen"


class ForwardView(View):
    """Ports of the host that lead to a container."""

    id: int
    container: str
    owner: str
    protocol: Protocol
    address: str
    """The host's address."""
    listen: str
    """The host's port, or a range such as 8000-8010."""
    target: str
    """The container's port, or a range."""
    description: str
    status: ForwardState
    """`inactive` while the container is suspended, failed or missing; `missing` if the forward was removed in LXD."""
    created_by: str
    """A user name, or `lxd` for a forward that was made in LXD."""
    created_at: datetime

    @classmethod
    def of(cls, found: Forward) -> ForwardView:
        """The view of a record."""
        return cls(**shapes.forward(found))
