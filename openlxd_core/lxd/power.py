"""Starting, stopping and freezing containers."""

from __future__ import annotations

from openlxd_core.lxd import errors
from openlxd_core.lxd.calls import OPERATION_SECONDS, Calls, in_project, instance_path, when_free
from openlxd_core.lxd.errors import ApiError, translate
from openlxd_core.lxd.parsing import read_status

STATE_SECONDS = 30.0
"""What LXD is told as the time-out of a start, a freeze and an unfreeze."""


class PowerCalls(Calls):
    """Calls that change a container's power state."""

    async def start(self, project: str, name: str) -> None:
        """Start a container; one that is paused goes on."""
        try:
            await self._set_state(project, name, "start", seconds=STATE_SECONDS)
        except ApiError as error:
            if not error.says(errors.ALREADY_RUNNING):
                raise translate(error, name) from error
            found = await self._read(instance_path(name), in_project(project), name=name)
            if read_status(found["status"]) == "frozen":
                await self.unfreeze(project, name)

    async def stop(self, project: str, name: str, *, force: bool = False, timeout: float = 30) -> None:
        """Stop a container. LxdRefused where it did not end within ``timeout`` seconds; force it then."""

        async def once() -> None:
            try:
                await self._set_state(project, name, "stop", seconds=timeout, force=force)
            except ApiError as error:
                if not error.says(errors.ALREADY_STOPPED):
                    raise errors.not_stopped(error, name, timeout) from error

        await (when_free(once, timeout) if force else once())

    async def freeze(self, project: str, name: str) -> None:
        """Pause a running container."""
        try:
            await self._set_state(project, name, "freeze", seconds=STATE_SECONDS)
        except ApiError as error:
            if not error.says(errors.ALREADY_FROZEN):
                raise translate(error, name) from error

    async def unfreeze(self, project: str, name: str) -> None:
        """Resume a frozen container."""
        try:
            await self._set_state(project, name, "unfreeze", seconds=STATE_SECONDS)
        except ApiError as error:
            if not error.says(errors.ALREADY_RUNNING):
                raise translate(error, name) from error

    async def _set_state(self, project: str, name: str, action: str, *, seconds: float, force: bool = False) -> None:
        body = {"action": action, "timeout": max(1, round(seconds)), "force": force}
        operation = await self._begin("PUT", f"{instance_path(name)}/state", in_project(project), body)
        await self._done(operation, seconds + OPERATION_SECONDS)
