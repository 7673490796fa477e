"""The port to LXD, in our words.

Two adapters pass one contract suite (``tests/contract``): the real LXD and the simulated one. Nothing above
this port knows of pylxd, HTTP or sockets. Every name and figure has been checked before it gets here; adapters
build what they send from these fields alone and never pass a caller's dictionary on.

Errors, everywhere: LxdUnavailable (not reachable, or no answer in time; nothing was done), OutcomeUnknown (the
connection was lost while LXD worked), NotFound, AlreadyExists, Busy (LXD works on the same instance), Conflict
(the wrong state), QuotaExceeded (the project's limits), LxdRefused (any other no; its reason is in the message,
cleaned).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from openlxd_core.domain.console import ExecSession
from openlxd_core.domain.container import Usage

MARK_OPERATION = "user.openlxd.op"
"""The instance's config key that holds the id of the operation that made it."""
MARK_READY = "user.openlxd.ready"
"""Set to ``1`` only after everything that makes a container usable has succeeded."""
MARK_OWNER = "user.openlxd.user"
"""The owner's user id, so that a lost database can be rebuilt."""

Progress = Callable[[int], None]
"""Called with 0 to 100 while LXD works."""


@dataclass(frozen=True)
class ServerInfo:
    """What answers at the socket."""

    kind: str
    """``lxd``, ``incus`` or ``simulated``."""
    version: str
    architecture: str
    """LXD's name for it: ``x86_64``, ``aarch64``."""
    pools: Sequence[str]
    networks: Sequence[str]
    """The managed bridges."""
    extensions: frozenset[str]
    firewall: str = ""
    """What it writes its firewall rules with: ``nftables`` or ``xtables``; empty where it does not say."""


@dataclass(frozen=True)
class ProjectSpec:
    """One tenant's project: the walls and the limits. Limits are for LXD to enforce; None means none."""

    name: str
    pool: str
    network: str
    containers: int | None
    cpu: int | None
    memory_mib: int | None
    disk_mib: int | None


@dataclass(frozen=True)
class LxdImage:
    """An image that LXD holds in its ``default`` project."""

    fingerprint: str
    aliases: Sequence[str]
    description: str
    architecture: str
    size_bytes: int
    properties: Mapping[str, str]
    uploaded_at: datetime | None


@dataclass(frozen=True)
class InstanceSpec:
    """A container to make, from an image that LXD holds."""

    project: str
    name: str
    fingerprint: str
    cpu: int
    memory_mib: int
    disk_mib: int
    marks: Mapping[str, str] = field(default_factory=dict)
    hwaddr: str = ""
    """The NIC's MAC address, for one that takes another's place and address; empty lets LXD choose."""
    ipv4: str = "auto"
    """``auto`` (given out by the bridge), ``none``, or an address of the bridge's network."""
    ipv6: str = "auto"


@dataclass(frozen=True)
class Instance:
    """A container as LXD's list shows it (one call for all projects; no state)."""

    project: str
    name: str
    status: str
    """``running``, ``stopped``, ``frozen`` or ``error``."""
    architecture: str
    cpu: int | None
    memory_mib: int | None
    disk_mib: int | None
    image: str
    """The image's description, cleaned, or an empty string."""
    marks: Mapping[str, str]
    """Its ``user.openlxd.*`` keys."""
    created_at: datetime
    hwaddr: str = ""
    """The MAC address of its NIC, where it has one."""
    fixed_ipv4: str = ""
    """The IPv4 address that its NIC is set to keep, where there is one."""
    base_image: str = ""
    """The fingerprint of the image that it was made from, where LXD knows."""


@dataclass(frozen=True)
class InstanceState:
    """One container's state; asking for it costs tens of milliseconds."""

    status: str
    ipv4: str
    """The first global address on a NIC, or an empty string. The guest can put any address there: show it, but never
    take it for the container's own."""
    ipv6: str
    pid: int


@dataclass(frozen=True)
class InstanceSnapshot:
    """A snapshot that LXD holds."""

    name: str
    created_at: datetime


