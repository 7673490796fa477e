"""Public keys as terminals and people paste them."""

from __future__ import annotations

import random

import asyncssh
import pytest

from openlxd_core.domain.errors import ValidationFailed
from openlxd_core.domain.ssh_key import join_public_key
from openlxd_core.services.keys import read_public_key

KINDS = ("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp521")


def a_key(kind: str, comment: str = "alice@laptop") -> str:
    """The line of a .pub file."""
    return asyncssh.generate_private_key(kind, comment=comment).export_public_key().decode().strip()


def wrapped(line: str, width: int, ending: str = "\n") -> str:
    """As a terminal of this width shows it: spaces at the end of a line are lost in copying."""
    return ending.join(line[at : at + width].rstrip() for at in range(0, len(line), width))


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrapped_key_is_joined_rightly_at_every_width(kind: str) -> None:
    """Whatever the width, the line ends and the blank lines: the same key and comment come out."""
    rng = random.Random(kind)
    line = a_key(kind)
    for width in (*range(11, 121), 200, 500):
        for ending in ("\n", "\r\n", "\r", "\n\n"):
            pasted = "\n" * rng.randrange(3) + wrapped(line, width, ending) + "\n" * rng.randrange(3)
            joined = join_public_key(pasted)
            assert joined is not None, width
            # the space between the algorithm, the key and the comment may lie exactly at a wrap
            assert joined.split(" ", 2)[:2] == line.split(" ", 2)[:2], width
            assert joined.split(" ", 2)[2] == "alice@laptop", width
            read_public_key(joined)


def test_a_key_without_a_comment_stays_whole() -> None:
    """No comment, one line or many."""
    line = a_key("ssh-ed25519", "").strip()
    assert join_public_key(line + "\n") == line
    assert join_public_key(wrapped(line, 40)) == line


@pytest.mark.parametrize("width", [None, 60])
def test_several_keys_are_counted_and_refused(width: int | None) -> None:
    """Two or three keys in one paste are said to be several, however they are wrapped."""
    lines = [a_key("ssh-ed25519"), "# a comment", "", a_key("ssh-rsa"), a_key("ssh-ed25519")]
    text = "\n".join(wrapped(line, width) if width else line for line in lines)
    with pytest.raises(ValidationFailed, match="3 keys were pasted"):
        join_public_key(text)


def test_what_is_no_whole_public_key_is_refused_in_words() -> None:
    """A private key, a missing end, text in front: each has its own sentence; no key at all is for others to judge."""
    line = a_key("ssh-rsa")
    private = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    for text, said in (
        (private, "private key"),
        (line[:200], "The end of this key is missing"),
        (wrapped(line[:300], 80), "The end of this key is missing"),
        (f"$ cat ~/.ssh/id_rsa.pub\n{line}", "other text in front"),
        (f"command=ls\n{line}", "other text in front"),
    ):
        with pytest.raises(ValidationFailed, match=said):
            join_public_key(text)
    for text in ("", "\n \n", "hello", "a\nb", "ssh-rsa-like\nthing"):
        assert join_public_key(text) is None
    assert join_public_key("ssh-rsa not*base64 me") == "ssh-rsa not*base64 me"


def test_hostile_text_ends_soon() -> None:
    """Lengths that lie, megabytes of lines, padding everywhere: an answer or a refusal, never an exception."""
    rng = random.Random(7)
    alphabet = "ABCdef019+/= \n\t#-"
    texts = ["ssh-ed25519 " + "/" * 100_000, "ssh-rsa " + "=" * 500, "ssh-rsa\n" * 3000, "ssh-rsa AAAAB3NzaC1yc2EA" * 9]
    texts += ["ssh-rsa " + "".join(rng.choices(alphabet, k=400)) for _ in range(300)]
    for text in texts:
        try:
            joined = join_public_key(text)
        except ValidationFailed:
            continue
        assert joined is None or "\n" not in joined
