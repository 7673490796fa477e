"""The catalogue: what all servers offer together, in memory, to browse, search and find by any name people write."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from openlxd_core.domain.errors import ValidationFailed
from openlxd_core.domain.image import LXD_ARCHITECTURES, ImageRecord, Offer, offered_architecture
from openlxd_core.domain.text import clean
from openlxd_core.i18n import N_
from openlxd_core.simplestreams.end_of_life import PROMISED, end_of_life, is_promised
from openlxd_core.simplestreams.index import Product

_SYNONYMS = {
    "rocky": "rockylinux", "alma": "almalinux", "arch": "archlinux", "void": "voidlinux", "suse": "opensuse",
    "amazon": "amazonlinux", "amzn": "amazonlinux", "oraclelinux": "oracle", "alpinelinux": "alpine",
}  # fmt: skip
_TAILS = ("-lxc", "/lxc", "-kvm", "-lxd", "/default", "-default")
"""What other panels hang onto an image's name; there is nothing to choose by it here."""
_WORDS_MOST = 8
_ARCHITECTURES = frozenset(LXD_ARCHITECTURES.values())


@dataclass(frozen=True, slots=True)
class _Entry:
    offer: Offer
    words: str
    """Everything it can be found by, in lower case, one blank between two."""
    compact: str
    """Its main name without separators."""


