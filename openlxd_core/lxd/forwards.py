"""Network forwards of the managed bridge, and the addresses that their targets need to keep.

LXD holds all rules of one listen address in one document, which is read, changed and written whole, and 5.0.2 does not
check the ETag of that write (seen: a PUT with a wrong one is taken). So the caller lets one change in at a time, and
every change is read back here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from openlxd_core.domain.container import is_ipv4
from openlxd_core.domain.errors import AlreadyExists, Conflict, NotFound
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_
from openlxd_core.lxd.calls import in_project, instance_path, quoted
from openlxd_core.lxd.forward_rules import read_forward_rules, write_forward_rule
from openlxd_core.lxd.gateway import ForwardRule, Lease, NetworkForward
from openlxd_core.lxd.instances import InstanceCalls
from openlxd_core.lxd.server import ServerCalls

MARK_FORWARD = "user.openlxd"
"""The config key of a network forward that OpenLXD made; without rules it is deleted again."""
_TRIES = 5


class ForwardCalls(InstanceCalls, ServerCalls):
    """Calls about network forwards."""

    async def forwards(self) -> Sequence[NetworkForward]:
        """Every network forward of the bridge, in one call."""
        found = await self._read(await self._forwards_path(), {"recursion": "1"})
        return [
            NetworkForward(
                clean(str(entry.get("listen_address", "")), 45),
                [rule for port in entry.get("ports") or [] for rule in read_forward_rules(port)],
            )
            for entry in found or []
        ]

    async def change_forward(
        self, address: str, *, add: Sequence[ForwardRule] = (), remove: Sequence[ForwardRule] = ()
    ) -> None:
        """Add and remove rules of one listen address, leaving every other rule as it stands."""
        for _ in range(_TRIES):
            found = await self._forward(address)
            entries, changed = _changed(list((found or {}).get("ports") or []), add, remove)
            if not changed:
                return
            await self._write(address, found, entries)
        raise Conflict(N_("The port forwards of {address} were changed by somebody else. Try again."), address=address)

    async def _write(self, address: str, found: dict[str, Any] | None, entries: list[dict[str, Any]]) -> None:
        path = await self._forwards_path()
        if found is None:
            config = {MARK_FORWARD: "1"}
            body = {"listen_address": address, "description": "OpenLXD", "config": config, "ports": entries}
            await self._change(address, "POST", path, None, body)
        elif not entries and (found.get("config") or {}).get(MARK_FORWARD) == "1":
            await self._change(address, "DELETE", f"{path}/{quoted(address)}")
        else:
            body = {"description": found.get("description", ""), "config": found.get("config") or {}, "ports": entries}
            await self._change(address, "PUT", f"{path}/{quoted(address)}", None, body)

    async def _forward(self, address: str) -> dict[str, Any] | None:
        try:
            found = await self._read(f"{await self._forwards_path()}/{quoted(address)}", name=address)
        except NotFound:
            return None
        return dict(found)

    async def _forwards_path(self) -> str:
        return f"/1.0/networks/{quoted(await self._bridge())}/forwards"

    async def leases(self, project: str) -> Sequence[Lease]:
        """The IPv4 addresses that the bridge has given to a project's instances; its own has no MAC address here."""
        found = await self._read(f"/1.0/networks/{quoted(await self._bridge())}/leases", in_project(project))
        leases = [Lease(str(entry.get("address")), str(entry.get("hwaddr", "")).lower()) for entry in found or []]
        return [lease for lease in leases if lease.hwaddr and is_ipv4(lease.address)]

    async def pin_address(self, project: str, name: str, ipv4: str) -> None:
        """Let a container keep ``ipv4``, running or not: a device of its own over the profile's NIC."""
        found = await self._read(instance_path(name), in_project(project), name=name)
        own = dict((found.get("devices") or {}).get("eth0") or {})
        if own.get("ipv4.address") == ipv4:
            return
        nic = dict((found.get("expanded_devices") or {}).get("eth0") or await self._nic_of(project))
        await self._patch(project, name, {"devices": {"eth0": nic | {"ipv4.address": ipv4}}})


def _changed(
    entries: list[dict[str, Any]], add: Sequence[ForwardRule], remove: Sequence[ForwardRule]
) -> tuple[list[dict[str, Any]], bool]:
    """The document's entries after the change, and whether they differ. Raises AlreadyExists."""
    gone = set(remove) - set(add)
    kept: list[dict[str, Any]] = []
    held: list[ForwardRule] = []
    changed = False
    for entry in entries:
        rules = list(read_forward_rules(entry))
        staying = [rule for rule in rules if rule not in gone]
        held += staying
        if len(staying) == len(rules):
            kept.append(entry)
        else:
            changed = True
            kept += [write_forward_rule(rule) for rule in staying]
    for rule in add:
        if rule in held:
            continue
        if any(rule.meets(other) for other in held):
            raise AlreadyExists(N_("Port {port} is in use."), port=rule.listen_text)
        kept.append(write_forward_rule(rule))
        changed = True
    return kept, changed
