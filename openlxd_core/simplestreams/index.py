"""Simplestreams, read: an index and its products, as image servers for LXD and Incus publish them.

Everything in them is a stranger's word. What is not a plain name, a number within bounds, a relative path or a hash is
left out, so that nothing further up has to ask again. Items are matched on ``ftype``, as their names differ between
servers. A build without both files and the hash over both is left out, too: the one before it takes its place.

The products are read in one pass that keeps only what is needed of each entry, so that an index of thousands
never stands in memory as a whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from openlxd_core.domain.errors import ImageSourceUnavailable
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_
from openlxd_core.simplestreams.end_of_life import version_of

BUILDS_KEPT = 3
"""As many as the servers keep; more would only cost memory."""
PRODUCTS_MOST = 50_000
FILE_BYTES_MOST = 32 * 1024**3

METADATA = ("lxd.tar.xz", "incus.tar.xz")
"""The same file under two names; the first is read where both are there."""
ROOTS = {"squashfs": ("combined_squashfs_sha256",), "root.tar.xz": ("combined_rootxz_sha256", "combined_sha256")}
"""What can be a container's root, best first, with the fields of the metadata item that hold the hash over both."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,49}")
_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*(?:/[A-Za-z0-9._+-]+)*")
_SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,39}")
_HASH = re.compile(r"[0-9a-f]{64}")
_PATH = re.compile(r"[^\x00-\x1f\x7f-\x9f/\\?#%]+(?:/[^\x00-\x1f\x7f-\x9f/\\?#%]+)*")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a build."""

    path: str
    """Below the server's address."""
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Build:
    """One build of an image: the two files that LXD takes, and the fingerprint that they make together."""

    serial: str
    metadata: RemoteFile
    rootfs: RemoteFile
    fingerprint: str

    @property
    def size(self) -> int:
        """Bytes, of both files."""
        return self.metadata.size + self.rootfs.size

    @property
    def built_at(self) -> datetime | None:
        """When it was made, as its serial says (``20260814_05:24``, ``20260814_0524``, ``20260814``)."""
        digits = re.sub(r"\D", "", self.serial)
        for length, form in ((12, "%Y%m%d%H%M"), (8, "%Y%m%d")):
            if len(digits) >= length:
                try:
                    return datetime.strptime(digits[:length], form).replace(tzinfo=UTC)
                except ValueError:
                    continue
        return None


@dataclass(frozen=True, slots=True)
class Product:
    """One image in all its builds."""

    key: str
    distribution: str
    """In lower case, as in aliases: ``rockylinux``."""
    release: str
    version: str
    architecture: str
    variant: str
    aliases: tuple[str, ...]
    builds: tuple[Build, ...]
    """The newest first; of one build the smaller root's kind first. Never empty."""


def nonsense(what: str) -> ImageSourceUnavailable:
    """The error for an index that cannot be read."""
    return ImageSourceUnavailable(N_("The image server's response cannot be read: {reason}."), reason=clean(what, 120))


def safe_path(path: object) -> str | None:
    """``path`` if it leads to a file below the server's address and nowhere else."""
    if not isinstance(path, str) or not 0 < len(path) <= 500:
        return None
    if not _PATH.fullmatch(path) or ":" in path.partition("/")[0]:
        return None
    around = f"/{path}/"
    return None if "/../" in around or "/./" in around else path


def address(server: str, path: str) -> str:
    """The URL of ``path`` on ``server``; a serial's colon is percent-encoded."""
    return f"{server.rstrip('/')}/{quote(path, safe='/')}"


def read_index(data: bytes) -> Sequence[str]:
    """The paths of the product lists that an index names. Raises ImageSourceUnavailable."""
    found = _json(data, None)
    entries = found.get("index") if isinstance(found, dict) else None
    paths: list[str] = []
    if isinstance(entries, dict):
        for entry in entries.values():
            if isinstance(entry, dict) and entry.get("datatype") == "image-downloads":
                path = safe_path(entry.get("path"))
                if path is not None and path not in paths:
                    paths.append(path)
    if not paths:
        raise nonsense("its index names no images")
    return paths[:8]


def read_products(data: bytes) -> Sequence[Product]:
    """Every container image in a list of products. Raises ImageSourceUnavailable."""
    found = _json(data, _shrink)
    if not isinstance(found, _Products):
        raise nonsense("there are no products in it")
    return found.products


def _json(data: bytes, hook: Any) -> Any:
    try:
        return json.loads(data, object_hook=hook)
    except (ValueError, RecursionError) as error:
        raise nonsense("it is not JSON") from error


# -- one pass: the innermost objects come first, and each is made small before the one around it is read ------------


