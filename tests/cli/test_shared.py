"""The commands that the program shares with ``ssh openlxd@host``."""

from __future__ import annotations

import subprocess
import sys

import pytest

from openlxd_tui.cli import exits
from openlxd_tui.cli.doors import ProcessOutput
from openlxd_tui.commands.table import HOST_VERBS, Door, verbs_of
from tests.cli.conftest import Openlxd

ADMIN = ("user", "add", "boss", "--role", "admin", "--password-stdin")


@pytest.fixture
def as_boss(openlxd: Openlxd) -> Openlxd:
    """The program, on a host that has an admin."""
    assert openlxd(*ADMIN, stdin="correct horse\n").code == 0
    return openlxd


def test_what_belongs_to_the_host_stays_out_of_ssh() -> None:
    """setup, doctor, up, db and the like can be called on the host alone."""
    assert {verb.name for verb in HOST_VERBS} & {verb.name for verb in verbs_of(Door.SSH)} == set()
    assert {verb.target for verb in verbs_of(Door.SSH) if not verb.target.startswith("openlxd_tui.commands.")} == set()


def test_a_container_comes_and_goes_on_the_host(as_boss: Openlxd) -> None:
    """create, info, stop, start, list and delete, with the exit codes and the JSON of SSH and REST."""
    made = as_boss("create", "web1", "debian/12", "--memory", "256MiB", "--json")
    assert (made.code, made.data["status"], made.data["kind"]) == (0, "done", "create")
    assert as_boss("info", "web1", "--json").data["memory_mb"] == 256
    stopped = as_boss("stop", "web1")
    assert (stopped.code, stopped.out) == (0, "")
    assert "web1" in stopped.err
    assert as_boss("start", "web1", "--quiet").err == ""
    assert as_boss("list").out.split("\n")[1].split()[:3] == ["web1", "boss", "running"]
    assert as_boss("delete", "web1").code == 0
    assert as_boss("list", "--json").data == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("info web1", exits.NOT_FOUND, "web1"),
        ("create Web/1 debian/12", exits.USAGE, "lower-case"),
        ("create web1 debian/12 --cpu 99", exits.QUOTA, "99"),
        ("resize web1", exits.USAGE, "Usage: resize"),
        ("wait web1 --timeout soon", exits.USAGE, "not a number of seconds"),
        ("creat web1 debian/12", exits.USAGE, "Did you mean “create”?"),
        ("user lst", exits.USAGE, "Did you mean “list”?"),
        ("help creat", exits.USAGE, "Did you mean “create”?"),
        ("list --jsn", exits.USAGE, "Did you mean “--json”?"),
    ],
)
def test_each_mistake_has_its_code_and_one_line(as_boss: Openlxd, words: str, code: int, said: str) -> None:
    """The same codes as by SSH; a near miss names what was meant. With --json it is REST's failure."""
    ran = as_boss(*words.split())
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith("Error: ")
    assert ran.err.count("\n") == 1
    assert said in ran.err
    told = as_boss(*words.split(), "--json")
    assert (told.code, told.data["success"]) == (code, False)
    assert said in told.data["message"]


def test_progress_is_written_only_where_somebody_watches(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pipe gets no moving line; on a terminal it is shorter than the window."""
    output = ProcessOutput()
    output.progress("web1: Starting 10 %")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "20")
    output.progress("x" * 60)
    assert capsys.readouterr().err == "\r\x1b[K" + "x" * 18 + "…"


def test_a_command_of_both_doors_is_explained_without_the_core() -> None:
    """``openlxd create --help`` imports none of the libraries that take long."""
    code = (
        "import sys\nfrom openlxd_tui.cli.root import run\nrun(['create', '--help'])\n"
        "heavy = {'textual', 'asyncssh', 'tortoise', 'aiohttp', 'pydantic', 'pylxd', 'cryptography', 'bcrypt'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
