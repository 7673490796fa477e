"""Bytes through ``exec`` on a real LXD, with OpenSSH's client: random data, compared by hash."""

from __future__ import annotations

import contextlib
import hashlib
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.live.conftest import House, build_house, clear
from tests.support.lxd import LiveLxd
from tests.support.ssh import run_ssh, ssh_command

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

KIB, MIB = 1024, 1024 * 1024
SIZES = [1, 32 * KIB, 64 * KIB + 1, 96 * KIB, 160 * KIB, 1 * MIB + 17, 64 * MIB]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, live_lxd: LiveLxd) -> Iterator[House]:
    """One installation for all tests of this file, with alice's running web1."""
    built = build_house(tmp_path_factory.mktemp("house"), live_lxd)
    built.ssh.start()
    try:
        made = run_ssh(
            built.ssh.port, "create", "web1", "busybox", "--memory", "256MiB", "--disk", "512MiB", key=built.alice.key
        )
        assert made.returncode == 0, made.stderr
        yield built
    finally:
        built.ssh.kill()
        clear(live_lxd)


def exec_web1(house: House, *command: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """``printf data | ssh … exec web1 -- command``."""
    return run_ssh(house.ssh.port, "exec", "web1", "--", *command, key=house.alice.key, data=data, timeout=200)


def sha(data: bytes) -> tuple[int, str]:
    return len(data), hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("size", SIZES)
def test_random_data_goes_in_and_out_as_it_is(house: House, size: int) -> None:
    """Through ``cat`` and back; the first bytes are sent before the command has started."""
    data = random.Random(size).randbytes(size)
    done = exec_web1(house, "cat", data=data)
    assert (done.returncode, done.stderr) == (0, b"")
    assert sha(done.stdout) == sha(data)


def test_each_direction_alone(house: House) -> None:
    """In: the container's own hash is that of the data. Out: ours is that which the container told on stderr."""
    data = random.Random(5).randbytes(16 * MIB)
    done = exec_web1(house, "sha256sum", data=data)
    assert done.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()
    script = "dd if=/dev/urandom of=/tmp/random bs=1M count=16 2>/dev/null; cat /tmp/random; sha256sum /tmp/random >&2"
    done = exec_web1(house, "sh", "-c", f"'{script}'")
    assert done.stderr.split()[0].decode() == hashlib.sha256(done.stdout).hexdigest()
    assert len(done.stdout) == 16 * MIB


def test_errors_are_binary_and_apart(house: House) -> None:
    """Standard error carries any byte, beside standard output."""
    data = random.Random(6).randbytes(3 * MIB)
    done = exec_web1(house, "sh", "-c", "'cat >&2; echo out; exit 9'", data=data)
    assert (done.returncode, done.stdout) == (9, b"out\n")
    assert sha(done.stderr) == sha(data)


def test_a_script_from_standard_input_is_whole(house: House) -> None:
    """``sh < big.sh``, the script that came damaged when its pieces changed places."""
    lines = [f"x{number}={'v' * (number % 90)}" for number in range(6000)]
    script = "\n".join([*lines, 'echo "$x5999" | wc -c', "exit 4"]) + "\n"
    assert len(script) > 256 * KIB
    done = exec_web1(house, "sh", data=script.encode())
    assert (done.returncode, done.stdout.strip(), done.stderr) == (4, str(5999 % 90 + 1).encode(), b"")


def test_many_at_once_do_not_mix(house: House) -> None:
    """Eight clients, each with data of its own."""

    def one(seed: int) -> bool:
        data = random.Random(seed).randbytes(random.Random(seed).randrange(100 * KIB, 3 * MIB))
        return sha(exec_web1(house, "cat", data=data).stdout) == sha(data)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(8)))


