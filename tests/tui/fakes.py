"""A core in memory that answers as the real one does, for screens: deterministic, with no database and no LXD.

It holds just enough behaviour to drive a screen; what the services promise is tested with the services.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from openlxd_core.domain.account import AccountStatus, CreatedUser, SshKey, User
from openlxd_core.domain.actor import Actor, Role
from openlxd_core.domain.container import Container, State, Usage, check_spec
from openlxd_core.domain.errors import AlreadyExists, Message, NotFound, OpenLXDError
from openlxd_core.domain.feed import Change, LxdState
from openlxd_core.domain.image import Image, ImageStatus
from openlxd_core.domain.operation import Kind, Operation, OperationStatus
from openlxd_core.domain.preferences import Preferences, TableView
from openlxd_core.domain.quota import Quota, check_fits, in_use
from openlxd_tui.shells import ShellResult
from tests.tui.fake_forwards import FakeForwards
from tests.tui.fake_images import NOW, FakeImages, FakeSnapshots

ALICE = Actor(Role.TENANT, 2, "alice", origin="ssh", address="192.0.2.7")
ADMIN = Actor(Role.ADMIN, 1, "admin", origin="tui")
ROOT = Actor(Role.ADMIN, None, "root", origin="tui")


def container(name: str, state: State = State.RUNNING, **more: Any) -> Container:
    """A container, plausible in every field that is not given."""
    now = NOW
    number = sum(map(ord, name)) % 200 + 20
    running = state in (State.RUNNING, State.FROZEN)
    values: dict[str, Any] = {
        "id": number,
        "name": name,
        "user_id": 2,
        "owner": "alice",
        "project": "openlxd-2",
        "image": "debian/12",
        "architecture": "x86_64",
        "status": state,
        "cpu": 1,
        "memory_mib": 512,
        "disk_mib": 5120,
        "ipv4": f"10.77.0.{number}" if running else "",
        "ipv6": f"fd42:77::216:3eff:fe12:{number:x}" if running else "",
        "suspended_by": "",
        "error": None,
        "operation_id": "",
        "created_at": now - timedelta(hours=3, minutes=1),
        "updated_at": now,
    }
    return Container(**(values | more))


def usage(cpu: float = 1.4, memory: float = 38, disk: float = 310) -> Usage:
    """What a small container uses."""
    return Usage(cpu, memory, disk, 14, 3_400_000, 620_000)


def operation(target: str, kind: Kind = Kind.CREATE, **more: Any) -> Operation:
    """An operation under way."""
    now = NOW
    values: dict[str, Any] = {
        "id": f"op-{target}-{kind}",
        "kind": kind,
        "user_id": 2,
        "actor": "alice",
        "target": target,
        "status": OperationStatus.RUNNING,
        "stage": "create",
        "progress": 42,
        "error_code": "",
        "error": None,
        "args": {},
        "created_at": now,
        "updated_at": now,
    }
    return Operation(**(values | more))


def image(alias: str, description: str = "") -> Image:
    """An image that LXD holds."""
    distribution, _, release = alias.partition("/")
    return Image(
        alias, "0" * 64, distribution, release, "amd64", "default", description, 90_000_000, ImageStatus.IMPORTED, None
    )


def user(number: int, name: str, **more: Any) -> User:
    """An account."""
    then = NOW - timedelta(days=12, hours=1)
    values: dict[str, Any] = {
        "id": number,
        "username": name,
        "email": f"{name}@example.org",
        "role": Role.TENANT,
        "status": AccountStatus.ACTIVE,
        "api_key_shown": True,
        "suspended_reason": "",
        "created_at": then,
        "updated_at": then,
    }
    return User(**(values | more))


class FakeFeed:
    """Hands every change to every listener at once."""

    def __init__(self) -> None:
        self.queues: list[asyncio.Queue[Change]] = []
        self.number = 0

    def send(self, topic: str, verb: str, key: str, user_id: int | None = 2, **data: Any) -> None:
        """Announce a change."""
        self.number += 1
        change = Change(self.number, topic, verb, key, user_id, data, NOW)
        for queue in self.queues:
            queue.put_nowait(change)

    @asynccontextmanager
    async def subscribe(self, _actor: Actor) -> AsyncIterator[AsyncIterator[Change]]:
        """As the real feed."""
        queue: asyncio.Queue[Change] = asyncio.Queue()
        self.queues.append(queue)

        async def changes() -> AsyncIterator[Change]:
            while True:
                yield await queue.get()

        try:
            yield changes()
        finally:
            self.queues.remove(queue)


class FakeLxdStatus:
    """Whether LXD answers, and what containers use."""

    def __init__(self) -> None:
        self.state = LxdState(True, "lxd", "5.0.2", "", NOW)
        self.watchers = 0
        self.figures: dict[str, Usage] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Somebody looks."""
        self.watchers += 1
        try:
            yield
        finally:
            self.watchers -= 1

    def usage(self, _actor: Actor, containers: Iterable[Container]) -> Mapping[str, Usage]:
        """The newest figures."""
        return {c.name: self.figures[c.name] for c in containers if c.name in self.figures}


