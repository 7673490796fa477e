"""Image servers: their lists fetched and kept on disk, their files fetched and checked.

We say who we are (``User-Agent: OpenLXD/<version>``). A server is believed in nothing: every body is bounded in size
and time, a redirect leads from https to https only and never to a private network that the server itself is not in,
and a file counts for something only once its size and its hash are what the list says.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import ipaddress
import json
import os
import shutil
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver

from openlxd_core.backoff import Backoff
from openlxd_core.domain.errors import ConfigurationError, Conflict, ImageSourceUnavailable, storage_full
from openlxd_core.domain.text import clean
from openlxd_core.domain.units import format_bytes
from openlxd_core.i18n import N_
from openlxd_core.simplestreams.index import Product, RemoteFile, address, nonsense, read_index, read_products

log = structlog.get_logger(__name__)

INDEX_BYTES_MOST = 1024 * 1024
PRODUCTS_BYTES_MOST = 128 * 1024 * 1024
LIST_SECONDS = 120.0
"""A list that is not there by then is given up: a slow server must not block the refresh without end."""
IDLE_SECONDS = 30.0
"""How long a server may say nothing in the middle of something."""
FILE_SECONDS = 4 * 3600.0
TRIES = 6
"""How often in a row a file may fail without one new byte."""
PAUSE_SECONDS = 0.5
"""Before the second try; doubled each time, to PAUSE_SECONDS_MOST."""
PAUSE_SECONDS_MOST = 30.0
REDIRECTS_MOST = 5
CHUNK = 256 * 1024
ROOM_SPARE = 64 * 1024 * 1024

Report = Callable[[int], None]
"""Called with the bytes that are there so far."""


class NotThere(Exception):
    """The server's list names a file that the server does not have: another build may be whole."""


def user_agent() -> str:
    """Who we say we are."""
    try:
        return f"OpenLXD/{metadata.version('openlxd')}"
    except metadata.PackageNotFoundError:  # run from a checkout
        return "OpenLXD/0"


@dataclass(frozen=True)
class Copy:
    """What is known of one server: its products, and when it last said that they are these."""

    products: Sequence[Product]
    checked_at: datetime


class _Guard(AbstractResolver):
    """Names of configured servers resolve to anything; a name that a redirect leads to, to public addresses alone."""

    def __init__(self, trusted: frozenset[str]) -> None:
        self._trusted = trusted
        self._resolver = DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if host not in self._trusted:
            found = [result for result in found if ipaddress.ip_address(result["host"]).is_global]
            if not found:
                raise OSError(f"{host} is not a public address")
        return found

    async def close(self) -> None:
        await self._resolver.close()