def test_a_slow_reader_gets_it_all(house: House) -> None:
    """The reader takes 16 KiB at a time with pauses; the command waits for it."""
    data = random.Random(8).randbytes(4 * MIB)
    command = ssh_command(house.ssh.port, "exec", "web1", "--", "cat", key=house.alice.key)
    got = b""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        feeding = threading.Thread(target=_write_all, args=(process, data))
        feeding.start()
        pause = threading.Event()
        while chunk := process.stdout.read(16 * KIB):
            got += chunk
            pause.wait(0.01)
        feeding.join()
        assert process.wait(30) == 0
    assert sha(got) == sha(data)


def processes(house: House) -> str:
    """What runs in web1."""
    return exec_web1(house, "ps").stdout.decode()


def gone(house: House, word: str, seconds: float = 15) -> bool:
    """Whether nothing that has ``word`` in it runs in web1, soon."""
    deadline = time.monotonic() + seconds
    while word in processes(house):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


@pytest.mark.parametrize(
    ("command", "status"), [("yes", 141), ("sh -c 'yes; exit 5'", 5), ("sh -c 'yes 777 | cat; exit 6'", 6)]
)
def test_output_that_nobody_reads_ends_the_command(house: House, command: str, status: int) -> None:
    """``ssh … exec web1 -- yes | head -1``, with its input held open."""
    ssh = ssh_command(house.ssh.port, "exec", "web1", "--", command, key=house.alice.key)
    script = '{ "$@"; echo $? >&2; } | head -n 1'
    with subprocess.Popen(
        ["bash", "-c", script, "bash", *ssh], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as pipeline:
        assert pipeline.wait(30) == 0
        assert pipeline.stdout is not None
        assert pipeline.stderr is not None
        assert pipeline.stdout.read() in (b"y\n", b"777\n")
        assert pipeline.stderr.read() == f"{status}\n".encode()
    assert gone(house, "yes")


@pytest.mark.parametrize("tty", [False, True], ids=["pipe", "terminal"])
@pytest.mark.parametrize(
    "command", ["sleep 4321", "sh -c 'sleep 4321; true'", "sh -c '(sleep 4321 &); cat; sleep 4321'", "yes 4321"]
)
def test_a_client_that_is_killed_leaves_no_process(house: House, command: str, tty: bool) -> None:
    """The command, its children and theirs: by SIGKILL of the client, in the middle of input and output."""
    ssh = ssh_command(house.ssh.port, "exec", "web1", "--", command, key=house.alice.key)
    ssh[1:1] = ["-tt"] if tty else []
    with subprocess.Popen(ssh, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:
        deadline = time.monotonic() + 20
        while "4321" not in processes(house):
            assert time.monotonic() < deadline
        client.kill()
    assert gone(house, "4321")


def test_a_session_killed_on_a_shared_connection_leaves_no_process(house: House, tmp_path: Path) -> None:
    """With ControlMaster the connection lives on; the one session's channel is closed, its input still on the way."""
    master = [*ssh_command(house.ssh.port, key=house.alice.key), "-N"]
    shared = ["-o", f"ControlPath={tmp_path}/mux"]
    master[1:1] = ["-M", *shared]
    with subprocess.Popen(master) as holding:
        try:
            deadline = time.monotonic() + 20
            while not (tmp_path / "mux").exists():
                assert time.monotonic() < deadline
                time.sleep(0.05)
            ssh = ssh_command(
                house.ssh.port, "exec", "web1", "--", "sh", "-c", "'sleep 4321; true'", key=house.alice.key
            )
            ssh[1:1] = shared
            with subprocess.Popen(ssh, stdin=subprocess.PIPE, bufsize=0) as client:
                writing = threading.Thread(target=_write_all, args=(client, bytes(4 * MIB)))
                writing.start()
                while "4321" not in processes(house):
                    assert time.monotonic() < deadline
                client.kill()
                writing.join()
            assert gone(house, "4321")
            assert holding.poll() is None
        finally:
            holding.terminate()


def _write_all(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    view = memoryview(data)
    with contextlib.suppress(BrokenPipeError):
        while view:
            view = view[process.stdin.write(view) :]
        process.stdin.close()
