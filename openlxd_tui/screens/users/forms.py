"""The forms of the users screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from openlxd_core.domain.account import USERNAME_MAX, CreatedUser, User, check_email, check_password, check_username
from openlxd_core.domain.actor import Role
from openlxd_core.domain.errors import Message
from openlxd_core.domain.quota import Quota, parse_quota
from openlxd_core.domain.units import format_mib
from openlxd_core.i18n import N_, _
from openlxd_tui.formatting import ROLE_WORDS
from openlxd_tui.screens.account.forms import not_again
from openlxd_tui.screens.form import Form, faults
from openlxd_tui.widgets.field import Field
from openlxd_tui.widgets.text_input import prose


class NewUserForm(Form[CreatedUser | None]):
    """Name, address, password."""

    TITLE_TEXT: ClassVar[str] = N_("New account")
    SUBMIT_TEXT: ClassVar[str] = N_("Add")

    def fields(self) -> Sequence[Field]:
        """What an account needs."""
        return [
            Field("username", _(N_("User name")), hint=_(N_("a–z, 0–9, . _ and -")), limit=USERNAME_MAX),
            Field("email", _(N_("Email")), limit=255),
            Field("password", _(N_("Password")), secret=True, hint=_(N_("8 characters or more"))),
            Field("again", _(N_("Again")), secret=True),
            Field(
                "role", _(N_("Role")), value=Role.TENANT.value,
                options=[(_(ROLE_WORDS[role]), role.value) for role in (Role.TENANT, Role.ADMIN)],
            ),
        ]  # fmt: skip

    def check(self, values: Mapping[str, str]) -> Mapping[str, Message]:
        """As the service will."""
        return {
            **faults(
                (check_username, values["username"]),
                (check_email, values["email"]),
                (check_password, values["password"]),
            ),
            **not_again(values),
        }

    async def send(self, values: Mapping[str, str]) -> CreatedUser | None:
        """Ask the core."""
        return await self.session.core.accounts.create(
            self.session.actor,
            values["username"],
            values["email"],
            values["password"],
            role=Role(values["role"] or Role.TENANT.value),
        )


class SuspendForm(Form[bool | None]):
    """Why."""

    SUBMIT_TEXT: ClassVar[str] = N_("Suspend")

    def __init__(self, user: User) -> None:
        super().__init__()
        self._user = user

    def title_text(self) -> str:
        """Whom it is about."""
        return _(N_("Suspend {name}")).format(name=self._user.username)

    def fields(self) -> Sequence[Field]:
        """The reason, which the person will read."""
        return [Field("reason", _(N_("Reason")), hint=_(N_("shown to the tenant; may be empty")), limit=200,
                      paste=prose)]  # fmt: skip

    def check(self, values: Mapping[str, str]) -> Mapping[str, Message]:
        """Any reason will do."""
        return {}

    async def send(self, values: Mapping[str, str]) -> bool | None:
        """Ask the core."""
        await self.session.core.accounts.suspend(self.session.actor, self._user.id, values["reason"].strip())
        return True


class SetPasswordForm(Form[bool | None]):
    """Another password for somebody."""

    def __init__(self, user: User) -> None:
        super().__init__()
        self._user = user

    def title_text(self) -> str:
        """Whom it is about."""
        return _(N_("New password for {name}")).format(name=self._user.username)

    def fields(self) -> Sequence[Field]:
        """Twice."""
        return [
            Field("password", _(N_("New password")), secret=True, hint=_(N_("8 characters or more"))),
            Field("again", _(N_("Again")), secret=True, hint=_(N_("the new one once more"))),
        ]

    def check(self, values: Mapping[str, str]) -> Mapping[str, Message]:
        """As the service will."""
        return {**faults((check_password, values["password"])), **not_again(values)}

    async def send(self, values: Mapping[str, str]) -> bool | None:
        """Ask the core."""
        await self.session.core.accounts.set_password(self.session.actor, self._user.id, values["password"])
        return True


class QuotaForm(Form[bool | None]):
    """What one tenant may have in all."""

    def __init__(self, user: User, quota: Quota, used: Quota) -> None:
        super().__init__()
        self._user = user
        self._quota = quota
        self._used = used

    def title_text(self) -> str:
        """Whom it is about."""
        return _(N_("Quota of {name}")).format(name=self._user.username)

    def fields(self) -> Sequence[Field]:
        """The four that count now; the rest stays as it is."""
        quota, used = self._quota, self._used
        in_use = _(N_("{used} in use"))
        memory, disk = (format_mib(mib).replace(" ", "") for mib in (quota.memory_mib, quota.disk_mib))
        return [
            Field("containers", _(N_("Containers")), value=str(quota.containers),
                  hint=in_use.format(used=used.containers), limit=10),
            Field("cpu", _(N_("CPU")), value=str(quota.cpu), hint=in_use.format(used=used.cpu), limit=10),
            Field("memory", _(N_("Memory")), value=memory,
                  hint=in_use.format(used=format_mib(used.memory_mib)), limit=20),
            Field("disk", _(N_("Disk")), value=disk, hint=in_use.format(used=format_mib(used.disk_mib)), limit=20),
        ]  # fmt: skip

    def check(self, values: Mapping[str, str]) -> Mapping[str, Message]:
        """Each part by itself, so that every mistake is named."""
        return faults(*((parse_quota, f"{name}={values[name].replace(',', ' ')}", self._quota) for name in values))

    async def send(self, values: Mapping[str, str]) -> bool | None:
        """Ask the core."""
        text = ",".join(f"{name}={value}" for name, value in values.items())
        await self.session.core.quotas.set(self.session.actor, self._user.id, parse_quota(text, self._quota))
        return True
