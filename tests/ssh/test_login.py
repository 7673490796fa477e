"""Who may come in, and as whom."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from openlxd_core.domain.actor import SYSTEM
from tests.ssh.rig import Rig, running
from tests.support.core import PASSWORD, add_user

pytestmark = pytest.mark.slow


class Answers(asyncssh.SSHClient):
    """Answers keyboard-interactive questions and remembers them."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.lost: Exception | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = exc

    def kbdint_auth_requested(self) -> str:
        return ""

    def kbdint_challenge_received(self, name: str, instructions: str, lang: str, prompts: Any) -> list[str]:
        self.asked += [prompt for prompt, _echo in prompts]
        return self.answers[: len(prompts)]


async def whoami(connection: Any) -> str:
    """Who the server believes is here."""
    result = await connection.run("whoami", check=True)
    return str(result.stdout).strip()


async def test_a_key_names_the_tenant(rig: Rig) -> None:
    """``ssh openlxd@host`` with a registered key asks nothing and is that key's owner."""
    key, _path = await rig.register_key(rig.bob)
    async with rig.connect("openlxd", None, client_keys=[key]) as connection:
        assert await whoami(connection) == "bob"


async def test_a_key_opens_no_other_account(rig: Rig) -> None:
    """``ssh alice@host`` with bob's key falls through to alice's password."""
    key, _path = await rig.register_key(rig.bob)
    with pytest.raises(asyncssh.PermissionDenied):
        async with rig.connect("alice", None, client_keys=[key]):
            pass


async def test_unregistered_keys_fall_through_quietly(rig: Rig) -> None:
    """Ten strange keys in an agent are no failed tries: the password is asked for after them."""
    keys = [asyncssh.generate_private_key("ssh-ed25519") for _ in range(10)]
    client = Answers("alice", PASSWORD)
    async with rig.connect("openlxd", None, client_keys=keys, client_factory=lambda: client) as connection:
        assert await whoami(connection) == "alice"
    assert client.asked == ["Account: ", "Password: "]


async def test_a_named_account_is_not_asked_for(rig: Rig) -> None:
    """``ssh alice@host`` asks for the password alone."""
    client = Answers(PASSWORD)
    async with rig.connect(
        "alice", None, client_factory=lambda: client, preferred_auth="keyboard-interactive"
    ) as connection:
        assert await whoami(connection) == "alice"
    assert client.asked == ["Password: "]


@pytest.mark.parametrize(
    ("account", "password"),
    [
        ("alice", "wrong password"),
        ("nobody", "wrong password"),
        ("alice", "x" * 73),
        ("alice", "密" * 25),
        ("alice", ""),
        ("", ""),
        ("alice\x1b[2J", "x"),
        ("a" * 1000, "x" * 100_000),
        ("alice", "\0"),
        ("openlxd", PASSWORD),
    ],
)
async def test_a_refusal_says_nothing_more(rig: Rig, account: str, password: str) -> None:
    """A wrong password, an unknown account and an impossible password are refused alike."""
    with pytest.raises(asyncssh.PermissionDenied) as refused:
        async with rig.connect("openlxd", None, client_factory=lambda: Answers(account, password)):
            pass
    assert "alice" not in str(refused.value)


async def test_a_suspended_tenant_is_told_so(rig: Rig) -> None:
    """With the right password, or the key, the door says that the account is suspended; it does not open."""
    key, _path = await rig.register_key(rig.alice)
    await rig.core.accounts.suspend(SYSTEM, "alice", "unpaid invoice")
    for username, keys in (("alice", []), ("openlxd", [key])):
        # told while signing in (a password), or as soon as the key has proved itself
        client = Answers(PASSWORD)
        with pytest.raises(asyncssh.Error) as refused:
            async with rig.connect(
                username, None, client_keys=keys, client_factory=lambda client=client: client
            ) as connection:
                await connection.run("whoami", check=True)
        assert "unpaid invoice" in str(refused.value) + str(client.lost)


async def test_two_thousand_tries_on_one_connection_end_at_six(rig: Rig) -> None:
    """A client that sends two thousand passwords without waiting gets six of them looked at."""
    looked_at = 0
    login = rig.core.auth.password_login

    async def counting(*args: Any, **options: Any) -> Any:
        nonlocal looked_at
        looked_at += 1
        return await login(*args, **options)

    object.__setattr__(rig.core.auth, "password_login", counting)

    class Hammer(asyncssh.SSHClient):
        tries = 0

        def connection_made(self, conn: Any) -> None:
            self.conn = conn

        def password_auth_requested(self) -> str:
            self.tries += 1
            return f"guess {self.tries}"

    hammer = Hammer()
    with pytest.raises(asyncssh.Error):
        async with rig.connect(
            "alice", None, client_factory=lambda: hammer, preferred_auth="password", kbdint_auth=False
        ):
            pass
    assert hammer.tries <= 7
    assert looked_at <= 6

    looked_at = 0
    flood = await _pipelined(rig, 2000)
    assert flood
    assert looked_at <= 6


