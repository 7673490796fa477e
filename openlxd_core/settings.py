"""Settings: values, their sources and defaults.

Order: command line, environment ``OPENLXD_*``, the TOML file, default. An unknown key or a value of the
wrong type stops the start with one line that names it.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from openlxd_core.domain.container import is_ipv4
from openlxd_core.domain.errors import ConfigurationError, OpenLXDError, unusable
from openlxd_core.domain.forward import parse_operator_range
from openlxd_core.domain.quota import Quota, parse_quota
from openlxd_core.domain.units import parse_size_mib
from openlxd_core.i18n import N_

PREFIX = "OPENLXD_"
DEFAULT_FILE = Path("/etc/openlxd/openlxd.toml")
NOT_SETTINGS = frozenset({"OPENLXD_REQUIRE_LIVE", "OPENLXD_TEST_PREPARE", "OPENLXD_LANG"})
"""Variables of the test run and of the command line that share the prefix."""


NONE_FOUND = "none"
"""The value of ``lxd`` that ``openlxd up`` passes to its servers where ``auto`` found none: both simulate and show why,
even if an LXD is started later."""


class Settings(BaseModel):
    """Every setting, frozen. The environment variable is the field's name in capitals behind ``OPENLXD_``."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    state_dir: Path = Path("/var/lib/openlxd")
    """Database, cache, backups and locks."""
    keys_dir: Path = Path("/etc/openlxd/keys")
    """SSH host keys, JWT secret, system API key, TLS pair. 0700, files 0600; made at first start."""
    database_url: str = ""
    """``sqlite:///path/to/file``; empty means a file in the state directory."""
    ssh_host: str = "0.0.0.0"  # noqa: S104 - a public service
    """Where the SSH console listens."""
    ssh_port: int = Field(2222, ge=0, le=65535)
    """Its port; 0 takes any free one."""
    api_host: str = "0.0.0.0"  # noqa: S104
    """Where the API listens."""
    api_port: int = Field(8443, ge=0, le=65535)
    """Its port; 0 takes any free one."""
    api_tls: Literal["on", "off"] = "on"
    """``off`` only behind a proxy that speaks TLS."""
    tls_cert: Path | None = None
    """A certificate chain to use instead of the self-signed one."""
    tls_key: Path | None = None
    """Its key."""
    trusted_proxies: str = ""
    """Addresses or networks, comma-separated, of proxies whose X-Forwarded-For header is trusted."""
    cors_origins: str = ""
    """Origins, comma-separated, whose pages may call the API from a browser; empty allows none."""
    rate_login: str = "30/minute"
    """Attempts to sign in, per address and per account; failed attempts have a lower limit in ``auth``."""
    rate_register: str = "10/hour"
    """Attempts to register, per address and per user name."""
    rate_api: str = "3000/minute"
    """API requests per account, and per address that has not signed in."""
    lxd: str = "auto"
    """``auto``, ``socket``, ``simulated``, or an ``https://`` remote."""
    lxd_socket: Path | None = None
    """The LXD or Incus socket; detected if empty."""
    images_url: str = "https://images.linuxcontainers.org"
    """One or several simplestreams servers, comma-separated; ``off`` for none."""
    images_ca: Path | None = None
    """An extra CA file for a private mirror."""
    registration: Literal["on", "off"] = "on"
    """Who may create accounts: everyone, or admins only."""
    default_quota: str = "containers=3,cpu=4,memory=4GiB,disk=40GiB,snapshots=10,forwards=10"
    """The quota of a new tenant unless another is given."""
    tenant_import: Literal["on", "off"] = "on"
    """Whether tenants may import images."""
    tenant_images: str = "10GiB"
    """Total size of the images that one tenant imports and publishes."""
    images_distributions: str = ""
    """Distributions shown in the catalogue, comma-separated; empty shows all."""
    images_update: Literal["on", "off"] = "off"
    """Whether imported images are updated to newer builds automatically."""
    storage_pool: str = "default"
    """The storage pool of tenants' disks."""
    network: str = ""
    """The managed bridge of tenants' NICs; empty means the first one."""
    public_address: str = ""
    """The name or address that clients reach this host by; empty means the host's own name."""
    forward_address: str = ""
    """The IPv4 address of this host at which port forwards listen; empty takes ``public_address`` if that is one, else
    the address with which the host reaches the Internet."""
    forward_ports: str = "20000-29999"
    """The ports of the host that tenants' forwards may take; ``off`` allows them none."""
    log: Literal["auto", "text", "json"] = "auto"
    """``auto`` is text on a terminal and JSON otherwise."""
    ssh_sessions_per_tenant: int = Field(10, ge=1, le=1000)
    """Open SSH sessions per tenant."""
    ssh_login_seconds: int = Field(60, ge=1, le=600)
    """Seconds that a client may take to log in."""
    ssh_unauthenticated: int = Field(100, ge=1, le=10000)
    """Connections that have not logged in yet, in total (OpenSSH's MaxStartups)."""
    ssh_per_address: int = Field(20, ge=1, le=10000)
    """Connections that have not logged in yet, from one address."""
    bcrypt_rounds: int = Field(12, ge=4, le=16)
    """The cost of a password hash: each step doubles it."""

    @property
    def database(self) -> str:
        """The database URL in effect."""
        return self.database_url or f"sqlite://{self.state_dir / 'openlxd.sqlite3'}"

    @property
    def simulated(self) -> bool:
        """Whether containers are simulated and no LXD is searched for."""
        return self.lxd in ("simulated", NONE_FOUND)

    @property
    def registration_is_public(self) -> bool:
        """Whether anyone who reaches the API from another machine, directly or through a proxy, can register."""
        local = self.api_host in ("127.0.0.1", "::1", "localhost") and not self.trusted_proxies
        return self.registration == "on" and not local

    @property
    def origins(self) -> list[str]:
        """The origins that may call the API from a browser."""
        return [origin.strip() for origin in self.cors_origins.split(",") if origin.strip()]

    @property
    def images_servers(self) -> list[str]:
        """The image servers, in their order; none where they are switched off."""
        return [url.strip().rstrip("/") for url in self.images_url.split(",") if url.strip() not in ("", "off")]

    @property
    def quota(self) -> Quota:
        """The quota of a tenant made without another."""
        return parse_quota(self.default_quota)