def compact(name: str) -> str:
    """A name without separators, in lower case: ``Ubuntu/22.04`` and ``ubuntu-2204`` are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


class Catalogue:
    """An immutable picture of what is offered.

    ``architecture`` is the host's own, by LXD's name or Debian's; ``distributions`` those that the operator offers, or
    empty for all; ``complete`` whether the products are all that there are, so that what is missing is not built.
    """

    def __init__(
        self,
        products: Sequence[tuple[str, Product]],
        architecture: str = "amd64",
        *,
        distributions: Collection[str] = (),
        complete: bool = True,
    ) -> None:
        self._own = offered_architecture(architecture)
        self._products: dict[tuple[str, str], Product] = {}
        self._entries: list[_Entry] = []
        self._names: dict[str, list[int]] = defaultdict(list)
        taken: set[tuple[str, str, str, str]] = set()
        for server, product in products:
            place = (product.distribution, product.release, product.architecture, product.variant)
            if place in taken:  # an earlier server has it: servers are merged in their order
                continue
            taken.add(place)
            self._products[server, product.key] = product
            self._add(self._offer(server, product))
        if complete:  # before the first answer nobody knows what is not built any more
            self._add_unpublished(set(self._releases()), distributions)
        self._entries.sort(key=lambda entry: _order(entry.offer, self._own))
        for number, entry in enumerate(self._entries):
            for name in _names(entry.offer, self._own):
                self._names[name].append(number)
        self._aliases = {entry.offer.alias: entry.offer for entry in self._entries}
        self.distributions: Sequence[str] = sorted({e.offer.distribution for e in self._entries})
        self._find = lru_cache(maxsize=64)(self._search)

    def __len__(self) -> int:
        return sum(entry.offer.published for entry in self._entries)

    def _releases(self) -> Iterable[tuple[str, str]]:
        for entry in self._entries:
            yield entry.offer.distribution, entry.offer.version.lower()
            yield entry.offer.distribution, entry.offer.release.lower()

    def _add(self, offer: Offer) -> None:
        words = " ".join(
            dict.fromkeys(
                word.lower()
                for word in (*offer.aliases, offer.alias, offer.distribution, offer.release, offer.version,
                             offer.architecture, offer.variant)
            )
        )  # fmt: skip
        self._entries.append(_Entry(offer, words, compact(offer.alias)))

    def _offer(self, server: str, product: Product) -> Offer:
        build = product.builds[0]
        return Offer(
            alias=self._alias(product),
            aliases=product.aliases,
            distribution=product.distribution,
            release=product.release,
            version=product.version,
            architecture=product.architecture,
            variant=product.variant,
            size_bytes=build.size,
            built_at=build.built_at,
            serial=build.serial,
            fingerprint=build.fingerprint,
            server=server,
            product=product.key,
            end_of_life=end_of_life(product.distribution, product.version),
            listed=is_promised(product.distribution, product.version),
            native=product.architecture == self._own,
        )

    def _alias(self, product: Product) -> str:
        parts = [product.distribution, product.version]
        if product.variant != "default":
            parts.append(product.variant)
        if product.architecture != self._own:
            parts.append(product.architecture)
        return "/".join(parts)[:100]

    def _add_unpublished(self, published: Collection[tuple[str, str]], wanted: Collection[str]) -> None:
        for distribution, version, release in PROMISED:
            if wanted and distribution not in wanted:
                continue
            if (distribution, version.lower()) not in published and (distribution, release.lower()) not in published:
                self._add(
                    Offer(
                        alias=f"{distribution}/{version}",
                        aliases=tuple(dict.fromkeys((f"{distribution}/{version}", f"{distribution}/{release}"))),
                        distribution=distribution, release=release, version=version, architecture=self._own,
                        variant="default", size_bytes=0, built_at=None, serial="", fingerprint="", server="",
                        product="", end_of_life=end_of_life(distribution, version), listed=True, published=False,
                    )
                )  # fmt: skip

    # -- browsing --------------------------------------------------------------------------------------------------

    def search(
        self, text: str = "", *, distribution: str = "", release: str = "", architecture: str = "", variant: str = ""
    ) -> Sequence[Offer]:
        """What fits, the best first. Filters are exact; ``text`` is several words, each anywhere, typed roughly."""
        words = tuple(text.lower().split()[:_WORDS_MOST])
        return self._find(
            tuple(word[:60] for word in words), distribution.lower(), release.lower(),
            offered_architecture(architecture), variant,
        )  # fmt: skip

    def _search(
        self, words: tuple[str, ...], distribution: str, release: str, architecture: str, variant: str
    ) -> Sequence[Offer]:
        entries = [
            entry
            for entry in self._entries
            if (not distribution or entry.offer.distribution == distribution)
            and (not release or release in (entry.offer.release.lower(), entry.offer.version.lower()))
            and (not architecture or entry.offer.architecture == architecture)
            and (not variant or entry.offer.variant == variant)
        ]
        if not words:
            return tuple(entry.offer for entry in entries)
        found = _rank(entries, words)
        if not found:  # a slip of the finger: take the distribution it is nearest to
            found = _rank(entries, tuple(self._mended(word) for word in words))
        return tuple(found)

    def _mended(self, word: str) -> str:
        letters = re.match(r"[a-z]*", word)
        name = letters[0] if letters else ""
        near = difflib.get_close_matches(name, [*self.distributions, *_SYNONYMS], 1, 0.6) if len(name) > 2 else []
        return (near[0] if near else name) + word[len(name) :]

    # -- finding one -----------------------------------------------------------------------------------------------

    def product(self, server: str, key: str) -> Product | None:
        """A server's product, with all its builds."""
        return self._products.get((server, key))

    def get(self, alias: str) -> Offer | None:
        """The offer of exactly this name; costs nothing."""
        return self._aliases.get(alias)

    def resolve(self, name: str, architecture: str = "", variant: str = "") -> Offer:
        """The offer that ``name`` means, for the host's own architecture unless another is asked for.

        Takes a server's aliases and what other panels and people write: ``ubuntu/jammy``, ``ubuntu2204``,
        ``debian-12``, ``alpine320``, ``centos9``, ``debian-12-lxc``. Raises ValidationFailed that names what is close.
        """
        wanted = offered_architecture(architecture)
        text = name.strip().lower()[:200]
        head, _, tail = text.rpartition("/")
        if head and not wanted and offered_architecture(tail) in _ARCHITECTURES:
            text, wanted = head, offered_architecture(tail)
        for spelling in spellings(text):
            offers = [self._entries[number].offer for number in self._names.get(spelling, ())]
            fitting = [
                offer
                for offer in offers
                if offer.architecture == (wanted or self._own) and (not variant or offer.variant == variant)
            ]
            if not fitting and variant:
                continue
            if fitting:
                plain = [offer for offer in fitting if offer.variant == "default"]
                return (plain or fitting)[0]
            if offers and wanted:
                raise ValidationFailed.of(
                    "architecture", N_("{image} is not built for {architecture}."),
                    image=offers[0].alias, architecture=clean(architecture or wanted, 20),
                )  # fmt: skip
        if variant:
            for spelling in spellings(f"{text}/{variant.lower()}"):
                for number in self._names.get(spelling, ()):
                    offer = self._entries[number].offer
                    if offer.architecture == (wanted or self._own) and offer.variant == variant:
                        return offer
        close = self.close_to(name)
        if close:
            raise ValidationFailed.of(
                "image", N_("There is no image {alias}. Did you mean {others}?"),
                alias=clean(name, 100), others=", ".join(close),
            )  # fmt: skip
        raise ValidationFailed.of("image", N_("There is no image {alias}."), alias=clean(name, 100))

    def close_to(self, name: str, count: int = 3) -> Sequence[str]:
        """Names of offers that look like ``name``."""
        mine = {e.compact: e.offer.alias for e in self._entries if e.offer.architecture == self._own}
        wanted = spellings(name.lower())[-1]
        near = difflib.get_close_matches(wanted, mine, count, 0.6)
        if near:
            return [mine[found] for found in near]
        return [offer.alias for offer in self.search(name, architecture=self._own)[:count]]