@dataclass(frozen=True)
class InstanceSurvey:
    """All that LXD holds of one container."""

    instance: Instance
    state: InstanceState
    snapshots: Sequence[InstanceSnapshot]
    """Oldest first."""


@dataclass(frozen=True)
class ForwardRule:
    """One rule of a network forward: consecutive ports of the listen address, and where they lead.

    The description is no part of what a rule is.
    """

    protocol: str
    """``tcp`` or ``udp``."""
    first: int
    last: int
    target: str
    """The address that they lead to."""
    target_first: int
    target_last: int
    """As many as are listened on, or one."""
    description: str = field(default="", compare=False)

    @property
    def listen_text(self) -> str:
        """The listen ports as LXD writes them: ``80`` or ``8000-8010``."""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    @property
    def target_text(self) -> str:
        """The target's ports in the same way."""
        return (
            str(self.target_first)
            if self.target_first == self.target_last
            else (f"{self.target_first}-{self.target_last}")
        )

    def meets(self, other: ForwardRule) -> bool:
        """Whether both listen on the same port."""
        return self.protocol == other.protocol and self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class NetworkForward:
    """All rules of one listen address of the bridge."""

    listen_address: str
    rules: Sequence[ForwardRule]


@dataclass(frozen=True)
class Lease:
    """An IPv4 address that the bridge's DHCP server has given to a MAC address."""

    address: str
    hwaddr: str


@dataclass(frozen=True)
class LxdEvent:
    """One line of LXD's event stream that matters to us."""

    kind: str
    """``lifecycle`` or ``connected`` (sent once each time the stream is up: things may have been missed)."""
    action: str = ""
    """LXD's own word, as ``instance-started``, ``instance-deleted``, ``image-created``."""
    project: str = ""
    name: str = ""