SECRET_FIELDS = frozenset({"database_url"})
"""Shown as ``***`` (a database URL may hold a password)."""


class LoadedSettings:
    """The settings in effect and the source of each."""

    def __init__(self, settings: Settings, sources: Mapping[str, str]) -> None:
        self.settings = settings
        self.sources = sources
        """By field name: ``command line``, an environment variable's name, a file's path, or ``default``."""


def checkout_dir() -> Path | None:
    """The root of the source checkout that this code runs from, or None when it is installed."""
    root = Path(__file__).resolve().parent.parent
    return root if (root / "pyproject.toml").is_file() and (root / "keys" / "README.md").is_file() else None


def load_settings(
    overrides: Mapping[str, Any] | None = None,
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> LoadedSettings:
    """Read every source. Raises ConfigurationError with one clear line."""
    env = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    sources = dict.fromkeys(Settings.model_fields, "default")

    def take(found: Mapping[str, Any], source: str | None) -> None:
        for key, value in found.items():
            if key not in Settings.model_fields:
                raise ConfigurationError(N_("Unknown setting {key} in {source}."), key=key, source=source or "")
            values[key] = value
            sources[key] = source or f"{PREFIX}{key.upper()}"

    checkout = checkout_dir()
    if checkout is not None and "INVOCATION_ID" not in env:
        take({"state_dir": checkout / ".openlxd", "keys_dir": checkout / "keys"}, "default")
    take(_read_file(file), str(file or DEFAULT_FILE))
    for name in sorted(env):
        if name.startswith(PREFIX) and name not in NOT_SETTINGS and not name.startswith("OPENLXD_TEST_"):
            key = name.removeprefix(PREFIX).lower()
            if key not in Settings.model_fields:
                raise ConfigurationError(N_("Unknown setting {key} in {source}."), key=name, source="the environment")
            if env[name] != "":
                take({key: env[name]}, None)
    take({k: v for k, v in (overrides or {}).items() if v is not None}, "command line")
    try:
        settings = Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else "settings"
        raise ConfigurationError(
            N_("Setting {key} (from {source}) is invalid: {reason}."),
            key=key,
            source=sources.get(key, "default"),
            reason=first["msg"],
        ) from None
    _check(settings, sources)
    return LoadedSettings(settings, sources)


def _check(settings: Settings, sources: Mapping[str, str]) -> None:
    def wrong(key: str, reason: str) -> ConfigurationError:
        return ConfigurationError(
            N_("Setting {key} (from {source}) is invalid: {reason}."), key=key, source=sources[key], reason=reason
        )

    if settings.lxd not in ("auto", "socket", "simulated", NONE_FOUND) and not settings.lxd.startswith("https://"):
        raise wrong("lxd", "it is auto, socket, simulated or an https:// address")
    if settings.database_url and not re.fullmatch(r"sqlite:///?[^/?][^?]*(\?.*)?", settings.database_url):
        # the value is not shown: it may contain a password
        raise wrong("database_url", "this version keeps its data in an SQLite file: sqlite:///path/to/file")
    try:
        parse_quota(settings.default_quota)
    except OpenLXDError as error:
        raise wrong("default_quota", str(error)) from None
    try:
        parse_size_mib(settings.tenant_images, "tenant_images")
    except OpenLXDError as error:
        raise wrong("tenant_images", str(error)) from None
    from limits import parse as parse_rate  # slow to import, and only a server needs it

    for key in ("rate_login", "rate_register", "rate_api"):
        try:
            parse_rate(getattr(settings, key))
        except ValueError:
            raise wrong(key, "it is a count in a time, such as 30/minute") from None
    try:
        if settings.forward_ports != "off":
            parse_operator_range(settings.forward_ports)
    except ValueError as error:
        raise wrong("forward_ports", str(error)) from None
    if settings.forward_address and not is_ipv4(settings.forward_address):
        raise wrong("forward_address", "it is an IPv4 address of this host")
    for origin in settings.origins:
        if not re.fullmatch(r"https?://[a-z0-9.:\[\]-]+", origin):
            raise wrong("cors_origins", "it is origins such as https://panel.example.org, without a path")
    for url in settings.images_servers:
        if not _is_image_server(url):
            raise wrong("images_url", "it is https:// addresses, or http:// ones of this machine or a private network")
    if (settings.tls_cert is None) != (settings.tls_key is None):
        key = "tls_key" if settings.tls_key is None else "tls_cert"
        raise wrong(key, "a certificate and its key go together")


def _is_image_server(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    if parts.scheme != "http":
        return False
    try:  # without TLS the list is not authenticated, so plain http is allowed on loopback only
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost"


def _read_file(file: Path | None) -> dict[str, Any]:
    path = file or DEFAULT_FILE
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except FileNotFoundError:
        if file is None:
            return {}
        raise ConfigurationError(N_("There is no settings file {path}."), path=str(path)) from None
    except OSError as error:
        raise unusable(path, error) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            N_("The settings file {path} cannot be read: {reason}."), path=str(path), reason=str(error)
        ) from None
