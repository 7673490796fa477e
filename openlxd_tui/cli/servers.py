"""``openlxd up``, ``ssh`` and ``api``: what serves, and what is prepared before it does."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from socket import gethostname
from typing import Any, NoReturn

from openlxd_core import systemd
from openlxd_core.domain.errors import ConfigurationError, Forbidden
from openlxd_core.i18n import N_, _
from openlxd_core.settings import NONE_FOUND, LoadedSettings, Settings
from openlxd_tui.cli import exits
from openlxd_tui.cli.context import child_environment, loaded, open_core, options, out, print_json, say
from openlxd_tui.cli.supervisor import Child, Program, Supervisor, python

_ANYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - compared, not bound


def up() -> int:
    """Start the SSH console and the API, and restart either one if it exits, until Ctrl-C or SIGTERM.

    Where no LXD is found, root on Debian or Ubuntu gets one (as openlxd setup does it); elsewhere containers are
    simulated, and every screen says so.
    """
    found = loaded()
    environment = {**child_environment(found), **_lxd_environment(found.settings)}
    prepared = _prepare_in_child(environment)
    programs = (
        Program("ssh", python("openlxd_tui"), environment),
        Program("api", python("openlxd_api"), environment),
    )

    def announce(children: Sequence[Child]) -> None:
        _say_where(found, prepared, {child.program.name: child.address for child in children})
        _say_first_admin(prepared)
        systemd.notify("READY=1")

    started = asyncio.run(Supervisor(programs, say).run(announce))
    if not started:
        _say_first_admin(prepared)  # it exists all the same, and its password is known nowhere else
        raise ConfigurationError(N_("A server could not start. The reason is shown above."))
    say(_("Stopped."))
    return exits.DONE


def ssh() -> NoReturn:
    """Run the SSH console alone, in this process."""
    _become("openlxd_tui", loaded())


def api() -> NoReturn:
    """Run the API alone, in this process."""
    _become("openlxd_api", loaded())


def _become(module: str, found: LoadedSettings) -> NoReturn:
    from openlxd_core.host.lxd import settled

    environment = child_environment(found)
    socket = settled(found.settings).lxd_socket
    if socket is not None and found.settings.lxd == "auto":
        environment["OPENLXD_LXD_SOCKET"] = str(socket)
    if "NOTIFY_SOCKET" in os.environ:  # it is systemd that waits for us
        environment["NOTIFY_SOCKET"] = os.environ["NOTIFY_SOCKET"]
    os.execve(sys.executable, python(module), environment)  # noqa: S606


def _lxd_environment(settings: Settings) -> dict[str, str]:
    """Which LXD both children use, decided once for both; sets one up where that can be done."""
    from openlxd_core.host import setup
    from openlxd_core.host.lxd import find_lxd, may_use, settled

    if settings.simulated or settings.lxd.startswith("https://"):
        return {}
    server = find_lxd(settings)
    if server is None and setup.can_set_up():
        say(_("LXD is not installed on this machine; installing it (set OPENLXD_LXD=simulated to skip this)."))
        server = setup.set_up(settings, say)
    socket = server.socket if server else settled(settings).lxd_socket
    if socket is None:
        say(_("LXD is not installed and cannot be installed automatically: containers are simulated."))
        return {"OPENLXD_LXD": NONE_FOUND}
    if not may_use(socket):
        raise Forbidden(
            N_('Permission denied: {path}. Run as root, or add this user to the "lxd" group.'), path=str(socket)
        )
    return {"OPENLXD_LXD": "socket", "OPENLXD_LXD_SOCKET": str(socket)}


def _prepare_in_child(environment: dict[str, str]) -> dict[str, Any]:
    """Run :func:`prepare` in a process of its own, so that the supervisor stays small."""
    done = subprocess.run(
        [*python("openlxd_tui.cli"), "_prepare"], env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.returncode)  # its reason stands on standard error already
    prepared: dict[str, Any] = json.loads(done.stdout)
    return prepared


async def prepare() -> None:
    """Make what is missing: keys, database, the first admin. Prints what it made, as JSON, for ``up``."""
    from openlxd_core import key_files
    from openlxd_core.settings import load_settings

    settings = load_settings().settings
    key_files.ensure_ssh_host_key(settings.keys_dir)
    key_files.jwt_secret(settings.keys_dir)
    key_files.system_api_key(settings.keys_dir)
    async with open_core(settings) as (core, _actor):
        name, password = await core.accounts.ensure_first_admin() or ("", "")
        state = core.lxd_status.state
    print_json(
        {
            "first_admin": name,
            "password": password,
            "lxd": {"kind": state.kind, "version": state.version, "reachable": state.reachable},
        }
    )


def _say_where(found: LoadedSettings, prepared: dict[str, Any], addresses: dict[str, str]) -> None:
    """Where things are, unless ``--quiet``."""
    if options.quiet:
        return
    settings = found.settings
    host = settings.public_address or gethostname()
    ssh_host, ssh_port = _host_and_port(addresses.get("ssh", ""), settings.ssh_host, settings.ssh_port)
    scheme = "http" if settings.api_tls == "off" else "https"
    api_host, api_port = _host_and_port(addresses.get("api", ""), settings.api_host, settings.api_port)
    _line(_("SSH console"), f"ssh openlxd@{_shown(ssh_host, host)} -p {ssh_port}")
    _line(_("API"), f"{scheme}://{_shown(api_host, host)}:{api_port}/api/v1/health")
    _line(_("Containers"), _containers(prepared["lxd"]))
    if settings.registration_is_public:
        _line(
            _("Registration"), _("open to anyone who can reach the API; to close it: openlxd setup --registration off")
        )
    sys.stdout.flush()


def _say_first_admin(prepared: dict[str, Any]) -> None:
    """The first admin's password, once; shown even with ``--quiet``, for it is shown never again."""
    if prepared["password"]:
        _line(_("First admin"), str(prepared["first_admin"]))
        _line(_("Password"), f"{prepared['password']}   " + _("(shown only once)"))
        sys.stdout.flush()
        prepared["password"] = ""


def _line(name: str, value: str) -> None:
    from rich.cells import cell_len

    out(f"  {name}{' ' * max(1, 14 - cell_len(name))}{value}")


def _containers(lxd: dict[str, Any]) -> str:
    if lxd["kind"] == "simulated":
        return _("simulated: nothing here is a real container")
    if not lxd["reachable"]:
        return _("LXD cannot be reached at the moment; retrying")
    return _("real, {kind} {version}").format(kind=str(lxd["kind"]).upper(), version=lxd["version"])


def _host_and_port(address: str, host: str, port: int) -> tuple[str, int]:
    """Where a child says that it listens, else what the settings say."""
    heard_host, colon, heard_port = address.rsplit("//", 1)[-1].rpartition(":")
    return (heard_host.strip("[]"), int(heard_port)) if colon and heard_port.isdigit() else (host, port)


def _shown(bound: str, host: str) -> str:
    return host if bound in _ANYWHERE else bound
