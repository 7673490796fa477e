"""Forms about images of containers: publish one, and make a container anew from one; and the name of a snapshot."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

from openlxd_core.domain.container import Container, check_image_alias
from openlxd_core.domain.errors import Message
from openlxd_core.domain.image import Image, Offer
from openlxd_core.domain.operation import Operation
from openlxd_core.domain.snapshot import Snapshot, check_snapshot_name
from openlxd_core.domain.text import clean
from openlxd_core.domain.units import format_bytes
from openlxd_core.i18n import N_, _
from openlxd_tui.formatting import image_note
from openlxd_tui.screens.form import Form, faults
from openlxd_tui.widgets.field import Field


class PublishForm(Form[Operation | None]):
    """A name for the private image that a stopped container, or one of its snapshots, becomes."""

    SUBMIT_TEXT: ClassVar[str] = N_("Create image")

    def __init__(self, container: str, snapshot: str | None = None) -> None:
        super().__init__()
        self._container = container
        self._snapshot = snapshot

    def title_text(self) -> str:
        """What the image is made of."""
        if self._snapshot:
            text = _(N_("Create an image from snapshot {snapshot} of {name}"))
            return text.format(name=clean(self._container, 63), snapshot=clean(self._snapshot, 40))
        return _(N_("Create an image from {name}")).format(name=clean(self._container, 63))

    def fields(self) -> Sequence[Field]:
        """Its name."""
        return [Field("alias", _(N_("Name")), value=clean(self._container, 40), hint=_(N_("private to you")), limit=40)]

    def check(self, values: Mapping[str, str]) -> Mapping[str, Message]:
        """A name there must be; the service knows which."""
        return {} if values["alias"].strip() else {"alias": Message(N_("An image needs a name."))}

    async def send(self, values: Mapping[str, str]) -> Operation | None:
        """Ask the core to make it."""
        return await self.session.core.images.publish(
            self.session.actor, self._container, values["alias"].strip(), self._snapshot
        )


SNAPSHOTS_NAMED = 6
"""How many snapshots a question names before it only counts the rest."""


def snapshots_text(snapshots: Sequence[Snapshot]) -> str:
    """That these snapshots go, how many there are and what they are called; nothing where there are none."""
    if not snapshots:
        return ""
    names = ", ".join(clean(snapshot.name, 40) for snapshot in snapshots[:SNAPSHOTS_NAMED])
    if len(snapshots) == 1:
        return _(N_("Its snapshot is deleted with it: {names}.")).format(names=names)
    if len(snapshots) <= SNAPSHOTS_NAMED:
        return _(N_("Its {count} snapshots are deleted with it: {names}.")).format(count=len(snapshots), names=names)
    return _(N_("Its {count} snapshots are deleted with it: {names} and {more} more.")).format(
        count=len(snapshots), names=names, more=len(snapshots) - SNAPSHOTS_NAMED
    )


class ReinstallForm(Form[Operation | None]):
    """Which image, and the container's name typed: everything in it is lost."""

    SUBMIT_TEXT: ClassVar[str] = N_("Reinstall")

    def __init__(
        self,
        container: Container,
        images: Sequence[Image],
        offers: Sequence[Offer] = (),
        snapshots: Sequence[Snapshot] = (),
    ) -> None:
        super().__init__()
        self._container = container
        self._snapshots = snapshots
        self._images = {image.alias: image for image in images}
        self._offers = {offer.alias: offer for offer in offers if offer.alias not in self._images}
        self.add_class("-danger")

    def title_text(self) -> str:
        """What is about to happen."""
        return _(N_("Reinstall {name}?")).format(name=clean(self._container.name, 63))

    def explanation_text(self) -> str:
        """What is lost."""
        lost = _(N_("Everything on its disk is lost. Its name, limits and address stay."))
        return " ".join(filter(None, (lost, snapshots_text(self._snapshots))))

    def fields(self) -> Sequence[Field]:
        """The image it has now stands ready."""
        known = [*self._images, *self._offers]
        chosen = self._container.image if self._container.image in known else next(iter(known), "")
        name = clean(self._container.name, 63)
        return [
            Field("image", _(N_("Image")), options=[(alias, alias) for alias in known], value=chosen,
                  prompt=_(N_("no image here yet")), hint=self._image_hint(chosen)),
            Field("sure", _(N_("Confirm")), placeholder=name,
                  hint=_(N_("Type {name} to go on.")).format(name=name), limit=63),
        ]  # fmt: skip

    def _image_hint(self, alias: str) -> str:
        if (image := self._images.get(alias)) is not None:
            return image_note(image)
        if (offer := self._offers.get(alias)) is not None:
            return _(N_("{size}, imported first")).format(size=format_bytes(offer.size_bytes))
        return ""

    def judge(self, names: Collection[str]) -> bool:
        """Beside an image stands what it says of itself."""
        self.field("image").hint(self._image_hint(self.values()["image"]))
        return super().judge(names)

    def check(self, values: Mapping[str, str]) -> Mapping[str, Message]:
        """The image, and the name typed."""
        wrong = faults((check_image_alias, values["image"]))
        if values["sure"].strip() != self._container.name:
            wrong["sure"] = Message(N_("Type {name} to go on."), {"name": clean(self._container.name, 63)})
        return wrong

    async def send(self, values: Mapping[str, str]) -> Operation | None:
        """Ask the core."""
        return await self.session.core.containers.reinstall(self.session.actor, self._container.name, values["image"])


class SnapshotForm(Form[Operation | None]):
    """A name for a snapshot, or none."""

    SUBMIT_TEXT: ClassVar[str] = N_("Take snapshot")

    def __init__(self, container: str) -> None:
        super().__init__()
        self._container = container

    def title_text(self) -> str:
        """Of which container."""
        return _(N_("Snapshot of {name}")).format(name=clean(self._container, 63))

    def fields(self) -> Sequence[Field]:
        """Its name."""
        return [Field("name", _(N_("Name")), hint=_(N_("left empty: date and time")), limit=60)]

    def check(self, values: Mapping[str, str]) -> Mapping[str, Message]:
        """As the service will."""
        return faults((check_snapshot_name, values["name"].strip())) if values["name"].strip() else {}

    async def send(self, values: Mapping[str, str]) -> Operation | None:
        """Ask the core to take it."""
        name = values["name"].strip() or None
        return await self.session.core.snapshots.create(self.session.actor, self._container, name)