class FakeCore:
    """Everything in one object; each service is this object."""

    def __init__(self) -> None:
        self.feed = FakeFeed()
        self.lxd_status = FakeLxdStatus()
        self.auth = self.accounts = self.keys = self.quotas = self.containers = self
        self.operations = self.audit = self
        self.rows: dict[str, Container] = {}
        self.under_way: dict[str, Operation] = {}
        self.aliases: list[Image] = [
            image("debian/12", "Debian 12 bookworm"),
            image("ubuntu/24.04"),
            image("alpine/3.21"),
        ]
        self.users: dict[int, User] = {}
        self.ssh_keys: list[SshKey] = []
        self.quota_of: dict[int, Quota] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.strays: list[Any] = []
        self.settings = SimpleNamespace(images_servers=["https://images.example.org"])
        self.images = FakeImages(self)
        self.snapshots = FakeSnapshots(self)
        self.forwards = FakeForwards(self)
        self.preferences = FakePreferences(self)
        self.fails: OpenLXDError | None = None
        self._kind = "containers"

    def add(self, *containers: Container) -> None:
        """Hold these containers."""
        for row in containers:
            self.rows[row.name] = row

    def _fail(self) -> None:
        if self.fails is not None:
            error, self.fails = self.fails, None
            raise error

    def change(self, name: str, **values: Any) -> None:
        """Change a container and announce it."""
        self.rows[name] = replace(self.rows[name], **values)
        self.feed.send("container", "updated", name, self.rows[name].user_id)

    def run(self, op: Operation) -> Operation:
        """Let an operation run, and announce it."""
        self.under_way[op.id] = op
        self.feed.send("operation", "updated", op.id, op.user_id, target=op.target, status=op.status.value, progress=0)
        return op

    def finish(self, op: Operation, error: Message | None = None) -> None:
        """End an operation, and announce it."""
        status = OperationStatus.FAILED if error else OperationStatus.DONE
        self.run(replace(op, status=status, progress=100, stage="done", error=error))


class FakePreferences:
    """The preferences service."""

    def __init__(self, core: FakeCore) -> None:
        self.core = core
        self.chosen: dict[int | None, Preferences] = {}

    async def get(self, actor: Actor) -> Preferences:
        """What the account chose."""
        return self.chosen.get(actor.user_id, Preferences())

    async def update(
        self,
        actor: Actor,
        *,
        theme: str | None = None,
        language: str | None = None,
        tables: Mapping[str, TableView] | None = None,
    ) -> Preferences:
        """Another choice."""
        before = await self.get(actor)
        views = {**before.tables, **(tables or {})}
        self.chosen[actor.user_id] = Preferences(theme or before.theme, language or before.language, views)
        return self.chosen[actor.user_id]