class ImageServers:
    """The configured servers, in order. ``directory`` holds the lists' copies."""

    def __init__(self, urls: Sequence[str], directory: Path, ca: Path | None = None) -> None:
        self.urls = [url.rstrip("/") for url in urls]
        self._directory = directory
        self._ca = ca
        self._hosts = frozenset(host for url in self.urls if (host := urlsplit(url).hostname))
        self._session: aiohttp.ClientSession | None = None
        self._at_once = asyncio.Semaphore(3)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=_Guard(self._hosts), ssl=self._tls(), limit=16),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=IDLE_SECONDS),
                headers={"User-Agent": user_agent()},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._ca is not None:
            try:
                context.load_verify_locations(self._ca)
            except (OSError, ssl.SSLError) as error:
                raise ConfigurationError(
                    N_("The CA file {path} cannot be read: {reason}."), path=str(self._ca), reason=str(error)
                ) from error
        return context

    async def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    # -- one request -----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _get(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer after the redirects that are allowed."""
        session = self._open()
        for _ in range(REDIRECTS_MOST + 1):
            answer = await session.get(url, headers=headers, allow_redirects=False)
            try:
                if answer.status not in (301, 302, 303, 307, 308):
                    yield answer
                    return
                url = self._redirected(url, answer.headers.get("Location", ""))
            finally:
                answer.close()
        raise nonsense("too many redirects")

    def _redirected(self, url: str, location: str) -> str:
        target = urljoin(url, location)
        try:
            before, after = urlsplit(url), urlsplit(target)
            host, same = after.hostname or "", (before.scheme, before.netloc) == (after.scheme, after.netloc)
        except ValueError:
            raise nonsense("it redirects to something that is no address") from None
        if not location or after.username or (not same and not before.scheme == after.scheme == "https"):
            raise nonsense("it redirects somewhere that is not allowed")
        with contextlib.suppress(ValueError):
            if host not in self._hosts and not ipaddress.ip_address(host).is_global:
                raise nonsense("it redirects into a private network") from None
        return target

    # -- lists -----------------------------------------------------------------------------------------------------

    def _files(self, url: str) -> tuple[Path, Path]:
        name = hashlib.sha256(url.encode()).hexdigest()[:16]
        return self._directory / f"{name}.json", self._directory / f"{name}.state"

    def copies_changed_at(self) -> tuple[int, ...]:
        """Changes whenever a copy on disk does."""
        marks = []
        for url in self.urls:
            try:
                marks.append(self._files(url)[1].stat().st_mtime_ns)
            except FileNotFoundError:
                marks.append(0)
        return tuple(marks)

    def copy(self, url: str) -> Copy | None:
        """The copy on disk of one server's lists, read; blocks, so call it in a thread."""
        data, state = self._files(url)
        try:
            told = json.loads(state.read_bytes())
            products = [p for n in range(int(told["lists"])) for p in read_products(_part(data, n).read_bytes())]
            return Copy(products, datetime.fromisoformat(told["checked_at"]))
        except (OSError, ValueError, KeyError, TypeError, ImageSourceUnavailable):
            state.unlink(missing_ok=True)  # a spoilt copy must not be taken for the unchanged one
            return None

    async def refresh(self, url: str) -> bool:
        """Ask one server for its lists; whether they changed. The copy on disk stays where this fails.

        Raises ImageSourceUnavailable.
        """
        data, state = self._files(url)
        told = await asyncio.to_thread(_read_state, state, data)
        try:
            async with asyncio.timeout(LIST_SECONDS):
                changed = await self._refresh(url, data, told)
            told_now = json.dumps({**told, "checked_at": datetime.now(UTC).isoformat()})
            await asyncio.to_thread(_write, state, told_now)
        except TimeoutError:
            raise ImageSourceUnavailable(
                N_("The image server {server} did not respond in time."), server=_host(url)
            ) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise storage_full() from error
            raise _unreachable(url, error) from error
        return changed

    async def _refresh(self, url: str, data: Path, told: dict[str, Any]) -> bool:
        index = await self._body(address(url, "streams/v1/index.json"), INDEX_BYTES_MOST, {})
        assert index is not None
        paths = read_index(index[0])
        same = told.get("paths") == paths
        fetched: list[bytes | None] = []
        marks: list[dict[str, str]] = []
        for number, path in enumerate(paths):
            before = told["marks"][number] if same else {}
            body = await self._body(address(url, path), PRODUCTS_BYTES_MOST, before)
            fetched.append(body[0] if body else None)
            marks.append(body[1] if body else before)
        for new in fetched:
            if new is not None:
                # judged before it takes the place of a good copy; in a thread, as it can be large
                await asyncio.to_thread(read_products, new)
        for number, new in enumerate(fetched):
            if new is not None:
                await asyncio.to_thread(_write, _part(data, number), new)
        told.update(paths=paths, marks=marks, lists=len(paths))
        return any(new is not None for new in fetched)

    async def _body(self, url: str, most: int, before: Mapping[str, str]) -> tuple[bytes, dict[str, str]] | None:
        """A bounded body and the marks to ask for it with next time; None where it has not changed since ``before``."""
        ask = {"If-None-Match": before.get("etag", ""), "If-Modified-Since": before.get("modified", "")}
        async with self._get(url, {name: value for name, value in ask.items() if value}) as answer:
            if answer.status == 304 and before:
                return None
            if answer.status != 200:
                raise ImageSourceUnavailable(
                    N_("The image server {server} returned {answer}."), server=_host(url), answer=answer.status
                )
            if (answer.content_length or 0) > most:
                raise nonsense(f"it is larger than {format_bytes(most)}")
            body = bytearray()
            async for chunk in answer.content.iter_chunked(CHUNK):
                body += chunk
                if len(body) > most:
                    raise nonsense(f"it is larger than {format_bytes(most)}")
            marks = {"etag": answer.headers.get("ETag", "")[:200]}
            marks["modified"] = answer.headers.get("Last-Modified", "")[:100]
            return bytes(body), {name: value for name, value in marks.items() if value}

    # -- files -----------------------------------------------------------------------------------------------------

    async def download(self, server: str, file: RemoteFile, target: Path, report: Report) -> None:
        """Fetch ``file`` into ``target``, going on where an earlier try stopped, and check its size and hash.

        Raises NotThere, ImageSourceUnavailable, Conflict (no room). ``target`` is whole or, but for what a next
        try can go on from, not there.
        """
        async with self._at_once:
            for fresh in (False, True):
                await self._fetch(server, file, target, report)
                if await asyncio.to_thread(_digest, target) == file.sha256:
                    return
                # what was resumed may have been another file's beginning: once more, from the beginning
                _drop(target)
                if fresh:
                    break
        raise ImageSourceUnavailable(
            N_("A file from the image server does not match its published checksum. It was discarded; try again.")
        )

    async def _fetch(self, server: str, file: RemoteFile, target: Path, report: Report) -> None:
        url, failures, most = address(server, file.path), 0, _size(target)
        # the jitter keeps many hosts from coming back to a server at the same moment
        backoff = Backoff(PAUSE_SECONDS, PAUSE_SECONDS_MOST, jitter=0.2)
        end = time.monotonic() + FILE_SECONDS
        while True:
            before = _size(target)
            if before == file.size:
                return
            if before > file.size:
                _drop(target)
                before = 0
            reason: Exception
            try:
                async with asyncio.timeout(max(1.0, end - time.monotonic())):
                    await self._pull(url, file, target, before, report)
                if _size(target) == file.size:
                    return
                reason = OSError("the connection ended early")
            except (aiohttp.ClientError, TimeoutError, _Later) as error:
                reason = error
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise no_room(file.size, 0) from error
                reason = error
            if (got := _size(target)) > most:
                failures, most = 0, got
                backoff.reset()
            else:
                failures += 1
            if failures >= TRIES or time.monotonic() > end:
                raise _unreachable(url, reason) from reason
            log.info("image_download_cut", server=_host(url), at=_size(target), reason=clean(str(reason), 100))
            await backoff.pause()

    async def _pull(self, url: str, file: RemoteFile, target: Path, offset: int, report: Report) -> None:
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        async with self._get(url, headers) as answer:
            if answer.status in (404, 410):
                raise NotThere(file.path)
            if answer.status == 416:
                _drop(target)
                raise _Later("what was there cannot be gone on from")
            if answer.status >= 500 or answer.status in (408, 425, 429):
                raise _Later(f"it answers {answer.status}")
            if answer.status not in (200, 206):
                raise ImageSourceUnavailable(
                    N_("The image server {server} returned {answer}."), server=_host(url), answer=answer.status
                )
            resumed = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {offset}-")
            if answer.status == 206 and not resumed:
                _drop(target)
                raise _Later("it sends another part than the one asked for")
            start = offset if resumed else 0
            length = answer.content_length
            if length is not None and "Content-Encoding" not in answer.headers and start + length != file.size:
                raise _wrong_size()
            await self._store(answer, target, start, file.size, report)

    async def _store(self, answer: aiohttp.ClientResponse, target: Path, start: int, size: int, report: Report) -> None:
        got = start
        with target.open("r+b" if start else "wb") as stream:
            stream.seek(start)
            stream.truncate()
            async for chunk in answer.content.iter_chunked(CHUNK):
                got += len(chunk)
                if got > size:
                    raise _wrong_size()
                await asyncio.to_thread(stream.write, chunk)
                report(got)


