"""What scripts and admins may count on: exit codes, JSON, one clear line."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from openlxd_core.domain import errors
from openlxd_core.domain.errors import error_tree
from openlxd_tui.cli import context, exits
from openlxd_tui.cli.root import language
from openlxd_tui.commands.table import GROUPS, Door, Verb, verbs_of
from tests.cli.conftest import Openlxd

pytestmark = pytest.mark.slow

PASSWORD = "correct horse\n"


def _add(openlxd: Openlxd, name: str, *more: str) -> None:
    ran = openlxd("user", "add", name, f"{name}@example.org", "--password-stdin", *more, stdin=PASSWORD)
    assert ran.code == exits.DONE, ran.err


def test_every_error_has_an_exit_code() -> None:
    """The codes are a promise: a new error takes its parent's, and none is a bug."""
    assert {error.__name__: exits.EXIT_CODES.get(error) for error in error_tree() if error in exits.EXIT_CODES} == {
        "OpenLXDError": 1, "ValidationFailed": 2, "Unauthenticated": 4, "Forbidden": 4, "NotFound": 3, "Conflict": 6,
        "QuotaExceeded": 5, "LxdUnavailable": 7, "StorageUnavailable": 9,
    }  # fmt: skip
    assert exits.exit_code(errors.Busy("x")) == 6
    assert exits.exit_code(errors.OutcomeUnknown("x")) == 7
    assert exits.exit_code(errors.StorageFull("x")) == 9
    assert exits.exit_code(errors.ConfigurationError("x")) == 1


@pytest.mark.parametrize("verb", verbs_of(Door.PROGRAM), ids=lambda verb: verb.name)
def test_every_command_is_there_and_explains_itself(openlxd: Openlxd, verb: Verb) -> None:
    """``--help`` works for each, without a database, keys or LXD, and shows an example."""
    module, _colon, function = verb.target.partition(":")
    assert (getattr(importlib.import_module(module), function).__doc__ or "").strip()
    ran = openlxd(*verb.name.split(), "--help")
    assert ran.code == 0
    assert f"openlxd {verb.name}" in " ".join(ran.out.split())
    assert f"Example: {verb.call(Door.PROGRAM)}\n" in ran.out


def test_help_loads_nothing_heavy() -> None:
    """``openlxd --help`` answers at once because it imports none of the libraries that take long."""
    code = (
        "import sys\nfrom openlxd_tui.cli.root import run\nrun(['--help'])\n"
        "heavy = {'textual', 'asyncssh', 'tortoise', 'aiohttp', 'pydantic', 'pylxd', 'cryptography', 'bcrypt'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nonsense"], 2),
        (["user", "nonsense"], 2),
        (["user", "add"], 2),
        (["user", "list", "--nonsense"], 2),
        (["user", "key", "delete", "NaN"], 2),
        (["--set", "ssh_port", "version"], 1),
        (["--set", "nonsense=1", "config", "show"], 1),
        (["--set", "ssh_port=99999", "config", "show"], 1),
        (["--config", "/nonexistent.toml", "config", "show"], 1),
        (["version"], 0),
        (["config", "show"], 0),
    ],
)
def test_wrong_usage_is_2_and_wrong_settings_are_1(openlxd: Openlxd, arguments: list[str], code: int) -> None:
    """Each mistake is one line on standard error that begins with “Error:”, and nothing on standard output."""
    ran = openlxd(*arguments)
    assert ran.code == code, ran.err
    if code:
        assert ran.out == ""
        assert ran.err.startswith("Error: ")


def test_the_installed_command_ends_with_the_code() -> None:
    """The process's own exit status is the code, as a script sees it."""
    call = [sys.executable, "-m", "openlxd_tui.cli"]
    assert subprocess.run([*call, "--help"], capture_output=True).returncode == 0
    assert subprocess.run([*call, "nonsense"], capture_output=True).returncode == 2


