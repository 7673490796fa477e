"""``openlxd user key …``: an account's API key and SSH keys."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from openlxd_core import shapes
from openlxd_core.domain.account import AccountStatus
from openlxd_core.domain.errors import NotFound
from openlxd_core.i18n import N_, _
from openlxd_core.key_files import SYSTEM_API_KEY
from openlxd_tui.cli.config import Json
from openlxd_tui.cli.context import open_core, out, print_json, say, settings
from openlxd_tui.cli.context import show as show_records
from openlxd_tui.cli.users import Username

_KEY_MAX = 20_000


async def api(username: Username, *, as_json: Json = False) -> None:
    """Create a new API key for an account and print it. The old key stops working immediately."""
    async with open_core() as (core, actor):
        key = await core.accounts.regenerate_key(actor, username)
    if as_json:
        print_json({"username": username, "api_key": key})
    else:
        out(key)


async def system(
    username: Annotated[
        str | None, Parameter(help=N_("Admin account to use from now on; nothing changes if omitted."))
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Show or change the admin account that the system API key uses."""
    path = settings().keys_dir / SYSTEM_API_KEY
    async with open_core() as (core, actor):
        if username is not None:
            await core.system_key.bind(actor, username)
        user = await core.system_key.acts_as(actor)
    if as_json:
        print_json({"file": path, "username": user.username if user else None, "status": user.status if user else None})
    elif user is None:
        raise NotFound(
            N_("The system API key is refused: the admin that it acted as no longer exists. Choose another admin.")
        )
    elif user.status is not AccountStatus.ACTIVE:
        out(_("{name} (suspended: the key is refused)").format(name=user.username))
    else:
        out(user.username)


async def list_keys(username: Username, *, as_json: Json = False) -> None:
    """List an account's SSH keys."""
    async with open_core() as (core, actor):
        keys = await core.keys.list(actor, username)
    columns = {"id": "ID", "name": _("Name"), "fingerprint": _("Fingerprint")}
    show_records(as_json, [shapes.ssh_key(key) for key in keys], columns)


async def add(
    username: Username,
    file: Annotated[
        str, Parameter(help=N_("File of the public key, or - for standard input."), allow_leading_hyphen=True)
    ],
    *,
    name: Annotated[str, Parameter(help=N_("Name of the key; the key's own comment if omitted."), metavar="TEXT")] = "",
    as_json: Json = False,
) -> None:
    """Add an SSH public key to an account."""
    text = _read(file)
    async with open_core() as (core, actor):
        key = await core.keys.add(actor, text.strip(), name, username)
    if as_json:
        print_json(shapes.ssh_key(key))
    else:
        say(_("SSH key {fingerprint} was added to {name}.").format(name=username, fingerprint=key.fingerprint))


def _read(file: str) -> str:
    try:
        return sys.stdin.read(_KEY_MAX) if file == "-" else Path(file).read_text("utf-8", "replace")[:_KEY_MAX]
    except (FileNotFoundError, IsADirectoryError):
        raise NotFound(N_("There is no file {path}."), path=file) from None


async def delete(
    key: Annotated[int, Parameter(name="ID", help=N_("ID of the key; see: openlxd user key list"))],
) -> None:
    """Delete an SSH key."""
    async with open_core() as (core, actor):
        await core.keys.delete(actor, key)
    say(_("SSH key {id} was removed.").format(id=key))
