"""``openlxd user …``: accounts, as the admin at this machine."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from openlxd_core import shapes
from openlxd_core.domain.account import fold_username
from openlxd_core.domain.actor import Role
from openlxd_core.domain.quota import Quota, format_quota, parse_quota
from openlxd_core.domain.units import format_mib
from openlxd_core.i18n import N_, _
from openlxd_tui.cli.config import Json
from openlxd_tui.cli.context import confirm, open_core, out, print_json, print_table, read_password, say, settings
from openlxd_tui.cli.context import show as show_records

Stdin = Annotated[
    bool, Parameter(name="--password-stdin", help=N_("Read the password from standard input."), negative="")
]
Yes = Annotated[bool, Parameter(name=["--yes", "-y"], help=N_("Do not ask for confirmation."), negative="")]
Username = Annotated[str, Parameter(help=N_("Name of the account."))]
Reason = Annotated[str, Parameter(help=N_("Reason, shown to the owner."), metavar="TEXT")]


async def add(
    username: Annotated[
        str,
        Parameter(help=N_("3 to 64 letters, digits, dots, underscores and dashes; starts with a letter or digit.")),
    ],
    email: Annotated[str, Parameter(help=N_("Email address; USERNAME@localhost.invalid if omitted."))] = "",
    *,
    role: Annotated[
        Literal["user", "admin"], Parameter(help=N_("Role of the account; user is a tenant."), metavar="ROLE")
    ] = "user",
    quota: Annotated[
        str | None, Parameter(help=N_("Quota, such as containers=5,cpu=8,memory=8GiB,disk=80GiB."), metavar="QUOTA")
    ] = None,
    password_stdin: Stdin = False,
    as_json: Json = False,
) -> None:
    """Create an account and print its API key."""
    wished = parse_quota(quota, settings().quota) if quota else None
    password = read_password(password_stdin)
    async with open_core() as (core, actor):
        address = email or f"{fold_username(username)}@localhost.invalid"
        user = await core.accounts.create(actor, username, address, password, role=Role(role), quota=wished)
    if as_json:
        print_json({**shapes.user(user), "api_key": user.api_key})
    else:
        say(_("Account {name} was created. Its API key is shown only once:").format(name=user.username))
        out(user.api_key)


async def list_users(*, as_json: Json = False) -> None:
    """List accounts."""
    async with open_core() as (core, actor):
        users = await core.accounts.list(actor)
    columns = {"username": _("Name"), "email": _("Email"), "role": _("Role"), "status": _("Status")}
    show_records(as_json, [shapes.user(user) for user in users], columns)


async def passwd(username: Username, *, password_stdin: Stdin = False) -> None:
    """Set an account's password."""
    password = read_password(password_stdin)
    async with open_core() as (core, actor):
        await core.accounts.set_password(actor, username, password)
    say(_("The password of {name} was changed.").format(name=username))


async def suspend(username: Username, *, reason: Reason = "") -> None:
    """Suspend an account."""
    async with open_core() as (core, actor):
        await core.accounts.suspend(actor, username, reason)
    say(_("Account {name} was suspended.").format(name=username))


async def activate(username: Username) -> None:
    """Reactivate a suspended account."""
    async with open_core() as (core, actor):
        await core.accounts.activate(actor, username)
    say(_("Account {name} was reactivated.").format(name=username))


async def delete(
    username: Username,
    *,
    containers: Annotated[bool, Parameter(help=N_("Delete its containers as well."), negative="")] = False,
    yes: Yes = False,
) -> None:
    """Delete an account."""
    question = _("Delete {name} and every container of theirs?") if containers else _("Delete {name}?")
    confirm(question.format(name=username), yes)
    async with open_core() as (core, actor):
        await core.accounts.delete(actor, username, containers=containers)
    say(_("Account {name} was deleted.").format(name=username))


async def quota(
    username: Username,
    quota: Annotated[str | None, Parameter(help=N_("Limits to change, such as containers=5,memory=8GiB."))] = None,
    *,
    as_json: Json = False,
) -> None:
    """Show or change an account's quota."""
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