def test_accounts_from_first_to_last(openlxd: Openlxd) -> None:
    """Make, list, suspend, activate, re-key and delete an account; each says what it did."""
    _add(openlxd, "alice", "--quota", "containers=5,memory=8GiB")
    _add(openlxd, "boss", "--role", "admin")
    listed = openlxd("user", "list", "--json").data
    assert [(user["username"], user["role"], user["status"]) for user in listed] == [
        ("alice", "user", "active"), ("boss", "admin", "active"),
    ]  # fmt: skip
    assert not any("password" in name for name in listed[0])
    assert "alice" in openlxd("user", "list").out
    assert openlxd("user", "suspend", "alice", "--reason", "unpaid").code == 0
    assert openlxd("user", "list", "--json").data[0]["suspended_reason"] == "unpaid"
    assert openlxd("user", "activate", "alice").code == 0
    key = openlxd("user", "key", "api", "alice").out.strip()
    assert len(key) == 64
    assert openlxd("user", "key", "api", "alice", "--json").data["api_key"] != key
    assert openlxd("user", "passwd", "alice", "--password-stdin", stdin="another horse\n").code == 0
    assert openlxd("user", "delete", "alice", "--yes").code == 0
    assert [user["username"] for user in openlxd("user", "list", "--json").data] == ["boss"]


def test_quotas_are_shown_and_changed_in_part(openlxd: Openlxd) -> None:
    """Only the parts that were named change."""
    _add(openlxd, "alice")
    before = openlxd("user", "quota", "alice", "--json").data["quota"]
    after = openlxd("user", "quota", "alice", "memory=8GiB", "--json").data["quota"]
    assert after == {**before, "memory_mb": 8192}
    assert "8 GiB" in openlxd("user", "quota", "alice").out


def test_ssh_keys_come_from_a_file_or_standard_input(openlxd: Openlxd, tmp_path: Path) -> None:
    """The public key is registered and listed by its fingerprint; a private one is refused."""
    import asyncssh

    _add(openlxd, "alice")
    key = asyncssh.generate_private_key("ssh-ed25519")
    (tmp_path / "id.pub").write_bytes(key.export_public_key())
    assert openlxd("user", "key", "add", "alice", str(tmp_path / "id.pub"), "--name", "laptop").code == 0
    listed = openlxd("user", "key", "list", "alice", "--json").data
    assert [(found["name"], found["fingerprint"]) for found in listed] == [("laptop", key.get_fingerprint())]
    assert openlxd("user", "key", "add", "alice", "-", stdin=key.export_public_key()).code == exits.CONFLICT
    assert openlxd("user", "key", "add", "alice", "-", stdin=key.export_private_key()).code == exits.USAGE
    assert openlxd("user", "key", "add", "alice", str(tmp_path / "missing")).code == exits.NOT_FOUND
    assert openlxd("user", "key", "delete", str(listed[0]["id"])).code == 0
    assert openlxd("user", "key", "list", "alice", "--json").data == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["user", "add", "alice", "other@example.org", "--password-stdin"], exits.CONFLICT),
        (["user", "add", "carol", "alice@example.org", "--password-stdin"], exits.CONFLICT),
        (["user", "add", "_carol", "--password-stdin"], exits.USAGE),
        (["user", "add", "carol", "not an address", "--password-stdin"], exits.USAGE),
        (["user", "add", "carol", "--quota", "bananas=2", "--password-stdin"], exits.USAGE),
        (["user", "passwd", "nobody", "--password-stdin"], exits.NOT_FOUND),
        (["user", "suspend", "nobody"], exits.NOT_FOUND),
        (["user", "quota", "nobody"], exits.NOT_FOUND),
        (["user", "delete", "nobody", "--yes"], exits.NOT_FOUND),
        (["user", "key", "delete", "4711"], exits.NOT_FOUND),
        (["container", "adopt", "default", "nothing", "alice"], exits.NOT_FOUND),
    ],
)
def test_each_no_has_its_code_and_one_line(openlxd: Openlxd, arguments: list[str], code: int) -> None:
    """A script can tell what happened from the code, a person from the line."""
    _add(openlxd, "alice")
    ran = openlxd(*arguments, stdin=PASSWORD)
    assert ran.code == code, ran.err
    assert ran.out == ""
    assert ran.err.startswith("Error: ")
    assert len(ran.err.splitlines()) == 1
    assert [user["username"] for user in openlxd("user", "list", "--json").data] == ["alice"]


@pytest.mark.parametrize(
    "password", ["short\n", "x" * 73 + "\n", "密" * 25 + "\n", "\n", "", b"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\n"]
)
def test_a_password_that_cannot_be_set_is_refused(openlxd: Openlxd, password: str | bytes) -> None:
    """Too short, over bcrypt's 72 bytes, empty or not text: one line, and no account."""
    ran = openlxd("user", "add", "alice", "--password-stdin", stdin=password)
    assert ran.code in (exits.USAGE, exits.FAILED)
    assert ran.err.startswith("Error: ")
    assert openlxd("user", "list", "--json").data == []