def _order(offer: Offer, own: str) -> tuple[object, ...]:
    """Published first, then by distribution, newest release first, the plain variant and the host's own first."""
    numbers = [-int(n) for n in re.findall(r"\d+", offer.version)[:3]] or [1]
    return (
        not offer.published, offer.distribution, numbers, offer.version, offer.variant != "default", offer.variant,
        offer.architecture != own, offer.architecture,
    )  # fmt: skip


def _names(offer: Offer, own: str) -> set[str]:
    """Every compact spelling that means this offer."""
    tail = "" if offer.variant == "default" else offer.variant
    found = {compact(alias) for alias in offer.aliases}
    found |= {compact(f"{offer.distribution}{part}{tail}") for part in (offer.release, offer.version)}
    if offer.distribution == "centos":  # people write centos9 for 9-Stream
        found |= {name.replace("stream", "") for name in found}
    if offer.architecture == own or offer.alias not in offer.aliases:
        found.add(compact(offer.alias))
    return found


def spellings(text: str) -> Sequence[str]:
    """What ``text`` may stand for, its own compact form first."""
    bare = text
    for tail in _TAILS:
        bare = bare.removesuffix(tail)
    found = [compact(text), compact(bare)]
    for short, name in _SYNONYMS.items():
        plain = compact(bare)
        if plain.startswith(short) and not plain.startswith(name):
            found.append(name + plain.removeprefix(short))
    return list(dict.fromkeys(found))


def _rank(entries: Sequence[_Entry], words: tuple[str, ...]) -> list[Offer]:
    scored: list[tuple[int, int]] = []
    plain = tuple(compact(word) for word in words)
    loose = tuple(re.compile(".*?".join(map(re.escape, word))) if len(word) > 2 else None for word in plain)
    for number, entry in enumerate(entries):
        score = 0
        for word, short, pattern in zip(words, plain, loose, strict=True):
            if word in entry.words:
                score += 0 if entry.words.startswith(word) or f" {word}" in entry.words else 1
            elif short and short in entry.compact:
                score += 1
            elif pattern is not None and pattern.search(entry.compact):
                score += 4
            else:
                break
        else:
            scored.append((score, number))
    scored.sort()
    best = scored[0][0] if scored else 0
    # a rough match is worth showing only where there is no good one
    return [entries[number].offer for score, number in scored if score < 4 or best >= 4]


def with_flags(
    offer: Offer,
    *,
    held: Mapping[str, str],
    hidden: Collection[str],
    pinned: Collection[str],
    imports: Mapping[str, tuple[str, int]],
    records: Mapping[str, ImageRecord],
) -> Offer:
    """``offer`` with what is known of it here: ``held`` is fingerprints by alias, ``imports`` (id, percent),
    ``records`` the rows of images."""
    fingerprint = held.get(offer.alias)
    under_way = imports.get(offer.alias)
    record = records.get(offer.alias)
    known = fingerprint is not None or under_way is not None or record is not None
    if not known and offer.alias not in hidden and offer.alias not in pinned:
        return offer
    return replace(
        offer,
        held=fingerprint is not None,
        current=fingerprint is not None and fingerprint == offer.fingerprint,
        hidden=offer.alias in hidden,
        pinned=offer.alias in pinned,
        operation_id=under_way[0] if under_way else "",
        importing=under_way[1] if under_way else -1,
        record=record,
    )


Filter = Literal["distribution", "release", "architecture", "variant"]


def choices(offers: Iterable[Offer], name: Filter) -> Sequence[str]:
    """The values that a filter can take, for chips: architectures and so on that are there."""
    return sorted({str(getattr(offer, name)) for offer in offers})
