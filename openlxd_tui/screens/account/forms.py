"""The forms of the account screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from openlxd_core.domain.account import SshKey, check_password
from openlxd_core.domain.errors import Message
from openlxd_core.domain.ssh_key import join_public_key
from openlxd_core.i18n import N_, _
from openlxd_tui.screens.form import Form, faults
from openlxd_tui.widgets.field import Field
from openlxd_tui.widgets.text_input import KeyInput


class PasswordForm(Form[bool | None]):
    """The old password, and twice the new one."""

    TITLE_TEXT: ClassVar[str] = N_("Change password")

    def fields(self) -> Sequence[Field]:
        """Old, new, again."""
        return [
            Field("old", _(N_("Old password")), secret=True, hint=_(N_("current password"))),
            Field("password", _(N_("New password")), secret=True, hint=_(N_("8 characters or more"))),
            Field("again", _(N_("Again")), secret=True, hint=_(N_("the new one once more"))),
        ]

    def check(self, values: Mapping[str, str]) -> Mapping[str, Message]:
        """As the service will; and both must be the same."""
        return {**(_no_old(values)), **faults((check_password, values["password"])), **not_again(values)}

    async def send(self, values: Mapping[str, str]) -> bool | None:
        """Ask the core."""
        await self.session.core.accounts.change_password(self.session.actor, values["old"], values["password"])
        return True


def _no_old(values: Mapping[str, str]) -> dict[str, Message]:
    return {} if values["old"] else {"old": Message(N_("Enter your current password."))}


def not_again(values: Mapping[str, str]) -> dict[str, Message]:
    """The second time it was typed differently."""
    same = values["password"] == values["again"]
    return {} if same else {"again": Message(N_("The two entries are different."))}


class KeyForm(Form[SshKey | None]):
    """Paste a public key."""

    TITLE_TEXT: ClassVar[str] = N_("Add an SSH key")
    SUBMIT_TEXT: ClassVar[str] = N_("Add")

    def fields(self) -> Sequence[Field]:
        """The key and a name for it."""
        return [
            Field(
                "public_key", _(N_("Public key")), placeholder="ssh-ed25519 AAAA…",
                hint=_(N_("paste ~/.ssh/id_ed25519.pub")), limit=20_000, input_class=KeyInput,
            ),
            Field("name", _(N_("Name")), hint=_(N_("as laptop; may be empty")), limit=60),
        ]  # fmt: skip

    def check(self, values: Mapping[str, str]) -> Mapping[str, Message]:
        """Enough to keep a private key from being sent at all; the service reads the rest."""
        text = values["public_key"].strip()
        if not text:
            return {"public_key": Message(N_("Paste a public key."))}
        return faults((join_public_key, text))

    async def send(self, values: Mapping[str, str]) -> SshKey | None:
        """Ask the core."""
        return await self.session.core.keys.add(
            self.session.actor, values["public_key"].strip(), values["name"].strip()
        )
