"""Which commands there are, and by which door each can be called.

The table is data: ``help``, the documentation's test and ``openlxd --help`` read it without importing a single command.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Flag, auto

from openlxd_core.i18n import N_


class Door(Flag):
    """Where a command can be called."""

    SSH = auto()
    """``ssh openlxd@HOST COMMAND``, as the account that signed in."""
    PROGRAM = auto()
    """``openlxd COMMAND`` on the host, as its admin."""
    BOTH = SSH | PROGRAM


SSH_PREFIX = "ssh openlxd@HOST"
PROGRAM_PREFIX = "openlxd"


@dataclass(frozen=True)
class Verb:
    """One command."""

    name: str
    """One word, or several where it belongs to a group."""
    target: str
    """``module:function`` in this distribution; imported only when the command is called or explained."""
    about: str
    """What it does, as the lists of commands and its own ``--help`` say it."""
    usage: str
    """What follows the name."""
    example: str
    """A call of it, without what stands before the name."""
    door: Door = Door.PROGRAM
    relays: bool = False
    """Whether the words after its first argument belong to somebody else, ``--help`` and all."""
    terminal: bool = False
    """Whether it needs ``ssh -t``."""

    @property
    def line(self) -> str:
        """Its name and what follows."""
        return f"{self.name} {self.usage}".rstrip()

    def call(self, door: Door) -> str:
        """The example as it is typed."""
        if door is Door.PROGRAM:
            return f"{PROGRAM_PREFIX} {self.example}"
        return f"{SSH_PREFIX.replace('ssh', 'ssh -t') if self.terminal else SSH_PREFIX} {self.example}"


_SHARED = "openlxd_tui.commands."
_LIMITS = "[--cpu N] [--memory SIZE] [--disk SIZE]"

VERBS: tuple[Verb, ...] = (
    Verb(
        "help",
        _SHARED + "account:explain",
        N_("List the commands, or explain one."),
        "[COMMAND]",
        "help create",
        Door.SSH,
    ),
    Verb("whoami", _SHARED + "account:whoami", N_("Show your account."), "", "whoami --json", Door.BOTH),
    Verb("list", _SHARED + "containers:list_containers", N_("List your containers."), "", "list --json", Door.BOTH),
    Verb("info", _SHARED + "containers:info", N_("Show one container."), "NAME", "info web1", Door.BOTH),
    Verb(
        "create",
        _SHARED + "containers:create",
        N_("Create a container and start it."),
        f"NAME IMAGE {_LIMITS}",
        "create web1 debian/12 --cpu 2 --memory 1GiB --disk 10GiB",
        Door.BOTH,
    ),
    Verb("start", _SHARED + "power:start", N_("Start a container."), "NAME", "start web1", Door.BOTH),
    Verb(
        "stop",
        _SHARED + "power:stop",
        N_("Stop a container: ask it to shut down, then force it."),
        "NAME [--force]",
        "stop web1",
        Door.BOTH,
    ),
    Verb("restart", _SHARED + "power:restart", N_("Restart a container."), "NAME", "restart web1", Door.BOTH),
    Verb("pause", _SHARED + "power:pause", N_("Pause a container."), "NAME", "pause web1", Door.BOTH),
    Verb("resume", _SHARED + "power:resume", N_("Resume a paused container."), "NAME", "resume web1", Door.BOTH),
    Verb(
        "resize",
        _SHARED + "containers:resize",
        N_("Change a container's limits. A disk can only grow."),
        f"NAME {_LIMITS}",
        "resize web1 --memory 2GiB",
        Door.BOTH,
    ),
    Verb(
        "retry",
        _SHARED + "containers:retry",
        N_("Retry a container that could not be created."),
        "NAME",
        "retry web1",
        Door.BOTH,
    ),
    Verb(
        "delete",
        _SHARED + "containers:delete",
        N_("Delete a container and everything in it, without confirmation."),
        "NAME",
        "delete web1",
        Door.BOTH,
    ),
    Verb(
        "wait",
        _SHARED + "containers:wait",
        N_("Wait until a container's current operation has ended."),
        "NAME [--timeout SECONDS]",
        "wait web1 --timeout 60",
        Door.BOTH,
    ),
    Verb(
        "shell",
        _SHARED + "consoles:shell",
        N_("Open a shell in a container (with ssh -t)."),
        "NAME",
        "shell web1",
        Door.SSH,
        terminal=True,
    ),
    Verb(
        "exec",
        _SHARED + "consoles:exec_in",
        N_("Run a command in a container. Input, output and exit code pass through unchanged."),
        "NAME [--] COMMAND…",
        "exec web1 -- uname -a",
        Door.SSH,
        relays=True,
    ),
)
"""The commands that both doors, or SSH alone, can call, in the order of ``help``."""

_CLI = "openlxd_tui.cli."

HOST_VERBS: tuple[Verb, ...] = (
    Verb(
        "up",
        _CLI + "servers:up",
        N_("Start the SSH console and the API, and restart either one if it exits."),
        "",
        "up",
    ),
    Verb("ssh", _CLI + "servers:ssh", N_("Run only the SSH console."), "", "ssh"),
    Verb("api", _CLI + "servers:api", N_("Run only the API."), "", "api"),
    Verb("tui", _CLI + "local:tui", N_("Open the admin console in this terminal."), "", "tui"),
    Verb(
        "setup",
        _CLI + "machine:setup",
        N_("Install and configure LXD on this machine."),
        "",
        "setup --registration off",
    ),
    Verb("doctor", _CLI + "machine:doctor", N_("Check the installation and tell how to fix problems."), "", "doctor"),
    Verb(
        "user add",
        _CLI + "users:add",
        N_("Create an account. Its API key is printed once."),
        "",
        "user add alice alice@example.org",
    ),
    Verb("user list", _CLI + "users:list_users", N_("List accounts."), "", "user list --json"),
    Verb(
        "user passwd",
        _CLI + "users:passwd",
        N_("Set an account's password. Its sessions and tokens end."),
        "",
        "user passwd alice",
    ),
    Verb(
        "user suspend",
        _CLI + "users:suspend",
        N_("Suspend an account. Its containers keep running."),
        "",
        "user suspend alice --reason unpaid",
    ),
    Verb("user activate", _CLI + "users:activate", N_("Reactivate a suspended account."), "", "user activate alice"),
    Verb(
        "user delete",
        _CLI + "users:delete",
        N_("Delete an account. Refused while it owns containers."),
        "",
        "user delete alice --containers",
    ),
    Verb(
        "user quota",
        _CLI + "users:quota",
        N_("Show or change an account's quota."),
        "",
        "user quota alice containers=5,memory=8GiB",
    ),
    Verb(
        "user key api",
        _CLI + "keys:api",
        N_("Create a new API key for an account. The old key stops working immediately."),
        "",
        "user key api alice",
    ),
    Verb(
        "user key system",
        _CLI + "keys:system",
        N_("Show or change the admin account that the system API key uses."),
        "",
        "user key system admin",
    ),
    Verb("user key list", _CLI + "keys:list_keys", N_("List an account's SSH keys."), "", "user key list alice"),
    Verb(
        "user key add",
        _CLI + "keys:add",
        N_("Add an SSH public key to an account."),
        "",
        "user key add alice ~/.ssh/id_ed25519.pub",
    ),
    Verb("user key delete", _CLI + "keys:delete", N_("Delete an SSH key."), "", "user key delete 3"),
    Verb(
        "container list",
        _CLI + "containers:list_containers",
        N_("List the containers of all accounts."),
        "",
        "container list --unmanaged",
    ),
    Verb(
        "container adopt",
        _CLI + "containers:adopt",
        N_("Assign an existing LXD container to an account."),
        "",
        "container adopt default web1 alice",
    ),
    Verb(
        "container suspend",
        _CLI + "containers:suspend",
        N_("Suspend a container: stop it and block its owner's access."),
        "",
        "container suspend web1 --reason unpaid",
    ),
    Verb(
        "container unsuspend",
        _CLI + "containers:unsuspend",
        N_("Unsuspend a container. It is started if it was running before."),
        "",
        "container unsuspend web1",
    ),
    Verb("image list", _CLI + "images:list_images", N_("List the images on this host."), "", "image list --json"),
    Verb(
        "image remote",
        _CLI + "images:remote",
        N_("List the images that the image servers offer."),
        "",
        "image remote ubuntu 24 cloud",
    ),
    Verb(
        "image import",
        _CLI + "images:import_image",
        N_("Import an image and wait until it is done."),
        "",
        "image import debian/12",
    ),
    Verb(
        "image delete",
        _CLI + "images:delete",
        N_("Delete an image. Containers created from it keep working."),
        "",
        "image delete debian/12",
    ),
    Verb(
        "db upgrade",
        _CLI + "database:upgrade",
        N_("Migrate the database to this version. A backup is made first."),
        "",
        "db upgrade",
    ),
    Verb(
        "db backup",
        _CLI + "database:backup",
        N_("Back up the database to a file, also while the servers run."),
        "",
        "db backup /var/backups/openlxd.sqlite3",
    ),
    Verb(
        "db restore",
        _CLI + "database:restore",
        N_("Restore the database from a backup. Refused while the servers run."),
        "",
        "db restore /var/backups/openlxd.sqlite3",
    ),
    Verb("db check", _CLI + "database:check", N_("Check the integrity of the database."), "", "db check"),
    Verb(
        "config show",
        _CLI + "config:show",
        N_("Show every setting with its value and source."),
        "",
        "config show --json",
    ),
    Verb("version", _CLI + "config:version", N_("Show the version."), "", "version"),
)
"""What belongs to the host and its admin: the program alone can call it. The usage is read from the function."""

GROUPS: Mapping[str, str] = {
    "user": N_("Manage accounts, passwords, quotas and keys."),
    "user key": N_("Manage API keys and SSH keys."),
    "container": N_("Manage the containers of all accounts."),
    "image": N_("Manage images."),
    "db": N_("Manage the database."),
    "config": N_("Show the configuration."),
}
"""Words that several commands begin with."""


def line_of(name: str) -> str:
    """The usage line of one command."""
    return next(verb.line for verb in (*VERBS, *HOST_VERBS) if verb.name == name)


def verbs_of(door: Door) -> tuple[Verb, ...]:
    """What can be called by ``door``, in the order of the help."""
    return tuple(verb for verb in (*VERBS, *HOST_VERBS) if door & verb.door)
