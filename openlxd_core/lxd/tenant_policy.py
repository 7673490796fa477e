"""What LXD is told about a tenant's project and containers: the keys and values that wall a tenant in.

Everything sent is built here from checked fields; nothing of a caller's is passed on. A key that a server does
not know may be dropped only where the wall stands without it: in a restricted project LXD and Incus block what
is not named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openlxd_core.domain.container import check_name
from openlxd_core.lxd.gateway import InstanceSpec, ProjectSpec

PROCESSES = 1000
"""limits.processes of every container: a fork bomb stays inside, and a busy web server still fits."""

_FEATURES = {
    "features.images": "false",  # images are the admins', in the default project
    "features.profiles": "true",
    "features.storage.volumes": "true",
    "features.networks": "false",
}
_WALLS = {
    "restricted": "true",
    "restricted.containers.privilege": "isolated",
    "restricted.containers.nesting": "block",
    "restricted.containers.lowlevel": "block",
    "restricted.containers.interception": "block",
    "restricted.virtual-machines.lowlevel": "block",
    "restricted.devices.disk": "managed",
    "restricted.devices.nic": "managed",
    "restricted.devices.proxy": "block",
    "restricted.snapshots": "allow",
    "restricted.backups": "block",
    "restricted.cluster.target": "block",
    "limits.virtual-machines": "0",
    "limits.networks": "0",
    "backups.compression_algorithm": "none",
}
DROPPABLE = frozenset({
    # younger than the oldest LXD we know, or Incus's to rename; all of them are "block" or harmless when absent
    "restricted.containers.interception", "restricted.virtual-machines.lowlevel", "restricted.snapshots",
    "restricted.backups", "restricted.cluster.target", "limits.virtual-machines", "limits.networks",
    "limits.instances", "backups.compression_algorithm", "restricted.networks.access",
})  # fmt: skip
NIC_FILTERS = (
    "security.mac_filtering",
    "security.ipv4_filtering",
    "security.ipv6_filtering",
    "security.port_isolation",
)
"""With all four a container on LXD 5.0.2 gets its IPv4 (LXD sets a lease aside for it) and its IPv6 (the address
that router advertisement gives its MAC), cannot take another's, and cannot reach another's port."""
NIC_OPTIONAL = ("security.port_isolation", "security.ipv6_filtering")
"""Dropped, in this order, where the host cannot do them (no bridge netfilter for IPv6; an old kernel)."""


def project_config(spec: ProjectSpec, network: str) -> dict[str, str]:
    """The project's config; quotas that are None are not limited."""
    limits = {
        "limits.containers": spec.containers,
        "limits.instances": spec.containers,
        "limits.cpu": spec.cpu,
        "limits.memory": None if spec.memory_mib is None else f"{spec.memory_mib}MiB",
        "limits.disk": None if spec.disk_mib is None else f"{spec.disk_mib}MiB",
    }
    held = {key: str(value) for key, value in limits.items() if value is not None}
    return {**_FEATURES, **_WALLS, "restricted.networks.access": network, **held}


def profile_devices(pool: str, network: str, without: frozenset[str] = frozenset()) -> dict[str, dict[str, str]]:
    """The default profile's devices: a root disk and one NIC."""
    filters = {key: "true" for key in NIC_FILTERS if key not in without}
    return {
        "root": {"type": "disk", "path": "/", "pool": pool},
        "eth0": {"type": "nic", "name": "eth0", "network": network, **filters},
    }


def instance_body(spec: InstanceSpec, pool: str) -> dict[str, Any]:
    """What makes the container; its security is fixed here. Raises ValidationFailed.

    LXD invents a name where there is none, so the rule for names is asked once more.
    """
    return {
        "name": check_name(spec.name),
        "type": "container",
        "source": {"type": "image", "fingerprint": spec.fingerprint},
        "profiles": ["default"],
        "config": {
            # restricted.containers.privilege=isolated does not force isolation: seen on 5.0.2
            "security.idmap.isolated": "true",
            "security.nesting": "false",
            "security.privileged": "false",
            "limits.processes": str(PROCESSES),
            **limits_config(spec.cpu, spec.memory_mib),
            **marks_config(spec.marks),
        },
        "devices": {"root": root_disk(pool, spec.disk_mib)},
    }


def nic_config(spec: InstanceSpec) -> dict[str, str]:
    """What is the container's own about its NIC; the rest is the profile's.

    ``none`` stands behind the filters: LXD lets no packet of that version through.
    """
    chosen = {"hwaddr": spec.hwaddr, "ipv4.address": spec.ipv4, "ipv6.address": spec.ipv6}
    return {key: value for key, value in chosen.items() if value not in ("", "auto")}


def limits_config(cpu: int, memory_mib: int) -> dict[str, str]:
    """The limits that live in config."""
    return {"limits.cpu": str(cpu), "limits.memory": f"{memory_mib}MiB"}


def root_disk(pool: str, disk_mib: int) -> dict[str, str]:
    """The root disk with its size."""
    return {"type": "disk", "path": "/", "pool": pool, "size": f"{disk_mib}MiB"}


def marks_config(marks: Mapping[str, str]) -> dict[str, str]:
    """Marks only: anything else here is a mistake of ours."""
    for key in marks:
        if not key.startswith("user.openlxd."):
            raise ValueError(f"not a mark: {key}")
    return dict(marks)
