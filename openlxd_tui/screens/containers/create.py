"""The form that makes a container."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from textual import work

from openlxd_core.domain.account import USERNAME_MAX
from openlxd_core.domain.container import check_image_alias, check_limits, check_name
from openlxd_core.domain.errors import Message, OpenLXDError, ValidationFailed
from openlxd_core.domain.image import Image, Offer
from openlxd_core.domain.operation import Operation
from openlxd_core.domain.quota import Quota
from openlxd_core.domain.units import format_bytes, format_mib
from openlxd_core.i18n import N_, _
from openlxd_tui.formatting import image_note
from openlxd_tui.screens.form import Form, faults
from openlxd_tui.widgets.field import Field

_FITS = (("cpu", "cpu"), ("memory", "memory_mib"), ("disk", "disk_mib"))


def check_sizes(values: Mapping[str, str], left: Quota | None) -> dict[str, Message]:
    """What is wrong with the three sizes of a form, the quota included where it is known."""
    wrong = faults((check_limits, values["cpu"], values["memory"], values["disk"]))
    if left is None:
        return wrong
    good = {name: values[name] if name not in wrong else default for name, default in _SMALLEST.items()}
    figures = dict(zip(("cpu", "memory_mib", "disk_mib"), check_limits(**good), strict=True))
    for name, part in _FITS:
        rest = getattr(left, part)
        if name not in wrong and figures[part] > rest:
            wrong[name] = Message(N_("Only {left} left of your quota."), {"left": size_text(part, rest)})
    return wrong


_SMALLEST: dict[str, Any] = {"cpu": "1", "memory": "1GiB", "disk": "1GiB"}


def size_text(part: str, value: int) -> str:
    """A part of the quota as people read it."""
    return format_mib(value) if part.endswith("_mib") else str(value)


def size_fields(cpu: str, memory: str, disk: str) -> list[Field]:
    """The three sizes."""
    return [
        Field("cpu", _(N_("CPU")), value=cpu, hint=_(N_("cores")), limit=10),
        Field("memory", _(N_("Memory")), value=memory, hint=_(N_("as 512MiB or 2GiB")), limit=20),
        Field("disk", _(N_("Disk")), value=disk, hint=_(N_("as 10GiB")), limit=20),
    ]


def hint_what_is_left(form: Form[Any], left: Quota, limit: Quota) -> None:
    """Say beside each size what the quota leaves."""
    for name, part in _FITS:
        text = _(N_("{left} left of {limit}"))
        form.field(name).hint(
            text.format(left=size_text(part, getattr(left, part)), limit=size_text(part, getattr(limit, part)))
        )
        form.field(name).content()


def worth_offering(offers: Sequence[Offer]) -> Sequence[Offer]:
    """Of all that can be had, what a form offers by name: the promised releases, plain, for this host itself."""
    return [
        offer
        for offer in offers
        if offer.listed and offer.published and offer.variant == "default" and not offer.held
        and not offer.alias.endswith("/" + offer.architecture)
    ]  # fmt: skip


class CreateForm(Form[Operation | None]):
    """Name, image and sizes; closes with the operation under way."""

    TITLE_TEXT: ClassVar[str] = N_("New container")
    SUBMIT_TEXT: ClassVar[str] = N_("Create")

    def __init__(self, images: Sequence[Image], offers: Sequence[Offer] = (), *, chosen: str = "") -> None:
        super().__init__()
        self._images = {image.alias: image for image in images}
        self._offers = {offer.alias: offer for offer in offers if offer.alias not in self._images}
        self._chosen = chosen or next(iter([*self._images, *self._offers]), "")
        self._left: Quota | None = None

    def fields(self) -> Sequence[Field]:
        """An admin says whose it is, too."""
        fields = [
            Field("name", _(N_("Name")), hint=_(N_("a–z, 0–9 and dashes")), limit=100),
            Field(
                "image",
                _(N_("Image")),
                options=[(alias, alias) for alias in (*self._images, *self._offers)],
                value=self._chosen,
                prompt=_(N_("no image here yet")),
                hint=self._image_hint(self._chosen),
            ),
            *size_fields("1", "512MiB", "5GiB"),
        ]
        if self.session.actor.is_admin:
            fields.insert(1, Field("owner", _(N_("Owner")), hint=_(N_("a user name")), limit=USERNAME_MAX))
        return fields

    def on_mount(self) -> None:
        """Ask what the quota leaves, and for a name that is free."""
        super().on_mount()
        self.ask()

    @work(group="hint")
    async def ask(self) -> None:
        """A free name as an example, and what the quota leaves."""
        core, actor = self.session.core, self.session.actor
        with contextlib.suppress(OpenLXDError):  # an example is no promise
            self.field("name").suggest(await core.containers.example_name(actor))
        if actor.user_id is None or actor.is_admin:
            return
        try:
            quota = await core.quotas.get(actor)
        except OpenLXDError:
            return  # the service judges in the end
        self._left = quota.left
        hint_what_is_left(self, quota.left, quota.quota)

    def _image_hint(self, alias: str) -> str:
        if (image := self._images.get(alias)) is not None:
            return image_note(image)
        if (offer := self._offers.get(alias)) is not None:
            return _(N_("{size}, imported first")).format(size=format_bytes(offer.size_bytes))
        return _(N_("Press Esc, then 3, and choose an image to import."))

    def judge(self, names: Collection[str]) -> bool:
        """Beside an image stands what it says of itself."""
        self.field("image").hint(self._image_hint(self.values()["image"]))
        return super().judge(names)

    def check(self, values: Mapping[str, str]) -> Mapping[str, Message]:
        """As the service will, and what the quota leaves."""
        return {
            **faults((check_name, values["name"]), (check_image_alias, values["image"])),
            **check_sizes(values, self._left),
            **(_missing_owner(values) if "owner" in values else {}),
        }

    async def send(self, values: Mapping[str, str]) -> Operation | None:
        """Ask the core to make it."""
        return await self.session.core.containers.create(
            self.session.actor,
            values["name"],
            values["image"],
            values["cpu"],
            values["memory"],
            values["disk"],
            owner=values.get("owner") or None,
        )


def _missing_owner(values: Mapping[str, str]) -> dict[str, Message]:
    if values["owner"].strip():
        return {}
    return ValidationFailed.of("owner", N_("Enter the owner of the container.")).fields
