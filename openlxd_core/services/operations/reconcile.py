"""The reconciler: keeps rows and LXD in step, whatever crashed and whoever else used LXD.

One process does it (a lock tells which); the other takes over when that one is gone. It finishes the operations
of dead processes, follows LXD's events, removes what a failed create left, and marks what has gone as missing.
An instance that no operation of ours made is never touched.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from openlxd_core.coordination.change_log import Feed, announce
from openlxd_core.coordination.liveness import Workers
from openlxd_core.domain.actor import SYSTEM
from openlxd_core.domain.container import State
from openlxd_core.domain.errors import Message, OpenLXDError
from openlxd_core.domain.operation import ENDED, OperationStatus
from openlxd_core.i18n import N_
from openlxd_core.lxd.gateway import (
    MARK_OPERATION,
    MARK_READY,
    Instance,
    InstanceSnapshot,
    InstanceState,
    InstanceSurvey,
    LxdEvent,
    LxdGateway,
)
from openlxd_core.services.network_forwards.reconcile import ForwardReconciler
from openlxd_core.services.operations.failed_creates import is_not_ours
from openlxd_core.services.operations.kinds.instances import find_instance
from openlxd_core.services.operations.runner import Runner
from openlxd_core.services.operations.store import Operations
from openlxd_core.services.records import pack_message, to_state, unpack_message
from openlxd_core.storage import models
from openlxd_core.storage.transaction import transaction

log = structlog.get_logger(__name__)

ROUND_SECONDS = 1.0
FULL_EVERY_ROUNDS = 300
LOOKS_FOR_ADDRESS = 7
"""After 1, 2, 4 … 64 seconds."""
Place = tuple[str, str]
_ACTIVE = [status.value for status in OperationStatus if status not in ENDED]


class Reconciler:
    """Keeps the database and LXD in step."""

    def __init__(
        self,
        lxd: LxdGateway,
        operations: Operations,
        runner: Runner,
        workers: Workers,
        feed: Feed,
        keep_suspended: Callable[[int], Awaitable[None]],
        forwards: ForwardReconciler,
    ) -> None:
        """``keep_suspended`` stops a suspended container that runs, by its id."""
        self._lxd = lxd
        self._operations = operations
        self._runner = runner
        self._workers = workers
        self._feed = feed
        self._keep_suspended = keep_suspended
        self._forwards = forwards
        self._all_forwards = True
        self._wake = asyncio.Event()
        self._everything = True
        self._places: set[Place] = set()
        self._looks: dict[Place, int] = {}

    def on_event(self, event: LxdEvent) -> None:
        """Remember what LXD says has changed."""
        if event.kind == "connected":
            self._everything = True
        elif event.action.startswith("network-forward-"):
            self._all_forwards = True
        elif event.action.startswith("instance-") and event.name:
            # exec, console and file traffic changes nothing that a row holds
            if not event.action.startswith(("instance-exec", "instance-console", "instance-file", "instance-log")):
                self._places.add((event.project, event.name))
                self._looks.pop((event.project, event.name), None)
        else:
            return
        self._wake.set()

    async def run(self) -> None:
        """Wait for the lock that one process holds, then reconcile until cancelled."""
        listener = asyncio.create_task(self._follow_operations())
        rounds = 0
        try:
            while True:
                if self._workers.leader.acquire():
                    try:
                        await self._round(rounds % FULL_EVERY_ROUNDS == 0)
                    except OpenLXDError as error:
                        log.info("reconcile_waits", reason=str(error))
                    except Exception:
                        log.exception("reconcile_failed")
                    rounds += 1
                else:
                    self._places.clear()
                with contextlib.suppress(TimeoutError):
                    # Not wait_for: before Python 3.12 it loses a cancellation that meets the wake-up.
                    async with asyncio.timeout(ROUND_SECONDS):
                        await self._wake.wait()
                self._wake.clear()
        finally:
            listener.cancel()

    async def _follow_operations(self) -> None:
        async with self._feed.subscribe(SYSTEM) as changes:
            async for change in changes:
                if not self._workers.leader.held:
                    continue
                if change.topic == "operation" and change.data.get("status") in ("failed", "done"):
                    row = await models.Container.filter(name=change.data.get("target")).first()
                    if row is not None:
                        self._places.add((row.project, row.name))
                        self._wake.set()

    async def _round(self, full: bool) -> None:
        for operation_id in await self._operations.adopt_orphans():
            log.info("operation_taken_over", operation=operation_id)
            self._runner.resume(operation_id)
        if full or self._everything:
            self._everything = False
            try:
                await self.reconcile_everything()
            except OpenLXDError:
                self._everything = True
                raise
        everything = full or self._all_forwards
        due, self._all_forwards = everything or bool(self._places), False
        while self._places:
            project, name = place = self._places.pop()
            try:
                await self._reconcile_one(project, name)
            except OpenLXDError:
                self._places.add(place)
                raise
        if due:
            try:
                await self._forwards.reconcile(everything=everything)
            except OpenLXDError:
                self._all_forwards = True
                raise

    async def reconcile_everything(self) -> None:
        """Compare every row with all that LXD holds: one call, and three queries where nothing differs."""
        rows = {(row.project, row.name): row for row in await models.Container.all()}
        seen = {(s.instance.project, s.instance.name): s for s in await self._lxd.survey()}
        under_way = await models.Operation.filter(status__in=_ACTIVE).values_list("id", flat=True)
        active = {str(operation_id) for operation_id in under_way}
        snapshots: dict[int, list[models.Snapshot]] = {}
        for snapshot in await models.Snapshot.all():
            snapshots.setdefault(snapshot.container_id, []).append(snapshot)
        for place, row in rows.items():
            if row.operation_id in active:  # what an operation has in hand is its own affair
                continue
            found = seen.get(place)
            await self._settle(row, found)
            if found is not None and _differ(snapshots.get(row.id, []), found.snapshots):
                self._places.add(place)  # one may have been taken since the survey: look at this container again
        for place, stranger in seen.items():
            if place not in rows:
                await self._sweep(stranger.instance)

    async def _reconcile_one(self, project: str, name: str) -> None:
        row = await models.Container.filter(project=project, name=name).first()
        instance = await find_instance(self._lxd, project, name)
        if row is None:
            if instance is not None:
                await self._sweep(instance)
        elif not (row.operation_id and await self._operation_lives(row.operation_id)):
            found = await self._survey_one(instance) if instance is not None else None
            await self._settle(row, found)
            if found is not None and _differ(await models.Snapshot.filter(container_id=row.id), found.snapshots):
                await self._store_snapshots(row, found.snapshots)

    async def _survey_one(self, instance: Instance) -> InstanceSurvey:
        state = InstanceState(instance.status, "", "", 0)
        if instance.status in ("running", "frozen"):
            with contextlib.suppress(OpenLXDError):
                state = await self._lxd.state(instance.project, instance.name)
        return InstanceSurvey(instance, state, await self._lxd.snapshots(instance.project, instance.name))

    async def _settle(self, row: models.Container, found: InstanceSurvey | None) -> None:
        """Bring one row, which no operation has in hand, in line with what LXD holds."""
        instance, state = (found.instance, found.state) if found is not None else (None, None)
        never_made = row.status == State.ERROR
        if never_made and instance is not None and (await self._sweep(instance) or await is_not_ours(row, instance)):
            instance = state = None
        values = _what_holds(row, instance, state)
        differs = any(getattr(row, key) != value for key, value in values.items())
        if differs and not await self._store(row, values):
            self._places.add((row.project, row.name))  # somebody wrote meanwhile: look again
        elif row.suspended_by and values.get("status") in (State.RUNNING, State.FROZEN):
            await self._keep_suspended(row.id)  # LXD's autostart, or a person with lxc
        if state is not None and state.status == "running" and not (state.ipv4 and state.ipv6):
            self._look_later((row.project, row.name))
        else:
            self._looks.pop((row.project, row.name), None)

    @transaction
    async def _store_snapshots(self, seen: models.Container, held: Sequence[InstanceSnapshot]) -> None:
        """Bring the rows of a container's snapshots in line with what LXD holds (somebody used lxc)."""
        row = await models.Container.filter(id=seen.id, operation_id=seen.operation_id).first()
        if row is None:
            return
        names = [snapshot.name for snapshot in held]
        await models.Snapshot.filter(container_id=row.id).exclude(name__in=[*names, ""]).delete()
        for snapshot in held:
            await models.Snapshot.update_or_create(
                container_id=row.id, name=snapshot.name, defaults={"ready": True, "created_at": snapshot.created_at}
            )
        await announce("snapshot", "updated", row.name, row.user_id)

    def _look_later(self, place: Place) -> None:
        """An address comes seconds after the start, or never (a network without DHCP): ask ever more seldom."""
        looks = self._looks[place] = self._looks.get(place, 0) + 1
        if looks <= LOOKS_FOR_ADDRESS:
            asyncio.get_running_loop().call_later(2.0**looks / 2, self._look_again, place)

    def _look_again(self, place: Place) -> None:
        self._places.add(place)
        self._wake.set()

    @transaction
    async def _store(self, seen: models.Container, values: Mapping[str, object]) -> bool:
        row = await models.Container.filter(id=seen.id).first()
        if row is None or row.updated_at != seen.updated_at:
            return row is None
        row.update_from_dict(dict(values))
        await row.save()
        await announce("container", "updated", row.name, row.user_id)
        return True

    async def _operation_lives(self, operation_id: str) -> bool:
        row = await models.Operation.filter(id=operation_id).first()
        return row is not None and row.status not in {status.value for status in ENDED}

    async def _sweep(self, instance: Instance) -> bool:
        """Remove a half-made instance whose create has ended; whether it went. Everything else stays."""
        mark = instance.marks.get(MARK_OPERATION, "")
        if not mark or instance.marks.get(MARK_READY) == "1":
            return False
        made_by = await models.Operation.filter(id=mark).first()
        if made_by is None or made_by.kind not in ("create", "reinstall") or await self._operation_lives(mark):
            return False
        log.warning("half_made_instance_removed", project=instance.project, name=instance.name, operation=mark)
        await self._lxd.delete_instance(instance.project, instance.name)
        return True


