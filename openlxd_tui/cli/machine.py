"""``openlxd setup`` and ``openlxd doctor``: the machine under the product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from openlxd_core.i18n import N_, _
from openlxd_tui.cli import context, exits
from openlxd_tui.cli.config import Json
from openlxd_tui.cli.context import loaded, out, print_json, say

if TYPE_CHECKING:
    from openlxd_core.settings import LoadedSettings


def setup(
    *,
    registration: Annotated[
        Literal["on", "off"] | None,
        Parameter(help=N_("Open or close registration without asking."), metavar="on|off", show_choices=False),
    ] = None,
) -> None:
    """Install and configure LXD on this machine: the package, a storage pool, a NAT bridge, one small image.

    It prints each step before it takes it, takes only the steps that are missing, and asks whether anyone may register.
    """
    from openlxd_core.host.setup import set_up

    found = loaded()
    _decide_registration(found, registration)
    server = set_up(found.settings, say)
    say(_("Ready: {kind} {version} at {path}.").format(
        kind=server.kind.upper(), version=server.version, path=server.socket
    ))  # fmt: skip


def _decide_registration(found: LoadedSettings, wanted: str | None) -> None:
    """Write the operator's decision to the settings file; ask for it where none was made and somebody can answer."""
    import os
    import sys

    from openlxd_core.host.settings_file import set_value
    from openlxd_core.settings import DEFAULT_FILE

    file, source = context.options.config or DEFAULT_FILE, found.sources["registration"]
    if wanted is None:
        if not found.settings.registration_is_public:
            return
        address = f"{found.settings.api_host}:{found.settings.api_port}"
        say(_("Registration is open: anyone who can reach {address} can create an account.").format(address=address))
        writable = os.access(next(place for place in (file, *file.parents) if place.exists()), os.W_OK)
        if source != "default" or context.options.quiet or not (sys.stdin.isatty() and writable):
            say(_("To close it: openlxd setup --registration off"))
            return
        sys.stderr.write(_("Close registration, so that only admins create accounts? [Y/n] "))
        sys.stderr.flush()
        wanted = "on" if sys.stdin.readline().strip().lower() in ("n", "no", "否") else "off"
    set_value(file, "registration", wanted)
    say(_("{path} now says: registration = \"{value}\". Restart running servers to apply it.").format(
        path=file, value=wanted
    ))  # fmt: skip
    if source not in ("default", str(file)):
        say(_("{source} takes precedence over this file; change it there as well.").format(source=source))


async def doctor(*, as_json: Json = False) -> int:
    """Check the installation and tell how to fix problems."""
    from openlxd_core.host.doctor import Level, examine

    findings = await examine(loaded().settings)
    if as_json:
        print_json(
            [
                {
                    "check": f.check,
                    "level": f.level.value,
                    "finding": f.finding.text(_),
                    "mend": f.mend.text(_) if f.mend else "",
                }
                for f in findings
            ]
        )
    else:
        marks = {Level.OK: _("ok"), Level.WARNING: _("note"), Level.WRONG: _("WRONG")}
        for found in findings:
            out(f"{marks[found.level]:<6} {found.check:<12} {found.finding.text(_)}")
            if found.mend:
                out(f"{'':<6} {'':<12} → {found.mend.text(_)}")
    return exits.FAILED if any(found.level is Level.WRONG for found in findings) else exits.DONE
