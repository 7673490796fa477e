"""``openlxd config show`` and ``openlxd version``."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import Annotated

from cyclopts import Parameter

from openlxd_core.i18n import N_, _
from openlxd_tui.cli.context import loaded, out, print_json, print_table

Json = Annotated[bool, Parameter(name="--json", help=N_("Print JSON."), negative="")]


def product_version() -> str:
    """The version of the installed distribution."""
    try:
        return installed_version("openlxd")
    except PackageNotFoundError:
        return "0"


def version(*, as_json: Json = False) -> None:
    """Show the version."""
    if as_json:
        print_json({"version": product_version()})
    else:
        out(product_version())


def show(*, as_json: Json = False) -> None:
    """Show every setting with its value and source."""
    from openlxd_core.settings import SECRET_FIELDS, Settings

    found = loaded()
    rows = []
    for name in Settings.model_fields:
        value = getattr(found.settings, name)
        hidden = name in SECRET_FIELDS and value
        shown = "***" if hidden else "" if value is None else str(value)
        rows.append({"name": name, "value": shown, "source": found.sources[name]})
    if as_json:
        print_json(rows)
    else:
        print_table([_("Setting"), _("Value"), _("Source")], [list(row.values()) for row in rows])