@dataclass(frozen=True, slots=True)
class _Item:
    kind: str
    file: RemoteFile
    hashes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Version:
    metadata: _Item
    roots: tuple[tuple[RemoteFile, str], ...]


@dataclass(frozen=True, slots=True)
class _Draft:
    fields: tuple[str, str, str, str, str]
    aliases: tuple[str, ...]
    builds: tuple[Build, ...]


@dataclass(frozen=True, slots=True)
class _Products:
    products: Sequence[Product]


def _shrink(entry: dict[str, Any]) -> Any:
    if "ftype" in entry:
        return _item(entry)
    if "items" in entry:
        return _version(entry["items"])
    if "versions" in entry:
        return _draft(entry)
    if isinstance(entry.get("products"), dict):
        return _products(entry["products"])
    return entry


def _item(entry: Mapping[str, Any]) -> _Item | None:
    kind = entry["ftype"]
    if not isinstance(kind, str) or (kind not in METADATA and kind not in ROOTS):
        return None
    path, size, digest = safe_path(entry.get("path")), entry.get("size"), _digest(entry.get("sha256"))
    if path is None or not digest or type(size) is not int or not 0 < size <= FILE_BYTES_MOST:
        return None
    hashes = {}
    if kind in METADATA:
        for root, names in ROOTS.items():
            found = next((h for name in names if (h := _digest(entry.get(name)))), "")
            if found:
                hashes[root] = found
    return _Item(kind, RemoteFile(path, size, digest), hashes)


def _digest(value: object) -> str:
    return value if isinstance(value, str) and _HASH.fullmatch(value) else ""


def _version(items: object) -> _Version | None:
    if not isinstance(items, dict):
        return None
    known = {item.kind: item for item in items.values() if isinstance(item, _Item)}
    metadata = next((known[kind] for kind in METADATA if kind in known), None)
    if metadata is None:
        return None
    roots = tuple(
        (known[kind].file, metadata.hashes[kind]) for kind in ROOTS if kind in known and kind in metadata.hashes
    )
    return _Version(metadata, roots) if roots else None


def _draft(entry: Mapping[str, Any]) -> _Draft | None:
    versions = entry["versions"]
    if not isinstance(versions, dict):
        return None
    whole = sorted(
        (serial for serial, found in versions.items() if isinstance(found, _Version) and _SERIAL.fullmatch(serial)),
        reverse=True,
    )
    builds = tuple(
        Build(serial, versions[serial].metadata.file, file, fingerprint)
        for serial in whole[:BUILDS_KEPT]
        for file, fingerprint in versions[serial].roots
    )
    if not builds:
        return None
    fields = tuple(_word(entry.get(name)) for name in ("os", "release", "version", "arch", "variant"))
    return _Draft((fields[0], fields[1], fields[2], fields[3], fields[4]), _aliases(entry.get("aliases")), builds)


def _word(value: object) -> str:
    return value if isinstance(value, str) and _NAME.fullmatch(value) else ""


def _aliases(value: object) -> tuple[str, ...]:
    if not isinstance(value, str):
        return ()
    found = (part.strip() for part in value[:2000].split(","))
    return tuple(dict.fromkeys(a for a in found if len(a) <= 80 and _ALIAS.fullmatch(a)))


def _products(entries: Mapping[str, Any]) -> _Products:
    found: list[Product] = []
    for key, draft in entries.items():
        product = _product(key, draft) if isinstance(draft, _Draft) else None
        if product is not None:
            found.append(product)
        if len(found) >= PRODUCTS_MOST:
            break
    return _Products(found)


def _product(key: str, draft: _Draft) -> Product | None:
    os, release, version, architecture, variant = draft.fields
    parts = key.split(":")
    # linuxcontainers: distro:release:arch:variant, its own alias first. Canonical: a prefix, and aliases without a name
    named = next((alias.split("/", 1)[0] for alias in draft.aliases if "/" in alias), "")
    distribution = (named or os or _word(parts[0])).lower()
    variant = variant or "default"
    if not (distribution and release and architecture) or len(key) > 200 or clean(key, 200) != key:
        return None
    version = version or version_of(distribution, release)
    aliases = [alias if "/" in alias else f"{distribution}/{alias}" for alias in draft.aliases]
    if version == release:  # a number that only an alias holds, as a release's that we do not know
        tail = "" if variant == "default" else f"/{variant}"
        short = (a.removeprefix(f"{distribution}/").removesuffix(tail) for a in aliases)
        version = next((s for s in short if s[:1].isdigit() and "/" not in s), version)
    return Product(key, distribution, release, version, architecture, variant, tuple(aliases), draft.builds)