class FakeContainers:
    """The containers service of a :class:`FakeCore`."""

    def __init__(self, core: FakeCore) -> None:
        self.core = core

    async def list(self, actor: Actor) -> Sequence[Container]:
        """What the actor may see."""
        return [c for c in self.core.rows.values() if actor.is_admin or c.user_id == actor.user_id]

    async def get(self, actor: Actor, name: str) -> Container:
        """One of them."""
        row = self.core.rows.get(name)
        if row is None or not (actor.is_admin or row.user_id == actor.user_id):
            raise NotFound("There is no container {name}.", name=name)
        return row

    async def example_name(self, actor: Actor) -> str:
        """A free one."""
        return f"{actor.username}-1"

    async def create(
        self, actor: Actor, name: str, image: str, cpu: Any, memory: Any, disk: Any, *, owner: Any = None
    ) -> Operation:
        """Begin to make one."""
        self.core.calls.append(("create", name, image, cpu, memory, disk, owner))
        self.core._fail()
        spec = check_spec(name, image, cpu, memory, disk)
        if name in self.core.rows:
            raise AlreadyExists("The name {name} is taken.", name=name)
        number = actor.user_id or 0
        check_fits(
            self.core.quota_of.get(number, Quota()),
            in_use(self.core.rows.values()),
            Quota(1, spec.cpu, spec.memory_mib, spec.disk_mib, 0, 0),
        )
        self.core.add(
            container(
                name, State.CREATING, image=image, cpu=spec.cpu, memory_mib=spec.memory_mib, disk_mib=spec.disk_mib,
                created_at=NOW,
            )
        )  # fmt: skip
        self.core.feed.send("container", "created", name)
        return self.core.run(operation(name))

    def __getattr__(self, verb: str) -> Any:
        verbs = "start stop restart pause resume suspend unsuspend delete retry resize reinstall"
        if verb not in verbs.split():
            raise AttributeError(verb)

        async def call(actor: Actor, name: str, *more: Any, **options: Any) -> Operation:
            self.core.calls.append((verb, name, *more, *options.items()))
            self.core._fail()
            await self.get(actor, name)
            kind = Kind.CREATE if verb == "retry" else Kind(verb)
            args = {"image": more[0]} if verb == "reinstall" else {}
            return self.core.run(operation(name, kind, stage="work", progress=0, args=args))

        return call

    async def unmanaged(self, _actor: Actor) -> Sequence[Any]:
        """What nobody owns."""
        self.core._fail()
        return self.core.strays

    async def adopt(self, actor: Actor, project: str, name: str, owner: str) -> Container:
        """Hand one over."""
        self.core.calls.append(("adopt", project, name, owner))
        self.core._fail()
        self.core.strays = [stray for stray in self.core.strays if stray.name != name]
        self.core.add(container(name, owner=owner))
        self.core.feed.send("container", "created", name)
        return self.core.rows[name]


class FakeOperations:
    """The operations service."""

    def __init__(self, core: FakeCore) -> None:
        self.core = core
        self.only_own = False

    async def list(self, actor: Actor, *, active: bool = False, limit: int = 100) -> Sequence[Operation]:
        """What runs."""
        seen = [o for o in self.core.under_way.values() if not self.only_own or o.user_id == actor.user_id]
        return [op for op in seen if not (active and op.ended)][:limit]

    async def cancel(self, actor: Actor, operation_id: str) -> Operation:
        """Give it up."""
        self.core.calls.append(("cancel", operation_id))
        return await self.core.images.give_up(operation_id)

    async def get(self, _actor: Actor, operation_id: str) -> Operation:
        """One of them."""
        if operation_id not in self.core.under_way:
            raise NotFound("There is no such operation.")
        return self.core.under_way[operation_id]


class FakeQuotas:
    """The quotas service."""

    def __init__(self, core: FakeCore) -> None:
        self.core = core

    async def get(self, actor: Actor, number: Any = None) -> Any:
        """Quota, used, left."""
        number = number if number is not None else actor.user_id
        quota = self.core.quota_of.get(number, Quota())
        used = in_use(c for c in self.core.rows.values() if c.user_id == number)
        used = replace(
            used,
            snapshots=sum(map(len, self.core.snapshots.held.values())),
            forwards=sum(map(len, self.core.forwards.held.values())),
        )
        return type("QuotaState", (), {"quota": quota, "used": used, "left": quota.minus(used)})()

    async def list(self, actor: Actor) -> Mapping[int, Any]:
        """Everybody's."""
        return {number: await self.get(actor, number) for number in self.core.users}

    async def set(self, _actor: Actor, number: int, quota: Quota) -> Any:
        """Another quota."""
        self.core.calls.append(("set_quota", number, quota))
        self.core.quota_of[number] = quota
        self.core.feed.send("quota", "updated", str(number), number)
        return await self.get(_actor, number)


class FakeKeys:
    """The SSH keys service."""

    def __init__(self, core: FakeCore) -> None:
        self.core = core

    async def list(self, actor: Actor, user: Any = None) -> Sequence[SshKey]:
        """The actor's."""
        return list(self.core.ssh_keys)

    async def add(self, actor: Actor, public_key: str, name: str = "", user: Any = None) -> SshKey:
        """One more."""
        self.core.calls.append(("add_key", public_key, name))
        self.core._fail()
        key = SshKey(len(self.core.ssh_keys) + 1, 2, name, "SHA256:" + "n7Vq" * 10 + "abc", public_key, NOW, None)
        self.core.ssh_keys.append(key)
        return key

    async def delete(self, actor: Actor, key_id: int) -> None:
        """One less."""
        self.core.calls.append(("delete_key", key_id))
        self.core.ssh_keys = [key for key in self.core.ssh_keys if key.id != key_id]


