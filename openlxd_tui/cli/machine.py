"""``openlxd setup`` and ``openlxd doctor``: the machine under the product."""

from __future__ import annotations

from openlxd_core.i18n import _
from openlxd_tui.cli import exits
from openlxd_tui.cli.config import Json
from openlxd_tui.cli.context import loaded, out, print_json, say


def setup() -> None:
    """Install and prepare LXD on this machine: the package, a storage pool, a NAT bridge, one small image.

    It says each step before it takes it, and takes only the steps that are missing.
    """
    from openlxd_core.host.setup import set_up

    server = set_up(loaded().settings, say)
    say(_("Ready: {kind} {version} at {path}.").format(
        kind=server.kind.upper(), version=server.version, path=server.socket
    ))  # fmt: skip


async def doctor(*, as_json: Json = False) -> int:
    """Check everything the product needs, and say how to mend what is wrong."""
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
