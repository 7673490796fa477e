"""The port forwards of a pretended core."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from openlxd_core.domain.actor import Actor
from openlxd_core.domain.errors import NotFound
from openlxd_core.domain.forward import Forward, ForwardState, PortRange, Protocol, parse_ports
from openlxd_core.domain.operation import Kind, Operation
from tests.tui.fake_images import NOW

if TYPE_CHECKING:
    from tests.tui.fakes import FakeCore


class FakeForwards:
    """The forwards service of a :class:`FakeCore`."""

    def __init__(self, core: FakeCore) -> None:
        self.core = core
        self.held: dict[str, list[Forward]] = {}

    def add(
        self, container: str, listen: str, target: str, state: ForwardState = ForwardState.ACTIVE, **more: Any
    ) -> Forward:
        """Hold one."""
        values: dict[str, Any] = {
            "protocol": Protocol.TCP, "address": "203.0.113.7", "description": "", "created_by": "alice",
            "created_at": NOW - timedelta(days=2),
        }  # fmt: skip
        number = 1 + sum(map(len, self.held.values()))
        forward = Forward(
            id=number, container=container, user_id=2, owner="alice", state=state,
            listen=parse_ports(listen, "listen"), target=parse_ports(target, "target"), **(values | more),
        )  # fmt: skip
        self.held.setdefault(container, []).append(forward)
        return forward

    async def list(self, _actor: Actor, name: str | None = None) -> Sequence[Forward]:
        """A container's."""
        if name is not None and name not in self.core.rows:
            raise NotFound("There is no container {name}.", name=name)
        return [forward for held in self.held.values() for forward in held if name in (None, forward.container)]

    async def create(
        self, _actor: Actor, name: str, target: Any, *, protocol: Any, listen: Any, description: str
    ) -> Operation:
        """Make one."""
        self.core.calls.append(("forward", name, target, protocol, listen, description))
        self.core._fail()
        made = self.add(
            name, str(listen or 20080), str(target), ForwardState.PENDING, protocol=Protocol(protocol),
            description=description,
        )  # fmt: skip
        return self._begin(Kind.FORWARD, made)

    async def restore(self, _actor: Actor, name: str, forward_id: int) -> Operation:
        """Put one back."""
        self.core.calls.append(("restore forward", name, forward_id))
        self.core._fail()
        return self._begin(Kind.FORWARD, self._find(name, forward_id))

    async def delete(self, _actor: Actor, name: str, forward_id: int) -> Operation:
        """Delete one."""
        self.core.calls.append(("delete forward", name, forward_id))
        self.core._fail()
        return self._begin(Kind.FORWARD_DELETE, self._find(name, forward_id))

    def _find(self, name: str, forward_id: int) -> Forward:
        return next(forward for forward in self.held[name] if forward.id == forward_id)

    def _begin(self, kind: Kind, forward: Forward) -> Operation:
        from tests.tui.fakes import operation

        args = {"forward": forward.id, "address": forward.address, "listen": str(PortRange(*_ends(forward)))}
        return self.core.run(operation(forward.container, kind, stage="work", progress=0, args=args))


def _ends(forward: Forward) -> tuple[int, int]:
    return forward.listen.first, forward.listen.last
