"""Wiring: the only module that chooses implementations and connects the services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from openlxd_core import key_files
from openlxd_core.coordination.change_log import Feed
from openlxd_core.coordination.liveness import Workers
from openlxd_core.domain.errors import ConfigurationError, unusable
from openlxd_core.i18n import N_
from openlxd_core.lxd.gateway import LxdGateway
from openlxd_core.services.accounts import Accounts
from openlxd_core.services.audit import Audit
from openlxd_core.services.auth import Auth
from openlxd_core.services.consoles import Consoles
from openlxd_core.services.containers import Containers
from openlxd_core.services.forwards.forwards import Forwards
from openlxd_core.services.idempotency import Idempotency
from openlxd_core.services.images.catalogue import ImageCatalogue
from openlxd_core.services.images.choice import ImageChoice
from openlxd_core.services.images.flags import Flags
from openlxd_core.services.images.images import Images
from openlxd_core.services.images.imports import Imports
from openlxd_core.services.images.local import LocalImages
from openlxd_core.services.images.publish import Publishing
from openlxd_core.services.images.refresh import Refresher
from openlxd_core.services.images.sync import ImageSync
from openlxd_core.services.images.upkeep import ImageUpkeep
from openlxd_core.services.keys import Keys
from openlxd_core.services.lxd_status import LxdStatus
from openlxd_core.services.network_forwards.reconcile import ForwardReconciler
from openlxd_core.services.network_forwards.rules import ForwardRules
from openlxd_core.services.open_consoles import OpenConsoles
from openlxd_core.services.operations.kinds.create import CreateHandler, DeleteHandler, ResizeHandler
from openlxd_core.services.operations.kinds.forwards import ForwardHandler
from openlxd_core.services.operations.kinds.images import ImportHandler, PublishHandler
from openlxd_core.services.operations.kinds.power import PowerHandler
from openlxd_core.services.operations.kinds.reinstall import ReinstallHandler
from openlxd_core.services.operations.kinds.snapshots import SnapshotHandler
from openlxd_core.services.operations.kinds.suspension import SuspensionHandler
from openlxd_core.services.operations.reconcile import Reconciler
from openlxd_core.services.operations.runner import Runner
from openlxd_core.services.operations.store import Operations
from openlxd_core.services.passwords import Passwords
from openlxd_core.services.preferences import AccountPreferences
from openlxd_core.services.quotas import Quotas
from openlxd_core.services.snapshots import Snapshots
from openlxd_core.services.storage import Storage
from openlxd_core.services.suspension import Suspensions
from openlxd_core.services.system_key import SystemKey
from openlxd_core.services.usage import UsageHistory
from openlxd_core.settings import Settings
from openlxd_core.simplestreams.downloader import ImageServers
from openlxd_core.storage import backups, database
from openlxd_core.storage.files import sqlite_file
from openlxd_core.storage.read_cache import ReadCache
from openlxd_core.storage.revision import Revision

log = structlog.get_logger(__name__)

SOCKETS = (
    ("lxd", Path("/var/lib/lxd/unix.socket")),
    ("lxd", Path("/var/snap/lxd/common/lxd/unix.socket")),
    ("incus", Path("/var/lib/incus/unix.socket")),
)


@dataclass(frozen=True)
class Core:
    """The services, connected and ready for a front end."""

    settings: Settings
    auth: Auth
    accounts: Accounts
    keys: Keys
    system_key: SystemKey
    preferences: AccountPreferences
    quotas: Quotas
    containers: Containers
    snapshots: Snapshots
    forwards: Forwards
    usage: UsageHistory
    operations: Operations
    images: Images
    consoles: Consoles
    audit: Audit
    idempotency: Idempotency
    feed: Feed
    lxd_status: LxdStatus
    storage: Storage
    reads: ReadCache
    """Results of reads of the database, for what answers the same question often."""


def find_lxd_socket(settings: Settings) -> Path | None:
    """The socket of LXD or Incus: the one that the settings name, else the first that exists."""
    if settings.lxd_socket is not None:
        return settings.lxd_socket
    return next((path for _, path in SOCKETS if path.exists()), None)


def choose_lxd(settings: Settings) -> LxdGateway:
    """The gateway that the settings ask for. Raises ConfigurationError."""
    socket = find_lxd_socket(settings)
    if settings.simulated or (settings.lxd == "auto" and socket is None):
        from openlxd_core.lxd.simulated import SimulatedLxd

        return SimulatedLxd(settings.state_dir / "simulated.json", pace=1.0)
    if settings.lxd.startswith("https://"):
        raise ConfigurationError(N_("A remote LXD is not supported yet; use its unix socket."))
    if socket is None:
        raise ConfigurationError(N_("No LXD socket was found. Start LXD, or run: openlxd setup"))
    from openlxd_core.lxd.adapter import LxdAdapter

    return LxdAdapter(socket, pool=settings.storage_pool, network=settings.network)


@asynccontextmanager
async def open_core(
    settings: Settings, *, lxd: LxdGateway | None = None, background: bool = True
) -> AsyncIterator[Core]:
    """Upgrade and open the database, connect to LXD, and start the background tasks: change log, LXD events,
    reconciler.

    ``background=False`` is for a single command; operations that it begins are left to the services. Open it
    outside every listener.
    """
    try:
        settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise unusable(settings.state_dir, error) from None
    gateway = lxd or choose_lxd(settings)
    async with database.open_database(settings.database):
        revision = Revision(sqlite_file(settings.database))
        reads = ReadCache(revision)
        feed = Feed()
        passwords = Passwords(settings.bcrypt_rounds)
        workers = Workers(settings.state_dir)
        lxd_status = LxdStatus(gateway, feed, chosen=settings.lxd == "simulated")
        idempotency = Idempotency(workers)
        storage = Storage(settings.state_dir)
        quotas = Quotas(settings, gateway)
        operations = Operations(workers, feed)
        flags = Flags()
        local = LocalImages(gateway, flags)
        sync = ImageSync(gateway, local)
        downloads = settings.state_dir / "market"  # the name is that of the first version
        servers = ImageServers(settings.images_servers, downloads / "lists", settings.images_ca)
        refresher = Refresher(servers, downloads / "refresh.lock")
        catalogue = ImageCatalogue(settings, gateway, lxd_status, servers, refresher, flags)
        rules = ForwardRules(gateway, settings.state_dir / "forwards.lock", settings.network)
        importing = ImportHandler(gateway, operations, sync, catalogue, servers, downloads / "downloads")
        runner = Runner(
            lxd_status,
            operations,
            [
                PowerHandler(gateway, operations),
                SuspensionHandler(gateway, operations, rules),
                CreateHandler(settings, gateway, operations, quotas, rules),
                ResizeHandler(gateway, operations, quotas),
                DeleteHandler(gateway, operations, rules),
                ReinstallHandler(gateway, operations, quotas),
                SnapshotHandler(gateway, operations),
                ForwardHandler(gateway, operations, rules),
                PublishHandler(settings, gateway, operations, sync),
                importing,
            ],
        )
        imports = Imports(settings, operations)
        publishing = Publishing(settings, lxd_status, operations, runner)
        images = Images(settings, lxd_status, local, catalogue, flags, imports, publishing, operations, runner)
        upkeep = ImageUpkeep(lxd_status, workers, feed, images, local, sync, catalogue, importing)
        suspensions = Suspensions(operations, runner)
        reconciler = Reconciler(
            gateway, operations, runner, workers, feed, suspensions.enforce, ForwardReconciler(gateway, rules)
        )
        choice = ImageChoice(local, catalogue, imports)
        containers = Containers(settings, gateway, lxd_status, choice, operations, runner, suspensions)
        open_consoles = OpenConsoles(feed)
        usage = UsageHistory(gateway, lxd_status, workers)
        accounts = Accounts(settings, passwords, containers.remove_all)
        system_key = SystemKey(settings.keys_dir)
        core = Core(
            settings=settings,
            auth=Auth(passwords, key_files.jwt_secret(settings.keys_dir), system_key, reads),
            accounts=accounts,
            keys=Keys(),
            system_key=system_key,
            preferences=AccountPreferences(),
            quotas=quotas,
            containers=containers,
            snapshots=Snapshots(settings, lxd_status, operations, runner),
            forwards=Forwards(settings, gateway, lxd_status, operations, runner),
            usage=usage,
            operations=operations,
            images=images,
            consoles=Consoles(gateway, lxd_status, open_consoles),
            audit=Audit(),
            idempotency=idempotency,
            feed=feed,
            lxd_status=lxd_status,
            storage=storage,
            reads=reads,
        )
        lxd_status.on_event(local.forget)
        lxd_status.on_event(reconciler.on_event)
        workers.start()
        tasks: list[asyncio.Task[None]] = []
        try:
            await gateway.open()
            await feed.start()
            jobs = [feed.run(), lxd_status.run(), lxd_status.sample(), storage.run(), open_consoles.run()]
            if background:
                jobs += [reconciler.run(), usage.run(), upkeep.run()]
            tasks = [asyncio.create_task(job) for job in jobs]
            await lxd_status.first_contact()
            yield core
        finally:
            await runner.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await catalogue.close()
            await servers.close()
            await idempotency.close()
            workers.stop()
            await gateway.close()
            passwords.close()
            revision.close()


async def upgrade_database(settings: Settings) -> list[str]:
    """Apply pending migrations; returns their names."""
    return await database.upgrade(settings.database)


async def backup_database(settings: Settings, target: Path, *, replace: bool = False) -> None:
    """Write a consistent copy of the database, which may be in use. Raises AlreadyExists unless ``replace``."""
    await backups.backup(settings.database, target, replace=replace)


async def restore_database(settings: Settings, source: Path) -> Path | None:
    """Replace the database with a backup; returns where the old one is kept. Raises Conflict while it is open."""
    return await backups.restore(settings.database, source)


async def check_database(settings: Settings) -> list[str]:
    """Problems of the database, in SQLite's words; empty if it is intact."""
    return await database.check(settings.database)


def lxd_kind(settings: Settings) -> str:
    """What :func:`choose_lxd` would take: ``lxd``, ``incus``, ``socket`` (as named) or ``simulated``."""
    if settings.simulated:
        return "simulated"
    if settings.lxd_socket is not None:
        return "socket"
    found = next((kind for kind, path in SOCKETS if path.exists()), None)
    return found or "simulated"
