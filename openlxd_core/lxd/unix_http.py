"""HTTP over a Unix socket for pylxd: a transport that keeps few connections and leaves none open.

pylxd's own keeps a pool for every address it ever asked, warns whenever one of them is full, and forgets to close a
socket that it could not connect. A session of ours may be handed to it instead.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import requests
import requests.adapters
import urllib3
import urllib3.connection


class _UnixConnection(urllib3.connection.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            made.settimeout(self.timeout)
            made.connect(self._path)
        except BaseException:
            made.close()
            raise
        self.sock = made


class _UnixPool(urllib3.HTTPConnectionPool):
    def __init__(self, path: str, size: int) -> None:
        super().__init__("localhost", maxsize=size)
        self._path = path

    def _new_conn(self) -> _UnixConnection:
        return _UnixConnection(self._path)


class _UnixAdapter(requests.adapters.HTTPAdapter):
    def __init__(self, path: str, size: int) -> None:
        self._pool = _UnixPool(path, size)
        super().__init__(max_retries=0)

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> _UnixPool:
        return self._pool

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        return request.path_url

    def close(self) -> None:
        self._pool.close()
        super().close()


def unix_session(path: Path, size: int) -> requests.Session:
    """A session whose every ``http+unix://`` request goes to the socket at ``path``; ``size`` connections are kept."""
    session = requests.Session()
    session.trust_env = False  # no proxy and no .netrc has a say in what goes to LXD
    session.mount("http+unix://", _UnixAdapter(str(path), size))
    return session