def test_a_password_is_never_an_argument(openlxd: Openlxd) -> None:
    """Others on the machine could read it; without a terminal the way out is named."""
    assert openlxd("user", "add", "alice", "--password", "correct horse").code == exits.USAGE
    ran = openlxd("user", "add", "alice", stdin=PASSWORD)
    assert ran.code == exits.FAILED
    assert "--password-stdin" in ran.err


def test_deleting_asks_unless_told_not_to(openlxd: Openlxd) -> None:
    """Without a terminal nothing is deleted by accident."""
    _add(openlxd, "alice")
    ran = openlxd("user", "delete", "alice", stdin="y\n")
    assert ran.code == exits.FAILED
    assert "--yes" in ran.err
    assert len(openlxd("user", "list", "--json").data) == 1


@pytest.mark.parametrize("listing", ["user list", "container list", "container list --unmanaged", "image list"])
def test_every_listing_speaks_json(openlxd: Openlxd, listing: str) -> None:
    """``--json`` prints one JSON list and nothing else on standard output."""
    ran = openlxd(*listing.split(), "--json")
    assert ran.code == 0
    assert isinstance(ran.data, list)
    assert openlxd(*listing.split()).code == 0


def test_quiet_says_nothing_but_data(openlxd: Openlxd) -> None:
    """``--quiet`` leaves standard error empty when all is well."""
    ran = openlxd("--quiet", "user", "add", "alice", "--password-stdin", stdin=PASSWORD)
    assert (ran.code, len(ran.out.strip()), ran.err) == (0, 64, "")  # the key is data: it is shown never again


def test_nothing_is_coloured(openlxd: Openlxd) -> None:
    """Output is plain text, so NO_COLOR holds everywhere."""
    _add(openlxd, "alice")
    for arguments in (["--help"], ["user", "list"], ["config", "show"], ["nonsense"]):
        ran = openlxd(*arguments)
        assert "\x1b" not in ran.out + ran.err


def test_settings_show_their_source_and_no_secret(openlxd: Openlxd, tmp_path: Path) -> None:
    """The command line comes before the environment, that before the file, that before the default."""
    file = tmp_path / "openlxd.toml"
    file.write_text('registration = "off"\nssh_port = 1\nimages_url = "https://mirror.example.org"\n')
    shown = openlxd(
        "--config", str(file), "--set", "api_port=7777", "--set", "database_url=sqlite:///var/db.sqlite3?password=hunter22",
        "config", "show", "--json",
    )  # fmt: skip
    values = {row["name"]: (row["value"], row["source"]) for row in shown.data}
    assert values["registration"] == ("off", str(file))
    assert values["ssh_port"] == ("0", "OPENLXD_SSH_PORT")
    assert values["api_port"] == ("7777", "command line")
    assert values["storage_pool"] == ("default", "default")
    assert values["database_url"] == ("***", "command line")
    assert "hunter22" not in shown.out + shown.err


def test_a_setting_that_is_not_built_is_refused(openlxd: Openlxd) -> None:
    """Invitations are for later: the start stops with one line that names what can be set."""
    ran = openlxd("--set", "registration=invite", "config", "show")
    assert ran.code != 0
    assert "registration" in ran.err
    assert "'on' or 'off'" in ran.err
    assert len(ran.err.strip().splitlines()) == 1


def test_the_database_is_backed_up_checked_and_put_back(openlxd: Openlxd, tmp_path: Path) -> None:
    """A copy brings back what was there when it was made."""
    _add(openlxd, "alice")
    assert openlxd("db", "upgrade").code == 0
    assert openlxd("db", "check").code == 0
    assert openlxd("db", "check", "--json").data == {"ok": True, "problems": []}
    copy = tmp_path / "copy.sqlite3"
    assert openlxd("db", "backup", str(copy)).code == 0
    before = copy.read_bytes()
    refused = openlxd("db", "backup", str(copy))
    assert (refused.code, copy.read_bytes()) == (exits.CONFLICT, before)
    assert "--force" in refused.err
    assert openlxd("db", "backup", str(copy), "--force").code == 0
    _add(openlxd, "bobby")
    assert openlxd("db", "restore", str(copy), "--yes").code == 0
    assert [user["username"] for user in openlxd("user", "list", "--json").data] == ["alice"]
    assert openlxd("db", "restore", str(tmp_path / "missing"), "--yes").code != 0


