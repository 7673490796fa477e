"""Consoles: commands and shells inside a container."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from openlxd_core.domain.actor import Actor
from openlxd_core.domain.console import ExecSession
from openlxd_core.domain.container import State
from openlxd_core.domain.errors import Conflict, ValidationFailed
from openlxd_core.domain.policy import Action, require
from openlxd_core.domain.text import is_plain
from openlxd_core.i18n import N_
from openlxd_core.lxd.gateway import LxdGateway
from openlxd_core.services import audit
from openlxd_core.services.lookup import find_container
from openlxd_core.services.lxd_status import LxdStatus
from openlxd_core.services.open_consoles import OpenConsoles
from openlxd_core.services.records import to_container
from openlxd_core.services.suspension import refuse_suspended
from openlxd_core.storage.transaction import transaction

LOGIN_SHELL = ("sh", "-c", "cd; if command -v bash >/dev/null 2>&1; then exec bash -l; else exec sh -l; fi")
_ENVIRONMENT = {
    "HOME": "/root",
    "USER": "root",
    "LOGNAME": "root",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}
_COMMAND_BYTES_MAX = 64 * 1024
_PASSWORD_BYTES_MAX = 128
_PASSWORD_SECONDS = 30.0


class Consoles:
    """Opens them."""

    def __init__(self, lxd: LxdGateway, lxd_status: LxdStatus, open_consoles: OpenConsoles) -> None:
        self._lxd = lxd
        self._lxd_status = lxd_status
        self._open = open_consoles

    async def open(
        self,
        actor: Actor,
        name: str,
        command: Sequence[str] | None = None,
        *,
        terminal: tuple[int, int] | None = None,
        term: str = "xterm-256color",
    ) -> ExecSession:
        """Run ``command`` (a login shell for None) in a running container, on a terminal of (width, height) if given.

        It ends with Suspended once the container is suspended. Raises NotFound, Forbidden, Suspended, Conflict (not
        running), LxdUnavailable.
        """
        watched = self._open.watch(name)
        try:
            return await watched.begin(await self._begin(actor, name, command, terminal, term))
        except BaseException:
            self._open.forget(watched)
            raise

    async def _begin(
        self, actor: Actor, name: str, command: Sequence[str] | None, terminal: tuple[int, int] | None, term: str
    ) -> ExecSession:
        row = await find_container(actor, name)
        container = to_container(row)
        require(actor, Action.CONTAINER_SHELL, container)
        refuse_suspended(actor, row)
        if container.status is not State.RUNNING:
            raise Conflict(N_("{name} is not running. Start it first."), name=container.name)
        argv = list(command or LOGIN_SHELL)
        if not argv[0] or any("\0" in word for word in argv) or sum(map(len, argv)) > _COMMAND_BYTES_MAX:
            raise ValidationFailed.of("command", N_("This command cannot be run."))
        self._lxd_status.require_reachable()
        environment = dict(_ENVIRONMENT)
        if terminal is not None:
            environment["TERM"] = term
        await self._record(actor, container.name, container.user_id, "shell" if command is None else argv[0])
        return await self._lxd.exec(container.project, container.name, argv, environment=environment, terminal=terminal)

    async def set_root_password(self, actor: Actor, name: str, password: str) -> None:
        """Change the password of root inside a running container; it is kept nowhere.

        Raises ValidationFailed, Conflict (not running, or the container has no ``chpasswd``).
        """
        container = to_container(await find_container(actor, name))
        require(actor, Action.CONTAINER_PASSWORD, container)
        if not 1 <= len(password.encode(errors="replace")) <= _PASSWORD_BYTES_MAX or not is_plain(password):
            raise ValidationFailed.of("password", N_("This cannot be a password inside a container."))
        session = await self.open(actor, name, ["chpasswd"])
        try:
            async with asyncio.timeout(_PASSWORD_SECONDS):
                await session.write(f"root:{password}\n".encode())
                await session.write_eof()
                while (await session.read())[0]:
                    pass
                status = await session.wait()
        except TimeoutError:
            status = -1
        finally:
            await session.close()
        if status != 0:
            raise Conflict(N_("The password of root in {name} could not be changed."), name=container.name)

    @transaction
    async def _record(self, actor: Actor, name: str, user_id: int | None, detail: str) -> None:
        await audit.record(actor, "container.exec", name, user_id=user_id, detail=detail)
