"""The simulated LXD's network forwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from openlxd_core.lxd.errors import ApiError, translate
from openlxd_core.lxd.gateway import ForwardRule, Lease, NetworkForward
from openlxd_core.lxd.simulated.calls import SimulatedCalls, address_of, entry_of, hwaddr_of
from openlxd_core.lxd.simulated.world import State, note

NETWORK = "lxdbr0"


class SimulatedForwards(SimulatedCalls):
    """Calls about network forwards."""

    async def forwards(self) -> Sequence[NetworkForward]:
        """Every network forward."""
        await self._enter("forwards")
        return [NetworkForward(address, _rules(self.world.look(), address)) for address in _held(self.world.look())]

    async def change_forward(
        self, address: str, *, add: Sequence[ForwardRule] = (), remove: Sequence[ForwardRule] = ()
    ) -> None:
        """Add and remove rules of one listen address. As with LXD, the whole document is read, changed and written,
        and what another caller wrote in between is lost."""
        async with self._verb("change_forward"):
            held = _rules(self.world.look(), address)
            kept = [rule for rule in held if rule not in set(remove) - set(add)]
            for rule in add:
                if rule not in kept:
                    if any(rule.meets(other) for other in kept):
                        raise translate(ApiError(f"Port {rule.listen_text} already exists", 409), rule.listen_text)
                    kept.append(rule)
            if kept == held:
                return
            await self._take("change_forward")
            with self.world.change() as state:
                forwards = state.setdefault("forwards", {})
                action = "updated" if address in forwards else "created"
                forwards[address] = [asdict(rule) for rule in kept]
                if not kept:
                    del forwards[address]
                    action = "deleted"
                note(state, f"network-forward-{action}", "default", NETWORK)

    async def leases(self, project: str) -> Sequence[Lease]:
        """The addresses of a project's containers."""
        await self._enter("leases")
        entries = [entry for entry in self.world.look()["instances"].values() if entry["project"] == project]
        leases = [Lease(address_of(entry), hwaddr_of(entry["address"])) for entry in entries]
        return [lease for lease in leases if lease.address]

    async def pin_address(self, project: str, name: str, ipv4: str) -> None:
        """Let a container keep an address."""
        async with self._verb("pin_address"):
            with self.world.change() as state:
                entry = entry_of(state, project, name)
                others = (other for other in state["instances"].values() if other is not entry)
                if any(other.get("ipv4") == ipv4 for other in others):
                    raise translate(ApiError(f'IP address "{ipv4}" already defined on another NIC'), name)
                entry["ipv4"] = ipv4
                note(state, "instance-updated", project, name)


def _held(state: State) -> dict[str, list[dict[str, object]]]:
    return state.get("forwards") or {}


def _rules(state: State, address: str) -> list[ForwardRule]:
    return [ForwardRule(**rule) for rule in _held(state).get(address, [])]  # type: ignore[arg-type]
