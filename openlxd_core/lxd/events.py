"""LXD's event stream: lifecycle events of all projects over one websocket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, unquote, urlsplit

from openlxd_core.domain.text import clean
from openlxd_core.lxd.calls import Calls
from openlxd_core.lxd.client import close_websocket, receive
from openlxd_core.lxd.errors import ApiError, unreachable
from openlxd_core.lxd.gateway import LxdEvent

HEARTBEAT_SECONDS = 20.0
"""How often a ping goes out: a hung LXD keeps the connection open and says nothing."""


class EventCalls(Calls):
    """Reads the stream."""

    heartbeat = HEARTBEAT_SECONDS

    async def events(self) -> AsyncIterator[LxdEvent]:
        """One ``connected``, then each lifecycle event. Raises LxdUnavailable at the end."""
        params = {"type": "lifecycle", "all-projects": "true"}
        try:
            socket = await self._client.websocket("/1.0/events", params, heartbeat=self.heartbeat)
        except ApiError as error:
            raise unreachable() from error
        try:
            yield LxdEvent("connected")
            while (data := await receive(socket)) is not None:
                event = read_event(data)
                if event is not None:
                    yield event
        finally:
            await close_websocket(socket)
        raise unreachable() from socket.exception()


def read_event(data: str | bytes) -> LxdEvent | None:
    """One message of the stream; None for what is not about a named thing of ours."""
    try:
        event = json.loads(data)
        metadata = event["metadata"]
        action = str(metadata["action"])
        source = urlsplit(str(metadata["source"]))
    except (ValueError, KeyError, TypeError):
        return None
    if event.get("type") != "lifecycle":
        return None
    parts = [unquote(part) for part in source.path.split("/") if part]  # 1.0, instances, web1, …
    project = str(event.get("project") or parse_qs(source.query).get("project", ["default"])[0])
    name = parts[2] if len(parts) > 2 else str(metadata.get("name") or "")
    return LxdEvent("lifecycle", clean(action, 100), clean(project, 100), clean(name, 200))