class FakeAccounts:
    """The accounts service."""

    def __init__(self, core: FakeCore) -> None:
        self.core = core

    async def list(self, _actor: Actor) -> Sequence[User]:
        """All of them."""
        return list(self.core.users.values())

    async def get(self, actor: Actor, number: Any = None) -> User:
        """One of them."""
        wanted = number if number is not None else actor.user_id
        if wanted not in self.core.users:
            raise NotFound("There is no such account.")
        return self.core.users[wanted]

    async def create(
        self, _actor: Actor, username: str, email: str, password: str, *, role: Role = Role.TENANT, quota: Any = None
    ) -> CreatedUser:
        """One more."""
        self.core.calls.append(("create_user", username, email, role))
        self.core._fail()
        made = user(max(self.core.users, default=0) + 1, username, email=email, role=role)
        self.core.users[made.id] = made
        return CreatedUser(**vars(made), api_key="ab" * 32)

    async def suspend(self, _actor: Actor, number: int, reason: str = "") -> User:
        """Keep out."""
        self.core.calls.append(("suspend", number, reason))
        changed = replace(self.core.users[number], status=AccountStatus.SUSPENDED, suspended_reason=reason)
        self.core.users[number] = changed
        self.core.feed.send("user", "suspended", changed.username, number, reason=reason)
        return changed

    async def activate(self, _actor: Actor, number: int) -> User:
        """Let in."""
        self.core.calls.append(("activate", number))
        self.core.users[number] = replace(self.core.users[number], status=AccountStatus.ACTIVE, suspended_reason="")
        return self.core.users[number]

    async def delete(self, _actor: Actor, number: int, *, containers: bool = False) -> User:
        """Take away."""
        self.core.calls.append(("delete_user", number, containers))
        return self.core.users.pop(number)

    async def set_password(self, _actor: Actor, number: int, password: str) -> User:
        """As an admin."""
        self.core.calls.append(("set_password", number, password))
        return self.core.users[number]

    async def change_password(self, actor: Actor, old: str, new: str) -> User:
        """As oneself."""
        self.core.calls.append(("change_password", old, new))
        self.core._fail()
        return self.core.users[actor.user_id or 0]

    async def regenerate_key(self, actor: Actor, number: Any = None) -> str:
        """A new one."""
        self.core.calls.append(("regenerate_key", number))
        return "5e" * 32


def fake_core() -> FakeCore:
    """A core with alice, and no container yet."""
    core = FakeCore()
    core.containers = FakeContainers(core)  # type: ignore[assignment]
    core.operations = FakeOperations(core)  # type: ignore[assignment]
    core.quotas = FakeQuotas(core)  # type: ignore[assignment]
    core.keys = FakeKeys(core)  # type: ignore[assignment]
    core.accounts = FakeAccounts(core)  # type: ignore[assignment]
    core.users = {1: user(1, "admin", role=Role.ADMIN), 2: user(2, "alice")}
    return core


class FakeShell:
    """Notes whose shell was asked for."""

    def __init__(self, result: ShellResult | None = None) -> None:
        self.asked: list[str] = []
        self.result = result or ShellResult(0)

    async def __call__(self, container_name: str) -> ShellResult:
        """No shell at all."""
        self.asked.append(container_name)
        return self.result


def a_busy_day(core: FakeCore) -> None:
    """A tenant with containers in every state worth a picture."""
    core.quota_of[2] = Quota(8, 12, 8192, 81920)
    core.add(
        container("blog", image="debian/12", memory_mib=1024, disk_mib=10240),
        container("db", image="debian/12", cpu=2, memory_mib=2048, disk_mib=20480),
        container("mail", State.STOPPED, image="alpine/3.21"),
        container("web1", State.CREATING, image="ubuntu/24.04", created_at=NOW - timedelta(seconds=8)),
        container("lab", State.FROZEN, image="ubuntu/24.04"),
        container(
            "old-ci", State.ERROR, image="debian/11",
            error=Message("LXD refused: {reason}", {"reason": "Failed to unpack the image"}),
        ),
    )  # fmt: skip
    core.lxd_status.figures = {"blog": usage(3.2, 214, 1800), "db": usage(87.4, 1790, 9400), "lab": usage(0.0, 61, 400)}
    op = operation("web1")
    core.under_way[op.id] = op
