"""Tenants' projects and their default profiles, made and kept as :mod:`openlxd_core.lxd.tenant_policy` says."""

from __future__ import annotations

import re
from collections.abc import Mapping

import structlog

from openlxd_core.domain.errors import AlreadyExists, NotFound
from openlxd_core.domain.text import clean
from openlxd_core.lxd import tenant_policy
from openlxd_core.lxd.calls import in_project, quoted
from openlxd_core.lxd.client import LxdClient
from openlxd_core.lxd.errors import ApiError, translate
from openlxd_core.lxd.gateway import ProjectSpec
from openlxd_core.lxd.pylxd_client import PylxdClient
from openlxd_core.lxd.server import ServerCalls

log = structlog.get_logger(__name__)

_UNKNOWN_KEY = re.compile(
    r'(?:Invalid|Unknown)[^"]*(?:configuration key|option)[^"]*"(?P<key>[a-z.-]+)"', re.IGNORECASE
)


class ProjectCalls(ServerCalls):
    """Calls about projects."""

    def __init__(self, client: LxdClient, *, pool: str = "default", network: str = "") -> None:
        super().__init__(client, pool=pool, network=network)
        self._pylxd = PylxdClient(client.path)
        self._nic_without: frozenset[str] = frozenset()

    async def ensure_project(self, spec: ProjectSpec) -> None:
        """Make the project and its default profile, or bring them in line; costs two reads when they are."""
        pool, network = spec.pool or self._pool, spec.network or await self._bridge()
        config = tenant_policy.project_config(spec, network)
        for _ in range(2):  # a second time where another process made it in between
            try:
                await self._bring_in_line(spec.name, config)
                break
            except AlreadyExists:
                continue
        await self._ensure_profile(spec.name, pool, network)

    async def _bring_in_line(self, name: str, wanted: Mapping[str, str]) -> None:
        config = dict(wanted)
        while True:
            try:
                try:
                    found = await self._client.get(f"/1.0/projects/{quoted(name)}")
                except ApiError as error:
                    if error.status != 404:
                        raise
                    await self._pylxd.create_project({"name": name, "description": "OpenLXD", "config": config})
                    return
                if {k: v for k, v in found["config"].items() if not k.startswith("user.")} == config:
                    return
                keep = {k: v for k, v in found["config"].items() if k.startswith("user.")}
                update = {"description": found.get("description", ""), "config": {**keep, **config}}
                await self._pylxd.update_project(name, update)
                return
            except ApiError as error:
                key = _UNKNOWN_KEY.search(error.text)
                if key is None or key["key"] not in tenant_policy.DROPPABLE or key["key"] not in config:
                    raise translate(error, name) from error
                log.warning("lxd.project_key_unknown", project=name, key=key["key"])
                del config[key["key"]]

    async def _ensure_profile(self, project: str, pool: str, network: str) -> None:
        found = await self._read("/1.0/profiles/default", in_project(project), name=project)
        while True:
            devices = tenant_policy.profile_devices(pool, network, self._nic_without)
            if found.get("devices") == devices and not found.get("config"):
                return
            body = {"config": {}, "description": "OpenLXD", "devices": devices}
            try:
                await self._pylxd.update_profile(project, "default", body)
                return
            except ApiError as error:
                refused = (k for k in tenant_policy.NIC_OPTIONAL if k in error.text and k not in self._nic_without)
                drop = next(refused, None)
                if drop is None:
                    raise translate(error, project) from error
                log.warning("lxd.nic_filter_refused", key=drop, reason=clean(error.text))
                self._nic_without |= {drop}

    async def delete_project(self, name: str) -> None:
        """Delete an empty project; its default profile goes with it."""
        try:
            await self._change(name, "DELETE", f"/1.0/projects/{quoted(name)}")
        except NotFound:
            return