async def _pipelined(rig: Rig, count: int) -> bool:
    """Send ``count`` password requests at once; True when the server hung up."""
    from asyncssh.constants import MSG_USERAUTH_REQUEST
    from asyncssh.packet import Boolean, String

    class Flood(asyncssh.SSHClient):
        def connection_made(self, conn: Any) -> None:
            self.conn = conn

        def password_auth_requested(self) -> str:
            for number in range(count):
                self.conn.send_packet(
                    MSG_USERAUTH_REQUEST,
                    String("bob"), String("ssh-connection"), String("password"), Boolean(False), String(f"g{number}"),
                )  # fmt: skip
            return "last guess"

    try:
        async with rig.connect("bob", None, client_factory=Flood, preferred_auth="password", kbdint_auth=False):
            return False
    except (asyncssh.Error, OSError):
        return True


async def test_nobody_can_be_raced_into_another_name(tmp_path: Path) -> None:
    """While bob's login is under way the same connection asks for alice: 800 such races, no wrong identity."""
    from asyncssh.constants import MSG_USERAUTH_REQUEST
    from asyncssh.packet import String

    async with running(tmp_path, ssh_unauthenticated=1000, ssh_per_address=1000) as rig:
        wrong: list[str] = []
        right = 0
        chance = random.Random(1)

        class Racer(asyncssh.SSHClient):
            asked = False

            def connection_made(self, conn: Any) -> None:
                self.conn = conn

            def password_auth_requested(self) -> str | None:
                if self.asked:
                    return None
                self.asked = True
                asyncio.get_running_loop().call_later(
                    chance.choice((0.05, 0.3, 3.0)) * chance.random(), self.ask_for_alice
                )
                return PASSWORD

            def ask_for_alice(self) -> None:
                if not self.conn.is_closed():
                    self.conn.send_packet(
                        MSG_USERAUTH_REQUEST, String("alice"), String("ssh-connection"), String("none")
                    )

        async def one() -> None:
            nonlocal right
            try:
                async with rig.connect(
                    "bob", None, client_factory=Racer, preferred_auth="password", kbdint_auth=False
                ) as connection:
                    name = await whoami(connection)
                    if name == "bob":
                        right += 1
                    elif name:
                        wrong.append(name)
            except (asyncssh.Error, OSError):
                pass  # nobody came in, or the connection was cut for asking again

        for _round in range(20):
            await asyncio.gather(*(one() for _ in range(40)))
        assert wrong == []
        assert right > 0  # whoever was in before the question came


async def test_many_tenants_at_once_are_each_themselves(tmp_path: Path) -> None:
    """Two hundred logins of two tenants, forty at a time: everybody is who they signed in as."""
    async with running(tmp_path, ssh_unauthenticated=1000, ssh_per_address=1000, ssh_sessions_per_tenant=1000) as rig:
        keys = {actor.username: (await rig.register_key(actor))[0] for actor in (rig.alice, rig.bob)}

        async def one(number: int) -> bool:
            name = ("alice", "bob")[number % 2]
            async with rig.connect("openlxd", None, client_keys=[keys[name]]) as connection:
                return await whoami(connection) == name

        for start in range(0, 200, 40):
            assert all(await asyncio.gather(*(one(start + n) for n in range(40))))


async def test_a_login_name_is_folded_and_a_number_is_a_name(rig: Rig) -> None:
    """``ssh Client.42@host`` is client.42, by password and by key; ``ssh 2@host`` is nobody, whoever has the id 2."""
    user = await add_user(rig.core, "client.42")
    digits = await add_user(rig.core, "12345")
    key, _path = await rig.register_key(user)
    for name in ("Client.42", "CLIENT.42", "client.42"):
        async with rig.connect(name, None, client_keys=[key]) as connection:
            assert await whoami(connection) == "client.42"
    async with rig.connect("OpenLXD", None, client_keys=[key]) as connection:
        assert await whoami(connection) == "client.42"
    async with rig.connect("12345", PASSWORD) as connection:
        assert await whoami(connection) == "12345"
    assert digits.user_id != 12345
    with pytest.raises(asyncssh.PermissionDenied):
        async with rig.connect(str(rig.bob.user_id), PASSWORD):
            pass