def require_room(directory: Path, missing: int, size: int) -> None:
    """Raise Conflict unless ``missing`` bytes, and a copy of all ``size`` for LXD, fit beside what is there."""
    free, needed = shutil.disk_usage(directory).free, missing + size + ROOM_SPARE
    if free < needed:
        raise no_room(needed, free)


def no_room(needed: int, free: int) -> Conflict:
    """The error of a full disk."""
    return Conflict(
        N_("The host's disk does not have enough space for this image: {needed} needed, {free} free."),
        needed=format_bytes(needed),
        free=format_bytes(free),
    )


class _Later(Exception):
    """The server is there but cannot now."""


def _wrong_size() -> ImageSourceUnavailable:
    return ImageSourceUnavailable(
        N_("A file from the image server does not have its published size. It was discarded; try again.")
    )


def _host(url: str) -> str:
    return clean(urlsplit(url).netloc, 100)


def _unreachable(url: str, error: BaseException) -> ImageSourceUnavailable:
    reason = "it says nothing" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
    return ImageSourceUnavailable(
        N_("The image server {server} cannot be reached: {reason}."), server=_host(url), reason=clean(reason, 150)
    )


def _drop(path: Path) -> None:
    path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def combined_digest(paths: Sequence[Path]) -> str:
    """The SHA-256 over several files, one behind the other: LXD's fingerprint. Blocks."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def _part(data: Path, number: int) -> Path:
    return data.with_suffix(f".{number}.json")


def _read_state(state: Path, data: Path) -> dict[str, Any]:
    try:
        told = json.loads(state.read_bytes())
        lists = int(told["lists"])
        if lists == len(told["paths"]) == len(told["marks"]) and all(_part(data, n).exists() for n in range(lists)):
            return dict(told)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return {}


def _write(path: Path, data: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        scratch.write_bytes(data.encode() if isinstance(data, str) else data)
        os.replace(scratch, path)
    except OSError:
        scratch.unlink(missing_ok=True)  # on a full disk it would keep the room that others need
        raise