class LxdGateway(Protocol):
    """What we ask of LXD."""

    async def open(self) -> None:
        """Get ready. Does not fail if LXD is not there yet."""

    async def close(self) -> None:
        """Let go of sockets, threads and files."""

    async def server(self) -> ServerInfo:
        """What answers, its pools and managed bridges."""

    async def bridge_addresses(self, network: str) -> tuple[str, str]:
        """A managed bridge's own IPv4 and IPv6 address with prefix lengths; an empty string where it has none."""

    async def ensure_project(self, spec: ProjectSpec) -> None:
        """Make the restricted project and its default profile (root disk, one NIC), or bring them in line.

        LXD refuses limits under what is in use; the caller passes figures that are not.
        """

    async def delete_project(self, name: str) -> None:
        """Delete an empty project and its profile. A project that is not there is a success."""

    async def images(self) -> Sequence[LxdImage]:
        """The images of the default project."""

    async def import_image(
        self, metadata: Path, rootfs: Path, fingerprint: str, progress: Progress | None = None
    ) -> None:
        """Hand over the two files of an image; ``fingerprint`` is the SHA-256 over both, and LXD checks it.

        Raises AlreadyExists where it is held, LxdRefused where the files are none of an image.
        """

    async def delete_image(self, fingerprint: str) -> None:
        """Drop an image and its aliases; containers made from it stay. One that is not there is a success."""

    async def set_alias(self, alias: str, fingerprint: str) -> None:
        """Let ``alias`` name this image, whatever it named before. Raises NotFound."""

    async def delete_alias(self, alias: str) -> None:
        """Drop a name; the image stays. One that is not there is a success."""

    async def set_image_properties(self, fingerprint: str, properties: Mapping[str, str]) -> None:
        """Change some of an image's properties, leaving the others alone. Raises NotFound."""

    async def publish_image(
        self,
        project: str,
        name: str,
        snapshot: str,
        properties: Mapping[str, str],
        progress: Progress | None = None,
    ) -> str:
        """Make an image of a stopped container, or of one of its snapshots; its fingerprint.

        Raises Conflict while it runs, NotFound.
        """

    async def instances(self) -> Sequence[Instance]:
        """Every container of every project, in one call."""

    async def survey(self) -> Sequence[InstanceSurvey]:
        """Every container of every project with its state and snapshots, in one call.

        Dear: LXD 5.0.2 takes 25 to 40 ms for each that runs. For comparing everything, seldom.
        """

    async def instance(self, project: str, name: str) -> Instance:
        """One container. Raises NotFound."""

    async def state(self, project: str, name: str) -> InstanceState:
        """One container's addresses and live status. Raises NotFound."""

    async def create_instance(self, spec: InstanceSpec, progress: Progress | None = None) -> None:
        """Make a stopped container and return when LXD is done.

        Security is fixed here: isolated id map, no nesting, not privileged, MAC and address filters on the NIC.
        """

    async def delete_instance(self, project: str, name: str) -> None:
        """Delete a stopped container (a running one is stopped by force first). One that is not there is a success."""

    async def set_marks(self, project: str, name: str, marks: Mapping[str, str]) -> None:
        """Change ``user.openlxd.*`` keys of a container, leaving every other key alone."""

    async def set_limits(self, project: str, name: str, cpu: int, memory_mib: int, disk_mib: int) -> None:
        """Change limits, live where LXD can."""

    async def start(self, project: str, name: str) -> None:
        """Start a container. One that runs is a success."""

    async def stop(self, project: str, name: str, *, force: bool = False, timeout: float = 30) -> None:
        """Stop a container within ``timeout`` seconds, gracefully unless ``force``. A stopped one is a success."""

    async def freeze(self, project: str, name: str) -> None:
        """Pause a running container. A frozen one is a success."""

    async def unfreeze(self, project: str, name: str) -> None:
        """Resume a frozen container. A running one is a success."""

    async def snapshots(self, project: str, name: str) -> Sequence[InstanceSnapshot]:
        """A container's snapshots. Raises NotFound."""

    async def create_snapshot(self, project: str, name: str, snapshot: str) -> None:
        """Take one of a container, running or not. Raises AlreadyExists."""

    async def restore_snapshot(self, project: str, name: str, snapshot: str) -> None:
        """Put a container back to a snapshot; a running one is stopped and started. Raises NotFound."""

    async def delete_snapshot(self, project: str, name: str, snapshot: str) -> None:
        """Drop one. One that is not there is a success."""

    async def rename_instance(self, project: str, name: str, new_name: str) -> None:
        """Rename a stopped container, snapshots and all. Raises AlreadyExists, NotFound."""

    async def connect_nic(self, project: str, name: str, connected: bool) -> None:
        """Take a stopped container's NIC off the network, so that another may have its address; or put it back."""

    async def forwards(self) -> Sequence[NetworkForward]:
        """The network forwards of the tenants' bridge, in one call."""

    async def change_forward(
        self, address: str, *, add: Sequence[ForwardRule] = (), remove: Sequence[ForwardRule] = ()
    ) -> None:
        """Add and remove rules of one listen address, leaving every other rule as it stands.

        A rule that is there, or is gone, already is a success. Changes by two callers at once may be lost, as LXD
        checks none against the other: let one in at a time. Raises AlreadyExists where another rule listens on a port.
        """

    async def leases(self, project: str) -> Sequence[Lease]:
        """The IPv4 addresses that the tenants' bridge has given to a project's instances. LXD 5.0.2 tells those of one
        project only.

        Unlike :meth:`state`, which shows what the guest has put on its interface, nothing in a container can change
        them: the MAC address is filtered.
        """

    async def pin_address(self, project: str, name: str, ipv4: str) -> None:
        """Let a container, running or not, keep this IPv4 address of the bridge's network. Raises NotFound."""

    async def usage(self) -> Mapping[tuple[str, str], Usage]:
        """What every running container uses, by (project, name), from LXD's metrics (one cheap call)."""

    def events(self) -> AsyncIterator[LxdEvent]:
        """LXD's events of all projects. Ends with LxdUnavailable when the connection is lost; ask again then."""

    async def exec(
        self,
        project: str,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        terminal: tuple[int, int] | None = None,
    ) -> ExecSession:
        """Run ``command`` in a running container, on a terminal of (width, height) where one is given."""