def _differ(known: Sequence[models.Snapshot], held: Sequence[InstanceSnapshot]) -> bool:
    names = {snapshot.name for snapshot in held}
    return {snapshot.name for snapshot in known if snapshot.ready} != names or len(known) != len(names)


def _what_holds(row: models.Container, instance: Instance | None, state: InstanceState | None) -> dict[str, object]:
    """The columns as LXD's state makes them."""
    values: dict[str, object] = {"operation_id": ""}
    if instance is None:
        values |= {"ipv4": "", "ipv6": ""}
        if row.status == State.CREATING:
            values["status"] = State.ERROR.value
            if unpack_message(row.error) is None:
                values["error"] = pack_message(Message(N_("The creation was interrupted. Try again or delete it.")))
        elif row.status != State.ERROR:
            values["status"] = State.MISSING.value
        return values
    status = to_state(state.status if state else instance.status)
    values["status"] = status.value
    if status is State.STOPPED:
        values |= {"ipv4": "", "ipv6": ""}
    elif state is not None and (state.ipv4 or state.ipv6):
        values |= {"ipv4": state.ipv4, "ipv6": state.ipv6}
    for column, figure in (("cpu", instance.cpu), ("memory_mb", instance.memory_mib), ("disk_mb", instance.disk_mib)):
        if figure:  # somebody changed it by lxc: what is there counts
            values[column] = figure
    return values
