"""``openlxd user …``: accounts, as the admin at this machine."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from openlxd_core import shapes
from openlxd_core.domain.account import fold_username
from openlxd_core.domain.actor import Role
from openlxd_core.domain.quota import Quota, format_quota, parse_quota
from openlxd_core.domain.units import format_mib
from openlxd_core.i18n import _
from openlxd_tui.cli.config import Json
from openlxd_tui.cli.context import confirm, open_core, out, print_json, print_table, read_password, say, settings
from openlxd_tui.cli.context import show as show_records

Stdin = Annotated[
    bool, Parameter(name="--password-stdin", help=_("Read the password from standard input."), negative="")
]
Yes = Annotated[bool, Parameter(name=["--yes", "-y"], help=_("Do not ask."), negative="")]


async def add(
    username: str,
    email: str = "",
    *,
    role: Literal["user", "admin"] = "user",
    quota: str | None = None,
    password_stdin: Stdin = False,
    as_json: Json = False,
) -> None:
    """Make an account. Its API key is printed this once.

    Parameters
    ----------
    username
        3 to 64 letters, digits, dots, underscores and dashes; starts with a letter or digit.
    email
        An address; username@localhost.invalid where none is given.
    role
        user (a tenant) or admin.
    quota
        Such as containers=5,cpu=8,memory=8GiB,disk=80GiB.
    """
    wished = parse_quota(quota, settings().quota) if quota else None
    password = read_password(password_stdin)
    async with open_core() as (core, actor):
        address = email or f"{fold_username(username)}@localhost.invalid"
        user = await core.accounts.create(actor, username, address, password, role=Role(role), quota=wished)
    if as_json:
        print_json({**shapes.user(user), "api_key": user.api_key})
    else:
        say(_("Account {name} was created. Its API key is shown this once:").format(name=user.username))
        out(user.api_key)


async def list_users(*, as_json: Json = False) -> None:
    """List the accounts."""
    async with open_core() as (core, actor):
        users = await core.accounts.list(actor)
    columns = {"username": _("Name"), "email": _("Email"), "role": _("Role"), "status": _("Status")}
    show_records(as_json, [shapes.user(user) for user in users], columns)


async def passwd(username: str, *, password_stdin: Stdin = False) -> None:
    """Give an account a new password; its sessions and tokens end.

    Parameters
    ----------
    username
        The account.
    """
    password = read_password(password_stdin)
    async with open_core() as (core, actor):
        await core.accounts.set_password(actor, username, password)
    say(_("The password of {name} was changed.").format(name=username))


async def suspend(username: str, *, reason: str = "") -> None:
    """Close every door to an account; its containers go on.

    Parameters
    ----------
    username
        The account.
    reason
        What the person is told.
    """
    async with open_core() as (core, actor):
        await core.accounts.suspend(actor, username, reason)
    say(_("Account {name} was suspended.").format(name=username))


async def activate(username: str) -> None:
    """Open the doors again.

    Parameters
    ----------
    username
        The account.
    """
    async with open_core() as (core, actor):
        await core.accounts.activate(actor, username)
    say(_("Account {name} was reactivated.").format(name=username))


async def delete(
    username: str,
    *,
    containers: Annotated[bool, Parameter(negative="")] = False,
    yes: Yes = False,
) -> None:
    """Delete an account. It is refused while containers remain.

    Parameters
    ----------
    username
        The account.
    containers
        Delete its containers as well.
    """
    question = _("Delete {name} and every container of theirs?") if containers else _("Delete {name}?")
    confirm(question.format(name=username), yes)
    async with open_core() as (core, actor):
        await core.accounts.delete(actor, username, containers=containers)
    say(_("Account {name} was deleted.").format(name=username))


async def quota(username: str, quota: str | None = None, *, as_json: Json = False) -> None:
    """Show or change what an account may have.

    Parameters
    ----------
    username
        The account.
    quota
        The parts to change, such as containers=5,memory=8GiB.
    """
    async with open_core() as (core, actor):
        state = await core.quotas.get(actor, username)
        if quota:
            state = await core.quotas.set(actor, username, parse_quota(quota, state.quota))
    parts: dict[str, Quota] = {"quota": state.quota, "used": state.used, "left": state.left}
    if as_json:
        print_json({name: shapes.quota(part) for name, part in parts.items()})
        return
    headings = ["", _("Containers"), _("CPUs"), _("Memory"), _("Disk")]
    names = {"quota": _("Quota"), "used": _("Used"), "left": _("Left")}
    rows = [
        [names[name], part.containers, part.cpu, format_mib(part.memory_mib), format_mib(part.disk_mib)]
        for name, part in parts.items()
    ]
    print_table(headings, rows)
    if quota:
        out(format_quota(state.quota))
