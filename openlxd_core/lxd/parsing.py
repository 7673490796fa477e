"""LXD's JSON read into our records. Everything in it came from outside and is cleaned here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from openlxd_core.domain.errors import OpenLXDError
from openlxd_core.domain.text import clean
from openlxd_core.domain.units import parse_size_mib
from openlxd_core.lxd.gateway import Instance, InstanceSnapshot, InstanceState, LxdImage, ServerInfo

MIB = 1024 * 1024
_STATES = {
    "running": "running",
    "ready": "running",
    "stopping": "running",
    "thawed": "running",
    "freezing": "running",
    "frozen": "frozen",
    "error": "error",
}


def read_status(word: Any) -> str:
    """Ours for LXD's word: ``running``, ``stopped``, ``frozen`` or ``error``."""
    return _STATES.get(str(word or "").lower(), "stopped")


def read_server(info: Mapping[str, Any], pools: Sequence[Any], networks: Sequence[Mapping[str, Any]]) -> ServerInfo:
    """The server from ``/1.0``, ``/1.0/storage-pools`` and ``/1.0/networks?recursion=1``."""
    environment = info.get("environment") or {}
    return ServerInfo(
        kind="incus" if environment.get("server") == "incus" else "lxd",
        version=clean(str(environment.get("server_version", "")), 40),
        architecture=clean(str(environment.get("kernel_architecture", "")), 40),
        pools=[clean(str(path).rsplit("/", 1)[-1]) for path in pools],
        networks=[clean(str(n["name"])) for n in networks if n.get("managed") and n.get("type") == "bridge"],
        extensions=frozenset(str(extension) for extension in info.get("api_extensions") or ()),
        firewall=clean(str(environment.get("firewall", "")), 40),
    )


def read_state(found: Mapping[str, Any]) -> InstanceState:
    """An instance's state."""
    addresses = _addresses(found.get("network") or {})
    return InstanceState(
        status=read_status(found.get("status")),
        ipv4=next((address for family, address in addresses if family == "inet"), ""),
        ipv6=next((address for family, address in addresses if family == "inet6"), ""),
        pid=int(found.get("pid") or 0),
    )


def _addresses(network: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """(family, address) of the global ones, eth0's first."""
    found = []
    for device in sorted(network, key=lambda device: (device != "eth0", device)):
        if device != "lo":
            for address in (network[device] or {}).get("addresses") or []:
                if address.get("scope") == "global":
                    found.append((str(address.get("family")), clean(str(address.get("address")), 64)))
    return found


def read_image(entry: Mapping[str, Any]) -> LxdImage:
    """An image."""
    properties = {clean(str(k), 60): clean(str(v), 300) for k, v in (entry.get("properties") or {}).items()}
    return LxdImage(
        fingerprint=clean(str(entry.get("fingerprint", "")), 64),
        aliases=[clean(str(alias.get("name", "")), 100) for alias in entry.get("aliases") or []],
        description=properties.get("description", ""),
        architecture=clean(str(entry.get("architecture", "")), 40),
        size_bytes=int(entry.get("size") or 0),
        properties=properties,
        uploaded_at=_moment(entry.get("uploaded_at")),
    )


def read_instance(entry: Mapping[str, Any]) -> Instance:
    """An instance as the list shows it."""
    config = entry.get("expanded_config") or entry.get("config") or {}
    root = (entry.get("expanded_devices") or entry.get("devices") or {}).get("root") or {}
    own = entry.get("config") or {}
    return Instance(
        project=str(entry.get("project") or "default"),
        name=str(entry["name"]),
        status=read_status(entry.get("status")),
        architecture=clean(str(entry.get("architecture", "")), 40),
        cpu=_count(config.get("limits.cpu")),
        memory_mib=_mib(config.get("limits.memory")),
        disk_mib=_mib(root.get("size")),
        image=clean(str(config.get("image.description", "")), 200),
        marks={key: str(value) for key, value in own.items() if key.startswith("user.openlxd.")},
        created_at=_moment(entry.get("created_at")) or datetime.fromtimestamp(0, UTC),
        hwaddr=clean(str(own.get("volatile.eth0.hwaddr") or _nic(entry).get("hwaddr") or ""), 20),
        fixed_ipv4=clean(str((entry.get("expanded_devices") or {}).get("eth0", {}).get("ipv4.address") or ""), 15),
        base_image=clean(str(own.get("volatile.base_image") or ""), 64),
    )


def _nic(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    return (entry.get("devices") or {}).get("eth0") or {}


def read_snapshot(entry: Mapping[str, Any]) -> InstanceSnapshot:
    """A snapshot as the list shows it; its name may come behind the instance's."""
    created = _moment(entry.get("created_at")) or datetime.fromtimestamp(0, UTC)
    return InstanceSnapshot(clean(str(entry.get("name", "")).rpartition("/")[2], 100), created)


def read_snapshots(entries: Any) -> Sequence[InstanceSnapshot]:
    """An instance's snapshots, oldest first."""
    return sorted(map(read_snapshot, entries or []), key=lambda snapshot: snapshot.created_at)


def _count(value: Any) -> int | None:
    text = str(value or "")
    return int(text) if text.isascii() and text.isdigit() else None  # a range or a set pins CPUs: no count


def _mib(value: Any) -> int | None:
    try:
        return parse_size_mib(str(value), "size") if value else None
    except OpenLXDError:
        text = str(value).removesuffix("B")
        return int(text) // MIB if text.isascii() and text.isdigit() else None


def _moment(value: Any) -> datetime | None:
    match = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,6})?", str(value or ""))
    if match is None or match[1].startswith("0001"):
        return None
    try:
        return datetime.fromisoformat(match[1] + (match[2] or "")).replace(tzinfo=UTC)
    except ValueError:
        return None
