"""pylxd, for simple changes of what is seldom changed: projects and profiles.

pylxd blocks, so each call runs in a thread of a small pool, with a deadline. Everything that streams, lists or waits
goes through :mod:`openlxd_core.lxd.client`; pylxd cannot do it without holding a thread. This is the only module that
imports pylxd.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pylxd
import requests
from pylxd.exceptions import ClientConnectionFailed, LXDAPIException

from openlxd_core.lxd.calls import in_project, quoted
from openlxd_core.lxd.errors import ApiError, unknown, unreachable

THREADS = 2
CONNECT_SECONDS, CALL_SECONDS = 5, 30
_NEVER_SENT = (FileNotFoundError, ConnectionRefusedError, PermissionError, NotADirectoryError)


class PylxdClient:
    """pylxd's client for the socket at ``path``, made at its first use (making one asks LXD for its version)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads: ThreadPoolExecutor | None = None
        self._client: pylxd.Client | None = None

    def open(self) -> None:
        """Make the threads."""
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="pylxd")

    def close(self) -> None:
        """Close sockets and threads; a call that hangs in a thread ends by its own deadline."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None
        if self._client is not None:
            self._client.api.session.close()
            self._client = None

    async def create_project(self, body: Mapping[str, Any]) -> None:
        """Create a project. Raises ApiError, LxdUnavailable, OutcomeUnknown, as the others do."""
        await self._call(lambda api: api.projects.post(json=body))

    async def update_project(self, name: str, body: Mapping[str, Any]) -> None:
        """Replace a project's config and description."""
        await self._call(lambda api: api.projects[quoted(name)].put(json=body))

    async def update_profile(self, project: str, name: str, body: Mapping[str, Any]) -> None:
        """Replace a profile's config, description and devices."""
        await self._call(lambda api: api.profiles[quoted(name)].put(json=body, params=in_project(project)))

    async def _call(self, call: Callable[[Any], requests.Response]) -> None:
        if self._threads is None:
            raise unreachable()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS + CALL_SECONDS + 10):
                await loop.run_in_executor(self._threads, self._in_thread, call)
        except TimeoutError as error:
            raise unknown() from error

    def _in_thread(self, call: Callable[[Any], requests.Response]) -> None:
        api = self._api()
        try:
            call(api)
        except LXDAPIException as error:
            raise ApiError(_sentence(error), error.response.status_code) from None
        except (requests.RequestException, ValueError, OSError) as error:
            raise (unreachable() if _never_sent(error) else unknown()) from error

    def _api(self) -> Any:
        if self._client is None:
            endpoint = f"http+unix://{quote(str(self._path), safe='')}"
            try:
                self._client = pylxd.Client(  # type: ignore[no-untyped-call]
                    endpoint=endpoint, timeout=(CONNECT_SECONDS, CALL_SECONDS)
                )
            except (ClientConnectionFailed, LXDAPIException, requests.RequestException, ValueError, OSError) as error:
                raise unreachable() from error
        return self._client.api


def _sentence(error: LXDAPIException) -> str:
    try:
        return str(error)
    except (ValueError, KeyError, TypeError):
        return ""


def _never_sent(error: BaseException) -> bool:
    """Whether the connection could not even be made, so that nothing has been asked."""
    seen: list[object] = [error]
    for found in seen:  # grows as it goes: requests wraps urllib3's error, which wraps the system's
        if isinstance(found, _NEVER_SENT):
            return True
        if isinstance(found, BaseException) and len(seen) < 20:
            seen.extend(part for part in (*found.args, found.__cause__, found.__context__) if part is not None)
    return False
