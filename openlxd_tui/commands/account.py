"""Commands on the caller's own account, and ``help``."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from openlxd_core import shapes
from openlxd_core.domain.exits import DONE
from openlxd_core.i18n import N_
from openlxd_tui.commands.arguments import Json
from openlxd_tui.commands.call import At, UsageError
from openlxd_tui.commands.help import overview
from openlxd_tui.commands.mistakes import unknown_command
from openlxd_tui.commands.parsing import ssh_commands
from openlxd_tui.commands.table import Door, verbs_of

Command = Annotated[str, Parameter(help=N_("Command to explain."))]


async def explain(*command: Command, as_json: Json = False, at: At) -> int:
    """Print the list of commands, or what ``COMMAND --help`` prints."""
    commands = ssh_commands()
    if not command:
        if as_json:
            await at.json({verb.name: commands.record(verb) for verb in verbs_of(Door.SSH)})
        else:
            at.out.data(overview())
        return DONE
    verb = commands.find(command)
    if verb is None or len(verb.name.split()) != len(command):
        raise UsageError(unknown_command(" ".join(command), commands.names, "ssh openlxd@… help"))
    if as_json:
        await at.json(commands.record(verb))
    else:
        at.out.data(commands.help(verb, at.out.width))
    return DONE


async def whoami(*, as_json: Json = False, at: At) -> int:
    """Print the name of the account."""
    if as_json:
        await at.json(shapes.user(await at.core.accounts.get(at.actor)))
    else:
        at.out.data(at.actor.username)
    return DONE