def test_an_unreachable_lxd_is_7(openlxd: Openlxd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Scripts can try again later; accounts can be seen to all the same."""
    monkeypatch.setenv("OPENLXD_LXD", "socket")
    monkeypatch.setenv("OPENLXD_LXD_SOCKET", str(tmp_path / "nobody.socket"))
    for arguments in (["image", "list"], ["setup"], ["up"]):
        ran = openlxd(*arguments)
        assert ran.code == exits.LXD_UNREACHABLE, (arguments, ran.err)
        assert ran.err.startswith("Error: ")
    assert openlxd("user", "list").code == 0


def test_the_console_needs_a_terminal(openlxd: Openlxd) -> None:
    """Without one it says so, rather than fill a file with escape codes."""
    ran = openlxd("tui")
    assert ran.code == exits.FAILED
    assert ran.out == ""


@pytest.mark.parametrize(
    ("arguments", "environment", "found"),
    [
        (["--lang", "zh", "version"], {"LANG": "en_GB.UTF-8"}, "zh"),
        (["--lang=zh"], {}, "zh"),
        ([], {"OPENLXD_LANG": "zh", "LANG": "en_GB.UTF-8"}, "zh"),
        ([], {"LANG": "zh_CN.UTF-8"}, "zh_CN.UTF-8"),
        ([], {}, "en"),
    ],
)
def test_the_caller_chooses_the_language(
    arguments: list[str], environment: dict[str, str], found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--lang, then OPENLXD_LANG, then the terminal's own."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert language(arguments) == found


def test_names_of_accounts_are_names_whatever_they_look_like(openlxd: Openlxd) -> None:
    """Capitals are folded; digits are somebody's name and never an id; reserved names are refused in one line."""
    _add(openlxd, "alice")
    victim = openlxd("user", "list", "--json").data[0]["id"]
    _add(openlxd, "Client.42")
    _add(openlxd, "007")
    assert {user["username"] for user in openlxd("user", "list", "--json").data} == {"alice", "client.42", "007"}
    assert openlxd("user", "suspend", "CLIENT.42").code == exits.DONE
    assert openlxd("user", "suspend", str(victim)).code == exits.NOT_FOUND
    assert openlxd("user", "suspend", "007").code == exits.DONE
    states = {user["username"]: user["status"] for user in openlxd("user", "list", "--json").data}
    assert states == {"alice": "active", "client.42": "suspended", "007": "suspended"}
    for name in ("root", "Open-LXD", "support"):
        ran = openlxd("user", "add", name, "--password-stdin", stdin=PASSWORD)
        assert ran.code == exits.USAGE
        assert "reserved" in ran.err


def test_a_fresh_servers_first_admin_is_called_admin(openlxd: Openlxd) -> None:
    """As docs/install.md says; the name is nobody's after that, and no tenant's before."""
    assert openlxd("user", "add", "admin", "--password-stdin", stdin=PASSWORD).code == exits.USAGE
    _add(openlxd, "admin", "--role", "admin")
    _add(openlxd, "boss", "--role", "admin")
    assert [user["role"] for user in openlxd("user", "list", "--json").data] == ["admin", "admin"]


def test_the_operator_chooses_whom_the_system_key_acts_as(openlxd: Openlxd) -> None:
    """The first admin by itself; another by command; and a plain word where it is refused."""
    assert openlxd("user", "key", "system").code == exits.NOT_FOUND
    _add(openlxd, "boss", "--role", "admin")
    _add(openlxd, "second", "--role", "admin")
    _add(openlxd, "alice")
    assert openlxd("user", "key", "system").out == "boss\n"
    assert openlxd("user", "key", "system", "alice").code == exits.CONFLICT
    assert openlxd("user", "key", "system", "Second").out == "second\n"
    found = openlxd("user", "key", "system", "--json").data
    assert (found["username"], found["status"]) == ("second", "active")
    assert Path(found["file"]).is_file()
    assert openlxd("user", "suspend", "second").code == exits.DONE
    assert "refused" in openlxd("user", "key", "system").out


def test_a_container_is_suspended_and_let_in_again(openlxd: Openlxd) -> None:
    """One sentence each; the list shows the mark; repeats succeed; what is missing is not found."""
    _add(openlxd, "alice")
    _make(openlxd, "web1", "alice")
    ran = openlxd("container", "suspend", "web1", "--reason", "unpaid")
    assert (ran.code, ran.out, ran.err) == (0, "", "Container web1 was suspended.\n")
    [listed] = openlxd("container", "list", "--json").data
    assert (listed["status"], listed["suspended"], listed["suspended_reason"]) == ("stopped", True, "unpaid")
    assert "stopped (suspended)" in openlxd("container", "list").out
    assert openlxd("container", "suspend", "web1").code == 0
    told = openlxd("container", "unsuspend", "web1", "--json").data
    assert (told["status"], told["suspended"]) == ("running", False)
    chinese = openlxd("--lang", "zh", "container", "unsuspend", "web1")
    assert chinese.err == "容器 web1 已解除停用。\n"
    for verb in ("suspend", "unsuspend"):
        assert openlxd("container", verb, "web9").code == exits.NOT_FOUND


def test_a_suspension_that_is_not_over_in_time_has_a_status_of_its_own(
    openlxd: Openlxd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script must not take what still goes on for done."""
    _add(openlxd, "alice")
    _make(openlxd, "web1", "alice")
    monkeypatch.setattr("openlxd_tui.cli.containers.WAIT_SECONDS", 0.0)
    ran = openlxd("container", "suspend", "web1")
    assert (ran.code, ran.out) == (exits.TIMED_OUT, "")


def test_what_a_command_logs_is_not_its_answer(openlxd: Openlxd) -> None:
    """Upgrading the database is logged; standard output stays empty."""
    assert openlxd("db", "upgrade").out == ""


def _make(openlxd: Openlxd, name: str, owner: str) -> None:
    """A container, made as the console would."""

    async def main() -> None:
        async with context.open_core() as (core, actor):
            operation = await core.containers.create(actor, name, "debian/12", 1, 256, 1024, owner=owner)
            assert (await core.operations.wait(actor, operation.id, 60)).error is None

    asyncio.run(main())


def test_a_new_accounts_key_is_printed_once(openlxd: Openlxd) -> None:
    """Alone on standard output, or in the JSON; never by a listing."""
    ran = openlxd("user", "add", "alice", "--password-stdin", stdin=PASSWORD)
    assert ran.code == exits.DONE
    assert len(ran.out.strip()) == 64
    assert "shown only once" in ran.err
    made = openlxd("user", "add", "bob", "--password-stdin", "--json", stdin=PASSWORD).data
    assert len(made["api_key"]) == 64
    listed = openlxd("user", "list", "--json")
    assert ran.out.strip() not in listed.out
    assert made["api_key"] not in listed.out
    assert [user["api_key_shown"] for user in listed.data] == [True, True]


def test_failures_for_programs_are_json(openlxd: Openlxd) -> None:
    """With --json a failure is REST's, on standard output, with the exit code that it has for people."""
    for words, code, error in (
        (["user", "quota", "nobody"], exits.NOT_FOUND, "not_found"),
        (["user", "list", "--wat"], exits.USAGE, "bad_request"),
        (["nosuch"], exits.USAGE, "bad_request"),
        (["user", "add", "x", "--password-stdin"], exits.USAGE, "validation_failed"),
        (["container", "adopt", "default", "nosuch", "nobody"], exits.NOT_FOUND, "not_found"),
        (["help", "nosuch"], exits.USAGE, "bad_request"),
    ):
        plain, ran = openlxd(*words, stdin="a long password\n"), openlxd(*words, "--json", stdin="a long password\n")
        assert plain.code == ran.code == code, words
        assert (ran.data["success"], ran.data["error"], ran.data["data"]) == (False, error, None)
        assert ran.data["message"]
        assert "Error" not in ran.err


def test_help_explains_one_command(openlxd: Openlxd) -> None:
    """``help COMMAND`` is ``COMMAND --help``, for every command and group, and a success."""
    for name in ["", *GROUPS, *(verb.name for verb in verbs_of(Door.PROGRAM))]:
        one, other = openlxd("help", *name.split()), openlxd(*name.split(), "--help")
        assert (one.code, other.code, one.out) == (0, 0, other.out), name
        assert one.out.startswith(f"Usage: openlxd {name}".rstrip()), name
